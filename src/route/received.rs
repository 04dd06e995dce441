//! The `for` clause of a `Received` field (RFC 5321 section 4.4).
//!
//! Postfix writes `for <address>`, Exim `for address`, others several with commas between them. The word counts only
//! where it is one, and in a comment or in quotes only if there is none outside of them.

use crate::mail::lexical::{end_of_comment, end_of_quoted_string, without_source_route};

/// The addresses behind `for`, in order.
pub(super) fn for_addresses(text: &str) -> Vec<&str> {
    // A comment or a quoted string that never ends would hide the rest, and GitLab looks into both.
    scan(text, true).filter(|found| !found.is_empty()).or_else(|| scan(text, false)).unwrap_or_default()
}

/// `None` if a comment or a quoted string has no end.
fn scan(text: &str, respect_quoting: bool) -> Option<Vec<&str>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut position, mut at_word_start) = (0, true);
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'(' if respect_quoting => {
                position = end_of_comment(bytes, position)?;
                at_word_start = true;
            }
            b'"' if respect_quoting => {
                position = end_of_quoted_string(bytes, position)?;
                at_word_start = false;
            }
            b'f' | b'F' if at_word_start && is_for(&bytes[position..]) => {
                position = read_addresses(text, position + 3, &mut found);
                at_word_start = true;
            }
            _ => {
                at_word_start = byte.is_ascii_whitespace() || matches!(byte, b'(' | b')' | b'"' | b';' | b',');
                position += 1;
            }
        }
    }
    Some(found)
}

fn is_for(bytes: &[u8]) -> bool {
    let is_word = bytes.len() > 3 && bytes[..3].eq_ignore_ascii_case(b"for");
    is_word && (bytes[3].is_ascii_whitespace() || bytes[3] == b'<')
}

/// Reads what follows the word, and gives the position to go on from. No octet is looked at more than twice.
fn read_addresses<'a>(text: &'a str, mut position: usize, found: &mut Vec<&'a str>) -> usize {
    loop {
        let rest = &text[position..];
        let blanks = rest.len() - rest.trim_ascii_start().len();
        let rest = &rest[blanks..];
        position += blanks;
        if let Some(inner) = rest.strip_prefix('<') {
            position += 1;
            let end = inner.find(['<', '>']).unwrap_or(inner.len());
            if inner.as_bytes().get(end) != Some(&b'>') {
                // Unclosed: one word is taken, and a second `for` behind it is still to be found.
                push(inner[..end].split(|c: char| c.is_ascii_whitespace() || c == ';').next(), found);
                return position;
            }
            push(Some(inner[..end].trim()), found);
            position += end + 1;
        } else {
            let ends_word = |c: char| c.is_ascii_whitespace() || matches!(c, ';' | ',' | '<' | '>' | '(');
            let end = rest.find(ends_word).unwrap_or(rest.len());
            if end == 0 {
                return position;
            }
            push(Some(&rest[..end]), found);
            position += end;
        }
        match text[position..].trim_ascii_start().strip_prefix(',') {
            Some(more) => position = text.len() - more.len(),
            None => return position,
        }
    }
}

fn push<'a>(text: Option<&'a str>, found: &mut Vec<&'a str>) {
    found.extend(text.map(without_source_route).filter(|text| text.contains('@')));
}
