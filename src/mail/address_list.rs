//! Lists of addresses, as `From` and `To` have them (RFC 5322 section 3.4, RFC 6532).
//!
//! An address is given only where it is one that stands in the field: an addr-spec, or nothing, with what people read in its
//! place. Nothing is put together from pieces that did not belong together, because the domain of From decides whom a message
//! is believed to be from. What is written badly but can be read in one way only is read: mailboxes without a comma between
//! them, brackets that do not close, semicolons. Encoded words are decoded behind all this, so that a comma in one separates
//! nothing. Groups are flattened. Linear in the length of the field.

use super::Address;
use super::addr_spec::addr_spec;
use super::encoded_word;
use super::lexical::{end_of_comment, end_of_quoted_string};

/// One entry of a list of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedAddress {
    /// The display name, decoded; where there is no address, all that can be read.
    pub name: Option<String>,
    /// The address, if one stands there.
    pub address: Option<Address>,
}

/// What stands in the fields of a name, up to a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The entries in order.
    pub entries: Vec<T>,
    /// Whether there are more.
    pub is_truncated: bool,
    /// Whether all of what was read could be.
    pub is_whole: bool,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), is_truncated: false, is_whole: true }
    }
}

impl<T> Listed<T> {
    /// Adds an entry, if there is room; false if there is none.
    pub(super) fn push(&mut self, entry: T, most: usize) -> bool {
        let has_room = self.entries.len() < most;
        match has_room {
            true => self.entries.push(entry),
            false => self.is_truncated = true,
        }
        has_room
    }
}

/// Reads the unfolded text of a field behind what was read before.
pub(super) fn read(text: &str, list: &mut Listed<NamedAddress>, most: usize) {
    Reader {
        text,
        position: 0,
        list,
        most,
        words: Vec::new(),
        comment: None,
        is_behind_mailbox: false,
        comments_end: true,
        quotes_end: true,
    }
    .read();
}

struct Reader<'t, 'l> {
    text: &'t str,
    position: usize,
    list: &'l mut Listed<NamedAddress>,
    most: usize,
    /// The words since the last mailbox or separator.
    words: Vec<&'t str>,
    /// The last comment since then.
    comment: Option<&'t str>,
    /// Whether the last mailbox belongs to the entry that is being read.
    is_behind_mailbox: bool,
    /// What never ends is looked for once only.
    comments_end: bool,
    quotes_end: bool,
}

impl<'t> Reader<'t, '_> {
    fn read(mut self) {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.position) {
            if self.list.is_truncated {
                return;
            }
            match byte {
                b',' | b';' => {
                    self.end_entry();
                    self.position += 1;
                }
                // The name of a group.
                b':' => {
                    if self.words.iter().any(|word| word.contains('@')) {
                        self.end_entry();
                    }
                    self.begin_entry();
                    self.position += 1;
                }
                b'<' => self.bracket(),
                b'(' if self.comments_end => match end_of_comment(bytes, self.position) {
                    Some(end) => {
                        self.comment = Some(&self.text[self.position + 1..end - 1]);
                        self.position = end;
                    }
                    None => self.comments_end = false,
                },
                _ => match self.word() {
                    Some(word) => self.words.push(word),
                    None => self.position += 1,
                },
            }
        }
        self.end_entry();
    }

    /// A word with the quoted strings in it, and with the blanks around its at sign and in its domain (RFC 5322 section 4.4
    /// allows them); `None` if none begins here.
    fn word(&mut self) -> Option<&'t str> {
        let bytes = self.text.as_bytes();
        let start = self.position;
        let (mut position, mut has_at) = (start, false);
        while let Some(&byte) = bytes.get(position) {
            match byte {
                b'"' if self.quotes_end => match end_of_quoted_string(bytes, position) {
                    Some(end) => position = end,
                    None => self.quotes_end = false,
                },
                // A domain literal may hold colons.
                b'[' if has_at => {
                    position += 1 + bytes[position + 1..].iter().take_while(|b| is_in_literal(**b)).count()
                }
                b':' if !has_at => break,
                b',' | b';' | b'<' | b'>' | b'(' => break,
                b' ' | b'\t' | b'\r' | b'\n' => {
                    let next = position + blanks(&bytes[position..]);
                    let (before, behind) = (position.checked_sub(1).map(|last| bytes[last]), bytes.get(next));
                    let is_around_at =
                        (!has_at && behind == Some(&b'@')) || (before == Some(b'@') && position - 1 > start);
                    let is_around_dot = has_at && (behind == Some(&b'.') || before == Some(b'.'));
                    if position == start || !(is_around_at || is_around_dot) {
                        break;
                    }
                    position = next;
                }
                byte => {
                    has_at |= byte == b'@';
                    position += 1;
                }
            }
        }
        self.position = position;
        (position > start).then(|| self.text[start..position].trim_ascii_end())
    }

    /// `<addr-spec>`, which need not close.
    fn bracket(&mut self) {
        let bytes = self.text.as_bytes();
        let start = self.position + 1;
        let is_route = self.text[start..].trim_ascii_start().starts_with('@');
        let mut end = start;
        let is_closed = loop {
            match bytes.get(end) {
                Some(b'>') => break true,
                None | Some(b'<') => break false,
                Some(b',' | b';') if !is_route => break false,
                Some(b'"') if self.quotes_end => match end_of_quoted_string(bytes, end) {
                    Some(behind) => end = behind,
                    None => self.quotes_end = false,
                },
                Some(_) => end += 1,
            }
        };
        let mut inside = self.text[start..end].trim_ascii();
        self.position = if is_closed { end + 1 } else { end };
        if !is_closed {
            // A doubled bracket, or one that never closes: its address is one word.
            let word = inside.split([' ', '\t']).next().unwrap_or_default();
            if addr_spec(inside).is_none() && addr_spec(word).is_some() {
                inside = word;
                self.position = start + self.text[start..end].find(word).unwrap_or_default() + word.len();
            }
            if inside.is_empty() {
                return;
            }
        }
        let words = std::mem::take(&mut self.words);
        let name = self.phrase(&words);
        match addr_spec(inside) {
            Some(address) => self.push(name, Some(address)),
            None if inside.is_empty() => self.push(name, None),
            None => {
                let inside = self.decoded(inside);
                let readable = name.map_or(inside.clone(), |name| format!("{name} <{inside}>"));
                self.push(Some(readable), None);
            }
        }
        self.is_behind_mailbox = true;
    }

    /// The words of an entry without brackets, or what stands behind them.
    fn end_entry(&mut self) {
        let words = std::mem::take(&mut self.words);
        let mut name_start = 0;
        for (place, word) in words.iter().enumerate() {
            let Some(address) = addr_spec(word).or_else(|| addr_spec(without_marks(word))) else { continue };
            let name = self.phrase(&words[name_start..place]);
            self.push(name, Some(address));
            self.is_behind_mailbox = true;
            name_start = place + 1;
        }
        let left = self.phrase(&words[name_start..]);
        let comment = self.comment.take().map(|comment| self.decoded(comment)).filter(|text| !text.is_empty());
        match self.list.entries.last_mut().filter(|_| self.is_behind_mailbox) {
            // `jane@example.org (Jane Doe)`, and `<jane@example.org> Jane Doe`.
            Some(mailbox) if mailbox.name.is_none() => mailbox.name = left.or(comment),
            Some(_) => {}
            None if left.is_some() => self.push(left, None),
            None => {}
        }
        self.begin_entry();
    }

    fn begin_entry(&mut self) {
        self.words.clear();
        self.comment = None;
        self.is_behind_mailbox = false;
    }

    fn push(&mut self, name: Option<String>, address: Option<Address>) {
        if name.is_some() || address.is_some() {
            self.list.push(NamedAddress { name, address }, self.most);
        }
    }

    /// Words as people read them; `None` if nothing can be read.
    fn phrase(&mut self, words: &[&str]) -> Option<String> {
        let plain: Vec<_> = words.iter().map(|word| unquoted(word)).filter(|word| !word.is_empty()).collect();
        let name = self.decoded(&plain.join(" "));
        (!name.is_empty()).then_some(name)
    }

    fn decoded(&mut self, text: &str) -> String {
        let decoded = encoded_word::decode(text);
        self.list.is_whole &= decoded.is_whole;
        decoded.text.trim().to_owned()
    }
}

/// RFC 5321 section 4.1.3
fn is_in_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-')
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count()
}

/// A word without the quotes of its quoted strings, and without those that open none.
fn unquoted(word: &str) -> String {
    let (mut plain, mut is_quoted) = (String::with_capacity(word.len()), false);
    let mut characters = word.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => plain.extend(characters.next()),
            c => plain.push(c),
        }
    }
    plain
}

/// A bare address without the marks that people put around it.
fn without_marks(word: &str) -> &str {
    word.trim_matches(['\'', '[', ']', '{', '}', '.', '*'])
}

#[cfg(test)]
mod tests;
