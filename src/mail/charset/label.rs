//! The names that charsets have in mail, and reading what is in them.
//!
//! The names are those of the Encoding Standard, with the ones that it leaves out because browsers must not decode them, and
//! with spellings of mail programs.

use std::borrow::Cow;

use encoding_rs::{
    BIG5, EUC_KR, Encoding, GBK, ISO_2022_JP, REPLACEMENT, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252,
};
use mail_parser::decoders::charsets::DecoderFnc;
use mail_parser::decoders::charsets::map::charset_decoder;

use super::seven_bit;

/// A charset that can be read.
#[derive(Clone, Copy, Debug)]
pub enum Charset {
    /// Seven bits. Whatever has eight was not declared.
    Ascii,
    /// One of the Encoding Standard.
    Standard(&'static Encoding),
    /// HZ (RFC 1843).
    Hz,
    /// ISO-2022-CN (RFC 1922), as far as it is GB 2312.
    Iso2022Cn,
    /// ISO-2022-KR (RFC 1557).
    Iso2022Kr,
    /// A code page that the Encoding Standard does not know.
    Table(DecoderFnc),
    /// UTF-7 (RFC 2152).
    Utf7,
}

/// What was read of some octets.
pub(super) struct Read<'a> {
    pub text: Cow<'a, str>,
    /// How many places could not be read.
    pub broken: usize,
    /// How many characters beyond ASCII could be.
    pub foreign: usize,
}

impl Charset {
    pub(super) const ISO_2022_JP: Self = Self::Standard(ISO_2022_JP);

    /// The charset of a label; `None` if nobody knows it.
    pub fn named(label: &str) -> Option<Self> {
        let label = label.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | ','));
        if let Some(known) = Self::by_name(&label.to_ascii_lowercase()) {
            return Some(known);
        }
        let encoding = Encoding::for_label(label.as_bytes()).filter(|&encoding| encoding != REPLACEMENT);
        let page = || charset_decoder(label.as_bytes()).map(Self::Table);
        encoding.map(Self::Standard).or_else(page)
    }

    fn by_name(label: &str) -> Option<Self> {
        // Spellings differ in what stands between letters and digits.
        let letters: String = label.chars().filter(char::is_ascii_alphanumeric).collect();
        let letters = letters.strip_prefix("cs").unwrap_or(&letters);
        let letters = letters.strip_prefix('x').unwrap_or(letters);
        Some(match letters {
            "ascii" | "usascii" | "ansix341968" | "ansix341986" | "iso646us" | "isoir6" | "us" => Self::Ascii,
            "utf8" | "utf8n" | "utf8mb4" | "unicode11utf8" | "unicode20utf8" => Self::Standard(UTF_8),
            "utf7" | "unicode11utf7" | "unicode20utf7" => Self::Utf7,
            "utf16" | "utf16le" | "ucs2" | "unicode" => Self::Standard(UTF_16LE),
            "utf16be" => Self::Standard(UTF_16BE),
            "iso2022kr" => Self::Iso2022Kr,
            "iso2022cn" | "iso2022cnext" => Self::Iso2022Cn,
            "hz" | "hzgb2312" => Self::Hz,
            "iso2022jp" | "iso2022jp1" | "iso2022jp2" | "iso2022jp3" | "iso2022jp2004" | "iso2022jpms"
            | "iso2022jpext" | "cp50220" | "cp50221" | "cp50222" => Self::ISO_2022_JP,
            "latin1" | "ansi" | "iso88591" => Self::Standard(WINDOWS_1252),
            "cp932" | "ms932" | "sjis" | "shiftjis" => Self::Standard(SHIFT_JIS),
            "cp936" | "ms936" | "gbk" => Self::Standard(GBK),
            "cp949" | "ms949" | "uhc" => Self::Standard(EUC_KR),
            "cp950" | "ms950" | "big5" => Self::Standard(BIG5),
            other => {
                // cp1251, win-1251, windows1251
                let page = ["windows", "win", "cp"].iter().find_map(|prefix| other.strip_prefix(prefix))?;
                return Encoding::for_label(format!("windows-{page}").as_bytes()).map(Self::Standard);
            }
        })
    }

    pub(super) fn is_utf_16(self) -> bool {
        matches!(self, Self::Standard(encoding) if encoding == UTF_16LE || encoding == UTF_16BE)
    }

    pub(super) fn read(self, octets: &[u8]) -> Read<'_> {
        match self {
            Self::Ascii => read_utf_8(octets),
            Self::Standard(encoding) if encoding == UTF_8 => read_utf_8(octets),
            Self::Standard(encoding) if encoding == ISO_2022_JP => {
                read_owned(&seven_bit::without_empty_escapes(octets), encoding)
            }
            Self::Standard(encoding) => counted(encoding.decode_without_bom_handling(octets).0),
            Self::Hz => read_owned(&seven_bit::hz(octets), GBK),
            Self::Iso2022Cn => read_owned(&seven_bit::shifted(octets, Some(b'A')), GBK),
            Self::Iso2022Kr => read_owned(&seven_bit::shifted(octets, None), EUC_KR),
            Self::Table(decode) => counted(Cow::Owned(decode(octets))),
            Self::Utf7 => counted(Cow::Owned(seven_bit::utf_7(octets))),
        }
    }
}

/// UTF-8 is the one charset in which U+FFFD may have been written by the sender.
pub(super) fn read_utf_8(octets: &[u8]) -> Read<'_> {
    let octets = without_surrogates(octets);
    let (mut broken, mut foreign) = (0, 0);
    for chunk in octets.utf8_chunks() {
        foreign += foreign_in(chunk.valid());
        broken += usize::from(!chunk.invalid().is_empty());
    }
    let text = match octets {
        Cow::Borrowed(octets) => String::from_utf8_lossy(octets),
        Cow::Owned(octets) => Cow::Owned(String::from_utf8_lossy(&octets).into_owned()),
    };
    Read { text, broken, foreign }
}

/// UTF-8 with the character that each pair of surrogates stands for (CESU-8, Unicode Technical Report 26), which Java and
/// some databases write for an emoji; of a surrogate alone one octet that is broken.
fn without_surrogates(octets: &[u8]) -> Cow<'_, [u8]> {
    let unit = |octets: &[u8]| match octets {
        [0xed, high @ 0xa0..=0xbf, low @ 0x80..=0xbf, ..] => {
            Some(0xd000 | u16::from(high & 0x3f) << 6 | u16::from(low & 0x3f))
        }
        _ => None,
    };
    let mut places = memchr::memchr_iter(0xed, octets).filter(|&place| unit(&octets[place..]).is_some()).peekable();
    if places.peek().is_none() {
        return Cow::Borrowed(octets);
    }
    let (mut read, mut copied) = (Vec::with_capacity(octets.len()), 0);
    for place in places {
        if place < copied {
            continue;
        }
        read.extend_from_slice(&octets[copied..place]);
        copied = place + 3;
        let units = [unit(&octets[place..]), unit(&octets[copied..])];
        match char::decode_utf16(units.into_iter().flatten()).next() {
            Some(Ok(character)) => {
                read.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                copied += 3;
            }
            _ => read.push(0xed),
        }
    }
    read.extend_from_slice(&octets[copied..]);
    Cow::Owned(read)
}

fn read_owned<'a>(octets: &[u8], encoding: &'static Encoding) -> Read<'a> {
    counted(Cow::Owned(encoding.decode_without_bom_handling(octets).0.into_owned()))
}

fn counted(text: Cow<'_, str>) -> Read<'_> {
    let broken = text.matches('\u{fffd}').count();
    Read { foreign: foreign_in(&text).saturating_sub(broken), text, broken }
}

/// The characters beyond ASCII: the first octets of sequences.
fn foreign_in(text: &str) -> usize {
    text.bytes().filter(|&octet| octet >= 0xc0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_known_in_the_spellings_of_mail_programs() {
        let rows: &[(&str, &str)] = &[
            ("utf-8", "UTF-8"),
            ("UTF8", "UTF-8"),
            (" \"utf_8\" ", "UTF-8"),
            ("iso-8859-1", "windows-1252"),
            ("ISO_8859-1:1987", "windows-1252"),
            ("latin-1", "windows-1252"),
            ("windows1251", "windows-1251"),
            ("cp-1251", "windows-1251"),
            ("x-sjis", "Shift_JIS"),
            ("CP932", "Shift_JIS"),
            ("ks_c_5601-1987", "EUC-KR"),
            ("gb18030", "gb18030"),
            ("big5-hkscs", "Big5"),
            ("csISO2022JP", "ISO-2022-JP"),
        ];
        for (label, name) in rows {
            let Some(Charset::Standard(encoding)) = Charset::named(label) else { panic!("{label} is not known") };
            assert_eq!(encoding.name(), *name, "{label}");
        }
        assert!(matches!(Charset::named("ISO-2022-KR"), Some(Charset::Iso2022Kr)));
        assert!(matches!(Charset::named("hz-gb-2312"), Some(Charset::Hz)));
        assert!(matches!(Charset::named("unicode-1-1-utf-7"), Some(Charset::Utf7)));
        assert!(matches!(Charset::named("US-ASCII"), Some(Charset::Ascii)));
        assert!(matches!(Charset::named("ibm850"), Some(Charset::Table(_))));
        for unknown in ["", "unknown-8bit", "x-unknown", "iso-2022", "cp", &"x".repeat(100_000)] {
            assert!(Charset::named(unknown).is_none(), "{unknown:.20}");
        }
    }
}
