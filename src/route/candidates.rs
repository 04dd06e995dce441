//! Where an address may stand in a message, and how it is read there.
//!
//! More is accepted than GitLab accepts (display names and lists in `Delivered-To`, one bad address beside a good one in
//! `To`), never less. Everything here is linear in the length of the field, whatever stands in it.

use std::borrow::Cow;

use super::received;
use crate::config::AddressSource;
use crate::mail::lexical::{end_of_comment, end_of_quoted_string, without_source_route};
use crate::mail::{Address, Field, Message, Recipient};

/// The addresses, or for References the ids, of one source in the order of the message; `None` if the message does not
/// have the source.
pub(super) fn candidates<'m>(
    source: AddressSource,
    message: &'m Message,
    recipient: &'m Recipient,
) -> Option<Vec<Cow<'m, str>>> {
    let name = match source {
        AddressSource::Envelope => {
            let both = [Some(recipient.address.as_str()), recipient.original.as_deref()];
            return Some(both.into_iter().flatten().map(|address| Cow::Borrowed(without_brackets(address))).collect());
        }
        AddressSource::To => "To",
        AddressSource::DeliveredTo => "Delivered-To",
        AddressSource::XDeliveredTo => "X-Delivered-To",
        AddressSource::EnvelopeTo => "Envelope-To",
        AddressSource::XEnvelopeTo => "X-Envelope-To",
        AddressSource::Received => "Received",
        AddressSource::XOriginalTo => "X-Original-To",
        AddressSource::XForwardedTo => "X-Forwarded-To",
        AddressSource::Cc => "Cc",
        AddressSource::References => "References",
    };
    let read: fn(&Field<'_>, &mut Vec<String>) = match source {
        AddressSource::To | AddressSource::Cc => address_list,
        AddressSource::Received => |field, found| owned(received::for_addresses(&field.text()), found),
        AddressSource::References => |field, found| found.extend(field.ids()),
        _ => trace_value,
    };
    let mut fields = message.fields().filter(|field| field.is(name)).peekable();
    fields.peek()?;
    let mut found = Vec::new();
    fields.for_each(|field| read(&field, &mut found));
    // An address that long was made to hurt somebody.
    Some(found.into_iter().filter(|text| text.len() <= Address::LONGEST).map(Cow::Owned).collect())
}

/// `To` and `Cc`: a list with display names, groups and comments (RFC 5322 section 3.4), and with encoded words (RFC 2047),
/// which some programs make of a whole address.
fn address_list(field: &Field<'_>, found: &mut Vec<String>) {
    let text = field.text();
    owned(addresses_in(&text), found);
    if text.contains("=?") {
        owned(addresses_in(&field.decoded().text), found);
    }
}

/// `Delivered-To` and its like: mostly one bare address.
fn trace_value(field: &Field<'_>, found: &mut Vec<String>) {
    found.extend(addresses_in_trace(&field.text()));
}

/// The addresses in the value of such a field.
pub(super) fn addresses_in_trace(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    owned(addresses_in(text), &mut found);
    let whole = without_brackets(text);
    if has_one_at(whole) && found.last().is_none_or(|last| last != whole) {
        found.push(whole.to_owned());
    }
    found
}

fn owned(addresses: Vec<&str>, found: &mut Vec<String>) {
    found.extend(addresses.into_iter().map(str::to_owned));
}

fn has_one_at(text: &str) -> bool {
    text.matches('@').count() == 1
}

/// One bracket on either side is dropped, also without its fellow: GitLab does so too.
fn without_brackets(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_prefix('<').unwrap_or(text);
    text.strip_suffix('>').unwrap_or(text)
}

/// The addresses in a list, however badly it is written: what stands in angle brackets, and where there are none, each
/// word with an at sign. Comments and display names are passed over.
fn addresses_in(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut words, mut bracketed) = (Vec::new(), false);
    // A comment or a quoted string that never ends is looked for once only.
    let (mut comments_end, mut quotes_end) = (true, true);
    let mut position = 0;
    while position < bytes.len() {
        match bytes[position] {
            b',' | b';' => {
                flush(&mut words, &mut bracketed, &mut found);
                position += 1;
            }
            b'<' => {
                let inner = &text[position + 1..];
                let end = inner.find(['<', '>']).unwrap_or(inner.len());
                // Unclosed, it is only noise before a word.
                position += 1;
                if inner.as_bytes().get(end) == Some(&b'>') {
                    found.extend(address(without_source_route(inner[..end].trim())));
                    bracketed = true;
                    position += end + 1;
                }
            }
            b'(' if comments_end => match end_of_comment(bytes, position) {
                Some(end) => position = end,
                None => comments_end = false,
            },
            b'>' | b' ' | b'\t' => position += 1,
            _ => {
                let start = position;
                while position < bytes.len() {
                    match bytes[position] {
                        b',' | b';' | b'<' | b'>' | b' ' | b'\t' => break,
                        b'(' if comments_end => break,
                        b'"' if quotes_end => match end_of_quoted_string(bytes, position) {
                            Some(end) => position = end,
                            None => quotes_end = false,
                        },
                        _ => position += 1,
                    }
                }
                words.extend(address(&text[start..position]));
            }
        }
    }
    flush(&mut words, &mut bracketed, &mut found);
    found
}

/// The end of one entry of a list: its words are a display name if it had brackets.
fn flush<'a>(words: &mut Vec<&'a str>, bracketed: &mut bool, found: &mut Vec<&'a str>) {
    if !*bracketed {
        for word in words.iter() {
            found.push(*word);
            // `team:jane@example.org` and `mailto:jane@example.org`
            found.extend(word.rsplit_once(':').and_then(|(_, rest)| address(rest)));
        }
    }
    words.clear();
    *bracketed = false;
}

fn address(text: &str) -> Option<&str> {
    text.contains('@').then_some(text)
}
