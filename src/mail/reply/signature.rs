//! Signatures: what stands below "-- " (RFC 3676 section 4.3), what telephones write of themselves, and the footer of a list.

use super::lines::plain;
use super::words::{DEVICES, SENT_FROM, SENT_FROM_AROUND, SENT_FROM_MINE};

/// The longest line that can be one, in octets.
const LONGEST: usize = 200;

/// As many lines stand below a mark that people also use for other things.
const MOST_LINES: usize = 15;

/// How a signature is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// By "-- ": all below it is the signature.
    Delimiter,
    /// By something that looks like it: what is below it is the signature if it is short.
    Likely,
    /// By the line above the footer of a mailing list, which stands below a blank line.
    Footer,
    /// By the armor of OpenPGP.
    Armor,
}

impl Mark {
    /// The mark that a line, without its line end, is.
    pub fn of(line: &str) -> Option<Self> {
        /// As long the line above a list's footer is at least.
        const FOOTER: usize = 20;
        match line.trim_end_matches(['\r', '\n']) {
            "-- " | "- -- " => return Some(Self::Delimiter),
            "-----BEGIN PGP SIGNATURE-----" => return Some(Self::Armor),
            _ => {}
        }
        match line.trim() {
            // Without the blank that programs take off; the dashes that others make of two; the mark of a tracker.
            "--" | "- --" | "\u{2013}" | "\u{2014}" | "\u{2015}" | "\u{1427}" => Some(Self::Likely),
            line if line.len() >= FOOTER && line.bytes().all(|octet| octet == b'_') => Some(Self::Footer),
            _ => None,
        }
    }

    /// Whether it marks a signature, with so many lines below it that are not blank.
    pub fn holds(self, lines_below: usize, is_below_blank: bool) -> bool {
        match self {
            Self::Delimiter | Self::Armor => true,
            Self::Likely => lines_below <= MOST_LINES,
            Self::Footer => lines_below <= MOST_LINES && is_below_blank,
        }
    }
}

/// Whether a line is what a telephone or a mail program says of itself: "Sent from my iPhone".
pub(super) fn is_sent_from(content: &str) -> bool {
    /// As many words follow "sent from" at most, up to a comma or a point: the rest may excuse what is mistyped.
    const MOST_WORDS: usize = 7;
    /// As many follow "from my" where no device is known, and as many stand before a verb.
    const FEW_WORDS: usize = 4;
    if content.len() > LONGEST {
        return false;
    }
    let shown = plain(&without_links(content));
    let text = shown.trim_matches(['<', '>', '(', ')', '[', ']', '*', '_', '-', '"', '~', '.', ' ']);
    let rest = |openings: &[&str]| openings.iter().find_map(|opening| text.strip_prefix(opening)).map(Phrase::of);
    let mine = rest(SENT_FROM_MINE)
        .is_some_and(|rest| rest.names_device(MOST_WORDS) || (rest.is_all && (1..=FEW_WORDS).contains(&rest.words)));
    // A program that nobody knows puts a link to itself behind its name. "From my telephone it works" is a sentence.
    let has_link = content.contains("<http") || content.contains("](http");
    let is_named = |rest: Phrase<'_>| rest.names_device(MOST_WORDS) || (has_link && rest.words == 1);
    mine || rest(SENT_FROM).is_some_and(is_named)
        || rest(&["from my"]).is_some_and(|rest| rest.is_all && rest.names_device(2))
        || SENT_FROM_AROUND.iter().any(|(begin, end)| {
            let phrase = text.strip_suffix(end).filter(|phrase| phrase.starts_with(begin)).map(Phrase::of);
            phrase.is_some_and(|phrase| phrase.is_all && phrase.words <= FEW_WORDS + 1) && names_device(text)
        })
}

/// Words up to the first mark that ends them.
struct Phrase<'t> {
    text: &'t str,
    words: usize,
    /// Whether nothing follows them.
    is_all: bool,
}

impl<'t> Phrase<'t> {
    fn of(rest: &'t str) -> Self {
        let text = rest.split([',', ';', '!', '?', '<', '(', ':']).next().unwrap_or_default();
        let text = text.split(". ").next().unwrap_or_default();
        Self { text, words: text.split(' ').filter(|word| !word.is_empty()).count(), is_all: text.len() == rest.len() }
    }

    fn names_device(&self, most_words: usize) -> bool {
        self.words <= most_words && names_device(self.text)
    }
}

fn names_device(text: &str) -> bool {
    text.split([' ', '\'', '’', '"', '/']).any(|word| {
        // A short word is one by itself; a long one also with what a language puts behind it.
        DEVICES.iter().any(|device| if device.len() > 4 { word.contains(device) } else { word.starts_with(device) })
    })
}

/// A line without the addresses of its links, as Markdown and Outlook write them.
fn without_links(content: &str) -> String {
    let mut shown = String::with_capacity(content.len());
    let mut rest = content.split_once("<http").map_or(content, |(before, _)| before);
    while let Some((words, link)) = rest.split_once("](") {
        shown.extend(words.chars().filter(|&c| c != '['));
        rest = link.split_once(')').map_or("", |(_, behind)| behind);
    }
    shown + rest
}

/// Whether a line is a name behind a dash, `-Jane Doe`, as some sign.
pub(super) fn is_signed_name(content: &str) -> bool {
    let Some(name) = content.strip_prefix('-') else { return false };
    let mut words = name.split(' ');
    let is_name = |word: &str| {
        word.starts_with(char::is_uppercase)
            && word.chars().all(|c| c.is_alphabetic() || matches!(c, '.' | '-' | '\'' | '’'))
    };
    content.len() <= 40 && words.by_ref().take(4).all(is_name) && words.next().is_none()
}
