//! Reads Authentication-Results fields (RFC 8601 section 2.2).
//!
//! Strict where it decides who speaks (the authserv-id, comments, quoting), lenient in property values, which real
//! filters write without the quotes that the grammar asks for. Linear in the length of the field.

use super::auth_result::AuthResult;
use super::field_reader::Reader;

/// One Authentication-Results field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) authserv_id: String,
    /// Empty for `none`.
    pub(super) methods: Vec<MethodResult>,
}

/// What one method says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MethodResult {
    /// In lower case.
    pub(super) method: String,
    /// `None` for a word that RFC 8601 does not have.
    pub(super) result: Option<AuthResult>,
    /// `smtp.mailfrom` and its like in lower case, with their values.
    properties: Vec<(String, String)>,
}

impl MethodResult {
    /// The value of a property; `None` if it is missing, empty or there are two, which might contradict each other.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        let mut values = self.properties.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Some(value),
            _ => None,
        }
    }
}

/// The field, or `None` if any part of it breaks the grammar: half-understood is not believed.
pub(super) fn parse(value: &[u8]) -> Option<Results> {
    let mut reader = Reader::new(value)?;
    reader.skip_blanks()?;
    let authserv_id = reader.value()?;
    if reader.skip_blanks()? && reader.peek().is_some_and(|b| b.is_ascii_digit()) {
        // Only version 1 exists (RFC 8601 section 2.2).
        (reader.take_while(|b| b.is_ascii_digit()) == "1").then_some(())?;
        reader.skip_blanks()?;
    }
    let mut methods = Vec::new();
    let mut says_none = false;
    while let Some(byte) = reader.peek() {
        (byte == b';').then_some(())?;
        reader.advance();
        reader.skip_blanks()?;
        if matches!(reader.peek(), None | Some(b';')) {
            continue; // Real filters end the field with a semicolon.
        }
        let method = reader.keyword()?;
        reader.skip_blanks()?;
        if method == "none" && matches!(reader.peek(), None | Some(b';')) {
            says_none = true;
            continue;
        }
        methods.push(method_result(&mut reader, method, &["reason"])?);
    }
    (!says_none || methods.is_empty()).then_some(Results { authserv_id, methods })
}

/// The field as Exchange Online writes it: without an authserv-id, with words such as `action=none` that are not properties,
/// and in older ones with a bare domain between the results. For the place alone where only Exchange Online writes.
pub(super) fn parse_exchange(value: &[u8]) -> Option<Results> {
    let mut reader = Reader::new(value)?;
    let mut methods = Vec::new();
    loop {
        reader.skip_blanks()?;
        match reader.peek() {
            None => break,
            Some(b';') => {
                reader.advance();
                continue;
            }
            Some(_) => {}
        }
        let start = reader.position();
        let word = reader.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        let word = word.to_ascii_lowercase();
        reader.skip_blanks()?;
        match reader.peek() {
            // A domain, which says nothing; but what begins with one has an authserv-id, and is not of this kind.
            None | Some(b';') if !methods.is_empty() && reader.position() > start => {}
            Some(b'=') if !word.contains('.') => methods.push(method_result(&mut reader, word, BARE_WORDS)?),
            _ => return None,
        }
    }
    (!methods.is_empty()).then_some(Results { authserv_id: "Exchange Online".to_owned(), methods })
}

/// What stands in Exchange Online's results beside properties.
const BARE_WORDS: &[&str] = &["action", "reason"];

fn method_result(reader: &mut Reader<'_>, method: String, bare_words: &[&str]) -> Option<MethodResult> {
    if reader.peek() == Some(b'/') {
        reader.advance();
        reader.skip_blanks()?;
        (reader.take_while(|b| b.is_ascii_digit()) == "1").then_some(())?;
        reader.skip_blanks()?;
    }
    reader.expect(b'=')?;
    reader.skip_blanks()?;
    let result = result_named(&reader.keyword()?);
    let mut properties = Vec::new();
    // Between two of these there must be a blank or a comment.
    while reader.skip_blanks()? && !matches!(reader.peek(), None | Some(b';')) {
        let kind = reader.keyword()?;
        reader.skip_blanks()?;
        if bare_words.contains(&kind.as_str()) && reader.peek() == Some(b'=') {
            reader.advance();
            reader.skip_blanks()?;
            reader.property_value()?;
            continue;
        }
        reader.expect(b'.')?;
        reader.skip_blanks()?;
        let property = reader.keyword()?;
        reader.skip_blanks()?;
        reader.expect(b'=')?;
        reader.skip_blanks()?;
        properties.push((format!("{kind}.{property}"), reader.property_value()?));
    }
    matches!(reader.peek(), None | Some(b';')).then_some(MethodResult { method, result, properties })
}

fn result_named(name: &str) -> Option<AuthResult> {
    use AuthResult::{Fail, Neutral, None, Pass, PermError, Policy, SoftFail, TempError};
    let all = [Fail, Neutral, None, Pass, PermError, Policy, SoftFail, TempError];
    // Older filters write hardfail and error (RFC 5451).
    match name {
        "hardfail" => Some(Fail),
        "error" => Some(TempError),
        _ => all.into_iter().find(|result| result.name() == name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(value: &str) -> Option<String> {
        let results = parse(value.as_bytes())?;
        let mut shown = results.authserv_id;
        for method in results.methods {
            shown += &format!("|{}={}", method.method, method.result.map_or("?", AuthResult::name));
            for (name, value) in method.properties {
                shown += &format!(" {name}={value}");
            }
        }
        Some(shown)
    }

    #[test]
    fn fields_are_read_as_rfc_8601_says() {
        let rows: &[(&str, &str, Option<&str>)] = &[
            ("RFC 8601 B.2", " example.org 1; none", Some("example.org")),
            (
                "RFC 8601 B.3",
                " example.com; spf=pass smtp.mailfrom=example.net",
                Some("example.com|spf=pass smtp.mailfrom=example.net"),
            ),
            (
                "RFC 8601 B.6",
                " example.com;\r\n dkim=pass reason=\"good signature\"\r\n header.i=@mail-router.example.net;\r\n \
                 dkim=fail reason=\"bad signature\" header.i=@newyork.example.com",
                Some("example.com|dkim=pass header.i=@mail-router.example.net|dkim=fail header.i=@newyork.example.com"),
            ),
            (
                "RFC 8601 B.7: comments everywhere",
                " foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n \
                 policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) \
                 1362471462",
                Some("foo.example.net|dkim=fail policy.expired=1362471462"),
            ),
            (
                "a filter's comment with semicolons",
                " mx; spf=pass (sender; authorized) smtp.mailfrom=a@example.org (client-ip=1.2.3.4; helo=x)",
                Some("mx|spf=pass smtp.mailfrom=a@example.org"),
            ),
            ("base64 without quotes", " mx; dkim=pass header.b=Ab/c+d==", Some("mx|dkim=pass header.b=Ab/c+d==")),
            ("semicolon at the end", " mx; spf=none;", Some("mx|spf=none")),
            ("quoted id", " \"mx.example.org\"; spf=pass", Some("mx.example.org|spf=pass")),
            (
                "quoted local part",
                " mx; spf=pass smtp.mailfrom=\"a b\"@example.org",
                Some("mx|spf=pass smtp.mailfrom=\"a b\"@example.org"),
            ),
            ("quoted value", " mx; x=pass smtp.mailfrom=\"a\\\"b\"", Some("mx|x=pass smtp.mailfrom=a\"b")),
            ("case", " MX; SPF=Pass SMTP.MailFrom=A", Some("MX|spf=pass smtp.mailfrom=A")),
            ("unknown result", " mx; spf=maybe", Some("mx|spf=?")),
            ("nested comment", " mx (a (b) c); spf=pass", Some("mx|spf=pass")),
            ("quoted pair in a comment", " mx (a \\) b); spf=pass", Some("mx|spf=pass")),
            ("comment that does not end", " mx(.evil; spf=pass", None),
            ("comment that ends by a quoted pair only", " mx (\\); spf=pass", None),
            ("quote that does not end", " \"mx; spf=pass", None),
            ("text right behind a quoted id", " \"mx\".evil; spf=pass", None),
            ("comment inside the id", " mx(x).evil; spf=pass", None),
            ("two words as id", " mx evil; spf=pass", None),
            ("other version", " mx 2; spf=pass", None),
            ("other method version", " mx; spf/2=pass", None),
            ("no result", " mx; spf", None),
            ("no blank between properties", " mx; spf=pass\"x\"smtp.mailfrom=a", None),
            ("none and something", " mx; none; spf=pass", None),
            ("nul", " mx\0; spf=pass", None),
            ("empty", "", None),
        ];
        for (name, value, expected) in rows {
            assert_eq!(shown(value).as_deref(), *expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&value);
        }

        #[test]
        fn any_marks_are_read_without_a_panic(value in "[()\"\\\\;=. a1/@<>\r\n\t]{0,80}") {
            let _ = parse(value.as_bytes());
        }

        /// What we mean is what we read back, with blanks and comments wherever the grammar allows them.
        #[test]
        fn what_is_written_is_read_back(
            id in "[a-z0-9.-]{1,30}[a-z]",
            results in proptest::collection::vec(("spf|dkim|dmarc", "pass|fail|none", "[a-z0-9.@+=/-]{1,20}"), 1..5),
            blank in " (\\(([a-z ;=]|\\\\\\))*\\))?",
        ) {
            let mut text = format!("{blank}{id}{blank}");
            for (method, result, value) in &results {
                text += &format!(";{blank}{method}{blank}={blank}{result} {blank}smtp{blank}.{blank}x{blank}={blank}{value}{blank}");
            }
            let read = parse(text.as_bytes()).expect("well-formed");
            prop_assert_eq!(read.authserv_id, id);
            prop_assert_eq!(read.methods.len(), results.len());
            for (read, (method, result, value)) in read.methods.iter().zip(&results) {
                prop_assert_eq!(&read.method, method);
                prop_assert_eq!(read.result.map(AuthResult::name), Some(result.as_str()));
                prop_assert_eq!(read.property("smtp.x"), Some(value.as_str()));
            }
        }

        /// Whatever follows our id directly, it is not our id any more.
        #[test]
        fn a_look_alike_is_another_id(tail in "[a-z.-]{1,20}", open in "[(]?") {
            let field = format!(" mx.example.org{open}{tail}; spf=pass smtp.mailfrom=x");
            prop_assert!(parse(field.as_bytes()).is_none_or(|read| read.authserv_id != "mx.example.org"));
        }
    }
}
