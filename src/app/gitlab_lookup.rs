//! Where GitLab will look for the key, and what a `To` field must name so that it finds the one that we found.
//!
//! GitLab knows no envelope: its receiver (`lib/gitlab/email/receiver.rb`) reads header fields in an order of its own, with
//! the Ruby mail gem. This file restates what those two do, so that a message is only changed where it must be. In
//! doubt it says so: one `To` field more does less harm than a message that GitLab gives to somebody else.

use std::sync::LazyLock;

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use regex::bytes::Regex;

use super::to_field::{MOST_FIELDS, is_atom, is_plain};
use crate::config::MailboxConfig;
use crate::mail::{Field, Message};
use crate::route::Route;

/// What GitLab would find in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This key.
    Key(String),
    /// No key at all.
    Nothing,
    /// We cannot tell how the mail gem reads this `To` or `Cc`.
    Unsure,
}

/// The addresses of the `To` field that makes GitLab find the route's key; none where it finds it anyway.
///
/// # Errors
/// The key cannot stand in an address that the mail gem reads, so GitLab could not find it whatever the message says.
pub(super) fn missing_addresses(message: &Message, route: &Route) -> Result<Vec<String>, KeyNotWritable> {
    let Some(wildcard) = Wildcard::new(&route.mailbox.address.value) else {
        // Without %{key} there is no address that GitLab would find a key in.
        return Ok(Vec::new());
    };
    let key = route.key.reveal();
    if find(message, &route.mailbox) == Found::Key(key.to_owned()) {
        return Ok(Vec::new());
    }
    let address = format!("{}{key}{}", wildcard.before, wildcard.after);
    if !is_plain(&address) {
        return Err(KeyNotWritable);
    }
    let mut addresses = custom_addresses(message, &wildcard);
    addresses.push(address);
    Ok(addresses)
}

/// A key that only a quoted local part could hold: the gem keeps the quotes, and GitLab then finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyNotWritable;

/// The key that GitLab's receiver would find for a mailbox: the first source that gives one wins.
pub(super) fn find(message: &Message, mailbox: &MailboxConfig) -> Found {
    let Some(wildcard) = Wildcard::new(&mailbox.address.value) else {
        return find_in_references(message, mailbox).map_or(Found::Nothing, Found::Key);
    };
    let raw = |name: &'static str| {
        fields(message).filter(move |field| field.is(name)).find_map(|field| wildcard.key(&field.text()))
    };
    let sources: [&dyn Fn() -> Found; 10] = [
        &|| find_in_list(message, "To", &wildcard),
        &|| find_in_references(message, mailbox).into(),
        &|| raw("Delivered-To").into(),
        &|| raw("X-Delivered-To").into(),
        &|| raw("Envelope-To").into(),
        &|| raw("X-Envelope-To").into(),
        &|| find_in_received(message, &wildcard).into(),
        &|| raw("X-Original-To").into(),
        &|| raw("X-Forwarded-To").into(),
        &|| find_in_list(message, "Cc", &wildcard),
    ];
    sources.iter().map(|source| source()).find(|found| *found != Found::Nothing).unwrap_or(Found::Nothing)
}

impl From<Option<String>> for Found {
    fn from(key: Option<String>) -> Self {
        key.map_or(Self::Nothing, Self::Key)
    }
}

fn fields(message: &Message) -> impl DoubleEndedIterator<Item = Field<'_>> {
    message.fields().take(MOST_FIELDS)
}

/// `To`, `Cc` and `References` are fields of which the mail gem keeps only the last.
fn last<'m>(message: &'m Message, name: &str) -> Option<Field<'m>> {
    fields(message).rfind(|field| field.is(name))
}

/// The configured address around its first `%{key}`, compared byte for byte as GitLab does.
struct Wildcard<'a> {
    before: &'a str,
    after: &'a str,
}

impl<'a> Wildcard<'a> {
    fn new(address: &'a str) -> Option<Self> {
        let (before, after) = address.split_once("%{key}")?;
        Some(Self { before, after })
    }

    /// `\A<?BEFORE(.+)AFTER>?\z`
    fn key(&self, value: &str) -> Option<String> {
        let value = value.strip_prefix('<').unwrap_or(value);
        let value = value.strip_suffix('>').unwrap_or(value);
        let key = value.strip_prefix(self.before)?.strip_suffix(self.after)?;
        (!key.is_empty() && !key.contains('\n')).then(|| key.to_owned())
    }

    /// Whether any reading of the text could give an address of ours.
    fn may_stand_in(&self, text: &str) -> bool {
        // What stands in an encoded word is not seen before it is decoded.
        text.contains("=?") || (text.contains(self.before) && text.contains(self.after))
    }
}

/// Every id of the last `References` field that stands before a `>`; a single one is never matched, because the gem gives
/// it without brackets and GitLab then scans for brackets.
fn find_in_references(message: &Message, mailbox: &MailboxConfig) -> Option<String> {
    let host = match &mailbox.references_host {
        Some(host) => host.as_str(),
        None => mailbox.address.value.rsplit_once('@')?.1,
    };
    let text = last(message, "References")?.text().into_owned();
    let (bracketed, _) = text.rsplit_once('>')?;
    let ids = bracketed.split('>').map(|piece| piece.rsplit('<').next().unwrap_or_default());
    let ids: Vec<_> = ids.filter(|id| !id.is_empty()).collect();
    if ids.len() < 2 {
        return None;
    }
    let key = |id: &str| Some(id.strip_prefix("reply-")?.strip_suffix(host)?.strip_suffix('@')?.to_owned());
    ids.into_iter().find_map(|id| key(id).filter(|key| !key.is_empty()))
}

/// One candidate a field: what stands between brackets behind the first `for`.
fn find_in_received(message: &Message, wildcard: &Wildcard<'_>) -> Option<String> {
    fields(message)
        .filter(|field| field.is("Received"))
        .find_map(|field| wildcard.key(bracketed_behind_for(&field.text())?))
}

/// `for\s+<([^<]+)>`: without another `<`, and as far as the last `>` before one.
fn bracketed_behind_for(text: &str) -> Option<&str> {
    text.match_indices("for").find_map(|(place, word)| {
        let behind = &text[place + word.len()..];
        let bracketed = behind.trim_start_matches([' ', '\t', '\r', '\n', '\x0b', '\x0c']);
        let inside = bracketed.strip_prefix('<').filter(|_| bracketed.len() < behind.len())?;
        let inside = inside.split('<').next().unwrap_or_default();
        inside.rsplit_once('>').map(|(inside, _)| inside).filter(|inside| !inside.is_empty())
    })
}

fn find_in_list(message: &Message, name: &str, wildcard: &Wildcard<'_>) -> Found {
    let Some(field) = last(message, name) else { return Found::Nothing };
    match addresses(&field) {
        Some(list) => list.iter().find_map(|address| wildcard.key(address)).into(),
        None if wildcard.may_stand_in(&field.text()) => Found::Unsure,
        None => Found::Nothing,
    }
}

/// The addresses of a field that every reader reads alike; `None` if one of them is not of such a form, because the mail
/// gem then takes the whole list as one string.
fn addresses(field: &Field<'_>) -> Option<Vec<String>> {
    std::str::from_utf8(field.raw()).ok()?;
    let text = field.text();
    let mut found = Vec::new();
    for mailbox in split_list(&text)? {
        let mailbox = mailbox.trim();
        if mailbox.is_empty() {
            continue;
        }
        let address = match mailbox.split_once('<') {
            Some((name, rest)) if is_phrase(name) => rest.strip_suffix('>')?.to_owned(),
            Some(_) => return None,
            None if mailbox.starts_with("=?") && mailbox.ends_with("?=") => decode(mailbox)?,
            None => mailbox.to_owned(),
        };
        found.push(is_plain(&address).then_some(address)?);
    }
    Some(found)
}

/// The list split at commas and semicolons, without comments and group names. `None` if quotes, brackets or a group do
/// not close (`mailto:` looks like such a group).
fn split_list(text: &str) -> Option<Vec<String>> {
    let (mut items, mut item) = (Vec::new(), String::new());
    let (mut quoted, mut escaped, mut angle, mut group, mut comments) = (false, false, false, false, 0_usize);
    for c in text.chars() {
        if escaped {
            escaped = false;
            continue;
        }
        match c {
            '\\' if quoted || comments > 0 => escaped = true,
            '"' if comments == 0 => {
                quoted = !quoted;
                // Kept, so that a quoted local part is seen to be one; a quoted display name is dropped with its text.
                item.push('"');
            }
            _ if quoted => {}
            '(' => comments += 1,
            ')' => comments = comments.checked_sub(1)?,
            _ if comments > 0 => {}
            '<' if angle => return None,
            '<' => {
                angle = true;
                item.push('<');
            }
            '>' if !angle => return None,
            '>' => {
                angle = false;
                item.push('>');
            }
            ',' | ';' if !angle => {
                items.push(std::mem::take(&mut item));
                group &= c == ',';
            }
            ':' if group => return None,
            // What stands before the colon is the name of a group.
            ':' if !angle => {
                item.clear();
                group = true;
            }
            c => item.push(c),
        }
    }
    items.push(item);
    (!quoted && !angle && !group && comments == 0).then_some(items)
}

/// Decodes a mailbox that is one encoded word as a whole.
fn decode(word: &str) -> Option<String> {
    let line = format!("{word}\n");
    match MessageStream::new(line.as_bytes()).parse_unstructured() {
        HeaderValue::Text(text) => Some(text.into_owned()),
        _ => None,
    }
}

/// Whether it is a display name: words and quoted strings, of which the quotes are left (RFC 5322 section 3.2.5).
fn is_phrase(name: &str) -> bool {
    name.chars().all(|c| is_atom(c) || matches!(c, ' ' | '\t' | '.' | '"'))
}

/// Addresses of the last `To` that may mean more to GitLab than we can know: a customer's own Service Desk address
/// (`support+REPLYKEY@customer`, `support+verify@customer`) is looked up in GitLab's database, before the wildcard and
/// only in `To`. Put before our address they keep that meaning, and change nothing where they have none.
fn custom_addresses(message: &Message, wildcard: &Wildcard<'_>) -> Vec<String> {
    /// GitLab's `Custom email` forms; the key forms are those of reply keys.
    static CUSTOM: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^[\w.-]+\+(?:verify|[a-f0-9]{32}|[0-9a-z]{1,4}-[0-9a-z]{25}(?:-[0-9a-z]{1,13})?)@[\w.-]+$").ok()
    });
    let (before, after) = (wildcard.before.to_lowercase(), wildcard.after.to_lowercase());
    let ours = |address: &str| {
        let address = address.to_lowercase();
        address.starts_with(&before) || address.ends_with(&after)
    };
    // Compiled only where there is something to compare: that takes longer than the rest of a short message.
    let is_custom = |address: &str| CUSTOM.as_ref().is_some_and(|custom| custom.is_match(address.as_bytes()));
    let list = last(message, "To").and_then(|field| addresses(&field)).unwrap_or_default();
    list.into_iter().filter(|address| address.contains('+') && !ours(address) && is_custom(address)).take(5).collect()
}
