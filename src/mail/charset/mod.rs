//! Octets of a named, a wrongly named or an unnamed charset as text.
//!
//! The declared charset counts where the octets are possible in it. Where they are not, or nothing is declared, they are
//! UTF-8 if they can be, and else what a detector takes them for. What still cannot be read becomes U+FFFD, and the caller
//! is told so: nothing here replaces a character without a word. It must not know what the text is for.

mod label;
mod seven_bit;

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};

pub use label::Charset;

/// Octets that were read as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text, with U+FFFD for what could not be read.
    pub text: Cow<'a, str>,
    /// Whether all of it could be read.
    pub is_whole: bool,
}

impl Decoded<'_> {
    /// The same with a text of its own.
    pub(super) fn into_owned<'a>(self) -> Decoded<'a> {
        Decoded { text: Cow::Owned(self.text.into_owned()), is_whole: self.is_whole }
    }
}

/// How much of the octets the detector is shown: it decides on far less, and is slow.
const DETECTED: usize = 64 * 1024;

/// How many characters of another script than ASCII there must be for each octet that cannot be read, so that a declared
/// charset is believed in spite of it: a text with a broken character is not to become another script.
const READ_FOR_EACH_BROKEN: usize = 4;

/// The same of UTF-8: its sequences are hardly ever found in a text of another charset.
const UTF_8_FOR_EACH_BROKEN: usize = 1;

/// Reads octets whose charset may be declared by a label of RFC 2978 or of any mail program.
pub fn decode<'a>(octets: &'a [u8], label: Option<&str>) -> Decoded<'a> {
    if let Some((encoding, mark)) = Encoding::for_bom(octets)
        && let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(&octets[mark..])
    {
        return whole(text);
    }
    match label.and_then(Charset::named) {
        None => decode_undeclared(octets),
        Some(Charset::Ascii) => decode_detected(octets),
        Some(Charset::Standard(encoding)) if encoding == UTF_8 => decode_detected(octets),
        Some(declared) => decode_declared(octets, declared),
    }
}

/// Reads octets of which nothing is said, such as those of a header field.
pub fn decode_undeclared(octets: &[u8]) -> Decoded<'_> {
    // Old Japanese mail is of seven bits and says nothing of its charset (RFC 1468).
    if octets.is_ascii() && memchr::memmem::find(octets, b"\x1b$").is_some() {
        let read = Charset::ISO_2022_JP.read(octets);
        if read.broken == 0 {
            return whole(read.text);
        }
    }
    decode_detected(octets)
}

fn whole(text: Cow<'_, str>) -> Decoded<'_> {
    Decoded { text, is_whole: true }
}

/// UTF-8 where it is, else what is detected.
fn decode_detected(octets: &[u8]) -> Decoded<'_> {
    match std::str::from_utf8(octets) {
        Ok(text) => whole(Cow::Borrowed(text)),
        Err(_) => better_of(label::read_utf_8(octets), UTF_8_FOR_EACH_BROKEN, octets),
    }
}

fn decode_declared(octets: &[u8], charset: Charset) -> Decoded<'_> {
    let read = charset.read(octets);
    let utf_8 = std::str::from_utf8(octets);
    // Zero octets are half of every ASCII character in UTF-16; a text that has none is not in it.
    let is_impossible = charset.is_utf_16() && utf_8.is_ok_and(|text| !text.contains('\0'));
    if read.broken == 0 && !is_impossible {
        return whole(read.text);
    }
    match utf_8 {
        Ok(text) if is_impossible || !octets.is_ascii() => whole(Cow::Borrowed(text)),
        // Seven bits with a broken escape sequence: nothing else knows them better.
        Ok(_) => Decoded { text: read.text, is_whole: false },
        Err(_) if charset.is_utf_16() && octets.contains(&0) => Decoded { text: read.text, is_whole: false },
        Err(_) => better_of(read, READ_FOR_EACH_BROKEN, octets),
    }
}

/// What was read, unless it is broken throughout and the detector knows better.
fn better_of<'a>(read: label::Read<'a>, for_each_broken: usize, octets: &'a [u8]) -> Decoded<'a> {
    if read.broken.saturating_mul(for_each_broken) <= read.foreign {
        return Decoded { is_whole: read.broken == 0, text: read.text };
    }
    let detected = Charset::Standard(detect(octets)).read(octets);
    match detected.broken < read.broken {
        true => Decoded { is_whole: detected.broken == 0, text: detected.text },
        false => Decoded { is_whole: read.broken == 0, text: read.text },
    }
}

fn detect(octets: &[u8]) -> &'static Encoding {
    let first = octets.iter().position(|octet| !octet.is_ascii()).unwrap_or_default();
    let sample = &octets[first.saturating_sub(64)..];
    let sample = &sample[..sample.len().min(DETECTED)];
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, sample.len() < DETECTED);
    detector.guess(None, Utf8Detection::Deny)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_read_as_their_sender_meant_them() {
        let utf_8 = |text: &str| text.as_bytes().to_vec();
        let rows: &[(&str, Vec<u8>, Option<&str>, &str, bool)] = &[
            ("ascii", utf_8("plain"), None, "plain", true),
            ("utf-8 undeclared", utf_8("Größe"), None, "Größe", true),
            ("utf-8 declared", utf_8("Größe"), Some("UTF-8"), "Größe", true),
            ("utf-8 in quotes", utf_8("Größe"), Some("\"utf8\""), "Größe", true),
            ("utf-8 with a byte order mark", utf_8("\u{feff}Größe"), Some("utf-8"), "Größe", true),
            ("utf-8 called ascii", utf_8("Größe"), Some("us-ascii"), "Größe", true),
            ("utf-8 called japanese", utf_8("ほげ"), Some("iso-2022-jp"), "ほげ", true),
            ("utf-8 called korean", utf_8("프린터가"), Some("iso-2022-kr"), "프린터가", true),
            ("utf-8 called shift_jis", utf_8("日本語です"), Some("shift_jis"), "日本語です", true),
            ("latin 1", b"Gr\xfc\xdfe".to_vec(), Some("iso-8859-1"), "Grüße", true),
            ("latin 1 undeclared", b"Gr\xfc\xdfe aus K\xf6ln".to_vec(), None, "Grüße aus Köln", true),
            ("latin 1 called utf-8", b"Gr\xfc\xdfe aus K\xf6ln".to_vec(), Some("utf-8"), "Grüße aus Köln", true),
            ("latin 1 called ascii", b"Gr\xfc\xdfe aus K\xf6ln".to_vec(), Some("us-ascii"), "Grüße aus Köln", true),
            ("an unknown name", b"Gr\xfc\xdfe aus K\xf6ln".to_vec(), Some("x-nowhere"), "Grüße aus Köln", true),
            ("windows called latin 1", b"\x93a\x94 \x80".to_vec(), Some("iso-8859-1"), "“a” €", true),
            ("latin 9", b"\xa4".to_vec(), Some("ISO_8859-15"), "€", true),
            (
                "cyrillic undeclared",
                b"\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0?".to_vec(),
                None,
                "Привет, как дела?",
                true,
            ),
            (
                "shift_jis undeclared",
                b"\x93\xfa\x96\x7b\x8c\xea\x82\xcc\x83\x81\x81\x5b\x83\x8b".to_vec(),
                None,
                "日本語のメール",
                true,
            ),
            ("koi8-r", b"\xf0\xf2\xe9".to_vec(), Some("koi8-r"), "ПРИ", true),
            ("gb2312", b"\xb4\xf2\xd3\xa1".to_vec(), Some("gb2312"), "打印", true),
            ("euc-kr by a name of windows", b"\xc7\xc1\xb8\xb0".to_vec(), Some("cp949"), "프린", true),
            ("dos", b"Gr\x81\xe1e".to_vec(), Some("cp850"), "Grüße", true),
            ("utf-16", b"\0G\0r\0\xfc".to_vec(), Some("utf-16be"), "Grü", true),
            ("utf-16 with a byte order mark", b"\xff\xfeG\0r\0\xfc\0".to_vec(), Some("utf-16"), "Grü", true),
            ("ascii called utf-16", utf_8("plain words"), Some("utf-16"), "plain words", true),
            ("iso-2022-jp", b"\x1b$B$[$2\x1b(B".to_vec(), Some("iso-2022-jp"), "ほげ", true),
            ("iso-2022-jp undeclared", b"\x1b$B$[$2\x1b(B".to_vec(), None, "ほげ", true),
            (
                "iso-2022-jp with two escapes in a row",
                b"\x1b$B$[\x1b(B\x1b$B$2\x1b(B".to_vec(),
                Some("iso-2022-jp"),
                "ほげ",
                true,
            ),
            ("iso-2022-jp-2", b"\x1b$B$[\x1b(B".to_vec(), Some("iso-2022-jp-2"), "ほ", true),
            ("a lone surrogate", b"\xd8\0\0a".to_vec(), Some("utf-16be"), "\u{fffd}a", false),
            (
                "utf-8 with a broken character",
                b"Gr\xc3\xb6\xc3\x9fe \xc3\xa4\xc3\xb6\xc3 x".to_vec(),
                Some("utf-8"),
                "Größe äö\u{fffd} x",
                false,
            ),
            (
                "utf-8 with as many broken characters as others",
                b"Gr\xc3\xb6\xc3\x9fe\xe9 \xc3".to_vec(),
                Some("utf-8"),
                "Größe\u{fffd} \u{fffd}",
                false,
            ),
            ("an emoji in two surrogates", b"\xed\xa0\xbd\xed\xb8\x80!".to_vec(), Some("utf-8"), "😀!", true),
            ("surrogates undeclared", b"a \xed\xa0\xbd\xed\xb8\x80".to_vec(), None, "a 😀", true),
            (
                "a surrogate alone",
                b"\xc3\xa4\xed\xa0\xbd \xed\xb8\x80\xc3\xa4".to_vec(),
                Some("utf-8"),
                "ä\u{fffd} \u{fffd}ä",
                false,
            ),
            (
                "gb2312 called utf-8",
                b"\xb4\xf2\xd3\xa1\xbb\xfa\xbb\xb5\xc1\xcb".to_vec(),
                Some("utf-8"),
                "打印机坏了",
                true,
            ),
            (
                "windows-1251 called utf-8",
                b"\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0?".to_vec(),
                Some("utf-8"),
                "Привет, как дела?",
                true,
            ),
        ];
        for (name, octets, label, text, is_whole) in rows {
            let decoded = decode(octets, *label);
            assert_eq!((decoded.text.as_ref(), decoded.is_whole), (*text, *is_whole), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_text_and_whole_text_is_never_replaced(
            octets in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
            label in proptest::option::of(proptest::sample::select(&[
                "utf-8", "us-ascii", "iso-8859-1", "iso-2022-jp", "iso-2022-kr", "iso-2022-cn", "hz-gb-2312", "utf-7", "utf-16",
                "big5", "gb18030", "euc-kr", "ibm850", "x-nowhere", "",
            ][..])),
        ) {
            let decoded = decode(&octets, label);
            let is_replaced = decoded.text.contains(char::REPLACEMENT_CHARACTER);
            let stood_there = memchr::memmem::find(&octets, b"\xef\xbf\xbd").is_some()
                || octets.windows(2).any(|unit| matches!(unit, b"\xff\xfd" | b"\xfd\xff"));
            proptest::prop_assert!(!decoded.is_whole || !is_replaced || stood_there);
        }

        #[test]
        fn utf_8_without_a_label_is_what_it_is(text in "\\PC{0,40}") {
            proptest::prop_assert_eq!(decode(text.as_bytes(), None), whole(Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(&text))));
        }
    }
}
