//! A point in time, as `Date` has it (RFC 5322 section 3.3, and the obsolete forms of section 4.3).
//!
//! What is not a point in time is none: no day that the month does not have, and no time without a zone. It must not guess.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use super::lexical::without_comments;

/// Reads the value of the field, as RFC 3339 has it.
pub(super) fn read(text: &str) -> Option<String> {
    let text = without_comments(text);
    let mut words =
        text.split(|c: char| c.is_ascii_whitespace() || c == ',').filter(|word| !word.is_empty()).peekable();
    // The day of the week, in whatever language.
    words.next_if(|word| !word.starts_with(|c: char| c.is_ascii_digit()));
    let first = words.next()?;
    // `24-Nov-2026`, as old newsreaders wrote it.
    let mut pieces = first.split('-');
    let day = pieces.next()?;
    let (month, year) = (pieces.next().or_else(|| words.next())?, pieces.next().or_else(|| words.next())?);
    let date = Date::from_calendar_date(self::year(year)?, self::month(month)?, number(day, 2)?).ok()?;
    let time = self::time(words.next()?)?;
    let offset = zone(words.next()?)?;
    OffsetDateTime::new_in_offset(date, time, offset).format(&Rfc3339).ok()
}

/// Digits, and not too many of them.
fn number<N: std::str::FromStr>(digits: &str, most: usize) -> Option<N> {
    let is_number = digits.len() <= most && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// Years of two digits are those around 2000, and three digits count from 1900 (section 4.3).
fn year(digits: &str) -> Option<i32> {
    let year = number(digits, 4)?;
    match (digits.len(), year) {
        (2, 0..=49) => Some(2000 + year),
        (2 | 3, _) => Some(1900 + year),
        (4, 1900..) => Some(year),
        _ => None,
    }
}

/// A month by its first three letters.
fn month(word: &str) -> Option<Month> {
    const NAMES: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let name = word.get(..3)?;
    let place = (1..).zip(NAMES).find(|(_, known)| known.eq_ignore_ascii_case(name))?.0;
    Month::try_from(place).ok()
}

/// `09:00:00`, or `09:00`. A leap second is the one before it.
fn time(word: &str) -> Option<Time> {
    let mut pieces = word.split([':', '.']);
    let (hour, minute) = (number(pieces.next()?, 2)?, number(pieces.next()?, 2)?);
    let second = pieces.next().map_or(Some(0), |digits| number::<u8>(digits, 2))?;
    Time::from_hms(hour, minute, if second == 60 { 59 } else { second }).ok()
}

/// `+0100`, or one of the names of section 4.3; any other name says nothing, which is UTC there.
fn zone(word: &str) -> Option<UtcOffset> {
    let hours = match word.to_ascii_uppercase().as_str() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        name if name.bytes().all(|byte| byte.is_ascii_alphabetic()) => 0,
        digits => return offset(digits.trim_start_matches("GMT").trim_start_matches("UTC")),
    };
    UtcOffset::from_hms(hours, 0, 0).ok()
}

/// `+0100`, `-01:00`
fn offset(word: &str) -> Option<UtcOffset> {
    let (sign, digits) =
        word.strip_prefix('-').map(|digits| (-1, digits)).or(word.strip_prefix('+').map(|d| (1, d)))?;
    let digits: i16 = number(&digits.replacen(':', "", 1), 4).filter(|_| digits.len() >= 4)?;
    let (hours, minutes) = (i8::try_from(digits / 100).ok()?, i8::try_from(digits % 100).ok()?);
    let is_one = hours < 24 && minutes < 60;
    is_one.then(|| UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_point_in_time_or_none() {
        let rows: &[(&str, Option<&str>)] = &[
            ("Tue, 24 Nov 2026 09:00:00 +0100", Some("2026-11-24T09:00:00+01:00")),
            ("24 Nov 2026 09:00:00 -0330", Some("2026-11-24T09:00:00-03:30")),
            // Section 3.3: the seconds may be missing.
            ("Tue, 24 Nov 2026 09:00 +0100", Some("2026-11-24T09:00:00+01:00")),
            ("Tue, 24 Nov 2026 09:00:00 -0000", Some("2026-11-24T09:00:00Z")),
            ("Tue, 24 Nov 2026 09:00:00 +0100 (CET)", Some("2026-11-24T09:00:00+01:00")),
            ("Tue(x), 24 (y) Nov 2026 09:00:00 +0100", Some("2026-11-24T09:00:00+01:00")),
            ("Tue,24 nov 2026 9:0:0 +0100", Some("2026-11-24T09:00:00+01:00")),
            ("Tue 24 November 2026 09:00:00 +01:00", Some("2026-11-24T09:00:00+01:00")),
            ("Mié, 24-Nov-26 09.00.00 GMT", Some("2026-11-24T09:00:00Z")),
            ("24 Nov 99 09:00:00 EST", Some("1999-11-24T09:00:00-05:00")),
            ("24 Nov 126 09:00:00 PDT", Some("2026-11-24T09:00:00-07:00")),
            ("24 Nov 2026 09:00:00 CEST", Some("2026-11-24T09:00:00Z")),
            ("24 Nov 2026 09:00:00 GMT+0200", Some("2026-11-24T09:00:00+02:00")),
            ("29 Feb 2028 00:00:00 +0000", Some("2028-02-29T00:00:00Z")),
            ("31 Dec 2016 23:59:60 +0000", Some("2016-12-31T23:59:59Z")),
            ("31 Feb 2026 09:00:00 +0000", None),
            ("29 Feb 2026 09:00:00 +0000", None),
            ("0 Nov 2026 09:00:00 +0000", None),
            ("24 Nov 2026 24:00:00 +0000", None),
            ("24 Nov 2026 09:60:00 +0000", None),
            ("24 Nov 2026 09:00:61 +0000", None),
            ("24 Nov 2026 09:00:00 +9999", None),
            ("24 Nov 2026 09:00:00 +0160", None),
            ("24 Nov 2026 09:00:00 +1", None),
            ("24 Nov 2026 09:00:00 +", None),
            ("24 Nov 0026 09:00:00 +0000", None),
            ("24 Nov 20261 09:00:00 +0000", None),
            ("24 Nov 2026 09:00:00", None),
            ("24 Nov 2026", None),
            ("2026-11-24T09:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, date) in rows {
            assert_eq!(read(text).as_deref(), *date, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_comes_out_is_a_point_in_time(text in "(\\PC{0,9}|[A-Z][a-z]{2}|[0-9]{1,4}|[0-9]{1,2}(:[0-9]{1,2}){1,3}|[+-][0-9:]{0,5}|[ ,.:(-]){0,9}") {
            if let Some(date) = read(&text) {
                proptest::prop_assert!(OffsetDateTime::parse(&date, &Rfc3339).is_ok(), "{}", date);
            }
        }

        #[test]
        fn what_was_written_is_read(day in 1..29_u8, month in 0..12_usize, year in 1900..9999, seconds in 0..86_400, zone in -1439..1439_i32) {
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let (sign, hours, minutes) = (if zone < 0 { '-' } else { '+' }, zone.abs() / 60, zone.abs() % 60);
            let text = format!("{day} {} {year} {hour:02}:{minute:02}:{second:02} {sign}{hours:02}{minutes:02}", months[month]);
            let zone = if zone == 0 { "Z".to_owned() } else { format!("{sign}{hours:02}:{minutes:02}") };
            let date = format!("{year}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}", month + 1);
            proptest::prop_assert_eq!(read(&text), Some(date));
        }
    }
}
