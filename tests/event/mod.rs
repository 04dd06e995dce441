//! What the event says of a message: public bug reports of other programs, their variants, limits, and the schema.

mod addresses;
mod cases;
mod charsets;
mod limits;
mod postgresql;
mod schema;
mod structure;

use mailhatch::config::EventPart;
use serde_json::Value;

use crate::app::{KEY, Setup};
use crate::support::events;

/// The event of a message, with everything an event can carry.
pub fn event(message: impl Into<bytes::Bytes>) -> Value {
    let setup = Setup::new("kind = \"spool\"\npath = \"DIR\"", "");
    let mut out = Vec::new();
    let parts = [EventPart::Body, EventPart::Attachments, EventPart::Raw];
    setup.event(KEY, message).write_json(&parts, &mut out).unwrap();
    events::parse(&out)
}

/// What it says of the message.
pub fn message(message: impl Into<bytes::Bytes>) -> Value {
    event(message)["data"]["message"].take()
}

/// `a.pdf application/pdf 10`
pub fn attachments(message: &Value) -> Vec<String> {
    let show = |one: &Value| {
        let name = one["filename"].as_str().unwrap_or("-");
        format!("{name} {} {}", one["content_type"].as_str().unwrap(), one["size"])
    };
    message["attachments"].as_array().unwrap().iter().map(show).collect()
}

/// The text with LF alone and without an end.
pub fn text(message: &Value, field: &str) -> Option<String> {
    message[field].as_str().map(|text| text.replace("\r\n", "\n").trim_end_matches('\n').to_owned())
}
