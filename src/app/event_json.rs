//! The event as JSON (DESIGN section 2.5), written through to wherever it goes.
//!
//! Attachments are decoded and encoded on the way through, so that a large message never stands in memory twice. What the
//! event does not carry is null, so that every field is always there; what could not be read, or was not, is named in
//! `undecodable` and `truncated`. No text has a NUL in it, whatever the mail had: databases refuse it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufWriter, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::event::Event;
use crate::auth::Authentication;
use crate::config::EventPart;
use crate::mail::{self, Address, Encoded, Listed, Message, Mime, NamedAddress, Recipient, Reply};
use crate::printable::escaped_json;

/// What is passed on at once.
const WRITTEN_AT_ONCE: usize = 64 * 1024;

/// An event ready to be written, as often as needed.
pub(super) struct EventJson<'e> {
    event: &'e Event,
    wants_body: bool,
    wants_attachments: bool,
    wants_reply: bool,
    wants_raw: bool,
    mime: Option<&'e Mime>,
}

impl Event {
    /// Writes the event as JSON (DESIGN section 2.5), with these parts beside the header.
    ///
    /// # Errors
    /// `out` does not take it, or a part of the message that is in a file cannot be read.
    pub fn write_json(&self, parts: &[EventPart], out: &mut dyn Write) -> io::Result<()> {
        EventJson::new(self, parts).write(out)
    }
}

impl<'e> EventJson<'e> {
    /// Reads the message's MIME parts, if any of them are wanted.
    pub fn new(event: &'e Event, parts: &[EventPart]) -> Self {
        let wants = |part| parts.contains(&part);
        let (wants_body, wants_attachments) = (wants(EventPart::Body), wants(EventPart::Attachments));
        let mime = (wants_body || wants_attachments).then(|| event.message.mime());
        let (wants_reply, wants_raw) = (wants(EventPart::Reply), wants(EventPart::Raw));
        Self { event, wants_body, wants_attachments, wants_reply, wants_raw, mime }
    }

    /// Writes it; the same bytes each time.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        // serde_json writes each escape by itself, and a text may be nothing but escapes.
        let mut out = BufWriter::with_capacity(WRITTEN_AT_ONCE, out);
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, ForEverybody);
        self.body().serialize(&mut serializer).map_err(io::Error::from)?;
        out.flush()
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
                authentication: authentication.as_deref().map(|known| Authenticated::new(known, recipient)),
                raw: self.wants_raw.then(|| Base64(message.bytes())),
            },
        }
    }

    fn message<'a>(&'a self, message: &'a Message) -> MessageBody<'a> {
        let mut limits = Limits::default();
        let (in_reply_to, references) = (message.ids("In-Reply-To"), message.ids("References"));
        limits.note("in_reply_to", &in_reply_to);
        limits.note("references", &references);
        let mut addresses = |field, name| {
            let list = message.addresses(name);
            limits.note(field, &list);
            list.entries.into_iter().map(Person::from).collect()
        };
        let [from, reply_to, to, cc] = [("from", "From"), ("reply_to", "Reply-To"), ("to", "To"), ("cc", "Cc")]
            .map(|(field, name)| addresses(field, name));
        let subject = message.subject();
        limits.note_unread("subject", subject.as_ref().is_none_or(|subject| subject.is_whole));
        let (text, html) = (self.body_of(|mime| mime.text().collect()), self.body_of(|mime| mime.html().collect()));
        let attachments = self.wants_attachments.then(|| self.attachments());
        self.note_parts(message, &mut limits);
        MessageBody {
            message_id: message.message_id(),
            in_reply_to: in_reply_to.entries,
            references: references.entries,
            date: message.first("Date").and_then(|field| field.date()),
            from,
            reply_to,
            to,
            cc,
            subject: subject.map(|subject| subject.text),
            text,
            html,
            reply: self.wants_reply.then(|| message.reply()).flatten().map(ReplyBody::from),
            attachments,
            truncated: limits.truncated,
            undecodable: limits.undecodable,
        }
    }

    fn note_parts(&self, message: &Message, limits: &mut Limits) {
        if message.is_header_truncated() {
            limits.truncated.push("header");
        }
        let Some(mime) = self.mime else { return };
        if mime.is_truncated() {
            limits.truncated.push("parts");
        }
        if self.wants_body {
            limits.note_unread("text", mime.body().is_text_whole);
            limits.note_unread("html", mime.body().is_html_whole);
        }
        if self.wants_attachments {
            let is_whole = |part: mail::Attachment<'_>| part.filename().is_none_or(|(_, is_whole)| is_whole);
            limits.note_unread("attachments", mime.attachments().all(is_whole));
        }
    }

    /// What there is of a text, unless there is none at all.
    fn body_of<'a>(&'a self, read: impl Fn(&'e Mime) -> Vec<&'e str>) -> Option<Text<'a>> {
        let pieces = self.mime.filter(|_| self.wants_body).map(read)?;
        (!pieces.is_empty()).then_some(Text(pieces))
    }

    fn attachments(&self) -> Vec<Attachment<'_>> {
        self.mime.into_iter().flat_map(|mime| mime.attachments()).map(Attachment::from).collect()
    }
}

/// What the event does not say, or says only in part: names of its fields, `header` and `parts`.
#[derive(Default)]
struct Limits {
    truncated: Vec<&'static str>,
    undecodable: Vec<&'static str>,
}

impl Limits {
    fn note<T>(&mut self, field: &'static str, list: &Listed<T>) {
        if list.is_truncated {
            self.truncated.push(field);
        }
        self.note_unread(field, list.is_whole);
    }

    fn note_unread(&mut self, field: &'static str, is_whole: bool) {
        if !is_whole {
            self.undecodable.push(field);
        }
    }
}

/// JSON without NUL, because PostgreSQL takes none in a text and a program in C ends it there, and without what drives a terminal.
struct ForEverybody;

impl Formatter for ForEverybody {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        writer.write_all(escaped_json(fragment).as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(0) => Ok(()),
            other => CompactFormatter.write_char_escape(writer, other),
        }
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
    subject: Option<Cow<'a, str>>,
    text: Option<Text<'a>>,
    html: Option<Text<'a>>,
    reply: Option<ReplyBody<'a>>,
    attachments: Option<Vec<Attachment<'a>>>,
    truncated: Vec<&'static str>,
    undecodable: Vec<&'static str>,
}

#[derive(Serialize)]
struct ReplyBody<'a> {
    text: Text<'a>,
    quoted: Text<'a>,
    signature: Text<'a>,
}

impl<'a> From<Reply<'a>> for ReplyBody<'a> {
    fn from(reply: Reply<'a>) -> Self {
        Self {
            text: Text(reply.text().collect()),
            quoted: Text(reply.quoted().collect()),
            signature: Text(reply.signature().collect()),
        }
    }
}

#[derive(Serialize)]
struct Person {
    name: Option<String>,
    address: Option<String>,
}

impl From<NamedAddress> for Person {
    fn from(address: NamedAddress) -> Self {
        Self { name: address.name, address: address.address.as_ref().map(Address::to_string) }
    }
}

#[derive(Serialize)]
struct Authenticated<'a> {
    spf: &'static str,
    dkim: Vec<Dkim<'a>>,
    dmarc: &'static str,
    proven: Vec<String>,
}

#[derive(Serialize)]
struct Dkim<'a> {
    domain: &'a str,
    result: &'static str,
}

impl<'a> Authenticated<'a> {
    fn new(authentication: &'a Authentication, recipient: &Recipient) -> Self {
        let from = authentication.from.as_ref().map(|proof| proof.address().to_string());
        let sender = authentication.envelope_sender(recipient).ok().map(|proof| proof.address().to_string());
        let mut proven: Vec<_> = from.into_iter().chain(sender).collect();
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
    content_type: &'a str,
    size: usize,
    content_id: Option<&'a str>,
    #[serde(serialize_with = "as_text")]
    content: Encoded<'a>,
}

impl<'a> From<mail::Attachment<'a>> for Attachment<'a> {
    fn from(part: mail::Attachment<'a>) -> Self {
        Self {
            filename: part.filename().map(|(name, _)| name),
            content_type: part.content_type(),
            size: part.size,
            content_id: part.content_id(),
            content: part.encoded(),
        }
    }
}

fn as_text<S: Serializer>(text: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(text)
}

/// Bytes that are written in base64 without a copy of them in between.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

/// Pieces of text that are written as one.
struct Text<'a>(Vec<&'a str>);

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
