//! The path and the parameters of MAIL and RCPT (RFC 5321 section 4.1.2), and xtext (RFC 3461 section 4, RFC 6533
//! section 3).

/// Splits what follows `FROM:` or `TO:` into the address without angle brackets and source route, and the parameters. Without
/// brackets nobody could say where the address ends, and Postfix always writes them.
pub(super) fn split(argument: &[u8]) -> Option<(&[u8], &[u8])> {
    let argument = argument.trim_ascii().strip_prefix(b"<")?;
    let end = closing_bracket(argument)?;
    let (path, parameters) = (&argument[..end], &argument[end + 1..]);
    let is_separate = parameters.is_empty() || parameters.starts_with(b" ");
    is_separate.then(|| (without_source_route(path), parameters))
}

/// A bracket in a quoted local part closes nothing. Where a quote never ends, the first bracket does.
fn closing_bracket(path: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (index, &octet) in path.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(index),
            _ => {}
        }
    }
    memchr::memchr(b'>', path)
}

/// RFC 5321 section 4.1.1.3: a source route is to be ignored: `@one,@two:jane@example.org`.
fn without_source_route(path: &[u8]) -> &[u8] {
    if !path.starts_with(b"@") {
        return path;
    }
    // An address literal in the route has colons of its own.
    let mut in_literal = false;
    for (index, &octet) in path.iter().enumerate() {
        match octet {
            b'[' => in_literal = true,
            b']' => in_literal = false,
            b':' if !in_literal => return &path[index + 1..],
            _ => {}
        }
    }
    path
}

/// A verb or the name of a parameter in capitals; empty if it is longer than any that is known. Costs no memory of its own.
pub(super) struct Keyword {
    octets: [u8; 8],
    length: usize,
}

impl Keyword {
    pub(super) fn new(name: &[u8]) -> Self {
        let mut octets = [0; 8];
        let Some(start) = octets.get_mut(..name.len()) else { return Self { octets, length: 0 } };
        start.copy_from_slice(name);
        start.make_ascii_uppercase();
        Self { octets, length: name.len() }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// The parameters, each with its value if it has one.
pub(super) fn parameters(text: &[u8]) -> impl Iterator<Item = (Keyword, Option<&[u8]>)> {
    text.split(|&octet| octet == b' ').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        match memchr::memchr(b'=', parameter) {
            Some(at) => (Keyword::new(&parameter[..at]), Some(&parameter[at + 1..])),
            None => (Keyword::new(parameter), None),
        }
    })
}

/// The address in ORCPT=. `None` for a type that is no mail address, and for what is no UTF-8.
pub(super) fn original_recipient(value: &[u8]) -> Option<String> {
    let (kind, address) = value.split_at(memchr::memchr(b';', value)?);
    let address = xtext(&address[1..])?;
    let address = match Keyword::new(kind).as_bytes() {
        b"RFC822" => address,
        b"UTF-8" => without_embedded_unicode(&address),
        _ => return None,
    };
    Some(address).filter(|address| !address.is_empty())
}

/// Decodes `+2B`. A plus sign that no two capital hexadecimal digits follow stands for itself, and so does one that would become a
/// control character, which no address has: clients that do not encode at all write `incoming+key` or `incoming+0BAD`, and the key
/// would be lost.
pub(super) fn xtext(text: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(plus) = memchr::memchr(b'+', rest) {
        decoded.extend_from_slice(&rest[..plus]);
        let octet = match rest[plus + 1..] {
            [high, low, ..] => {
                capital_hexadecimal(high).zip(capital_hexadecimal(low)).map(|(high, low)| high << 4 | low)
            }
            _ => None,
        };
        match octet.filter(|octet| !octet.is_ascii_control()) {
            Some(octet) => {
                decoded.push(octet);
                rest = &rest[plus + 3..];
            }
            None => {
                decoded.push(b'+');
                rest = &rest[plus + 1..];
            }
        }
    }
    decoded.extend_from_slice(rest);
    String::from_utf8(decoded).ok()
}

fn capital_hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// RFC 6533 section 3: `\x{E4}` for a character.
fn without_embedded_unicode(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\\x{") {
        decoded.push_str(&rest[..start]);
        let digits = &rest[start + 3..];
        let character = digits.find('}').and_then(|end| {
            let point = u32::from_str_radix(&digits[..end], 16).ok()?;
            Some((char::from_u32(point)?, &digits[end + 1..]))
        });
        match character {
            Some((character, behind)) => {
                decoded.push(character);
                rest = behind;
            }
            None => {
                decoded.push_str("\\x{");
                rest = digits;
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_where_its_bracket_closes() {
        type Row<'r> = (&'r str, &'r str, Option<(&'r str, &'r str)>);
        let rows: &[Row<'_>] = &[
            ("plain", "<a@b> SIZE=1", Some(("a@b", " SIZE=1"))),
            ("null", "<>", Some(("", ""))),
            ("bracket and blank in quotes", "<\"a> b\"@c>", Some(("\"a> b\"@c", ""))),
            ("escaped quote in quotes", r#"<"a\">b"@c> X"#, Some((r#""a\">b"@c"#, " X"))),
            ("quote that never ends", "<\"a@b> SIZE=1", Some(("\"a@b", " SIZE=1"))),
            ("route", "<@x,@y:a@b>", Some(("a@b", ""))),
            ("route over an address literal", "<@[IPv6:::1]:a@b>", Some(("a@b", ""))),
            ("colon in a local part", "<a:b@c>", Some(("a:b@c", ""))),
            ("route without an address", "<@x>", Some(("@x", ""))),
            ("no brackets", "a@b X=1", None),
            ("no brackets, and blanks", "a b c", None),
            ("only one bracket", "a@b>", None),
            ("never closed", "<a@b", None),
            ("nothing", "", None),
            ("no blank behind", "<a@b>X", None),
        ];
        for (name, argument, wanted) in rows {
            let wanted = wanted.map(|(path, parameters)| (path.as_bytes(), parameters.as_bytes()));
            assert_eq!(split(argument.as_bytes()), wanted, "{name}");
        }
    }

    #[test]
    fn original_recipients_are_decoded() {
        let rows: &[(&str, &str, Option<&str>)] = &[
            ("encoded plus", "rfc822;incoming+2BK1@h", Some("incoming+K1@h")),
            ("encoded equals sign", "RFC822;a+3Db@h", Some("a=b@h")),
            ("plus that is not encoded", "rfc822;incoming+abcd@h", Some("incoming+abcd@h")),
            ("plus at the end", "rfc822;a+", Some("a+")),
            ("one digit", "rfc822;a+2", Some("a+2")),
            ("what would be a control character", "rfc822;incoming+0BAD+7F@h", Some("incoming+0BAD+7F@h")),
            ("utf-8 in xtext", "utf-8;j+C3+BCrgen@h", Some("jürgen@h")),
            ("embedded unicode", "utf-8;j\\x{FC}rgen\\x{2B}K@h", Some("jürgen+K@h")),
            ("plain utf-8", "utf-8;jürgen@h", Some("jürgen@h")),
            ("embedded rubbish", "utf-8;a\\x{zz}b\\x{D800}\\x{41", Some("a\\x{zz}b\\x{D800}\\x{41")),
            ("no utf-8", "rfc822;a+FF@h", None),
            ("other type", "x400;c=de", None),
            ("no type", "a@h", None),
            ("empty", "rfc822;", None),
        ];
        for (name, value, wanted) in rows {
            assert_eq!(original_recipient(value.as_bytes()).as_deref(), *wanted, "{name}");
        }
    }
}
