//! The LMTP session: whatever a client sends, and however it is split, the replies and the transactions are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailhatch::intake::lmtp::{Session, SessionLimits, Step};

/// Drives a session with `chunks`; gives all that it said and took.
fn drive<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<String>) {
    let mut session = Session::new("mx.example.com", SessionLimits { message_size: 512, recipients: 5 });
    let (mut replies, mut taken) = (Vec::new(), Vec::new());
    let mut chunks = chunks;
    loop {
        match session.step() {
            Step::Read => match chunks.next() {
                Some(chunk) => session.push(chunk),
                None => return (replies, taken),
            },
            Step::Write(bytes) => replies.extend_from_slice(&bytes),
            Step::Begin { .. } => session.go(),
            Step::Overflow(_) => {}
            Step::Submit(transaction) => {
                taken.push(format!("{:?} {:?} {}", transaction.envelope, transaction.content, transaction.rest));
                let lines = vec!["250 2.0.0 done"; transaction.envelope.recipients.len()];
                session.answer(lines);
            }
            Step::Wait => unreachable!("every step was answered"),
            Step::Close(_) => return (replies, taken),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, input)) = data.split_first() else { return };
    let whole = drive(std::iter::once(input));
    let split = drive(input.chunks(usize::from(size).max(1)));
    assert_eq!(whole, split);
});
