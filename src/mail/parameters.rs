//! The parameters of a MIME field (RFC 2045 section 5.1), with the pieces, charsets and languages of RFC 2231.
//!
//! A missing semicolon or closing quote costs no other parameter and never the type; encoded words are read, although RFC 2047
//! section 5 forbids them here. Of two parameters of one name the first counts. Linear, but for a sort, in the length of the
//! field.

use super::charset;
use super::encoded_word;
use super::lexical::end_of_comment;

/// A parameter as it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// In lower case, without the marks of RFC 2231.
    pub name: String,
    /// Decoded.
    pub value: String,
    /// Whether all of the value could be read.
    pub is_whole: bool,
}

/// Parameters that mail programs write. After a blank one of them begins anew, also without a semicolon before it.
const KNOWN: [&str; 17] = [
    "boundary",
    "charset",
    "creation-date",
    "delsp",
    "filename",
    "format",
    "method",
    "micalg",
    "modification-date",
    "name",
    "protocol",
    "read-date",
    "report-type",
    "size",
    "start",
    "start-info",
    "type",
];

/// Longest name of a parameter that is looked for before an unclosed quote.
const LONGEST_NAME: usize = 64;

/// A parameter, or a piece of one, as it stands in the field.
struct Piece {
    name: String,
    /// Its number in `name*NUMBER`.
    number: Option<u32>,
    /// `name*`, `name*NUMBER*`: percent-encoded, and the first with a charset.
    is_extended: bool,
    value: String,
}

impl Piece {
    /// Pieces of one parameter behind each other: in one extended value, then in numbered pieces, then plain.
    fn order(&self) -> (&str, u8, u32) {
        let form = match (self.number, self.is_extended) {
            (None, true) => 0,
            (Some(_), _) => 1,
            (None, false) => 2,
        };
        (&self.name, form, self.number.unwrap_or_default())
    }
}

/// Reads what stands behind the first word of a field.
pub(super) fn read(text: &str) -> Vec<Parameter> {
    let mut pieces = Pieces { text, position: 0, comments_end: true }.collect::<Vec<_>>();
    pieces.sort_by(|a, b| a.order().cmp(&b.order()));
    let mut parameters: Vec<Parameter> = Vec::new();
    for same in pieces.chunk_by(|a, b| a.name == b.name) {
        let (_, form, _) = same[0].order();
        let of_form = same.iter().filter(|piece| piece.order().1 == form);
        let (value, is_whole) = match form {
            1 => joined(of_form),
            _ => joined(of_form.take(1)),
        };
        parameters.push(Parameter { name: same[0].name.clone(), value, is_whole });
    }
    parameters
}

/// The pieces as octets behind each other in the charset of the first (RFC 2231 section 4.1).
fn joined<'p>(pieces: impl Iterator<Item = &'p Piece>) -> (String, bool) {
    let (mut octets, mut charset, mut any_extended, mut last) = (Vec::new(), None, false, None);
    for piece in pieces {
        if last == Some(piece.number) {
            continue;
        }
        let mut value = piece.value.as_str();
        if piece.is_extended && last.is_none() {
            let mut parts = value.splitn(3, '\'');
            if let (Some(name), Some(_), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
                (charset, value) = (Some(name), rest);
            }
        }
        match piece.is_extended {
            true => octets.extend(percent_encoding::percent_decode_str(value)),
            false => octets.extend_from_slice(value.as_bytes()),
        }
        any_extended |= piece.is_extended;
        last = Some(piece.number);
    }
    let decoded = charset::decode(&octets, charset.filter(|name| !name.is_empty()));
    if any_extended {
        return (decoded.text.into_owned(), decoded.is_whole);
    }
    let words = encoded_word::decode(&decoded.text);
    (words.text.into_owned(), words.is_whole)
}

struct Pieces<'t> {
    text: &'t str,
    position: usize,
    /// A comment that never ends is looked for once only.
    comments_end: bool,
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            self.skip_blanks();
            let rest = &self.text[self.position..];
            if rest.is_empty() {
                return None;
            }
            let name = &rest[..end_of_name(rest)];
            self.position += name.len();
            let behind = self.text[self.position..].trim_ascii_start();
            if name.is_empty() {
                // Rubbish: a quote, a bracket, an equals sign.
                self.position += rest.chars().next().map_or(0, char::len_utf8);
            } else if let Some(value) = behind.strip_prefix('=') {
                self.position = self.text.len() - value.trim_ascii_start().len();
                let piece = piece(name, self.value());
                if !piece.name.is_empty() {
                    return Some(piece);
                }
            }
        }
    }
}

impl Pieces<'_> {
    fn skip_blanks(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.position) {
            match byte {
                b'(' if self.comments_end => match end_of_comment(bytes, self.position) {
                    Some(end) => self.position = end,
                    None => self.comments_end = false,
                },
                b';' | b',' | b' ' | b'\t' | b'\r' | b'\n' => self.position += 1,
                _ => return,
            }
        }
    }

    fn value(&mut self) -> String {
        let rest = &self.text[self.position..];
        let (value, length) = match rest.strip_prefix('"') {
            Some(inside) => {
                let (value, length) = quoted(inside);
                (value, length + 1)
            }
            None => {
                let length = end_of_bare_value(rest);
                (rest[..length].trim_end_matches([' ', '\t', '"', ',']).to_owned(), length)
            }
        };
        self.position += length;
        value
    }
}

/// `name`, `name*`, `name*0`, `name*0*`
fn piece(name: &str, value: String) -> Piece {
    let (bare, is_extended) = name.strip_suffix('*').map_or((name, false), |bare| (bare, true));
    let numbered = bare.rsplit_once('*').and_then(|(name, number)| Some((name, number.parse().ok()?)));
    let (bare, number) = numbered.map_or((bare, None), |(name, number)| (name, Some(number)));
    Piece { name: bare.to_ascii_lowercase(), number, is_extended, value }
}

/// Where a token ends (RFC 2045 section 5.1).
fn end_of_name(text: &str) -> usize {
    let ends = |c: char| c.is_whitespace() || "()<>@,;:\\\"/[]?=".contains(c);
    text.find(ends).unwrap_or(text.len())
}

/// A value without quotes goes on over blanks, as in `filename=A letter (1).pdf`, up to a semicolon, a comment at its end, or
/// another parameter.
fn end_of_bare_value(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut position, mut is_behind_blank, mut comments_end) = (0, false, true);
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b';' => return position,
            b' ' | b'\t' => is_behind_blank = true,
            b'(' if comments_end => match end_of_comment(bytes, position) {
                Some(end) if matches!(bytes[end..].trim_ascii_start().first(), None | Some(b';')) => return position,
                Some(end) => {
                    position = end;
                    continue;
                }
                None => comments_end = false,
            },
            _ if is_behind_blank && begins_parameter(&bytes[position..]) => return position,
            _ => is_behind_blank = false,
        }
        position += 1;
    }
    text.len()
}

/// Whether a parameter of a known name begins here.
fn begins_parameter(bytes: &[u8]) -> bool {
    let Some(name_end) = bytes.iter().take(LONGEST_NAME).position(|byte| matches!(byte, b'=' | b'*')) else {
        return false;
    };
    KNOWN.iter().any(|name| bytes[..name_end].trim_ascii_end().eq_ignore_ascii_case(name.as_bytes()))
}

/// The content of a quoted string whose first quote is taken off, and its length with the last one.
///
/// Programs leave quotes and backslashes unescaped (`"my "best" file"`, `"C:\mail"`), and forget the last quote. So a
/// quote closes only where something may follow, and only quotes and backslashes are escaped.
fn quoted(text: &str) -> (String, usize) {
    let (mut value, mut copied) = (String::new(), 0);
    let mut semicolon: Option<(usize, usize)> = None;
    let bytes = text.as_bytes();
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'\\' if matches!(bytes.get(position + 1), Some(b'"' | b'\\')) => {
                value.push_str(&text[copied..position]);
                copied = position + 1;
                position += 2;
                continue;
            }
            b';' => semicolon = Some((position, value.len() + position - copied)),
            b'"' if closes(&bytes[position + 1..]) => {
                // `"a; name="b"`: the quote before it is the one that is missing.
                if let Some((end, length)) = semicolon.filter(|(end, _)| opens_parameter(&bytes[end + 1..position])) {
                    return (cut(value, text, copied, length), end);
                }
                value.push_str(&text[copied..position]);
                return (value, position + 1);
            }
            b'"' => {
                if let Some((end, length)) = semicolon.filter(|(end, _)| opens_parameter(&bytes[end + 1..position])) {
                    return (cut(value, text, copied, length), end);
                }
            }
            _ => {}
        }
        position += 1;
    }
    // It never closes: as far as the next parameter.
    let next = text.match_indices(';').find(|(place, _)| begins_parameter(bytes[place + 1..].trim_ascii_start()));
    match next {
        Some((end, _)) => (text[..end].trim_ascii_end().to_owned(), end),
        None => {
            value.push_str(&text[copied..]);
            (value.trim_ascii_end().to_owned(), text.len())
        }
    }
}

/// The first octets of the value with what was not copied to it yet.
fn cut(mut value: String, text: &str, copied: usize, length: usize) -> String {
    if length > value.len() {
        value.push_str(&text[copied..copied + length - value.len()]);
    }
    value.truncate(length);
    value
}

/// Whether what stands behind a quote may follow a quoted string.
fn closes(behind: &[u8]) -> bool {
    let next = behind.trim_ascii_start();
    matches!(next.first(), None | Some(b';' | b',' | b'(')) || (next.len() < behind.len() && begins_parameter(next))
}

/// Whether ` name=` is all that stands there.
fn opens_parameter(between: &[u8]) -> bool {
    let Some(name) = between.trim_ascii().strip_suffix(b"=").filter(|name| name.len() <= LONGEST_NAME) else {
        return false;
    };
    !name.is_empty()
        && std::str::from_utf8(name).is_ok_and(|name| end_of_name(name.trim_ascii_end()) == name.trim_ascii_end().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        read(text).into_iter().map(|parameter| (parameter.name, parameter.value)).collect()
    }

    #[test]
    fn parameters_are_read_as_they_were_meant() {
        let rows: &[(&str, &str, &[(&str, &str)])] = &[
            ("none", "", &[]),
            ("token", "; charset=utf-8", &[("charset", "utf-8")]),
            ("quoted", "; name=\"a b;c\"", &[("name", "a b;c")]),
            ("escaped", r#"; name="a \"b\" \\c""#, &[("name", r#"a "b" \c"#)]),
            ("two", "; b=1; a=2", &[("a", "2"), ("b", "1")]),
            ("the first of two", "; a=1; A=2", &[("a", "1")]),
            ("blanks around", " ; a = 1 ; b =\"2\" ", &[("a", "1"), ("b", "2")]),
            ("comments", " (x) ; a=1 (y); (z) b=2", &[("a", "1"), ("b", "2")]),
            ("a comment without an end", "; (a=1", &[("a", "1")]),
            ("no semicolon before it", " name=\"a.pdf\"", &[("name", "a.pdf")]),
            ("no semicolon between, quoted", "; name=\"a.pdf\" charset=x", &[("charset", "x"), ("name", "a.pdf")]),
            (
                "no semicolon between, bare",
                "; charset=us-ascii format=flowed",
                &[("charset", "us-ascii"), ("format", "flowed")],
            ),
            ("commas between", ", charset=x, name=\"y\"", &[("charset", "x"), ("name", "y")]),
            (
                "blanks in a bare value",
                "; filename=A letter (1).pdf; size=3",
                &[("filename", "A letter (1).pdf"), ("size", "3")],
            ),
            ("a comment behind a bare value", "; charset=us-ascii (Plain text)", &[("charset", "us-ascii")]),
            ("a bare value with an equals sign", "; filename=a=b c.pdf", &[("filename", "a=b c.pdf")]),
            ("an empty value", "; a=; b=\"\"", &[("a", ""), ("b", "")]),
            ("a name alone", "; a; b=1", &[("b", "1")]),
            ("rubbish", ">; \"\" = a=1", &[("a", "1")]),
            ("not closed, last", "; boundary=\"abc", &[("boundary", "abc")]),
            (
                "not closed, with another behind",
                "; name=\"a.pdf; charset=utf-8",
                &[("charset", "utf-8"), ("name", "a.pdf")],
            ),
            ("not closed, with a quoted one behind", "; name=\"a.pdf; x=\"b\"", &[("name", "a.pdf"), ("x", "b")]),
            (
                "not closed, quoted behind it and more",
                "; name=\"a.pdf; x=\"b\"; y=\"c\"",
                &[("name", "a.pdf"), ("x", "b"), ("y", "c")],
            ),
            ("not closed, with a semicolon in it", "; name=\"a; b.pdf", &[("name", "a; b.pdf")]),
            ("not opened", "; name=a.pdf\"; x=1", &[("name", "a.pdf"), ("x", "1")]),
            (
                "quotes not escaped",
                "; name=\"my \"best\" file.pdf\"; x=1",
                &[("name", "my \"best\" file.pdf"), ("x", "1")],
            ),
            ("backslashes not escaped", r#"; name="C:\mail\a.pdf""#, &[("name", r"C:\mail\a.pdf")]),
            ("an encoded word", "; name=\"=?utf-8?Q?Gr=C3=BC=C3=9Fe.pdf?=\"", &[("name", "Grüße.pdf")]),
            ("an encoded word without quotes", "; name==?utf-8?Q?Gr=C3=BC?=", &[("name", "Grü")]),
            ("two encoded words", "; name=\"=?utf-8?B?R3LD?= =?utf-8?B?vMOfZQ==?=\"", &[("name", "Grüße")]),
            ("a charset", "; name*=utf-8''Gr%C3%BC%c3%9fe.pdf", &[("name", "Grüße.pdf")]),
            ("a charset and a language", "; name*=iso-8859-1'de'Gr%FC%DFe", &[("name", "Grüße")]),
            ("in quotes", "; name*=\"utf-8''Gr%C3%BC\"", &[("name", "Grü")]),
            ("no charset", "; name*=''Gr%FC%DFe aus K%F6ln", &[("name", "Grüße aus Köln")]),
            ("no marks of a charset", "; name*=Gr%C3%BC", &[("name", "Grü")]),
            ("a stray percent sign", "; name*=utf-8''100%25%zz%", &[("name", "100%%zz%")]),
            ("pieces", "; name*0=\"a \"; name*1=\"b\"", &[("name", "a b")]),
            ("pieces in disorder", "; name*1=b; name*10=k; name*2=c; name*0=a", &[("name", "abck")]),
            ("the first of doubled pieces", "; name*0=a; name*0=b; name*1=c", &[("name", "ac")]),
            (
                "pieces with the charset on the first",
                "; name*0*=iso-8859-1''%C4nd; name*1*=erung%20f%FCr; name*2=\"%FC\"",
                &[("name", "Änderung für%FC")],
            ),
            ("a character cut between pieces", "; name*0*=utf-8''Gr%C3; name*1*=%BC", &[("name", "Grü")]),
            ("pieces of an encoded word", "; name*0=\"=?utf-8?B?R3LD\"; name*1=\"vA==?=\"", &[("name", "Grü")]),
            ("extended before plain", "; name=\"Gr?.pdf\"; name*=utf-8''Gr%C3%BC.pdf", &[("name", "Grü.pdf")]),
            ("pieces before plain", "; name=x; name*0=a; name*1=b", &[("name", "ab")]),
            ("japanese pieces", "; name*0*=iso-2022-jp''%1B$B$%5B; name*1*=$2%1B(B.pdf", &[("name", "ほげ.pdf")]),
        ];
        for (name, text, want) in rows {
            let want: Vec<_> = want.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(pairs(text), want, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let read = read("; name*=utf-8''Gr%C3%BC%C3%9Fe%C3%A4%C3%B6%C3");
        assert_eq!((read[0].value.as_str(), read[0].is_whole), ("Grüßeäö\u{fffd}", false));
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_parameters(text in "(name|charset|\\*[0-9]?|=|\"|\\\\|;|,| |\\(|\\)|%[0-9A-F]{2}|'|=\\?utf-8\\?q\\?|\\?=|\\PC){0,60}") {
            for parameter in read(&text) {
                proptest::prop_assert!(!parameter.name.is_empty() && parameter.value.len() <= 3 * text.len());
            }
        }
    }
}
