//! Content transfer encodings (RFC 2045 section 6): the octets that a sender encoded.
//!
//! Decoding never fails: mail passes through gateways and lists that damage it, and a part of an attachment is worth more
//! than its encoded form. Each decoder is linear, and hands its octets on in pieces, so that a large attachment need not
//! stand in memory twice.

mod base64;
mod quoted_printable;
mod uuencode;

use std::borrow::Cow;
use std::convert::Infallible;

use super::lexical::without_comments;

/// How the body of a part is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferEncoding {
    /// Not at all: `7bit`, `8bit`, `binary`, or nothing said.
    #[default]
    Identity,
    /// `base64` (RFC 2045 section 6.8).
    Base64,
    /// `quoted-printable` (RFC 2045 section 6.7).
    QuotedPrintable,
    /// `x-uuencode`, which no RFC defines and old programs wrote.
    Uuencode,
    /// Something that nobody knows: the octets stay as they are.
    Unknown,
}

impl TransferEncoding {
    /// Reads the value of the field. Quotes, comments, and what stands behind a semicolon are passed over: none of them
    /// belongs there, and all of them occur.
    pub fn named(value: &str) -> Self {
        let value = without_comments(value);
        let value = value.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | ','));
        let word = value.split([';', ',', '"', '\'']).next().unwrap_or_default();
        // Real fields have quoted_printable, quoted printable, base-64 and 8-bit.
        let letters = word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase());
        match letters.collect::<String>().as_str() {
            "" | "7bit" | "8bit" | "binary" | "none" => Self::Identity,
            "base64" => Self::Base64,
            "quotedprintable" => Self::QuotedPrintable,
            "xuuencode" | "uuencode" | "xuue" | "uue" => Self::Uuencode,
            _ => Self::Unknown,
        }
    }

    /// What was encoded.
    pub fn decode(self, encoded: &[u8]) -> Cow<'_, [u8]> {
        if matches!(self, Self::Identity | Self::Unknown) {
            return Cow::Borrowed(encoded);
        }
        let mut decoded = Vec::with_capacity(encoded.len() / 4 * 3 + 3);
        let Ok(()) = self.decode_to(encoded, |piece| {
            decoded.extend_from_slice(piece);
            Ok::<_, Infallible>(())
        });
        Cow::Owned(decoded)
    }

    /// The same in pieces.
    ///
    /// # Errors
    /// The first error of `sink`; it is then called no more.
    pub fn decode_to<E>(self, encoded: &[u8], sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Identity | Self::Unknown => encoded.chunks(base64::PIECE).try_for_each(sink),
            Self::Base64 => base64::decode_to(encoded, sink),
            Self::QuotedPrintable => quoted_printable::decode_to(encoded, sink),
            Self::Uuencode => uuencode::decode_to(encoded, sink),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TransferEncoding::{self, Base64, Identity, QuotedPrintable, Unknown, Uuencode};

    #[test]
    fn an_encoding_is_known_however_its_name_is_dressed() {
        let rows: &[(&str, TransferEncoding)] = &[
            ("base64", Base64),
            ("BASE64", Base64),
            (" base64 ; ", Base64),
            ("\"base64\"", Base64),
            ("'base64'", Base64),
            ("(the usual) base64 (of course)", Base64),
            ("base64; charset=utf-8", Base64),
            ("base-64", Base64),
            ("quoted-printable", QuotedPrintable),
            ("Quoted_Printable", QuotedPrintable),
            ("quoted printable", QuotedPrintable),
            ("7bit", Identity),
            ("8-bit", Identity),
            ("binary", Identity),
            ("", Identity),
            ("x-uuencode", Uuencode),
            ("x-uue", Uuencode),
            ("x-base64", Unknown),
        ];
        for (value, encoding) in rows {
            assert_eq!(TransferEncoding::named(value), *encoding, "{value}");
        }
    }
}
