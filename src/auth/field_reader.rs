//! Walks over a structured header field: blanks and comments, quoted strings, tokens (RFC 5322 section 3.2, RFC 2045).
//!
//! Every step moves forward, so reading a field is linear in its length.

use crate::mail::lexical::end_of_blanks;

/// Walks over the bytes of a field.
pub(super) struct Reader<'f> {
    bytes: &'f [u8],
    position: usize,
}

impl<'f> Reader<'f> {
    /// `None` if the field holds what no MTA writes: control characters, or bytes that are no UTF-8 (RFC 8616).
    pub(super) fn new(bytes: &'f [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let clean = text.chars().all(|c| !c.is_control() || matches!(c, '\r' | '\n' | '\t'));
        clean.then_some(Self { bytes, position: 0 })
    }

    /// What was read since `start`.
    pub(super) fn since(&self, start: usize) -> &'f [u8] {
        self.bytes.get(start..self.position).unwrap_or_default()
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    pub(super) fn advance(&mut self) {
        self.position += 1;
    }

    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.advance())
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'f str {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|&byte| !wanted(byte)).unwrap_or(rest.len());
        self.position += length;
        // All callers stop at ASCII only, so this never cuts a character.
        std::str::from_utf8(&rest[..length]).unwrap_or_default()
    }

    /// CFWS (RFC 5322 section 3.2.2); whether there was any. `None` for a comment that does not end.
    pub(super) fn skip_blanks(&mut self) -> Option<bool> {
        let start = self.position;
        self.position = end_of_blanks(self.bytes, start)?;
        Some(self.position > start)
    }

    /// `Keyword` of RFC 5321: letters, digits, hyphens; and the underscores of real method names. In lower case.
    pub(super) fn keyword(&mut self) -> Option<String> {
        let word = self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        (!word.is_empty()).then(|| word.to_ascii_lowercase())
    }

    /// `value` of RFC 2045: a token or a quoted string. It must end at a blank, a comment, a semicolon or the end.
    pub(super) fn value(&mut self) -> Option<String> {
        let value = match self.peek()? {
            b'"' => self.quoted_string()?,
            _ => self.take_while(is_token).to_owned(),
        };
        let ends = matches!(self.peek(), None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'(' | b';'));
        (ends && !value.is_empty()).then_some(value)
    }

    /// `pvalue`: also `"quoted local part"@domain`, and what filters write without quotes. May be empty.
    pub(super) fn property_value(&mut self) -> Option<String> {
        let mut value = String::new();
        if self.peek() == Some(b'"') {
            value = self.quoted_string()?;
            if self.peek() == Some(b'@') {
                value = format!("\"{value}\"");
            }
        }
        value += self.take_while(|b| !b.is_ascii_whitespace() && !matches!(b, b';' | b'(' | b')' | b'"'));
        matches!(self.peek(), None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'(' | b';')).then_some(value)
    }

    pub(super) fn quoted_string(&mut self) -> Option<String> {
        self.expect(b'"')?;
        let mut content = Vec::new();
        loop {
            let byte = self.peek()?;
            self.advance();
            match byte {
                b'"' => return String::from_utf8(content).ok(),
                b'\\' => {
                    content.push(self.peek()?);
                    self.advance();
                }
                b'\r' | b'\n' => {}
                byte => content.push(byte),
            }
        }
    }
}

/// RFC 2045 section 5.1, and UTF-8 (RFC 8616).
fn is_token(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}
