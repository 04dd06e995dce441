//! The MIME parts of a message, for the event: its text, its HTML and its attachments with their exact bytes.
//!
//! The parser nests a Rust value in another for each message in a message, and frees them by recursion. A hostile message
//! of a megabyte nests deep enough to overflow the stack, which ends the process. So where there is much nesting, the
//! parser is shown a copy in which an attached message is an attachment like any other.

use std::borrow::Cow;
use std::sync::LazyLock;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Encoding, MessageParser, MessagePart, MimeHeaders, PartType};
use regex::bytes::Regex;

use crate::mail::Message;

/// Deepest nesting of messages that is left to the parser.
const DEEPEST: usize = 50;

/// A message taken apart.
pub(super) struct Mime<'m> {
    raw: &'m [u8],
    body: &'m [u8],
    parsed: Option<mail_parser::Message<'m>>,
    is_masked: bool,
}

/// One attachment.
pub(super) struct Attached<'a> {
    pub filename: Option<&'a str>,
    pub content_type: String,
    pub content_id: Option<&'a str>,
    pub content: Cow<'a, [u8]>,
}

impl<'m> Mime<'m> {
    /// Takes a message apart; any bytes will do.
    pub fn parse(message: &'m Message) -> Self {
        // What may stand before the first field (blank lines, an mbox line) would stop the parser.
        let start = message.fields().next().map(|field| field.start());
        let raw = start.map(|start| &message.bytes()[start..]).unwrap_or_default();
        let is_masked = nests_too_deep(raw);
        let parser = MessageParser::default();
        let parsed = match (start, is_masked) {
            (None, _) => None,
            (Some(_), false) => parser.parse(raw),
            (Some(_), true) => parser.parse(&masked(raw)).map(mail_parser::Message::into_owned),
        };
        Self { raw, body: message.body(), parsed, is_masked }
    }

    /// All of the text, in order; HTML without a plain form is turned into text. Empty if there is none.
    pub fn text(&self) -> Vec<Cow<'_, str>> {
        match &self.parsed {
            Some(parsed) => (0..parsed.text_body_count()).filter_map(|n| parsed.body_text(n)).collect(),
            None if self.body.is_empty() => Vec::new(),
            None => vec![String::from_utf8_lossy(self.body)],
        }
    }

    /// All of the HTML, in order, with the plain parts between; empty if the message has no HTML.
    pub fn html(&self) -> Vec<Cow<'_, str>> {
        let Some(parsed) = &self.parsed else { return Vec::new() };
        if !parsed.html_bodies().any(|part| matches!(part.body, PartType::Html(_))) {
            return Vec::new();
        }
        (0..parsed.html_body_count()).filter_map(|n| parsed.body_html(n)).collect()
    }

    /// All attachments, in order; a message in the message is one.
    pub fn attachments(&self) -> impl Iterator<Item = Attached<'_>> {
        self.parsed.iter().flat_map(|parsed| parsed.attachments()).map(|part| Attached {
            filename: part.attachment_name(),
            content_type: content_type(part),
            content_id: part.content_id(),
            content: self.content(part),
        })
    }

    /// The bytes that the sender attached. A text is decoded from the message again, because what the parser made of it is
    /// no longer in its own charset, and a patch must arrive byte for byte.
    fn content<'a>(&'a self, part: &'a MessagePart<'a>) -> Cow<'a, [u8]> {
        let encoded = self.raw.get(part.offset_body as usize..part.offset_end as usize).unwrap_or_default();
        let again = || match part.encoding {
            Encoding::Base64 => base64_decode(encoded).map(Cow::Owned),
            Encoding::QuotedPrintable => quoted_printable_decode(encoded).map(Cow::Owned),
            Encoding::None => Some(Cow::Borrowed(encoded)),
        };
        match &part.body {
            PartType::Binary(_) | PartType::InlineBinary(_) if self.is_masked && part.encoding == Encoding::None => {
                Cow::Borrowed(encoded)
            }
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => Cow::Borrowed(bytes),
            PartType::Html(text) | PartType::Text(text) => again().unwrap_or(Cow::Borrowed(text.as_bytes())),
            PartType::Message(message) => Cow::Borrowed(message.raw_message()),
            PartType::Multipart(_) => Cow::Borrowed(&[]),
        }
    }
}

fn content_type(part: &MessagePart<'_>) -> String {
    if let Some(kind) = part.content_type() {
        let name = format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("*")).to_ascii_lowercase();
        return match name.as_str() {
            "message/xfc822" => "message/rfc822".to_owned(),
            "message/xlobal" => "message/global".to_owned(),
            _ => name,
        };
    }
    let kind = match part.body {
        PartType::Html(_) => "text/html",
        PartType::Message(_) => "message/rfc822",
        PartType::Text(_) => "text/plain",
        _ => "application/octet-stream",
    };
    kind.to_owned()
}

/// `Content-Type` fields with all their folded lines, wherever they seem to stand.
static CONTENT_TYPE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i-u)content-type\s*:[^\n]*(?:\n[ \t][^\n]*)*").ok());

/// The words that make the parser nest: it looks for them in one piece.
static NESTING: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i-u)rfc822|global|digest").ok());

/// An encoding of a part. Below it nobody can count.
static ENCODED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i-u)content-transfer-encoding\s*:\s*[^\n]*(?:base64|quoted-printable)").ok());

/// The end of a header.
static BLANK_LINE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?-u)\n\r?\n").ok());

/// Whether messages are, or may be, nested deeper than the parser can be trusted with.
fn nests_too_deep(raw: &[u8]) -> bool {
    let (Some(content_type), Some(nesting), Some(encoded), Some(blank_line)) =
        (&*CONTENT_TYPE, &*NESTING, &*ENCODED, &*BLANK_LINE)
    else {
        return true;
    };
    let words =
        |text: &[u8]| content_type.find_iter(text).flat_map(|field| nesting.find_iter(field.as_bytes())).count();
    match words(raw) {
        0 => false,
        count if count > DEEPEST => true,
        // An encoded message is decoded and taken apart by itself; in a digest it needs no Content-Type.
        _ => blank_line
            .split(raw)
            .any(|header| encoded.is_match(header) && (words(header) > 0 || !content_type.is_match(header))),
    }
}

/// A copy of the same length without the words that make the parser nest.
fn masked(raw: &[u8]) -> Vec<u8> {
    let mut copy = raw.to_vec();
    let (Some(content_type), Some(nesting)) = (&*CONTENT_TYPE, &*NESTING) else { return Vec::new() };
    for field in content_type.find_iter(raw) {
        for word in nesting.find_iter(field.as_bytes()) {
            copy[field.start() + word.start()] = b'x';
        }
    }
    copy
}
