//! Header fields: where they stand, and how their values are read.
//!
//! Every occurrence of a field counts, with its exact bytes, also in a message that no grammar allows. All that reads a value
//! goes through [`Field`], so that screen, route, auth and event see the same.

use std::borrow::Cow;

use super::address_list::{self, Listed, NamedAddress};
use super::charset::{self, Decoded};
use super::content_type::{ContentDisposition, ContentType};
use super::transfer::TransferEncoding;
use super::{date, encoded_word, ids};

/// Header fields that are looked at; what stands behind them is no part of any field.
pub(super) const MOST_FIELDS: usize = 10_000;

/// Addresses, and ids, that are read of the fields of one name.
pub(super) const MOST_ENTRIES: usize = 1_000;

/// Where a field stands in the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldSpan {
    pub start: usize,
    pub name_end: usize,
    pub value_start: usize,
    /// After the line end of the last folded line.
    pub end: usize,
}

impl FieldSpan {
    /// Whether parameters stand in its value (RFC 2045 section 5.1, RFC 2183 section 2).
    fn has_parameters(&self, content: &[u8]) -> bool {
        let is = |name: &str| content[self.start..self.name_end].eq_ignore_ascii_case(name.as_bytes());
        is("Content-Type") || is("Content-Disposition")
    }
}

/// One header field.
#[derive(Clone, Copy, Debug)]
pub struct Field<'m> {
    name: &'m [u8],
    colon: &'m [u8],
    line: &'m [u8],
    start: usize,
}

/// A piece of a header, so that all pieces together are the header.
#[derive(Clone, Copy, Debug)]
pub enum HeaderPiece<'m> {
    /// A field.
    Field(Field<'m>),
    /// What stands before, between or behind fields: an mbox line, garbage, the empty line at the end.
    Other(&'m [u8]),
}

impl<'m> Field<'m> {
    pub(super) fn new(content: &'m [u8], span: FieldSpan) -> Self {
        Self {
            name: &content[span.start..span.name_end],
            colon: &content[span.name_end..span.value_start],
            line: &content[span.value_start..span.end],
            start: span.start,
        }
    }

    /// The name as written; ASCII by construction.
    pub fn name(&self) -> &'m str {
        std::str::from_utf8(self.name).unwrap_or_default()
    }

    /// Whether the name is `name`, without regard to case (RFC 5322 section 1.2.2).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// What stands between the name and its value: a colon, and the blanks before it (RFC 5322 section 4.5).
    pub fn colon(&self) -> &'m [u8] {
        self.colon
    }

    /// Offset of the field in the message.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The value's bytes behind the colon, folded as they came, without the last line end.
    pub fn raw(&self) -> &'m [u8] {
        let mut raw = self.line;
        while let [rest @ .., b'\r' | b'\n'] = raw {
            raw = rest;
        }
        raw
    }

    /// The value's octets unfolded: without the line ends within it (RFC 5322 section 2.2.3), all else kept.
    pub fn unfolded(&self) -> Cow<'m, [u8]> {
        let raw = self.raw();
        if !raw.contains(&b'\n') {
            return Cow::Borrowed(raw);
        }
        let lines = raw.split_inclusive(|&b| b == b'\n');
        let text =
            lines.map(|line| line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line)));
        Cow::Owned(text.flatten().copied().collect())
    }

    /// The value unfolded (RFC 5322 section 2.2.3) and trimmed. Octets are UTF-8 where they can be (RFC 6532), else what they
    /// are detected to be.
    pub fn text(&self) -> Cow<'m, str> {
        self.undecoded().text
    }

    fn undecoded(&self) -> Decoded<'m> {
        let raw = self.raw().trim_ascii();
        if !raw.contains(&b'\n') && !raw.contains(&b'\r') {
            return charset::decode_undeclared(raw);
        }
        let unfolded: Vec<u8> = raw.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        charset::decode_undeclared(&unfolded).into_owned()
    }

    /// The value as people read it: encoded words (RFC 2047) decoded.
    pub fn decoded(&self) -> Decoded<'m> {
        let unfolded = self.undecoded();
        let decoded = match unfolded.text {
            Cow::Borrowed(text) => encoded_word::decode(text),
            Cow::Owned(text) => encoded_word::decode(&text).into_owned(),
        };
        Decoded { is_whole: decoded.is_whole && unfolded.is_whole, ..decoded }
    }

    /// The addresses in the value, groups flattened (RFC 5322 section 3.4).
    pub fn addresses(&self) -> Vec<NamedAddress> {
        let mut list = Listed::default();
        self.read_addresses(&mut list);
        list.entries
    }

    pub(super) fn read_addresses(&self, list: &mut Listed<NamedAddress>) {
        let unfolded = self.undecoded();
        list.is_whole &= unfolded.is_whole;
        address_list::read(&unfolded.text, list, MOST_ENTRIES);
    }

    /// The ids in the value, without angle brackets (RFC 5322 section 3.6.4).
    pub fn ids(&self) -> Vec<String> {
        let mut list = Listed::default();
        self.read_ids(&mut list);
        list.entries
    }

    pub(super) fn read_ids(&self, list: &mut Listed<String>) {
        let unfolded = self.undecoded();
        list.is_whole &= unfolded.is_whole;
        ids::read(&unfolded.text, list, MOST_ENTRIES);
    }

    /// The value as a content type; `None` if it is empty.
    pub fn content_type(&self) -> Option<ContentType> {
        ContentType::read(&self.text())
    }

    /// The value as a content disposition.
    pub fn content_disposition(&self) -> ContentDisposition {
        ContentDisposition::read(&self.text())
    }

    /// The value as a content transfer encoding.
    pub fn transfer_encoding(&self) -> TransferEncoding {
        TransferEncoding::named(&self.text())
    }

    /// The value as a point in time, in RFC 3339; `None` if it is none.
    pub fn date(&self) -> Option<String> {
        date::read(&self.text())
    }
}

/// A message's header.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub fields: Vec<FieldSpan>,
    /// Whether there are more fields than those.
    pub is_truncated: bool,
    /// Behind the empty line.
    pub body_start: usize,
}

/// Splits the header into fields and finds the body.
///
/// Tolerated, because senders do it and the applications behind us read it: a byte order mark, blank lines before the
/// first field, an mbox `From ` line, LF alone as the line end (CR alone where there is no LF), blanks before the colon,
/// parameters that are folded without a blank, and a line that is not a field between two that are.
pub(super) fn split(content: &[u8]) -> Header {
    let mut header = Header::default();
    let end_of_line = if content.contains(&b'\n') { b'\n' } else { b'\r' };
    let mut position = skip_preamble(content);
    while position < content.len() {
        let line_end = content[position..]
            .iter()
            .position(|&b| b == end_of_line)
            .map_or(content.len(), |offset| position + offset + 1);
        let line = &content[position..line_end];
        match line {
            [b'\n' | b'\r'] | [b'\r', b'\n'] => {
                header.body_start = line_end;
                return header;
            }
            [b' ' | b'\t', ..] => {
                // A folded line belongs to the field before it, but not to a line that was no field.
                if let Some(last) = header.fields.last_mut().filter(|last| last.end == position) {
                    last.end = line_end;
                }
            }
            _ => {
                let name = split_name(line);
                header.is_truncated |= name.is_some() && header.fields.len() == MOST_FIELDS;
                if name.is_none() && is_parameter(line) {
                    // `boundary=b`, folded without a blank.
                    let list = |last: &&mut FieldSpan| last.end == position && last.has_parameters(content);
                    if let Some(last) = header.fields.last_mut().filter(list) {
                        last.end = line_end;
                    }
                } else if let Some((name_end, value_start)) = name.filter(|_| !header.is_truncated) {
                    header.fields.push(FieldSpan {
                        start: position,
                        name_end: position + name_end,
                        value_start: position + value_start,
                        end: line_end,
                    });
                }
            }
        }
        position = line_end;
    }
    header.body_start = content.len();
    header
}

/// The end of the field name and the start of its value, if the line is a field (RFC 5322 section 3.6.8, with the blanks
/// that section 4.5 allows before the colon).
pub(super) fn split_name(line: &[u8]) -> Option<(usize, usize)> {
    let colon = line.iter().position(|&b| b == b':')?;
    let name_end = line[..colon].trim_ascii_end().len();
    let is_name = name_end > 0 && line[..name_end].iter().all(|b| (33..=126).contains(b));
    is_name.then_some((name_end, colon + 1))
}

/// Whether a line looks like `charset=utf-8`.
pub(super) fn is_parameter(line: &[u8]) -> bool {
    let name = line.iter().take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'*')).count();
    name > 0 && line.get(name) == Some(&b'=')
}

fn skip_preamble(content: &[u8]) -> usize {
    let mut position = if content.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let blank = content[position..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    // Blank lines are skipped only before a field: else the message has no header, and all of it is body.
    let next_line = content[position + blank..].split(|b| matches!(b, b'\n' | b'\r')).next().unwrap_or_default();
    if split_name(next_line).is_some() || next_line.starts_with(b"From ") {
        position += blank;
    }
    if content[position..].starts_with(b"From ") {
        let rest = &content[position..];
        position += rest.iter().position(|b| matches!(b, b'\n' | b'\r')).map_or(rest.len(), |end| end + 1);
        if content[position..].starts_with(b"\n") {
            position += 1;
        }
    }
    position
}
