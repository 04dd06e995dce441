//! Dates, times and addresses in a line, in whatever language: by their digits, because names of months and days are many.

/// What a text has of a date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DateParts {
    pub has_date: bool,
    pub has_time: bool,
}

impl DateParts {
    /// What stands in a text.
    pub fn of(text: &str) -> Self {
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, ':' | '.' | '-' | '/');
        let mut found = Self::default();
        let mut ordinals = 0;
        for token in text.split(|c| !is_part(c)) {
            let number = token.trim_matches(|c: char| !c.is_ascii_digit());
            found.has_time |= is_time(number);
            // "05. 01. 16" is a day, a month and a year.
            found.has_date |= is_date(number) || (ordinals >= 2 && number.len() == 2);
            let is_ordinal = token.len() == number.len() + 1 && token.ends_with('.') && number.len() <= 2;
            ordinals = if is_ordinal { ordinals + 1 } else { 0 };
        }
        found
    }

    /// Both: no sentence has them by chance.
    pub fn is_full(self) -> bool {
        self.has_date && self.has_time
    }
}

/// `9:05`, `09:05:00`, and `13.16` as some write.
fn is_time(token: &str) -> bool {
    let separator = if token.contains(':') { ':' } else { '.' };
    let mut numbers = token.split(separator).map(str::len);
    let (hours, minutes, seconds) = (numbers.next(), numbers.next(), numbers.next());
    matches!((hours, minutes), (Some(1..=2), Some(2)))
        && matches!(seconds, None | Some(2))
        && numbers.next().is_none()
        && (separator == ':' || seconds.is_none())
}

/// A year, or `2016-03-03`, `6/16/2016`, `03.02.16`.
fn is_date(token: &str) -> bool {
    let is_year = |number: &str| number.len() == 4 && (number.starts_with("19") || number.starts_with("20"));
    let separator = if token.contains('/') { '/' } else { '-' };
    let separator = if token.contains(separator) { separator } else { '.' };
    let numbers: Vec<&str> = token.split(separator).take(4).collect();
    match numbers[..] {
        [year] => is_year(year),
        [_, _, _] => numbers.iter().all(|n| matches!(n.len(), 1 | 2) || is_year(n)),
        _ => numbers.iter().any(|number| is_year(number)),
    }
}

/// Whether an address stands in brackets in a text: `<jane@example.org>`, `(jane@example.org)`, `[mailto:jane@example.org]`.
pub(super) fn has_bracketed_address(text: &str) -> bool {
    /// As far as brackets are looked for.
    const FAR: usize = 200;
    memchr::memchr_iter(b'@', text.as_bytes()).take(8).any(|at| {
        let (before, behind) = (&text.as_bytes()[at.saturating_sub(FAR)..at], &text.as_bytes()[at..]);
        let behind = &behind[..behind.len().min(FAR)];
        [(b'<', b'>'), (b'(', b')'), (b'[', b']')].iter().any(|&(open, close)| {
            let is_open = match (memchr::memrchr(open, before), memchr::memrchr(close, before)) {
                (Some(opened), Some(closed)) => opened > closed,
                (opened, _) => opened.is_some(),
            };
            is_open && memchr::memchr(close, behind).is_some()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_told_from_other_numbers() {
        let rows: &[(&str, bool, bool)] = &[
            ("wed, sep 25, 2013, at 03:57 pm", true, true),
            ("10/12/15 12:30", true, true),
            ("03.02.2016 3:35 nachm.", true, true),
            ("26 marzo 2016 alle 13.16", true, true),
            ("2016-03-03 17:21 gmt+01:00", true, true),
            ("2016年1月5日(火) 10:00", true, true),
            ("2016. 1. 5. 오전 10:00", true, true),
            ("2/2/2016, 9:05:01", true, true),
            ("28-sep-2012", true, false),
            ("05. 01. 16 v 10:00", true, true),
            ("at 10:00", false, true),
            ("version 1.2.3.4", false, false),
            ("in 12 days", false, false),
            ("room 4711", false, false),
            ("+49 30 123456", false, false),
            ("", false, false),
        ];
        for (text, has_date, has_time) in rows {
            assert_eq!(DateParts::of(text), DateParts { has_date: *has_date, has_time: *has_time }, "{text}");
        }
    }

    #[test]
    fn an_address_counts_in_brackets() {
        let rows: &[(&str, bool)] = &[
            ("jane <jane@example.org> wrote", true),
            ("jane (jane@example.org) wrote", true),
            ("jane <\nmailto:jane@example.org> wrote", true),
            ("jane@example.org wrote", false),
            ("jane@example.org> wrote", false),
            ("<jane> jane@example.org (x)", false),
            ("<jane@example.org", false),
        ];
        for (text, has) in rows {
            assert_eq!(has_bracketed_address(text), *has, "{text}");
        }
    }
}
