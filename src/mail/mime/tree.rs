//! The parts of a message by what they are for: its text, its HTML, its attachments.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use mail_parser::decoders::html::text_to_html;

use super::super::charset::{self, Decoded};
use super::super::header::Header;
use super::super::reply::BodyText;
use super::super::transfer::TransferEncoding;
use super::attachment::{Attachment, decoded_size};
use super::part::Part;
use super::reader::{self, Parts};
use super::roles::{self, Roles};

/// The text and the HTML of a message.
#[derive(Debug)]
pub struct Body {
    text: Vec<Piece>,
    html: Vec<Piece>,
    /// Whether all of the text could be read.
    pub is_text_whole: bool,
    /// Whether all of the HTML could be read.
    pub is_html_whole: bool,
}

/// One part's share of a text.
#[derive(Debug)]
enum Piece {
    /// It stands so in a source, as UTF-8.
    InPlace {
        source: usize,
        place: Range<usize>,
    },
    Owned(String),
    FromHtml(BodyText<'static>),
}

/// The parts of a message.
#[derive(Debug)]
pub struct Mime {
    found: Parts,
    roles: Roles,
    body: OnceLock<Body>,
    sizes: OnceLock<Vec<usize>>,
}

impl Mime {
    /// Takes a message apart; any bytes will do.
    pub(in super::super) fn read(whole: &Bytes, header: &Header) -> Self {
        let found = reader::read(whole, header);
        Self { roles: roles::assign(&found.parts), found, body: OnceLock::new(), sizes: OnceLock::new() }
    }

    /// Whether there are more parts, or deeper ones, than were read.
    pub fn is_truncated(&self) -> bool {
        self.found.is_truncated
    }

    fn source(&self, source: usize, place: Range<usize>) -> &[u8] {
        self.found.sources.get(source).and_then(|source| source.get(place)).unwrap_or_default()
    }

    fn encoded(&self, part: &Part) -> &[u8] {
        self.source(part.source, part.body.clone())
    }

    /// All of the text, in order, in pieces of which each begins on a new line; HTML without a plain form is turned into
    /// text. Empty if there is none.
    pub fn text(&self) -> impl Iterator<Item = &str> {
        self.body().text.iter().map(|piece| self.piece(piece))
    }

    /// All of the HTML, in order, with the plain parts between; empty if the message has no HTML.
    pub fn html(&self) -> impl Iterator<Item = &str> {
        self.body().html.iter().map(|piece| self.piece(piece))
    }

    /// The text that a reply is looked for in: all of it, or the HTML where the text is blank.
    pub fn reply_text(&self) -> Option<BodyText<'_>> {
        let text = self.body().text.iter().map(|piece| match piece {
            Piece::FromHtml(text) => text.borrowed(),
            _ => BodyText::from_plain(self.piece(piece)),
        });
        let text = text.reduce(BodyText::and);
        let html = || self.html().map(BodyText::from_html).reduce(BodyText::and);
        if text.as_ref().is_none_or(BodyText::is_blank) { html().or(text) } else { text }
    }

    /// The text and the HTML, read when first asked for.
    pub fn body(&self) -> &Body {
        self.body.get_or_init(|| self.read_body())
    }

    /// All attachments, in order; a message in the message is one.
    pub fn attachments(&self) -> impl Iterator<Item = Attachment<'_>> {
        let sizes = self.sizes.get_or_init(|| {
            let size =
                |&index: &usize| decoded_size(self.found.parts[index].encoding, self.encoded(&self.found.parts[index]));
            self.roles.attachments.iter().map(size).collect()
        });
        self.roles.attachments.iter().zip(sizes).map(|(&index, &size)| {
            let part = &self.found.parts[index];
            Attachment { part, encoded: self.encoded(part), size }
        })
    }

    fn piece<'m>(&'m self, piece: &'m Piece) -> &'m str {
        match piece {
            Piece::InPlace { source, place } => {
                std::str::from_utf8(self.source(*source, place.clone())).unwrap_or_default()
            }
            Piece::Owned(text) => text,
            Piece::FromHtml(text) => text.as_str(),
        }
    }

    fn read_body(&self) -> Body {
        let is_html = |index: &usize| self.found.parts[*index].content_type.kind == "text/html";
        let mut body = Body { text: Vec::new(), html: Vec::new(), is_text_whole: true, is_html_whole: true };
        for index in &self.roles.text {
            let (piece, is_whole) = self.read_text(&self.found.parts[*index]);
            body.is_text_whole &= is_whole;
            body.text.push(if is_html(index) {
                Piece::FromHtml(BodyText::from_html(self.piece(&piece)))
            } else {
                piece
            });
        }
        if !self.roles.html.iter().any(is_html) {
            return body;
        }
        for index in &self.roles.html {
            let (piece, is_whole) = self.read_text(&self.found.parts[*index]);
            body.is_html_whole &= is_whole;
            body.html.push(if is_html(index) { piece } else { Piece::Owned(text_to_html(self.piece(&piece))) });
        }
        body
    }

    fn read_text(&self, part: &Part) -> (Piece, bool) {
        let encoded = self.encoded(part);
        let octets = part.encoding.decode(encoded);
        let Decoded { text, is_whole } = charset::decode(&octets, part.content_type.parameter("charset"));
        let is_whole = is_whole && part.encoding != TransferEncoding::Unknown;
        let piece = match (&octets, text) {
            (Cow::Borrowed(_), Cow::Borrowed(text)) => {
                // A byte order mark before it is taken off.
                let start = part.body.end - text.len();
                Piece::InPlace { source: part.source, place: start..part.body.end }
            }
            (_, text) => Piece::Owned(text.into_owned()),
        };
        (piece, is_whole)
    }
}
