//! The event as JSON (DESIGN section 2.5), written through to wherever it goes.
//!
//! Attachments are encoded from where they lie, so that a large message costs its own size and what decoding makes of
//! it, but never a third copy. What the event does not carry is null, so that every field is always there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::event::Event;
use super::mime::{Attached, Mime};
use crate::auth::Authentication;
use crate::config::EventPart;
use crate::mail::{Message, NamedAddress};

/// An event ready to be written, as often as needed.
pub(super) struct EventJson<'e> {
    event: &'e Event,
    wants_body: bool,
    wants_attachments: bool,
    wants_raw: bool,
    mime: Option<Mime<'e>>,
}

impl<'e> EventJson<'e> {
    /// Reads the message's MIME parts, if any of them are wanted.
    pub fn new(event: &'e Event, parts: &[EventPart]) -> Self {
        let wants = |part| parts.contains(&part);
        let (wants_body, wants_attachments) = (wants(EventPart::Body), wants(EventPart::Attachments));
        let mime = match (wants_body, wants_attachments) {
            (_, true) => Some(Mime::parse(&event.message)),
            (true, false) => Some(Mime::parse_body(&event.message)),
            (false, false) => None,
        };
        Self { event, wants_body, wants_attachments, wants_raw: wants(EventPart::Raw), mime }
    }

    /// Writes it; the same bytes each time.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(out, &self.body()).map_err(io::Error::from)
    }

    fn body(&self) -> EventBody<'_> {
        let Event { id, time, route, envelope, recipient, message, authentication } = self.event;
        let client = &envelope.client;
        EventBody {
            kind: "mail.received",
            timestamp: timestamp(*time),
            id: id.as_str(),
            data: Data {
                mailbox: &route.mailbox.name.value,
                action: &route.action,
                key: route.key.reveal(),
                captures: &route.captures,
                matched: Matched { source: route.matched.source.name(), address: &route.matched.address },
                envelope: Envelope {
                    sender: envelope.sender.as_text(),
                    recipient: &recipient.address,
                    original_recipient: recipient.original.as_deref(),
                    client: Client {
                        address: client.address.map(|address| address.to_string()),
                        helo: client.helo.as_deref(),
                        name: client.name.as_deref(),
                    },
                    queue_id: envelope.queue_id.as_deref(),
                },
                message: self.message(message),
                authentication: authentication.as_deref().map(Authenticated::new),
                raw: self.wants_raw.then(|| Base64(Cow::Borrowed(message.bytes()))),
            },
        }
    }

    fn message<'a>(&'a self, message: &'a Message) -> MessageBody<'a> {
        let addresses = |name| message.addresses(name).into_iter().map(Person::from).collect();
        MessageBody {
            message_id: message.message_id(),
            in_reply_to: message.ids("In-Reply-To"),
            references: message.ids("References"),
            date: message.first("Date").and_then(|field| field.date()),
            from: addresses("From"),
            reply_to: addresses("Reply-To"),
            to: addresses("To"),
            cc: addresses("Cc"),
            subject: message.subject(),
            text: self.body_of(Mime::text),
            html: self.body_of(Mime::html),
            attachments: self.wants_attachments.then(|| self.attachments()),
        }
    }

    fn body_of<'a>(&'a self, read: impl Fn(&'a Mime<'e>) -> Vec<Cow<'a, str>>) -> Option<Text<'a>> {
        let pieces = self.mime.as_ref().filter(|_| self.wants_body).map(read)?;
        (!pieces.is_empty()).then_some(Text(pieces))
    }

    fn attachments(&self) -> Vec<Attachment<'_>> {
        self.mime.iter().flat_map(|mime| mime.attachments()).map(Attachment::from).collect()
    }
}

fn timestamp(time: std::time::SystemTime) -> String {
    let time = OffsetDateTime::from(time).replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

#[derive(Serialize)]
struct EventBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    id: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    mailbox: &'a str,
    action: &'a str,
    key: &'a str,
    captures: &'a BTreeMap<String, String>,
    matched: Matched<'a>,
    envelope: Envelope<'a>,
    message: MessageBody<'a>,
    authentication: Option<Authenticated<'a>>,
    raw: Option<Base64<'a>>,
}

#[derive(Serialize)]
struct Matched<'a> {
    source: &'static str,
    address: &'a str,
}

#[derive(Serialize)]
struct Envelope<'a> {
    sender: Option<&'a str>,
    recipient: &'a str,
    original_recipient: Option<&'a str>,
    client: Client<'a>,
    queue_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Client<'a> {
    address: Option<String>,
    helo: Option<&'a str>,
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct MessageBody<'a> {
    message_id: Option<String>,
    in_reply_to: Vec<String>,
    references: Vec<String>,
    date: Option<String>,
    from: Vec<Person>,
    reply_to: Vec<Person>,
    to: Vec<Person>,
    cc: Vec<Person>,
    subject: Option<String>,
    text: Option<Text<'a>>,
    html: Option<Text<'a>>,
    attachments: Option<Vec<Attachment<'a>>>,
}

#[derive(Serialize)]
struct Person {
    name: Option<String>,
    address: String,
}

impl From<NamedAddress> for Person {
    fn from(address: NamedAddress) -> Self {
        Self { name: address.name, address: address.address }
    }
}

#[derive(Serialize)]
struct Authenticated<'a> {
    spf: &'static str,
    dkim: Vec<Dkim<'a>>,
    dmarc: &'static str,
    proven: Vec<&'a str>,
}

#[derive(Serialize)]
struct Dkim<'a> {
    domain: &'a str,
    result: &'static str,
}

impl<'a> Authenticated<'a> {
    fn new(authentication: &'a Authentication) -> Self {
        let mut proven: Vec<_> = [&authentication.from, &authentication.envelope_sender]
            .into_iter()
            .flatten()
            .map(|proof| proof.address().as_str())
            .collect();
        proven.dedup();
        let dkim =
            |outcome: &'a crate::auth::DkimOutcome| Dkim { domain: &outcome.domain, result: outcome.result.name() };
        Self {
            spf: authentication.spf.name(),
            dkim: authentication.dkim.iter().map(dkim).collect(),
            dmarc: authentication.dmarc.name(),
            proven,
        }
    }
}

#[derive(Serialize)]
struct Attachment<'a> {
    filename: Option<&'a str>,
    content_type: String,
    size: usize,
    content_id: Option<&'a str>,
    content: Base64<'a>,
}

impl<'a> From<Attached<'a>> for Attachment<'a> {
    fn from(part: Attached<'a>) -> Self {
        Self {
            filename: part.filename,
            content_type: part.content_type,
            size: part.content.len(),
            content_id: part.content_id,
            content: Base64(part.content),
        }
    }
}

/// Bytes that are written in base64 without a copy of them in between.
struct Base64<'a>(Cow<'a, [u8]>);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

/// Pieces of text that are written as one.
struct Text<'a>(Vec<Cow<'a, str>>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, piece) in self.0.iter().enumerate() {
            if n > 0 && !self.0[n - 1].ends_with('\n') {
                f.write_str("\n")?;
            }
            f.write_str(piece)?;
        }
        Ok(())
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
