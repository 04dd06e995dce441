//! Finding the mailbox of an address at the same cost for one mailbox and for ten thousand.
//!
//! Patterns are found by hash: of the domain, then of what stands behind the key, then of what stands before it. For the
//! last two every length that occurs in the configuration is tried, and these are few.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::action::Actions;
use super::key::Key;
use super::pattern::AddressPattern;
use crate::mail::{Address, canonical_domain};

/// A mailbox as the indexes know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its place in the configuration.
    pub mailbox: usize,
    /// Which of the source lists it uses.
    pub list: usize,
}

/// An address that matches a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// The mailbox's place in the configuration.
    pub mailbox: usize,
    /// The address; without its quotes if the local part had some.
    pub address: Cow<'a, str>,
    /// Its key.
    pub key: FoundKey,
}

/// Where a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FoundKey {
    /// It stands in the address, bytes and case as they came.
    Part(Range<usize>),
    /// It is the mailbox's own.
    Fixed(Key),
}

impl Found<'_> {
    /// The key; `None` if there cannot be one of this text.
    pub fn key(&self) -> Option<Key> {
        match &self.key {
            FoundKey::Part(range) => Key::new(&self.address[range.clone()]),
            FoundKey::Fixed(key) => Some(key.clone()),
        }
    }

    /// The key as it stands in the address; `None` where it is the mailbox's own.
    pub fn written_key(&self) -> Option<&str> {
        match &self.key {
            FoundKey::Part(range) => Some(&self.address[range.clone()]),
            FoundKey::Fixed(_) => None,
        }
    }
}

/// Text before or behind the key, and what follows from it.
#[derive(Clone, Debug)]
pub(super) struct Affixes<T> {
    pub lengths: Vec<usize>,
    pub by_text: HashMap<Box<[u8]>, T>,
}

impl<T> Default for Affixes<T> {
    fn default() -> Self {
        Self { lengths: Vec::new(), by_text: HashMap::new() }
    }
}

impl<T: Default> Affixes<T> {
    pub fn entry(&mut self, text: &str) -> &mut T {
        if let Err(place) = self.lengths.binary_search(&text.len()) {
            self.lengths.insert(place, text.len());
        }
        self.by_text.entry(text.as_bytes().into()).or_default()
    }
}

/// The patterns of all mailboxes.
#[derive(Clone, Debug, Default)]
pub(super) struct PatternIndex {
    domains: HashMap<String, Domain>,
}

#[derive(Clone, Debug, Default)]
struct Domain {
    patterns: Affixes<Affixes<Vec<Entry>>>,
    /// Local parts in lower case.
    fixed: HashMap<Box<[u8]>, Vec<(Entry, Key)>>,
}

impl PatternIndex {
    /// Adds a mailbox; to be called in the order of the configuration.
    pub fn add(&mut self, pattern: &AddressPattern, entry: Entry) {
        let behind = self.domains.entry(pattern.domain.clone()).or_default().patterns.entry(&pattern.after);
        let entries = behind.entry(&pattern.before);
        // Of two mailboxes with one pattern and one source list the second could never be found.
        if !entries.iter().any(|earlier| earlier.list == entry.list) {
            entries.push(entry);
        }
    }

    /// Adds a mailbox with a key of its own; to be called in the order of the configuration.
    pub fn add_fixed(&mut self, address: &Address, key: &Key, entry: Entry) {
        let domain = self.domains.entry(canonical_domain(address.domain())).or_default();
        let local = address.local().to_ascii_lowercase().into_bytes().into();
        domain.fixed.entry(local).or_default().push((entry, key.clone()));
    }

    /// The first mailbox in the order of the configuration whose pattern the address matches, among those whose source
    /// list is admitted.
    pub fn find<'a>(&self, address: &'a str, admits: &dyn Fn(usize) -> bool) -> Option<Found<'a>> {
        self.find_plain(Cow::Borrowed(address), admits).or_else(|| self.find_plain(unquoted(address)?.into(), admits))
    }

    fn find_plain<'a>(&self, address: Cow<'a, str>, admits: &dyn Fn(usize) -> bool) -> Option<Found<'a>> {
        let at = address.rfind('@')?;
        let domain = self.domains.get(&canonical_domain(&address[at + 1..]))?;
        let local = address[..at].to_ascii_lowercase().into_bytes();
        let mut fixed = domain.fixed.get(local.as_slice()).into_iter().flatten();
        let fixed = fixed.find(|(entry, _)| admits(entry.list));
        let mut first = fixed.map(|(entry, key)| (*entry, FoundKey::Fixed(key.clone())));
        let behind = &domain.patterns;
        for &after in behind.lengths.iter().take_while(|&&after| after < local.len()) {
            let end = local.len() - after;
            let Some(before) = behind.by_text.get(&local[end..]) else { continue };
            // At least one character is left for the key.
            for &start in before.lengths.iter().take_while(|&&start| start < end) {
                let entries = before.by_text.get(&local[..start]).into_iter().flatten();
                let Some(entry) = entries.copied().find(|entry| admits(entry.list)) else { continue };
                if first.as_ref().is_none_or(|(found, _)| entry.mailbox < found.mailbox) {
                    first = Some((entry, FoundKey::Part(start..end)));
                }
            }
        }
        let (entry, key) = first?;
        // A pattern is text, so what is left between its two ends is text too.
        if let FoundKey::Part(range) = &key {
            address.get(range.clone())?;
        }
        Some(Found { mailbox: entry.mailbox, address, key })
    }
}

/// `"incoming+key"@host` is the same address as `incoming+key@host` (RFC 5321 section 4.1.2).
fn unquoted(address: &str) -> Option<String> {
    let at = address.rfind('@')?;
    let inner = address[..at].strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(address.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.push(if c == '\\' { characters.next()? } else { c });
    }
    text.push_str(&address[at..]);
    Some(text)
}

/// A mailbox that takes replies.
type Taker = (Entry, Actions);

/// The hosts of reply ids. An id is `reply-KEY@host`.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplyIndex {
    hosts: HashMap<String, Vec<Taker>>,
}

impl ReplyIndex {
    /// Adds a mailbox; to be called in the order of the configuration.
    pub fn add(&mut self, host: &str, actions: &Actions, entry: Entry) {
        if !actions.has_replies() {
            return;
        }
        let entries = self.hosts.entry(canonical_domain(host)).or_default();
        // Ten thousand mailboxes of one host mostly take the same keys: only the first of them can be found.
        if !entries.iter().any(|(earlier, same)| earlier.list == entry.list && same.take_same_replies(actions)) {
            entries.push((entry, actions.clone()));
        }
    }

    /// The first mailbox in the order of the configuration that takes the id's key as a reply.
    pub fn find<'a>(&self, id: &'a str, admits: &dyn Fn(usize) -> bool) -> Option<Found<'a>> {
        let (entries, key) = self.split(id)?;
        let takes = |(entry, actions): &&Taker| admits(entry.list) && actions.reply(&id[key.clone()]).is_some();
        let (entry, _) = entries.iter().find(takes)?;
        Some(Found { mailbox: entry.mailbox, address: Cow::Borrowed(id), key: FoundKey::Part(key) })
    }

    fn split(&self, id: &str) -> Option<(&[Taker], Range<usize>)> {
        const PREFIX: &str = "reply-";
        let at = id.rfind('@')?;
        let prefix = id.get(..PREFIX.len())?;
        let is_reply = prefix.eq_ignore_ascii_case(PREFIX) && at > PREFIX.len();
        let entries = self.hosts.get(&canonical_domain(&id[at + 1..])).filter(|_| is_reply)?;
        Some((entries, PREFIX.len()..at))
    }
}
