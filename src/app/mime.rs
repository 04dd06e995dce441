//! The MIME parts of a message, for the event: its text, its HTML and its attachments with their exact bytes.
//!
//! The parser nests a Rust value in another for each message in a message, and frees them by recursion. A hostile message
//! of a megabyte nests deep enough to overflow the stack, which ends the process. So where there is much nesting, the
//! parser is shown a copy in which an attached message is an attachment like any other.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Encoding, HeaderName, MessageParser, MessagePart, MimeHeaders, PartType};
use regex::bytes::Regex;

use crate::mail::Message;

/// Deepest nesting of messages that is left to the parser.
const DEEPEST: usize = 50;

/// An attachment that nobody wants is cut out before the parser decodes it if it is at least so large, in octets.
const LARGE: usize = 64 * 1024;

/// What is left of it, at either end: the parser sees where it begins and ends.
const REMNANT: usize = 1024;

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
        Self::parse_with(message, true)
    }

    /// The same without the content of large attachments, which would be decoded for nobody.
    pub fn parse_body(message: &'m Message) -> Self {
        Self::parse_with(message, false)
    }

    fn parse_with(message: &'m Message, wants_attachments: bool) -> Self {
        // What may stand before the first field (blank lines, an mbox line) would stop the parser.
        let start = message.fields().next().map(|field| field.start());
        let raw = start.map(|start| &message.bytes()[start..]).unwrap_or_default();
        let is_masked = nests_too_deep(raw);
        let parser = MessageParser::default();
        let parse_copy = |copy: Vec<u8>| parser.parse(&copy).map(mail_parser::Message::into_owned);
        let parsed = match (start, is_masked) {
            (None, _) => None,
            (Some(_), true) => parse_copy(masked(raw)),
            (Some(_), false) if wants_attachments => parser.parse(raw),
            (Some(_), false) => without_attachments(raw).map_or_else(|| parser.parse(raw), parse_copy),
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

/// A copy without what large encoded attachments consist of; `None` if there are none.
///
/// A first pass that is not told of `Content-Transfer-Encoding` decodes and copies nothing, so it only says where parts are. A
/// part of text or of a message stays whole whatever it is for.
fn without_attachments(raw: &[u8]) -> Option<Vec<u8>> {
    if raw.len() < LARGE {
        return None;
    }
    let structure = MessageParser::new()
        .with_mime_headers()
        .without_header(HeaderName::ContentTransferEncoding)
        .default_header_ignore()
        .parse(raw)?;
    let middle = |part: &MessagePart<'_>| match part.body {
        PartType::Binary(_) | PartType::InlineBinary(_) => inner_lines(raw, part.offset_body, part.offset_end),
        _ => None,
    };
    let cuts: Vec<Range<usize>> = structure.parts.iter().filter_map(middle).collect();
    if cuts.is_empty() {
        return None;
    }
    let mut copy = Vec::with_capacity(raw.len() - cuts.iter().map(Range::len).sum::<usize>());
    let mut kept = 0;
    for cut in cuts {
        copy.extend_from_slice(raw.get(kept..cut.start)?);
        kept = cut.end;
    }
    copy.extend_from_slice(raw.get(kept..)?);
    Some(copy)
}

/// Whole lines in the middle of a large part.
fn inner_lines(raw: &[u8], start: u32, end: u32) -> Option<Range<usize>> {
    let (start, end) = (start as usize, end as usize);
    let part = raw.get(start..end).filter(|part| part.len() >= LARGE)?;
    let first = memchr::memchr(b'\n', &part[REMNANT..])? + REMNANT + 1;
    let last = memchr::memrchr(b'\n', &part[..part.len() - REMNANT])? + 1;
    (first < last).then_some(start + first..start + last)
}

/// `Content-Type` fields with all their folded lines, wherever they seem to stand.
fn content_types(raw: &[u8]) -> impl Iterator<Item = Range<usize>> {
    const NAME: &[u8] = b"content-type";
    let mut behind = 0;
    // There is no colon in base64, so a large attachment costs one pass of memchr.
    memchr::memchr_iter(b':', raw).filter_map(move |colon| {
        let before = &raw[behind.min(colon)..colon];
        let name_end = before.iter().rposition(|octet| !is_blank(*octet))? + 1;
        let name = before[..name_end].last_chunk::<{ NAME.len() }>()?;
        if !name.eq_ignore_ascii_case(NAME) {
            return None;
        }
        let start = colon - before.len() + name_end - NAME.len();
        let mut lines = memchr::memchr_iter(b'\n', &raw[colon..]).map(|line_end| colon + line_end);
        let is_last = |&line_end: &usize| !matches!(raw.get(line_end + 1), Some(b' ' | b'\t'));
        behind = lines.find(is_last).unwrap_or(raw.len());
        Some(start..behind)
    })
}

fn is_blank(octet: u8) -> bool {
    matches!(octet, b'\t'..=b'\r' | b' ')
}

/// Where the words stand that make the parser nest: it looks for them in one piece.
fn nesting_words(field: &[u8]) -> impl Iterator<Item = usize> {
    const WORDS: [&[u8; 6]; 3] = [b"rfc822", b"global", b"digest"];
    let is_word = |window: &[u8]| WORDS.iter().any(|word| window.eq_ignore_ascii_case(*word));
    field.windows(6).enumerate().filter(move |(_, window)| is_word(window)).map(|(place, _)| place)
}

/// An encoding of a part. Below it nobody can count.
static ENCODED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i-u)content-transfer-encoding\s*:\s*[^\n]*(?:base64|quoted-printable)").ok());

/// The end of a header.
static BLANK_LINE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?-u)\n\r?\n").ok());

/// Whether messages are, or may be, nested deeper than the parser can be trusted with.
fn nests_too_deep(raw: &[u8]) -> bool {
    let words = |text: &[u8]| content_types(text).map(|field| nesting_words(&text[field]).count()).sum::<usize>();
    match words(raw) {
        0 => return false,
        count if count > DEEPEST => return true,
        _ => {}
    }
    // Compiled only here: it takes longer than all the rest of a short message, and few contain another message.
    let (Some(encoded), Some(blank_line)) = (&*ENCODED, &*BLANK_LINE) else { return true };
    // An encoded message is decoded and taken apart by itself; in a digest it needs no Content-Type.
    blank_line
        .split(raw)
        .any(|header| encoded.is_match(header) && (words(header) > 0 || content_types(header).next().is_none()))
}

/// A copy of the same length without the words that make the parser nest.
fn masked(raw: &[u8]) -> Vec<u8> {
    let mut copy = raw.to_vec();
    for field in content_types(raw) {
        for word in nesting_words(&raw[field.clone()]) {
            copy[field.start + word] = b'x';
        }
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `content_types` and `nesting_words` do by hand.
    fn by_regex(raw: &[u8]) -> (Vec<Range<usize>>, usize) {
        let field = Regex::new(r"(?i-u)content-type\s*:[^\n]*(?:\n[ \t][^\n]*)*").expect("a pattern");
        let word = Regex::new(r"(?i-u)rfc822|global|digest").expect("a pattern");
        let fields: Vec<_> = field.find_iter(raw).map(|found| found.range()).collect();
        let words = fields.iter().map(|field| word.find_iter(&raw[field.clone()]).count()).sum();
        (fields, words)
    }

    proptest::proptest! {
        #[test]
        fn fields_and_words_are_those_of_the_patterns(
            pieces in proptest::collection::vec(proptest::sample::select(&[
                "content-type", "Content-Type", ":", " ", "\t", "\n", "\r\n", "\n ", "message/rfc822", "DIGEST", "global", "dig", "x",
                "content-type: ", "\x0b", ";",
            ][..]), 0..24)
        ) {
            let text = pieces.concat();
            let raw = text.as_bytes();
            let fields: Vec<_> = content_types(raw).collect();
            let words = fields.iter().map(|field| nesting_words(&raw[field.clone()]).count()).sum();
            proptest::prop_assert_eq!((fields, words), by_regex(raw));
        }
    }

    fn message(parts: &[(&str, &[u8])]) -> Message {
        let mut raw =
            b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
        for (header, body) in parts {
            raw.extend_from_slice(format!("--b\r\n{header}\r\n\r\n").as_bytes());
            raw.extend_from_slice(body);
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(b"--b--\r\n");
        Message::parse(crate::mail::Content::whole(raw))
    }

    #[test]
    fn the_text_is_the_same_without_the_attachments() {
        const BASE64: &str = "Content-Transfer-Encoding: base64";
        // Nine octets a line, so that a cut in the middle leaves a broken group.
        let large: Vec<u8> = b"QUJDQUJDQ\r\n".repeat(20_000);
        let text: Vec<u8> = b"A line of =3D text.\r\n".repeat(5_000);
        let file = format!("Content-Type: application/pdf\r\n{BASE64}");
        let image = format!("Content-Type: image/png\r\nContent-Disposition: inline\r\n{BASE64}");
        let rows: &[(&str, &[(&str, &[u8])])] = &[
            (
                "between",
                &[("Content-Type: text/plain", b"one"), (&file, &large), ("Content-Type: text/html", b"<p>two")],
            ),
            ("inline", &[("Content-Type: text/plain", b"one"), (&image, &large), ("Content-Type: text/plain", b"two")]),
            (
                "large text",
                &[("Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable", &text), (&file, &large)],
            ),
            ("not encoded", &[("Content-Type: application/x-any", &text), ("Content-Type: text/plain", b"one")]),
            ("only", &[(&file, &large)]),
        ];
        for (name, parts) in rows {
            let message = message(parts);
            let (whole, body) = (Mime::parse(&message), Mime::parse_body(&message));
            assert_eq!((whole.text(), whole.html()), (body.text(), body.html()), "{name}");
            let content = |mime: &Mime<'_>| mime.attachments().map(|part| part.content.len()).sum::<usize>();
            assert!(content(&body) < 20_000, "{name}: a large attachment was decoded");
        }
    }
}
