//! base64 (RFC 2045 section 6.8).
//!
//! "Any characters outside of the base64 alphabet are to be ignored", padding may be missing, and a `=` "may be taken as
//! evidence that the end of the data has been reached". What lists and virus scanners write behind the data is not of the
//! alphabet only, and is not decoded: a footer of letters would end a text in rubbish.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// What a sink is given at once, in octets: at most so much, or one run of octets that needed no decoding.
pub(super) const PIECE: usize = 12 * 1024;

/// A line of so many octets of the alphabet alone is data: no word of a footer is as long.
const SURELY_DATA: usize = 32;

/// Whole quanta without padding.
static QUANTA: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes `encoded` into pieces; what is no base64 at all comes out as it is.
pub(super) fn decode_to<E>(encoded: &[u8], sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut decoder = Decoder { out: Vec::with_capacity(PIECE + 3), sink, bits: 0, count: 0, has_begun: false };
    let mut sure_data_end = None;
    // Once there is nothing but data, there is nothing else behind any later place.
    let mut only_data_follows = false;
    let mut rest = encoded;
    while !rest.is_empty() {
        let line_end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (line, behind) = (rest[..line_end].trim_ascii(), &rest[line_end..]);
        if !decoder.take_quanta(line)? {
            // Only a line that is not pure costs a look at what follows, and that only once.
            let data_end = *sure_data_end.get_or_insert_with(|| end_of_sure_data(encoded));
            let is_behind_data = encoded.len() - rest.len() >= data_end;
            if is_behind_data && line.is_empty() {
                only_data_follows = only_data_follows || is_data(behind);
                if !only_data_follows {
                    break;
                }
            }
            if is_behind_data && is_footer(line) {
                break;
            }
            let mut left = line;
            while let Some(padded) = decoder.take_loosely(left)? {
                left = &left[padded..];
                // Encoded twice and joined, or each line by itself: else the padding is the end.
                only_data_follows = only_data_follows || (is_data(left) && is_data(behind));
                if !only_data_follows || left.first().is_some_and(u8::is_ascii_whitespace) {
                    return decoder.finish();
                }
            }
        }
        rest = behind;
    }
    match decoder.has_begun {
        true => decoder.finish(),
        false => encoded.chunks(PIECE).try_for_each(decoder.sink),
    }
}

struct Decoder<S> {
    out: Vec<u8>,
    sink: S,
    /// The quantum that is not complete.
    bits: u32,
    /// How many of its four octets are there.
    count: u8,
    has_begun: bool,
}

impl<E, S: FnMut(&[u8]) -> Result<(), E>> Decoder<S> {
    /// Takes a line of whole quanta, as nearly all lines are; false, and nothing taken, if it is something else.
    fn take_quanta(&mut self, line: &[u8]) -> Result<bool, E> {
        if line.is_empty() || self.count > 0 || !line.len().is_multiple_of(4) {
            return Ok(false);
        }
        // Longer lines than the RFC allows are taken apart; what is found wrong in one of its pieces is found before the
        // line is taken only if all of it is looked at.
        if line.len() > 4 * 1024 && !line.iter().all(|octet| sextet(*octet).is_some()) {
            return Ok(false);
        }
        for quanta in line.chunks(4 * 1024) {
            let before = self.out.len();
            self.out.resize(before + quanta.len() / 4 * 3, 0);
            match QUANTA.decode_slice(quanta, &mut self.out[before..]) {
                Ok(length) => self.out.truncate(before + length),
                Err(_) => {
                    self.out.truncate(before);
                    return Ok(false);
                }
            }
            self.flush_if_full()?;
        }
        self.has_begun = true;
        Ok(true)
    }

    /// Takes what is of the alphabet; where padding ends the data, the place behind it.
    fn take_loosely(&mut self, line: &[u8]) -> Result<Option<usize>, E> {
        for (place, &octet) in line.iter().enumerate() {
            if let Some(sextet) = sextet(octet) {
                self.has_begun = true;
                self.bits = self.bits << 6 | u32::from(sextet);
                self.count += 1;
                if self.count == 4 {
                    self.out.extend_from_slice(&self.bits.to_be_bytes()[1..]);
                    (self.bits, self.count) = (0, 0);
                    self.flush_if_full()?;
                }
            } else if octet == b'=' && self.count >= 2 {
                self.end_quantum();
                let padding = line[place..].iter().take_while(|&&octet| octet == b'=').count();
                return Ok(Some(place + padding));
            }
        }
        Ok(None)
    }

    /// The octets of a quantum that is not complete: one of two, two of three.
    fn end_quantum(&mut self) {
        let whole = usize::from(self.count.saturating_sub(1));
        let left = (self.bits << (6 * (4 - u32::from(self.count)))).to_be_bytes();
        self.out.extend_from_slice(&left[1..1 + whole.min(3)]);
        (self.bits, self.count) = (0, 0);
    }

    fn flush_if_full(&mut self) -> Result<(), E> {
        if self.out.len() >= PIECE {
            (self.sink)(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), E> {
        self.end_quantum();
        if self.out.is_empty() { Ok(()) } else { (self.sink)(&self.out) }
    }
}

fn sextet(octet: u8) -> Option<u8> {
    Some(match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// The end of the last line that can be nothing but data.
fn end_of_sure_data(encoded: &[u8]) -> usize {
    let mut end = encoded.len();
    while end > 0 {
        let start = memchr::memrchr(b'\n', &encoded[..end - 1]).map_or(0, |line_end| line_end + 1);
        let line = encoded[start..end].trim_ascii();
        if line.len() >= SURELY_DATA && line.iter().all(|octet| sextet(*octet).is_some()) {
            return end;
        }
        end = start;
    }
    0
}

/// Whether a line behind the data is text that somebody put there: words that are no groups of quanta, or a ruler. What begins
/// with padded data is the end of the data.
fn is_footer(line: &[u8]) -> bool {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let is_ruler = !line.is_empty() && !line.iter().any(|&octet| is_data_octet(octet));
    let has_words = line.iter().any(u8::is_ascii_whitespace);
    let first = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    if first.ends_with(b"=") && first.len() > 1 && first.len().is_multiple_of(4) && is_data(first) {
        return false;
    }
    is_ruler || (has_words && words.any(|word| !word.len().is_multiple_of(4) || !is_data(word)))
}

/// Whether there is nothing but data.
fn is_data(octets: &[u8]) -> bool {
    octets.split(|&octet| octet == b'\n').all(|line| line.trim_ascii().iter().all(|&octet| is_data_octet(octet)))
}

fn is_data_octet(octet: u8) -> bool {
    octet == b'=' || sextet(octet).is_some()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::super::TransferEncoding::Base64;
    use super::*;

    #[test]
    fn data_is_found_in_what_gateways_and_lists_make_of_it() {
        let long = STANDARD.encode([b'x'; 57]);
        let two_lines = format!("{long}\r\nQUJD\r\n");
        let xs = "x".repeat(57);
        let rows: &[(&str, String, String)] = &[
            ("one line", "QUJD".into(), "ABC".into()),
            ("two lines", two_lines.clone(), format!("{xs}ABC")),
            ("lf alone", two_lines.replace('\r', ""), format!("{xs}ABC")),
            ("no line end at all", two_lines.replace("\r\n", ""), format!("{xs}ABC")),
            ("padded", "QUI=\r\n".into(), "AB".into()),
            ("padded twice", "QQ==\r\n".into(), "A".into()),
            ("padding missing, two octets", "QUI".into(), "AB".into()),
            ("padding missing, one octet", "QQ\r\n".into(), "A".into()),
            ("one octet too many", "QUJDR".into(), "ABC".into()),
            ("half of the padding missing", "QQ=".into(), "A".into()),
            ("lines of odd lengths", "Q\r\nUJ\r\nDRE\r\nVG".into(), "ABCDEF".into()),
            ("foreign octets", "Q!U\u{fffd}JD-RE*VG".into(), "ABCDEF".into()),
            ("groups in a line", "QUJD REVG".into(), "ABCDEF".into()),
            ("blanks between", " QUJD \r\n\r\n\tREVG".into(), "ABCDEF".into()),
            ("a foreign octet in the last line", format!("{long}\r\nQUJ!D\r\n"), format!("{xs}ABC")),
            ("a foreign octet in the middle", format!("{long}\r\n>{long}\r\n{long}"), format!("{xs}{xs}{xs}")),
            ("joined", "QQ==\r\nQkM=\r\n".into(), "ABC".into()),
            ("joined in one line", "QQ==QkM=RA==".into(), "ABCD".into()),
            ("joined, with empty lines", "QQ==\r\n\r\nQkM=\r\n".into(), "ABC".into()),
            ("an equals sign between quanta", "QUJD=REVG".into(), "ABCDEF".into()),
            (
                "footer behind padding",
                format!("{long}\r\nQUI=\r\n\r\n____\r\nlist mailing list\r\n"),
                format!("{xs}AB"),
            ),
            ("footer right behind padding", "QUI=\r\n-- \r\nlist\r\n".into(), "AB".into()),
            ("footer in the line of the padding", "QUI= this list".into(), "AB".into()),
            ("words in the line of the padding", "QUI= ignored".into(), "AB".into()),
            (
                "footer without padding",
                format!("{long}\r\n\r\n____\r\nlist mailing list\r\nhttps://l.example/\r\n"),
                xs.clone(),
            ),
            (
                "footer that begins with a word",
                format!("{two_lines}\r\nRegards\r\n\r\nthe list\r\n"),
                format!("{xs}ABC"),
            ),
            ("footer right behind", format!("{two_lines}You got this because you wanted it.\r\n"), format!("{xs}ABC")),
            ("footer behind missing padding", format!("{long}\r\nQUI\r\n-- \r\nlist\r\n"), format!("{xs}AB")),
            (
                "text that is not encoded",
                "Dear all,\r\nthe printer is broken.\r\n".into(),
                "Dear all,\r\nthe printer is broken.\r\n".into(),
            ),
            ("nothing", String::new(), String::new()),
            ("line ends only", "\r\n\r\n".into(), "\r\n\r\n".into()),
        ];
        for (name, encoded, decoded) in rows {
            assert_eq!(String::from_utf8_lossy(&Base64.decode(encoded.as_bytes())), *decoded, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_out(octets in proptest::collection::vec(any::<u8>(), 0..400), width in 1..90_usize) {
            let encoded = STANDARD.encode(&octets);
            let mut lines = encoded.as_bytes().chunks(width).collect::<Vec<_>>().join(&b"\r\n"[..]);
            prop_assert!(Base64.decode(&lines) == octets);
            lines.retain(|&octet| octet != b'=');
            prop_assert!(Base64.decode(&lines) == octets);
        }

        #[test]
        fn anything_is_decoded(text in "[A-Za-z0-9+/=!\r\n -]{0,200}") {
            prop_assert!(Base64.decode(text.as_bytes()).len() <= text.len());
        }
    }
}
