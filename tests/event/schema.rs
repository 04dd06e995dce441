//! The schema that is published refuses what is not an event. That it takes what is one, every test shows that reads one
//! (`support::events`).

use serde_json::{Value, json};

use super::event;
use crate::support::events;

#[test]
fn what_is_not_an_event_is_refused() {
    let rows: &[(&str, &str, Value)] = &[
        ("another type", "/type", json!("mail.sent")),
        ("a time without a zone", "/timestamp", json!("2026-11-22T10:00:00")),
        ("an id that is not one", "/id", json!("a/../b")),
        ("an unknown source", "/data/matched/source", json!("bcc")),
        ("a NUL in a text", "/data/message/text", json!("a\0b")),
        ("a NUL in a subject", "/data/message/subject", json!("\0")),
        ("an address without an at sign", "/data/message/from/0/address", json!("Jane")),
        ("a list that is null", "/data/message/to", Value::Null),
        ("an unknown limit", "/data/message/truncated", json!(["everything"])),
        ("a field twice", "/data/message/undecodable", json!(["text", "text"])),
        ("a field more", "/data/message/reply", json!({"text": "", "quoted": "", "signature": "", "more": ""})),
        ("a field less", "/data/message/reply", json!({"text": "", "quoted": ""})),
        ("what is not base64", "/data/message/attachments/0/content", json!("QQ=")),
        ("a size that is not one", "/data/message/attachments/0/size", json!(-1)),
        (
            "an unknown result",
            "/data/authentication",
            json!({"spf": "good", "dkim": [], "dmarc": "none", "proven": []}),
        ),
    ];
    let good = event(
        "From: jane@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n\
         --b\r\nContent-Disposition: attachment\r\n\r\ntwo\r\n--b--\r\n",
    );
    for (name, place, value) in rows {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap_or_else(|| panic!("{name}: nothing at {place}")) = value.clone();
        assert!(events::matches(&bad).is_err(), "{name}");
    }
}
