//! What stands above an original message that is not marked line by line: "-----Original Message-----", Outlook's block of header
//! fields, and the line above a forwarded message.

use super::dates::DateParts;
use super::lines::{Hint, Line, plain};
use super::words::{FIELDS, FORWARDED_MESSAGE, FieldRole, ORIGINAL_MESSAGE};

/// The longest line that can be one of them, in octets.
const LONGEST: usize = 200;

/// As many lines a block is looked at, so that a message of nothing but fields costs no more than others.
const MOST_LINES: usize = 40;

/// What a lone line says of what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Divider {
    ForwardedMessage,
    OriginalMessage,
}

/// What a lone line says of what follows it, from what people see of it.
pub(super) fn divider(content: &str) -> Option<Divider> {
    let is_around = |c: char| matches!(c, '-' | '*' | '_' | '=' | '~' | '>' | ' ' | '\u{2010}'..='\u{2015}');
    if content.len() > LONGEST || !(content.starts_with(is_around) || content.ends_with([':', '：'])) {
        return None;
    }
    let text = plain(content.trim_matches(is_around));
    let has_dashes = content.trim_start_matches(['*', '>', ' ']).starts_with(['-', '_', '=', '\u{2014}']);
    let words = text.trim_end_matches([' ', ':', '：']);
    let has_colon = words.len() < text.len();
    // Notes and webmail say by whom or from whom.
    let is_forwarded = FORWARDED_MESSAGE.contains(&words)
        || words.starts_with("forwarded by ")
        || words.starts_with("forwarded message from ");
    match () {
        () if is_forwarded && (has_dashes || has_colon) => Some(Divider::ForwardedMessage),
        () if has_dashes && ORIGINAL_MESSAGE.contains(&words) => Some(Divider::OriginalMessage),
        () => None,
    }
}

/// A line that only divides: `_____`, `-----`.
pub(super) fn is_rule(content: &str) -> bool {
    content.len() >= 4 && content.bytes().all(|octet| matches!(octet, b'_' | b'-' | b'=' | b'*'))
}

/// How much a block of header fields says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Block {
    /// Too little to stand alone: a form can ask for the same.
    Some,
    /// Sender, date and subject.
    Full,
}

/// What `header_block` saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub block: Option<Block>,
    /// The first line that is not part of it. Where there is no block, none begins before that line either.
    pub end: usize,
}

/// The block of header fields that begins with a line; `above` is the last line before it that is not blank.
pub(super) fn header_block(lines: &[Line<'_>], at: usize, above: Option<&Line<'_>>) -> Header {
    let none = Header { block: None, end: at + 1 };
    let Some(first) = lines.get(at) else { return none };
    let is_announced = first.hint == Hint::HeaderFromHere;
    if (is_announced || above.is_some_and(|line| is_rule(line.content()))) && is_unknown_header(lines, at, is_announced)
    {
        return Header { block: Some(Block::Full), end: at };
    }
    match field(first.quoted_content()) {
        None | Some((FieldRole::Other, _)) => return none,
        Some(_) => {}
    }
    let mut found = Found::default();
    let mut folded = 0;
    let mut end = at;
    // Somebody who shows the whole header of a message writes about it.
    let mut is_raw = at > 0 && is_raw_field(lines[at - 1].whole);
    for line in lines.iter().skip(at).take(MOST_LINES) {
        let content = line.quoted_content();
        match field(content) {
            Some((role, value)) if !found.has(role) => {
                found.add(role, value);
                folded = 0;
            }
            // The next message begins.
            Some((FieldRole::From | FieldRole::Date | FieldRole::Subject, _)) if !is_raw => break,
            Some(_) => {}
            None if is_raw_field(line.whole) => is_raw = true,
            // Programs that set each field as a paragraph leave a blank line between two.
            None if content.is_empty() && folded == 0 && !is_raw => folded = 1,
            None if !content.is_empty() && (is_raw || content.contains('@')) => {}
            None if content.is_empty() || folded > 1 => break,
            None => folded = 2,
        }
        end += 1;
    }
    Header { block: found.block().filter(|_| !is_raw), end: end.max(at + 1) }
}

#[derive(Default)]
struct Found {
    roles: [bool; 4],
    has_address: bool,
    is_dated: bool,
}

impl Found {
    fn has(&self, role: FieldRole) -> bool {
        self.roles.get(role as usize).copied().unwrap_or_default()
    }

    fn add(&mut self, role: FieldRole, value: &str) {
        if let Some(found) = self.roles.get_mut(role as usize) {
            *found = true;
        }
        self.has_address |= value.contains('@');
        self.is_dated |= role == FieldRole::Date && value.contains(|c: char| c.is_ascii_digit());
    }

    fn block(&self) -> Option<Block> {
        let [from, date, to, subject] = self.roles;
        let number = self.roles.iter().filter(|&&has| has).count();
        // Without a subject and without an address it may be the dates of a journey: From, To, Date.
        let is_mail = subject || self.has_address;
        match () {
            () if from && date && is_mail && (to || subject) => Some(Block::Full),
            () if number >= 3 && is_mail => Some(Block::Some),
            () if self.is_dated && self.has_address && (from || to) => Some(Block::Some),
            () => None,
        }
    }
}

/// The role and the value of a header field as it stands in a text; `*Sent:*` is how bold is written.
fn field(content: &str) -> Option<(FieldRole, &str)> {
    let (name, value) = name_and_value(content)?;
    let name = plain(name);
    let (role, _) = FIELDS.iter().find(|(_, names)| names.contains(&name.as_str()))?;
    Some((*role, value))
}

/// A line of a message's own header that no mail program shows above what it quotes, or that is folded from one.
fn is_raw_field(line: &str) -> bool {
    const NAMES: &[&str] = &[
        "authentication-results",
        "content-transfer-encoding",
        "content-type",
        "delivered-to",
        "dkim-signature",
        "in-reply-to",
        "message-id",
        "mime-version",
        "received",
        "references",
        "return-path",
        "user-agent",
    ];
    let Some((name, _)) = line.split_once(':').filter(|(name, _)| name.len() <= 40) else {
        return line.starts_with('\t');
    };
    let name = name.trim().to_ascii_lowercase();
    line.starts_with('\t') || name.starts_with("x-") || NAMES.contains(&name.as_str())
}

fn name_and_value(content: &str) -> Option<(&str, &str)> {
    /// The longest name, in octets.
    const LONGEST_NAME: usize = 60;
    let is_bold = |c: char| matches!(c, '*' | '_' | ' ' | '\u{a0}' | '|');
    // Most lines have neither colon, nor the octet that begins the wide one.
    memchr::memchr2(b':', 0xef, content.as_bytes())?;
    let content = content.trim_start_matches(is_bold);
    let (place, colon) = content.char_indices().take(LONGEST_NAME).find(|(_, c)| matches!(c, ':' | '：'))?;
    let name = content[..place].trim_matches(is_bold);
    (!name.is_empty()).then(|| (name, content[place + colon.len_utf8()..].trim_matches(is_bold)))
}

/// Whether a block of fields follows, in whatever language, where something else says that one should: the HTML, or a rule above.
fn is_unknown_header(lines: &[Line<'_>], at: usize, is_announced: bool) -> bool {
    let contents = lines.iter().skip(at).map(|line| line.content()).filter(|content| !content.is_empty());
    let values = contents.map_while(name_and_value).take(5).map(|(_, value)| value);
    let (mut number, mut is_dated, mut has_address) = (0, false, false);
    for value in values {
        number += 1;
        is_dated |= DateParts::of(&plain(value)).is_full();
        has_address |= value.contains('@');
    }
    number >= 3 && is_dated && (is_announced || has_address || number >= 4)
}
