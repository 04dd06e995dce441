//! The reply without its quotation: by languages, by layouts, by the HTML of mail programs; and on whatever else there is.
//!
//! `compare.py` beside this file compares it with public test sets.

mod html;
mod languages;
mod layouts;
mod properties;

use mailhatch::mail::{BodyText, Partition};

/// The three texts of a message, each in one piece.
#[derive(Debug, PartialEq, Eq)]
struct Texts {
    text: String,
    quoted: String,
    signature: String,
}

fn texts(body: &BodyText<'_>, subject: Option<&str>) -> Texts {
    let partition = Partition::read(body, subject);
    let reply = partition.of(body.as_str());
    Texts { text: reply.text().collect(), quoted: reply.quoted().collect(), signature: reply.signature().collect() }
}

/// Those of a text/plain message.
fn of_plain(text: &str) -> Texts {
    texts(&BodyText::from_plain(text), None)
}

/// Those of a text/html message.
fn of_html(html: &str) -> Texts {
    texts(&BodyText::from_html(html), None)
}
