//! The text of a message as lines, each with what its HTML said of it.

/// The most lines that are looked at one by one. What follows them is one line more, however long: nobody writes so much
/// by hand, and a message must not decide how much memory it takes.
pub(super) const MOST_LINES: usize = 20_000;

/// As many quotation marks before a line are counted.
const MOST_MARKS: usize = 100;

/// What the HTML said of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hint {
    /// Nothing: its words decide.
    #[default]
    None,
    /// It belongs to a quotation.
    Quoted,
    /// With it begins a quotation that goes on to the end.
    QuotedFromHere,
    /// With it begins a header above an original message, in whatever language.
    HeaderFromHere,
    /// With it begins a forwarded message.
    ForwardedFromHere,
    /// It belongs to a signature.
    Signature,
}

/// One line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'t> {
    /// All of it, with its line end.
    pub whole: &'t str,
    pub hint: Hint,
}

impl<'t> Line<'t> {
    /// What people see of it.
    pub fn content(&self) -> &'t str {
        self.whole.trim_matches(is_blank)
    }

    pub fn is_blank(&self) -> bool {
        self.whole.chars().all(is_blank)
    }

    /// How many quotation marks stand before it; 0 where it is not quoted.
    pub fn quotation_marks(&self) -> usize {
        let before = self.whole.chars().take_while(|&c| c == '>' || is_blank(c));
        before.filter(|&c| c == '>').take(MOST_MARKS).count()
    }

    /// What people see behind the quotation marks.
    pub fn quoted_content(&self) -> &'t str {
        self.whole.trim_start_matches(|c| c == '>' || is_blank(c)).trim_end_matches(is_blank)
    }
}

/// A character that nobody sees: blanks, and the marks of direction and of byte order that programs put around names.
fn is_blank(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, '\0' | ' ' | '\t'..='\r');
    }
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The lines of a text; `hints` are those of its first lines.
pub(super) fn lines<'t>(text: &'t str, hints: &[Hint]) -> Vec<Line<'t>> {
    let mut lines = Vec::new();
    let mut rest = text;
    let mut hints = hints.iter().copied();
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |line_end| line_end + 1);
        let (whole, behind) = if lines.len() < MOST_LINES { rest.split_at(end) } else { (rest, "") };
        lines.push(Line { whole, hint: hints.next().unwrap_or_default() });
        rest = behind;
    }
    lines
}

/// A text as it is looked up: in lower case, one blank between words, none around them.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut is_apart = false;
    for c in text.chars() {
        if is_blank(c) {
            is_apart |= c.is_whitespace();
            continue;
        }
        if is_apart && !plain.is_empty() {
            plain.push(' ');
        }
        is_apart = false;
        match c {
            // In lower case it would be two characters.
            'İ' => plain.push('i'),
            _ if c.is_ascii() => plain.push(c.to_ascii_lowercase()),
            _ => plain.extend(c.to_lowercase()),
        }
    }
    plain
}
