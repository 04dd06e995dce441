//! Header, address and MIME parsing: no bytes make it panic, and what it finds lies inside the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailhatch::mail::{Address, Content, Message, Sender};

fuzz_target!(|data: &[u8]| {
    let message = Message::parse(Content::whole(data.to_vec()));
    assert_eq!(message.header().len() + message.body().len(), data.len());
    for field in message.fields() {
        let _ = (field.name(), field.text(), field.decoded(), field.addresses(), field.ids(), field.content_type(), field.date());
    }
    let _ = (message.message_id(), message.subject(), message.content_type());
    let mime = message.mime();
    let _ = (mime.text().count(), mime.html().count());
    for attachment in mime.attachments() {
        assert_eq!(attachment.content().len(), attachment.size);
        let _ = (attachment.filename(), attachment.encoded().to_string());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Sender::from_path(text);
        if let Some(address) = Address::parse(text) {
            assert_eq!(format!("{}@{}", address.local(), address.domain()), text);
        }
    }
});
