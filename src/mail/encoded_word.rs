//! Encoded words (RFC 2047, with the language of RFC 2231 section 5): what people read in a header field.
//!
//! Words of one charset with nothing but blanks between them are joined as octets before they are decoded: programs cut a
//! text where the line is full, also in the middle of a character, and of a quantum of base64. What is no encoded word
//! stays as it is. Linear in the length of the text.

use std::borrow::Cow;

use super::charset::{self, Decoded};
use super::transfer::TransferEncoding;

/// Longest name of a charset with its language; there are none of half this length.
const LONGEST_CHARSET: usize = 100;

/// Decodes the encoded words in the unfolded text of a field.
///
/// They are looked for anywhere, also where RFC 2047 section 5 forbids them (in quotes, in the middle of a word): many
/// programs write them there. A line end that a word smuggles in becomes a blank.
pub(super) fn decode(text: &str) -> Decoded<'_> {
    let mut found = memchr::memmem::find_iter(text.as_bytes(), b"=?").peekable();
    if found.peek().is_none() {
        return Decoded { text: Cow::Borrowed(text), is_whole: true };
    }
    let mut out = Output::default();
    let mut position = 0;
    for start in found {
        if start < position {
            continue;
        }
        let word = match EncodedWord::at(text, start) {
            Reading::Word(word) => word,
            Reading::Other => continue,
            Reading::NoMoreWords => break,
        };
        let between = &text[position..start];
        if !out.run.is_empty() && between.trim_ascii().is_empty() {
            // RFC 2047 section 6.2: blanks between two words are not shown.
        } else {
            out.end_run();
            out.text.push_str(between);
        }
        position = word.end;
        out.run.push(&word, &mut out.text, &mut out.is_whole);
    }
    out.end_run();
    out.text.push_str(&text[position..]);
    Decoded { text: Cow::Owned(out.text), is_whole: out.is_whole }
}

struct EncodedWord<'t> {
    charset: &'t str,
    encoding: Encoding,
    text: &'t str,
    /// Behind its `?=`.
    end: usize,
}

#[derive(Clone, Copy)]
enum Encoding {
    B,
    Q,
}

enum Reading<'t> {
    Word(EncodedWord<'t>),
    Other,
    /// There is no end of a word in the rest of the text.
    NoMoreWords,
}

impl<'t> EncodedWord<'t> {
    /// `=?charset*language?B?text?=`
    fn at(text: &'t str, start: usize) -> Reading<'t> {
        let inside = &text[start + 2..];
        let name_end =
            inside.bytes().take(LONGEST_CHARSET).position(|octet| octet == b'?' || !octet.is_ascii_graphic());
        let Some(name_end) = name_end.filter(|&end| inside.as_bytes()[end] == b'?') else { return Reading::Other };
        let encoding = match inside.as_bytes()[name_end + 1..] {
            [b'b' | b'B', b'?', ..] => Encoding::B,
            [b'q' | b'Q', b'?', ..] => Encoding::Q,
            _ => return Reading::Other,
        };
        let encoded = &inside[name_end + 3..];
        let Some(length) = memchr::memmem::find(encoded.as_bytes(), b"?=") else { return Reading::NoMoreWords };
        let name = &inside[..name_end];
        Reading::Word(Self {
            charset: name.split_once('*').map_or(name, |(charset, _)| charset),
            encoding,
            text: &encoded[..length],
            end: start + 2 + name_end + 3 + length + 2,
        })
    }

    /// An octet that was not encoded was read with the field, so it is in UTF-8 now.
    fn charset(&self) -> &'t str {
        if self.text.is_ascii() { self.charset } else { "utf-8" }
    }
}

struct Output {
    text: String,
    is_whole: bool,
    run: Run,
}

impl Default for Output {
    fn default() -> Self {
        Self { text: String::new(), is_whole: true, run: Run::default() }
    }
}

impl Output {
    fn end_run(&mut self) {
        self.run.end(&mut self.text, &mut self.is_whole);
    }
}

/// Words in a row of one charset, as octets.
#[derive(Default)]
struct Run {
    charset: Option<String>,
    octets: Vec<u8>,
    /// The beginning of a quantum of base64 that the next word may complete.
    cut_quantum: Vec<u8>,
}

impl Run {
    fn is_empty(&self) -> bool {
        self.charset.is_none()
    }

    fn push(&mut self, word: &EncodedWord<'_>, text: &mut String, is_whole: &mut bool) {
        if self.charset.as_deref().is_some_and(|charset| !charset.eq_ignore_ascii_case(word.charset())) {
            self.end(text, is_whole);
        }
        if self.charset.is_none() {
            self.charset = Some(word.charset().to_owned());
        }
        match word.encoding {
            Encoding::B => self.push_base64(word.text),
            Encoding::Q => {
                self.end_quantum();
                let spaced = word.text.replace('_', " ");
                self.octets.extend_from_slice(&TransferEncoding::QuotedPrintable.decode(spaced.as_bytes()));
            }
        }
    }

    fn push_base64(&mut self, text: &str) {
        let is_sextet = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
        let is_padded = text.contains('=');
        let data = text.bytes().take_while(|&octet| octet != b'=').filter(is_sextet);
        self.cut_quantum.extend(data);
        let quanta = std::mem::take(&mut self.cut_quantum);
        let (whole, rest) = quanta.split_at(quanta.len() - quanta.len() % 4);
        self.octets.extend_from_slice(&TransferEncoding::Base64.decode(whole));
        self.cut_quantum.extend_from_slice(rest);
        // Bits that stand in no octet are zero where only the padding is missing.
        let is_cut = match rest {
            [_] => true,
            [_, last] => !matches!(last, b'A' | b'Q' | b'g' | b'w'),
            [_, _, last] => !b"AEIMQUYcgkosw048".contains(last),
            _ => false,
        };
        if is_padded || !is_cut {
            self.end_quantum();
        }
    }

    fn end_quantum(&mut self) {
        let rest = std::mem::take(&mut self.cut_quantum);
        if rest.len() > 1 {
            self.octets.extend_from_slice(&TransferEncoding::Base64.decode(&rest));
        }
    }

    fn end(&mut self, text: &mut String, is_whole: &mut bool) {
        self.end_quantum();
        let Some(label) = self.charset.take() else { return };
        let decoded = charset::decode(&self.octets, Some(&label));
        *is_whole &= decoded.is_whole;
        text.extend(decoded.text.chars().map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }));
        self.octets.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_read_as_people_read_them() {
        let rows: &[(&str, &str, &str)] = &[
            ("none", "plain = ? words", "plain = ? words"),
            ("q", "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("q with underscores", "=?utf-8?q?Gr=C3=BC=C3=9Fe_an_alle?=", "Grüße an alle"),
            ("q with blanks", "=?utf-8?q?Gr=C3=BC=C3=9Fe an alle?=", "Grüße an alle"),
            ("q with question marks", "=?utf-8?Q?Wie=3F_So??=", "Wie? So?"),
            ("q in lower case", "=?utf-8?q?=c3=bc?=", "ü"),
            ("q with a stray equals sign", "=?utf-8?q?a=b=C3=BC?=", "a=bü"),
            ("b", "=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
            ("b without padding", "=?UTF-8?B?R3LDvMOfZQ?=", "Grüße"),
            ("b with blanks", "=?UTF-8?B?R3LD vMOfZQ==?=", "Grüße"),
            ("empty", "a =?utf-8?q??= b", "a  b"),
            ("a language", "=?utf-8*de-AT?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("words around", "Re: =?utf-8?q?=C3=BC?= and so on", "Re: ü and so on"),
            ("in the middle of a word", "a=?utf-8?q?=C3=BC?=b", "aüb"),
            ("two words", "=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
            ("two words without a blank", "=?utf-8?q?a?==?utf-8?q?b?=", "ab"),
            ("two words with text between", "=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
            ("two charsets", "=?utf-8?q?=C3=BC?= =?iso-8859-1?q?=FC?=", "üü"),
            ("a character cut, q", "=?utf-8?q?Gr=C3?= =?UTF-8?q?=BC=C3=9Fe?=", "Grüße"),
            ("a character cut, b", "=?utf-8?B?R3LD?= =?utf-8?B?vMOfZQ==?=", "Grüße"),
            ("a character cut, b and q", "=?utf-8?B?R3LD?= =?utf-8?Q?=BC=C3=9Fe?=", "Grüße"),
            ("a character cut, with a language", "=?utf-8*de?q?Gr=C3?= =?utf-8*de?q?=BC?=", "Grü"),
            ("a quantum cut", "=?utf-8?B?R3L?= =?utf-8?B?DvMOfZQ==?=", "Grüße"),
            ("a quantum cut behind one", "=?utf-8?B?R3LDv?= =?utf-8?B?MOfZQ==?=", "Grüße"),
            ("padding missing in each", "=?utf-8?B?YQ?= =?utf-8?B?Yg?=", "ab"),
            ("japanese, cut", "=?iso-2022-jp?B?GyRCJFs=?= =?iso-2022-jp?B?JDIbKEI=?=", "ほげ"),
            ("japanese, each by itself", "=?iso-2022-jp?B?GyRCJFsbKEI=?= =?ISO-2022-JP?B?GyRCJDIbKEI=?=", "ほげ"),
            ("gb2312, cut", "=?gb2312?B?tPI=?= =?gb2312?B?06E=?=", "打印"),
            ("shift_jis, a character cut", "=?shift_jis?Q?=93=FA=96?= =?shift_jis?Q?=7B?=", "日本"),
            ("korean of seven bits", "=?iso-2022-kr?Q?=1B=24=29C=0EGA80EM=0F?=", "프린터"),
            ("an unknown charset", "=?x-unknown?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("no charset", "=??Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("the wrong charset", "=?us-ascii?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("not encoded inside", "=?iso-8859-1?Q?Grüße?=", "Grüße"),
            ("a line end smuggled in", "=?utf-8?Q?a=0D=0ABcc:_b?=", "a  Bcc: b"),
            ("another encoding", "=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
            ("without an end", "=?utf-8?Q?abc", "=?utf-8?Q?abc"),
            ("without a text", "=?utf-8?Q?=", "=?utf-8?Q?="),
            ("a blank in the charset", "=?utf 8?Q?abc?=", "=?utf 8?Q?abc?="),
            ("broken, then good", "=?utf-8?X?a?= =?utf-8?Q?b?=", "=?utf-8?X?a?= b"),
        ];
        for (name, text, want) in rows {
            let decoded = decode(text);
            assert_eq!((decoded.text.as_ref(), decoded.is_whole), (*want, true), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let decoded = decode("=?utf-8?q?Gr=C3=BC=C3=9Fe_=C3=A4=C3=B6_=C3?= x");
        assert_eq!((decoded.text.as_ref(), decoded.is_whole), ("Grüße äö \u{fffd} x", false));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_decoded(text in "(=\\?|\\?=|\\?|utf-8|iso-2022-jp|[qQbB]|[A-Za-z0-9+/=_ ]|\\PC){0,60}") {
            let decoded = decode(&text);
            proptest::prop_assert!(!decoded.text.contains(['\r', '\n']));
        }

        #[test]
        fn what_was_encoded_comes_out(text in "[^\r\n]{1,40}", cuts in proptest::collection::vec(1..20_usize, 1..5)) {
            use base64::Engine as _;
            let (mut left, mut words) = (text.as_bytes(), Vec::new());
            for cut in cuts.into_iter().cycle() {
                let (octets, behind) = left.split_at(cut.min(left.len()));
                words.push(format!("=?utf-8?B?{}?=", base64::engine::general_purpose::STANDARD.encode(octets)));
                left = behind;
                if left.is_empty() {
                    break;
                }
            }
            let encoded = words.join(" ");
            let decoded = decode(&encoded);
            proptest::prop_assert_eq!(decoded.text.as_ref(), text.strip_prefix('\u{feff}').unwrap_or(&text));
        }
    }
}
