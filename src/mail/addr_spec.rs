//! The address itself: `local-part@domain` (RFC 5322 section 3.4.1, RFC 6532), or nothing.

use std::borrow::Cow;

use super::Address;
use super::lexical::{end_of_quoted_string, without_comments, without_source_route};

/// The addr-spec that the text is, with what RFC 5322 section 4.4 allows in it; `None` if it is something else.
pub(super) fn addr_spec(text: &str) -> Option<Address> {
    let text = without_comments(text);
    let text = text.trim_ascii();
    let text = match text.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => &text[7..],
        _ => without_source_route(text).trim_ascii(),
    };
    let (local, domain) = text.rsplit_once('@')?;
    let (local, domain) = (without_blanks(local), without_blanks(domain));
    let (local, domain) = (local.as_ref(), domain.as_ref());
    // RFC 2047 section 5: an encoded word is no part of an address.
    let is_encoded = text.contains("=?") && text.contains("?=");
    if is_encoded || !is_local_part(local) || !is_domain(domain) {
        return None;
    }
    Address::parse(&format!("{local}@{domain}"))
}

/// Words without the blanks around the dots between them (RFC 5322 section 4.4). A quoted string keeps its own.
fn without_blanks(words: &str) -> Cow<'_, str> {
    if words.contains('"') || !words.contains([' ', '\t']) {
        return Cow::Borrowed(words.trim_ascii());
    }
    Cow::Owned(words.split('.').map(str::trim_ascii).collect::<Vec<_>>().join("."))
}

/// Atoms and quoted strings with dots between them. Dots may stand anywhere: some providers give such addresses away.
fn is_local_part(local: &str) -> bool {
    let bytes = local.as_bytes();
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'"' if position == 0 || bytes[position - 1] == b'.' => match end_of_quoted_string(bytes, position) {
                Some(end) if matches!(bytes.get(end), None | Some(b'.')) => position = end,
                _ => return false,
            },
            byte if is_atext(byte) || byte == b'.' => position += 1,
            _ => return false,
        }
    }
    !local.is_empty() && !has_unfit(local)
}

/// A dot-atom, with the dot of the root or without, or a domain literal (RFC 5322 section 3.4.1).
fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return !literal.is_empty() && literal.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]\\".contains(&byte));
    }
    let is_label = |label: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || !byte.is_ascii();
        !label.is_empty() && label.bytes().all(good)
    };
    let labels = domain.strip_suffix('.').unwrap_or(domain);
    labels.split('.').all(is_label) && !has_unfit(domain)
}

/// RFC 5322 section 3.2.3, and RFC 6532 section 3.2 for what is not ASCII.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte) || !byte.is_ascii()
}

/// Whether there is a character that nobody can mean: of control, a blank of another script, or one that was not read.
fn has_unfit(text: &str) -> bool {
    let is_ascii_blank = |c: char| c == ' ' || c == '\t';
    text.chars()
        .any(|c| c.is_control() || (c.is_whitespace() && !is_ascii_blank(c)) || c == char::REPLACEMENT_CHARACTER)
}
