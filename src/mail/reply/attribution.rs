//! The line that introduces a quotation: "On DATE, NAME wrote:", in the languages of `words`, on one line or folded over several.
//!
//! It is found from its end, which is the part that is alike everywhere: a verb, a date or an address, then a colon. How far up
//! it begins is decided by what the lines above say; each costs the same whatever stands in it.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::LazyLock;

use super::dates::{DateParts, has_bracketed_address};
use super::lines::{Line, plain};
use super::words::{OPENINGS, VERBS, VERBS_BEHIND_DATE, VERBS_WITHOUT_BLANKS};

/// The longest line that can be part of one, in octets.
const LONGEST_LINE: usize = 400;

/// The longest of all, in octets.
const LONGEST: usize = 600;

/// As many lines one is folded over at most, blank ones included.
const MOST_LINES: usize = 6;

/// How much a line says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// It introduces a quotation where one follows.
    Weak,
    /// Whatever follows is quoted.
    Strong,
}

/// One that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attribution {
    /// The line that it begins with.
    pub start: usize,
    pub strength: Strength,
}

/// Finds those that end with a line.
#[derive(Default)]
pub(super) struct Attributions {
    /// The lines looked at last: line n stands at n modulo the size.
    seen: [Option<Folded>; MOST_LINES],
}

/// A line as it is looked up.
#[derive(Debug, Default)]
struct Folded {
    number: usize,
    plain: String,
    /// Found where it is asked for: few lines are part of anything.
    has_verb: OnceCell<bool>,
    /// Nothing that goes on in the next line ends so.
    ends_sentence: bool,
}

impl Attributions {
    /// The one that ends with the line at `end` and begins at `first` or later.
    pub fn ending_at(&mut self, lines: &[Line<'_>], first: usize, end: usize) -> Option<Attribution> {
        let content = lines.get(end)?.quoted_content();
        // Most lines of most messages cost no more than this.
        let may_end = content.ends_with(|c| is_colon(c) || matches!(c, '-' | '>' | 'e' | 'E')) || content.contains('+');
        if !may_end || !can_end(&self.folded(lines, end)?.plain) {
            return None;
        }
        let (mut text, mut has_verb) = (String::new(), false);
        let mut best: Option<(Opening, Attribution)> = None;
        for start in (first.max(end.saturating_sub(MOST_LINES - 1))..=end).rev() {
            let line = self.folded(lines, start)?;
            let is_broken = start < end && line.ends_sentence;
            // A blank line parts, except where a program puts one before an address that begins with a line of its own.
            let parts = line.plain.is_empty() && !text.starts_with("< ");
            if is_broken || parts || text.len() + line.plain.len() > LONGEST {
                break;
            }
            has_verb |= line.has_verb();
            let gives_address = is_name_and_address(&line.plain) && !has_bracketed_address(&text);
            match (line.plain.as_str(), text.as_str()) {
                ("", _) => {}
                (above, "") => text = above.to_owned(),
                (above, below) => text = format!("{above} {below}"),
            }
            let Some(strength) = strength(&text, has_verb) else { continue };
            let opening = Opening::of(&line.plain);
            let opening = if DateParts::of(&text).has_date { opening } else { opening.min(Opening::Name) };
            // The nearest that opens best: "2016, Jane <jane@example.org> wrote:" goes on with "On May 5," above it.
            if best.as_ref().is_none_or(|(so_far, _)| opening > *so_far || gives_address) {
                best = Some((opening, Attribution { start, strength }));
            }
            if opening == Opening::Word {
                break;
            }
        }
        best.filter(|(opening, _)| *opening > Opening::Rest).map(|(_, attribution)| attribution)
    }

    fn folded(&mut self, lines: &[Line<'_>], number: usize) -> Option<&Folded> {
        let slot = &mut self.seen[number % MOST_LINES];
        if slot.as_ref().is_none_or(|seen| seen.number != number) {
            *slot = Some(Folded { number, ..Folded::of(lines.get(number)?.quoted_content()) });
        }
        slot.as_ref()
    }
}

impl Folded {
    fn of(content: &str) -> Self {
        if content.len() > LONGEST_LINE {
            return Self { ends_sentence: true, ..Self::default() };
        }
        let plain = plain(content);
        Self { ends_sentence: ends_sentence(&plain), plain, ..Self::default() }
    }

    fn has_verb(&self) -> bool {
        *self.has_verb.get_or_init(|| {
            let plain = self.plain.as_str();
            plain.split(|c: char| !c.is_alphabetic()).any(|word| VERB_WORDS.contains(word))
                || (!plain.is_ascii() && VERBS_WITHOUT_BLANKS.iter().any(|verb| plain.contains(verb)))
        })
    }
}

/// One word of each verb: a line without any of them has no verb.
static VERB_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let longest = |verb: &'static str| verb.split(|c: char| !c.is_alphabetic()).max_by_key(|word| word.len());
    VERBS.iter().chain(VERBS_BEHIND_DATE).filter_map(|verb| longest(verb)).collect()
});

fn ends_sentence(plain: &str) -> bool {
    match plain.chars().next_back() {
        Some('!' | '?' | ':' | '：' | '。') => true,
        // Abbreviated days, months and hours end with a point too.
        Some('.') => plain.trim_end_matches('.').rsplit(' ').next().is_some_and(|word| word.chars().count() > 6),
        _ => false,
    }
}

fn is_colon(c: char) -> bool {
    matches!(c, ':' | '：' | '﹕')
}

/// Whether a line can be the last of one, by how it ends.
fn can_end(plain: &str) -> bool {
    plain.ends_with(|c| is_colon(c) || matches!(c, '-' | '>')) || plain.ends_with("wrote") || plain.contains(" gmt+")
}

/// How a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Opening {
    /// With an address or the verb, so that it goes on with what stands above it.
    Rest,
    /// With anything else, so perhaps a name.
    Name,
    /// With a year or a time, which some languages put first and others in the middle.
    Number,
    /// With a date.
    Date,
    /// With an opening word and a date.
    Word,
}

impl Opening {
    fn of(plain: &str) -> Self {
        let begins_with = |verb: &str| plain.strip_prefix(verb).is_some_and(|rest| !rest.starts_with(is_part_of_word));
        if plain.starts_with(['<', '(', '[']) || plain.is_empty() || VERBS.iter().any(|verb| begins_with(verb)) {
            return Self::Rest;
        }
        let plain = plain.trim_start_matches(is_around);
        if opens_with_word(plain) {
            return Self::Word;
        }
        let number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit()).then(|| DateParts::of(word));
        let mut words = plain.split(' ');
        match words.next().and_then(number) {
            Some(parts) if parts == DateParts::default() => Self::Date,
            Some(_) => Self::Number,
            // Behind the day of the week.
            None if words.next().and_then(number).is_some() => Self::Date,
            None => Self::Name,
        }
    }
}

fn opens_with_word(plain: &str) -> bool {
    /// As far behind the opening word the first digit of a date stands.
    const FAR: usize = 48;
    let has_digit = |rest: &str| rest.chars().take(FAR).any(|c| c.is_ascii_digit());
    OPENINGS.iter().any(|opening| {
        let rest = plain.strip_prefix(opening);
        rest.is_some_and(|rest| (rest.starts_with(' ') || *opening == "在") && has_digit(rest))
    })
}

/// Whether a line is the first of one in which the name comes first: an address, then at most a short word or the beginning
/// of a date.
fn is_name_and_address(plain: &str) -> bool {
    let Some((_, behind)) = plain.rsplit_once('>') else { return false };
    let behind = behind.trim_matches([' ', ',']);
    let longest = if behind.contains(|c: char| c.is_ascii_digit()) { 40 } else { 8 };
    behind.len() <= longest && has_bracketed_address(plain)
}

/// What stands around a line that is made to look like a rule.
fn is_around(c: char) -> bool {
    matches!(c, '-' | '*' | '_' | ' ' | '~')
}

/// How much a text says; `None` if it introduces nothing.
fn strength(text: &str, has_verb: bool) -> Option<Strength> {
    let core = text.trim_matches(is_around);
    let has_colon = core.ends_with(is_colon);
    let has_dashes = text.starts_with("--") && text.ends_with('-');
    let core = core.trim_end_matches(|c| is_colon(c) || is_around(c));
    let date = DateParts::of(core);
    let has_address = has_bracketed_address(core);
    let opens = Opening::of(core) >= Opening::Number;
    if has_verb {
        let ends_with = |verbs: &[&str]| verbs.iter().any(|verb| ends_with_word(core, verb));
        let is_said = ends_with(VERBS_BEHIND_DATE);
        let is_last = is_said || ends_with(VERBS) || VERBS_WITHOUT_BLANKS.iter().any(|verb| core.ends_with(verb));
        let ends = has_colon || has_dashes || (is_last && date.is_full());
        let says = is_last || has_word(core);
        if ends && says {
            let is_sure = (has_address && !is_said) || (opens && date.is_full());
            let is_likely = is_last || has_address || date.has_date || opens;
            return if is_sure { Some(Strength::Strong) } else { is_likely.then_some(Strength::Weak) };
        }
    }
    let ends_with_address = has_address && core.ends_with(['>', ')', ']']);
    let begins_with_year = core.get(..4).is_some_and(|start| DateParts::of(start).has_date);
    // "2013/10/2 Jane <jane@example.org>" and "2016-03-03 17:21 GMT+01:00 Jane" are Gmail's of those years.
    let is_gmail =
        begins_with_year && (ends_with_address || (date.is_full() && core.contains(" gmt+") && core.len() < 100));
    let has_no_verb = has_colon && ends_with_address && opens && date.is_full();
    (is_gmail || has_no_verb).then_some(Strength::Strong)
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric()
}

fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|before| !before.ends_with(is_part_of_word))
}

/// Whether one of the verbs stands anywhere.
fn has_word(text: &str) -> bool {
    let stands = |verb: &&str| {
        text.match_indices(*verb).any(|(place, _)| {
            let (before, behind) = (&text[..place], &text[place + verb.len()..]);
            !before.ends_with(is_part_of_word) && !behind.starts_with(is_part_of_word)
        })
    };
    VERBS.iter().any(stands) || VERBS_WITHOUT_BLANKS.iter().any(|verb| text.contains(verb))
}
