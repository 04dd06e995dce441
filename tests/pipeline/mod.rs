//! The promises, end to end: the real binary, by LMTP and by pipe.

mod bad_input;
mod crash_points;
mod faults;
mod out_of_memory;
mod pipe_status;
mod said;
mod unrecorded;
mod verdicts;

use crate::support::config::{BASE, REPLY_ADDRESS, REPLY_KEY, SPOOL};
use crate::support::service::{Place, Service};

/// A message that a person wrote.
pub fn message(extra_header: &str, body: &str) -> Vec<u8> {
    let header =
        "From: Jane <jane@example.org>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n";
    format!("{header}{extra_header}\r\n{body}\r\n").into_bytes()
}

fn spool_config() -> String {
    format!("{BASE}{SPOOL}")
}

/// The verdict of one message by both ways: the reply without its code, and pipe's first line.
fn by_both_ways(config: &str, sender: &str, recipient: &str, message: &[u8]) -> [String; 2] {
    let service = Service::start(config);
    let reply = service.lmtp().send(sender, &[recipient], message).remove(0);
    let place = Place::new(config);
    let output = place.run(&["pipe", &format!("--sender={sender}"), &format!("--recipient={recipient}")], message);
    let line = String::from_utf8(output.stdout).unwrap().lines().next().unwrap_or_default().to_owned();
    let expected = if reply.starts_with("250 ") { 0 } else { 75 };
    assert_eq!(output.status.code(), Some(expected), "{reply} but by pipe {line}");
    [reply[4..].to_owned(), line]
}

/// Asserts that both ways say the same, and that it begins so.
fn assert_verdict(config: &str, sender: &str, recipient: &str, message: &[u8], expected: &str) {
    let [lmtp, pipe] = by_both_ways(config, sender, recipient, message);
    assert!(lmtp.starts_with(expected), "by LMTP: {lmtp}\nexpected: {expected}");
    assert_eq!(lmtp, pipe, "the two ways must not differ");
}
