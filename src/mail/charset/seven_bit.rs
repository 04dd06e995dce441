//! The charsets of seven bits that shift between ASCII and another set (ISO 2022, HZ, UTF-7).
//!
//! Those of two octets a character are turned into their forms of eight bits, which `encoding_rs` reads. What cannot be is
//! marked by an octet that is possible in none of them.

use std::char::decode_utf16;

/// Begins no character in GBK, nor in EUC-KR.
const IMPOSSIBLE: u8 = 0xff;

const ESCAPE: u8 = 0x1b;
const SHIFT_OUT: u8 = 0x0e;
const SHIFT_IN: u8 = 0x0f;

/// ISO-2022-JP without escape sequences of no effect: the decoder takes two in a row for an attack, and programs write
/// them at the seams of what they join.
pub(super) fn without_empty_escapes(octets: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(place) = memchr::memchr(ESCAPE, rest) {
        kept.extend_from_slice(&rest[..place]);
        rest = &rest[place..];
        let length = match rest {
            [_, b'$', b'(', _, ..] => 4,
            [_, b'$' | b'(', _, ..] => 3,
            _ => 1,
        };
        if rest.get(length) != Some(&ESCAPE) {
            kept.extend_from_slice(&rest[..length]);
        }
        rest = &rest[length..];
    }
    kept.extend_from_slice(rest);
    kept
}

/// ISO-2022-KR (RFC 1557) and ISO-2022-CN (RFC 1922): what is shifted out, in eight bits. A designation is an escape sequence
/// of four octets, `ESC $ ) SET`. `only` is the one set that can be read; without it, any can.
pub(super) fn shifted(octets: &[u8], only: Option<u8>) -> Vec<u8> {
    let mut plain = Vec::with_capacity(octets.len());
    let (mut is_out, mut is_readable) = (false, true);
    let mut rest = octets;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match first {
            &SHIFT_OUT => is_out = true,
            &SHIFT_IN => is_out = false,
            &ESCAPE if matches!(behind, [b'$', b')' | b'*' | b'+', _, ..]) => {
                is_readable = only.is_none_or(|set| behind[1] == b')' && behind[2] == set);
                rest = &behind[3..];
            }
            b'\n' => {
                is_out = false;
                plain.push(b'\n');
            }
            0x21..=0x7e if is_out => match behind {
                [second @ 0x21..=0x7e, behind @ ..] => {
                    rest = behind;
                    match is_readable {
                        true => plain.extend([first | 0x80, second | 0x80]),
                        false => plain.push(IMPOSSIBLE),
                    }
                }
                _ => plain.push(IMPOSSIBLE),
            },
            other => plain.push(*other),
        }
    }
    plain
}

/// HZ (RFC 1843): between `~{` and `~}`, in eight bits.
pub(super) fn hz(octets: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(octets.len());
    let mut is_chinese = false;
    let mut rest = octets;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'~', [b'{', behind @ ..]) => (is_chinese, rest) = (true, behind),
            (b'~', [b'}', behind @ ..]) => (is_chinese, rest) = (false, behind),
            (b'~', [b'~', behind @ ..]) if !is_chinese => {
                plain.push(b'~');
                rest = behind;
            }
            // A line that goes on in the next one.
            (b'~', [b'\n', behind @ ..] | [b'\r', b'\n', behind @ ..]) if !is_chinese => rest = behind,
            (b'\n', _) => {
                is_chinese = false;
                plain.push(b'\n');
            }
            (0x21..=0x7e, [second @ 0x21..=0x7e, behind @ ..]) if is_chinese => {
                plain.extend([first | 0x80, second | 0x80]);
                rest = behind;
            }
            (0x21..=0x7e, _) if is_chinese => plain.push(IMPOSSIBLE),
            (other, _) => plain.push(*other),
        }
    }
    plain
}

/// UTF-7 (RFC 2152), with U+FFFD for what is not.
pub(super) fn utf_7(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match first {
            b'+' => {
                let length = behind.iter().position(|&octet| sextet(octet).is_none()).unwrap_or(behind.len());
                let (encoded, behind) = behind.split_at(length);
                if encoded.is_empty() && behind.first() == Some(&b'-') {
                    text.push('+');
                } else {
                    text.extend(decode_utf16(units(encoded)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
                }
                rest = behind.strip_prefix(b"-").unwrap_or(behind);
            }
            octet if octet.is_ascii() => text.push(char::from(*octet)),
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
    text
}

/// The whole units of 16 bits in modified base64.
fn units(encoded: &[u8]) -> impl Iterator<Item = u16> {
    let (mut bits, mut count) = (0_u32, 0_u32);
    encoded.iter().filter_map(move |&octet| {
        bits = bits << 6 | u32::from(sextet(octet)?);
        count += 6;
        (count >= 16).then(|| {
            count -= 16;
            (bits >> count) as u16
        })
    })
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

#[cfg(test)]
mod tests {
    use super::super::decode;

    #[test]
    fn charsets_of_seven_bits_are_read() {
        let rows: &[(&str, &str, &[u8], &str, bool)] = &[
            ("korean", "iso-2022-kr", b"\x1b$)C\x0eGA80EM\x0f ok", "프린터 ok", true),
            ("korean without its designation", "iso-2022-kr", b"\x0eGA80EM\x0f", "프린터", true),
            ("korean up to the end of the line", "iso-2022-kr", b"\x1b$)C\x0eGA80\r\nok", "프린\r\nok", true),
            ("korean with half a character", "iso-2022-kr", b"\x0eGA8 ", "프\u{fffd} ", false),
            ("korean in eight bits", "iso-2022-kr", b"\xc7\xc1\xb8\xb0", "프린", true),
            ("chinese", "iso-2022-cn", b"\x1b$)A\x0e4rS!\x0f", "打印", true),
            ("chinese of another set", "iso-2022-cn", b"\x1b$)G\x0e4rS!\x0f.", "\u{fffd}\u{fffd}.", false),
            ("hz", "hz-gb-2312", b"~{4rS!~} a~~b ~\nc", "打印 a~b c", true),
            ("hz up to the end of the line", "HZ", b"~{4rS!\nok", "打印\nok", true),
            ("utf-7", "utf-7", b"Gr+APw-+AN8-e 1 +- 1 = +AGE", "Grüße 1 + 1 = a", true),
            ("utf-7 ended by another character", "utf-7", b"Hi Mom +Jjo, A+ImIDkQ.", "Hi Mom ☺, A≢Α.", true),
            ("utf-7 with half a pair", "utf-7", b"+2AA-", "\u{fffd}", false),
            ("japanese, escapes in a row", "iso-2022-jp", b"\x1b$B\x1b(B\x1b$B$[\x1b(B", "ほ", true),
        ];
        for (name, label, octets, text, is_whole) in rows {
            let decoded = decode(octets, Some(label));
            assert_eq!((decoded.text.as_ref(), decoded.is_whole), (*text, *is_whole), "{name}");
        }
    }
}
