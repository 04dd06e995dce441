//! Keys in what is said of a message: where one could stand, and the text without it.
//!
//! A key is a credential, and logs and replies travel: each text of a stranger, of an application or of a mail system goes through
//! [`Mask::text`] before it is said. In doubt more is cut than is a key. It must not be used for what is kept or handed over.

mod nearness;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use nearness::{is_near_one_of, is_one_letter_away};

use super::index::{Affixes, FoundKey, PatternIndex};
use super::key::Key;
use super::pattern::AddressPattern;
use crate::mail::{canonical_domain, without_srs};
use crate::printable::one_line;

/// Octets of a text that are looked at; nothing longer is ever said.
const LONGEST: usize = 8 * 1024;
/// Octets of a header in which keys are looked for.
const LONGEST_HEADER: usize = 64 * 1024;
/// Comparisons of a word with all domains and forms, in one text. What comes after them counts as near.
const MOST_COMPARISONS: usize = 16;
/// A word of so many letters and figures, both of them in it, in a recipient is taken for a key that lost what stood before it.
const LIKE_A_KEY: usize = 20;

/// The forms of the addresses of all mailboxes.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyForms {
    pub(super) patterns: PatternIndex,
    /// What stands before a key, in lower case: `incoming+`.
    before: Vec<String>,
    /// The same without the mark at its end, by the mark. A form that ends in a letter has none: it is part of other words.
    stems: HashMap<char, Affixes<()>>,
    /// Domains of mailboxes, and hosts of reply ids.
    domains: HashSet<String>,
    /// Those of which a local part may be all key.
    catch_all: HashSet<String>,
}

/// What may be said of one message.
#[derive(Debug, Default)]
pub struct Mask {
    forms: Arc<KeyForms>,
    /// Keys of the envelope.
    known: Vec<String>,
    /// Where more of them may stand.
    header: Bytes,
    /// All of them, the longest first; looked for when the first text is said that is not an address.
    keys: OnceLock<Vec<Key>>,
}

impl KeyForms {
    pub(super) fn new(patterns: PatternIndex, forms: &[AddressPattern], domains: HashSet<String>) -> Self {
        let before: HashSet<&str> = forms.iter().map(|form| form.before.as_str()).collect();
        let catch_all = forms.iter().filter(|form| form.before.is_empty()).map(|form| form.domain.clone());
        let mut stems: HashMap<char, Affixes<()>> = HashMap::new();
        for before in &before {
            if let Some((end, mark)) = before.char_indices().next_back().filter(|(_, mark)| !mark.is_alphanumeric()) {
                stems.entry(mark).or_default().entry(&before[..end]);
            }
        }
        Self {
            patterns,
            stems,
            catch_all: catch_all.collect(),
            before: before.into_iter().filter(|before| !before.is_empty()).map(str::to_owned).collect(),
            domains,
        }
    }

    /// The keys in a text by the forms of the addresses and ids around them.
    pub(super) fn keys_in(&self, text: &str, keys: &mut Vec<String>) {
        for (_, word) in words(text) {
            if let Some(found) = self.patterns.find(word.trim_matches(['"', '\'']), &|_| true) {
                keys.extend(found.written_key().map(str::to_owned));
            }
            for (start, end) in self.marked(word).0 {
                let Some(key) = word.get(start..end) else { continue };
                keys.push(key.to_owned());
                // Whether `+2Bkey` is an escaped plus or a key that begins so, nobody can tell.
                keys.extend(word.get(start - 1..).and_then(escaped).and(key.get(2..)).map(str::to_owned));
            }
        }
    }

    /// What stands behind `incoming+`, however the plus is written, and behind `reply-`.
    fn marked(&self, word: &str) -> Cuts {
        let lower = word.to_ascii_lowercase();
        let mut cuts = Cuts::default();
        let mut ends = Ends::of(&lower);
        if lower.starts_with("reply-") && ends.last_at.is_some() {
            cuts.add("reply-".len(), ends.behind("reply-".len()));
        }
        for (at, mark, behind) in marks(&lower) {
            let Some(stems) = self.stems.get(&mark) else { continue };
            let has_stem = stems.lengths.iter().filter_map(|length| at.checked_sub(*length)).any(|start| {
                lower.get(..start).is_some_and(ends_word) && stems.by_text.contains_key(&lower.as_bytes()[start..at])
            });
            if has_stem {
                cuts.add(behind, ends.behind(behind));
            }
        }
        cuts
    }

    /// Whether a domain is one of ours, or so near that somebody may have meant one.
    fn is_near(&self, domain: &str, comparisons: &mut usize) -> bool {
        is_near_one_of(&self.domains, &canonical_domain(domain), comparisons)
    }

    /// Where the key of a local part begins that somebody mistyped: behind what is nearly `incoming+`, behind any delimiter, or at the
    /// beginning where a local part may be all key. `None` if there is no key in it.
    fn mistyped(&self, local: &str, domain: &str, comparisons: &mut usize) -> Option<usize> {
        let domain = canonical_domain(domain);
        let may_be_all_key = domain.is_empty() || is_near_one_of(&self.catch_all, &domain, comparisons);
        if !self.catch_all.is_empty()
            && may_be_all_key
            && (!self.domains.contains(&domain) || self.catch_all.contains(&domain))
        {
            return Some(0);
        }
        let is_delimiter = |c: char| c == '+' || self.stems.contains_key(&c);
        let delimiter = local.char_indices().find(|&(_, c)| is_delimiter(c)).map(|(at, c)| at + c.len_utf8());
        let start = [delimiter, self.nearly_before(local, comparisons)].into_iter().flatten().min()?;
        local[start..].contains(|c: char| c.is_alphanumeric()).then_some(start)
    }

    /// The end of what is `incoming+` or `incoming` but for one letter too many, too few, another, or two in the wrong order.
    fn nearly_before(&self, local: &str, comparisons: &mut usize) -> Option<usize> {
        *comparisons = comparisons.checked_sub(1)?;
        let lower = local.to_ascii_lowercase();
        let ends: Vec<usize> = lower.char_indices().map(|(at, _)| at).chain([lower.len()]).collect();
        self.before.iter().find_map(|before| {
            let stem = before.trim_end_matches(|c: char| !c.is_alphanumeric());
            [before, stem].into_iter().filter(|form| form.len() > 2).find_map(|form| {
                let length = form.chars().count();
                let mut ends = (length.saturating_sub(1)..=length + 1).filter_map(|length| ends.get(length).copied());
                ends.find(|&end| is_one_letter_away(form, &lower[..end]))
            })
        })
    }
}

impl Mask {
    /// For a message with these keys in its envelope and this header.
    pub(super) fn new(forms: Arc<KeyForms>, known: Vec<String>, header: Bytes) -> Self {
        Self { forms, known, header, keys: OnceLock::new() }
    }

    /// A text without the keys that could stand in it: those of this message, wherever they are, and what stands where a key of
    /// anybody would.
    pub fn text(&self, text: &str) -> String {
        let text = beginning(text);
        let said = self.keys().iter().fold(text.to_owned(), without);
        self.by_form(&said, false)
    }

    /// The same for what is an address or an id of somebody.
    pub fn address(&self, text: &str) -> String {
        self.one_address(beginning(text), false)
    }

    /// The same for a recipient: it is meant to be an address of ours, so in doubt everything behind a delimiter is a key.
    pub fn recipient(&self, text: &str) -> String {
        self.one_address(beginning(text), true)
    }

    /// A blank within quotes is part of an address, and does not end the key in it.
    fn one_address(&self, text: &str, is_recipient: bool) -> String {
        match text.contains('"') {
            true => self.word(text, is_recipient, &mut { MOST_COMPARISONS }),
            false => self.by_form(text, is_recipient),
        }
    }

    fn keys(&self) -> &[Key] {
        self.keys.get_or_init(|| {
            let mut keys = self.known.clone();
            let end = self.header.len().min(LONGEST_HEADER);
            self.forms.keys_in(&String::from_utf8_lossy(&self.header[..end]), &mut keys);
            // What an application says has lost its line breaks and double blanks by then.
            let on_one_line: Vec<_> = keys.iter().map(|key| one_line(key, usize::MAX)).collect();
            keys.extend(on_one_line);
            keys.sort_by(|key, other| other.len().cmp(&key.len()).then_with(|| key.cmp(other)));
            keys.dedup();
            // A key of a few characters is part of many words, and hiding those would show it.
            keys.iter().filter(|key| key.chars().count() > 4).filter_map(|key| Key::new(key)).collect()
        })
    }

    fn by_form(&self, text: &str, is_recipient: bool) -> String {
        let (mut said, mut copied) = (String::with_capacity(text.len()), 0);
        let mut comparisons = MOST_COMPARISONS;
        for (start, word) in words(text) {
            said.push_str(&text[copied..start]);
            said.push_str(&self.word(word, is_recipient, &mut comparisons));
            copied = start + word.len();
        }
        said.push_str(&text[copied..]);
        said
    }

    fn word(&self, word: &str, is_recipient: bool, comparisons: &mut usize) -> String {
        let found = self.forms.patterns.find(word, &|_| true);
        // Quotes around the local part are said as they stand; what has escapes within them is said as it was read.
        let (word, shift) = match &found {
            Some(found) if word.len() != found.address.len() + 2 => (&*found.address, 0),
            Some(_) => (word, 1),
            None => (word, 0),
        };
        let cuts = self.forms.marked(word);
        let (local, domain) = word.rsplit_once('@').unwrap_or((word, ""));
        // The form of another mailbox may stand within a key, so what is marked is not all.
        let key = match found.as_ref().map(|found| &found.key) {
            Some(FoundKey::Part(key)) => Some(key.start + shift..key.end + shift),
            // A mailbox's own key does not stand in its address.
            Some(FoundKey::Fixed(_)) => None,
            None => self.doubtful(local, domain, is_recipient, comparisons).map(|start| start..local.len()),
        };
        match key {
            Some(key) => cuts.with(key.start, key.end).apply(word),
            None if found.is_none() && is_recipient && cuts.0.is_empty() => Cuts::of_like_keys(local).apply(word),
            None => cuts.apply(word),
        }
    }

    /// Where a key begins in an address that has none of our forms: rewritten on its way, or mistyped.
    fn doubtful(&self, local: &str, domain: &str, is_recipient: bool, comparisons: &mut usize) -> Option<usize> {
        self.rewritten(local, comparisons).or_else(|| {
            let may_be_ours = is_recipient || !domain.is_empty() && self.forms.is_near(domain, comparisons);
            if may_be_ours { self.forms.mistyped(local, domain, comparisons) } else { None }
        })
    }

    /// Where an address of ours stands in one that a system on the way made of it: `SRS0=HASH=TT=DOMAIN=local`, or
    /// `list-bounces+local=DOMAIN` (VERP).
    fn rewritten(&self, local: &str, comparisons: &mut usize) -> Option<usize> {
        if let Some((inner, domain)) = without_srs(local)
            && self.forms.is_near(domain, comparisons)
        {
            return Some(local.len() - inner.len());
        }
        let (inner, domain) = local.rsplit_once('=')?;
        let is_ours = domain.contains('.') && self.forms.domains.contains(&canonical_domain(domain));
        is_ours.then(|| inner.find(['+', '-']).map_or(0, |at| at + 1))
    }
}

/// What is no letter and no figure in a text, as it stands there and as it is escaped (`%2B`, `=2B`, `+2B`): where it begins, what
/// it is, and where a key behind it begins at the earliest. What may be the rest of an escape may as well be the beginning of a key.
fn marks(lower: &str) -> impl Iterator<Item = (usize, char, usize)> {
    let found = lower.char_indices().filter(|(_, c)| !c.is_alphanumeric());
    found.flat_map(|(at, c)| {
        let behind = at + c.len_utf8();
        [Some(c), escaped(&lower[at..])].into_iter().flatten().map(move |mark| (at, mark, behind))
    })
}

/// Whether a word can begin behind a text: there is none, or it ends with a mark, which may be escaped.
fn ends_word(text: &str) -> bool {
    let ends_escaped = || text.len().checked_sub(3).and_then(|at| text.get(at..)).and_then(escaped);
    let last = text.chars().next_back();
    last.is_none_or(|c| !c.is_alphanumeric()) || ends_escaped().is_some_and(|c| !c.is_alphanumeric())
}

/// What `%2B`, `=2B` or `+2B` at the beginning of a text may stand for.
fn escaped(text: &str) -> Option<char> {
    let code = text.strip_prefix(['%', '=', '+'])?.get(..2)?;
    let is_code = code.bytes().all(|octet| octet.is_ascii_hexdigit());
    is_code.then(|| u8::from_str_radix(code, 16).ok().map(char::from))?
}

/// Where keys of one word end: at an `@` if there is one, else at `%40`. To be asked from left to right, since the last answer is kept:
/// a header may hold thousands of beginnings.
struct Ends<'a> {
    lower: &'a str,
    last_at: Option<usize>,
    last_found: Option<usize>,
}

impl<'a> Ends<'a> {
    fn of(lower: &'a str) -> Self {
        Self { lower, last_at: lower.rfind('@'), last_found: None }
    }

    fn behind(&mut self, start: usize) -> usize {
        let end = self.last_found.filter(|&end| end >= start).unwrap_or_else(|| {
            let mark = if self.last_at.is_some_and(|at| at >= start) { "@" } else { "%40" };
            self.lower[start..].find(mark).map_or(self.lower.len(), |end| start + end)
        });
        self.last_found = Some(end);
        if end > start && self.lower[..end].ends_with(['"', '\'']) { end - 1 } else { end }
    }
}

/// Where a word is cut.
#[derive(Default)]
struct Cuts(Vec<(usize, usize)>);

impl Cuts {
    /// To be called in the order of the starts. Cuts that meet are one: the form of another mailbox may stand within a key.
    fn add(&mut self, start: usize, end: usize) {
        match self.0.last_mut() {
            Some((_, last)) if start < *last => *last = end.max(*last),
            _ if start < end => self.0.push((start, end)),
            _ => {}
        }
    }

    /// With one that stands anywhere.
    fn with(mut self, start: usize, end: usize) -> Self {
        self.0.push((start, end));
        self.0.sort_unstable();
        let mut merged = Self::default();
        self.0.iter().for_each(|&(start, end)| merged.add(start, end));
        merged
    }

    /// Words of letters and figures that no person would write.
    fn of_like_keys(local: &str) -> Self {
        let (mut cuts, mut start) = (Self::default(), 0);
        for piece in local.split(|c: char| !c.is_ascii_alphanumeric()) {
            let mixed = piece.bytes().any(|b| b.is_ascii_digit()) && piece.bytes().any(|b| b.is_ascii_alphabetic());
            if piece.len() >= LIKE_A_KEY && mixed {
                cuts.add(start, start + piece.len());
            }
            start += piece.len();
            start += local[start..].chars().next().map_or(0, char::len_utf8);
        }
        cuts
    }

    fn apply(&self, word: &str) -> String {
        let mut said = String::with_capacity(word.len());
        let mut copied = 0;
        for &(start, end) in &self.0 {
            let (Some(kept), Some(cut)) = (word.get(copied..start), word.get(start..end)) else {
                return "…".to_owned();
            };
            said.push_str(kept);
            said.push_str(&Key::new(cut).map_or_else(|| "…".to_owned(), |key| key.to_string()));
            copied = end;
        }
        said.push_str(&word[copied..]);
        said
    }
}

/// The text without a key of this message, in whatever case, and as it stands in a URL.
fn without(text: String, key: &Key) -> String {
    let shown = key.to_string();
    let mut text = text;
    let encoded = percent_encode(key.reveal().as_bytes(), NON_ALPHANUMERIC).to_string();
    for spelling in [key.reveal(), encoded.as_str()] {
        let (lower, wanted) = (text.to_ascii_lowercase(), spelling.to_ascii_lowercase());
        if !lower.contains(&wanted) {
            continue;
        }
        let (mut said, mut copied) = (String::with_capacity(text.len()), 0);
        for (at, found) in lower.match_indices(&wanted) {
            said.push_str(&text[copied..at]);
            said.push_str(&shown);
            copied = at + found.len();
        }
        said.push_str(&text[copied..]);
        text = said;
    }
    text
}

fn beginning(text: &str) -> &str {
    let end = text.len().min(LONGEST);
    &text[..(0..=end).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0)]
}

/// The words of a text with their places, as addresses and ids stand between them.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_between = |c: char| c.is_whitespace() || c.is_control() || "<>(),;:[]".contains(c);
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next + text[next..].find(|c| !is_between(c))?;
        next = text[start..].find(is_between).map_or(text.len(), |length| start + length);
        Some((start, &text[start..next]))
    })
}

#[cfg(test)]
mod tests;
