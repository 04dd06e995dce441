//! The reply without its quotation: of any text, and of any HTML, the three texts are a partition.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailhatch::mail::{BodyText, Partition};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (plain, html) = (BodyText::from_plain(&*text), BodyText::from_html(&text));
    for body in [&plain, &html, &html.clone().and(plain.clone())] {
        for subject in [None, Some("FW: x")] {
            let partition = Partition::read(body, subject);
            let reply = partition.of(body.as_str());
            let mut pieces: Vec<_> = reply.text().chain(reply.quoted()).chain(reply.signature()).collect();
            pieces.sort_by_key(|piece| piece.as_ptr());
            assert_eq!(pieces.concat(), body.as_str());
        }
    }
});
