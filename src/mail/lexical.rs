//! The lexical tokens that header fields are made of (RFC 5322 section 3.2): where a comment or a quoted string ends, and a
//! value without them.
//!
//! One scanner for the whole program: whoever looks for a comment's end elsewhere will disagree with this one some day.
//! Each function is linear in what it is given. It must not know any field by name.

use std::borrow::Cow;

/// The position behind the comment that starts at `start`, where a `(` stands; comments nest (RFC 5322 section 3.2.2).
/// `None` if it has no end.
pub fn end_of_comment(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut position) = (0usize, start);
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'\\' => position += 1,
            b'(' => depth += 1,
            b')' if depth <= 1 => return Some(position + 1),
            b')' => depth -= 1,
            _ => {}
        }
        position += 1;
    }
    None
}

/// The position behind the quoted string that starts at `start`, where a `"` stands (RFC 5322 section 3.2.4). `None` if it
/// has no end.
pub fn end_of_quoted_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut position = start + 1;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'\\' => position += 1,
            b'"' => return Some(position + 1),
            _ => {}
        }
        position += 1;
    }
    None
}

/// The position behind blanks, line ends and comments (CFWS, RFC 5322 section 3.2.2). `None` for a comment without an end.
pub fn end_of_blanks(bytes: &[u8], start: usize) -> Option<usize> {
    let mut position = start;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => position += 1,
            b'(' => position = end_of_comment(bytes, position)?,
            _ => break,
        }
    }
    Some(position)
}

/// The value with a blank for each comment outside of quoted strings. A comment or a quoted string that never ends takes
/// the rest with it: the comment away, the quoted string along.
pub fn without_comments(value: &str) -> Cow<'_, str> {
    if !value.contains('(') {
        return Cow::Borrowed(value);
    }
    let bytes = value.as_bytes();
    let (mut bare, mut copied, mut position) = (String::with_capacity(value.len()), 0, 0);
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'"' => position = end_of_quoted_string(bytes, position).unwrap_or(bytes.len()),
            b'(' => {
                // Cut at ASCII characters only, so never inside of one.
                bare.push_str(&value[copied..position]);
                bare.push(' ');
                position = end_of_comment(bytes, position).unwrap_or(bytes.len());
                copied = position;
            }
            _ => position += 1,
        }
    }
    bare.push_str(&value[copied.min(value.len())..]);
    Cow::Owned(bare)
}

/// `@a,@b:jane@example.org` without the route before the mailbox, which is to be ignored (RFC 5321 appendix C, RFC 5322
/// section 4.4).
pub fn without_source_route(path: &str) -> &str {
    if !path.starts_with('@') {
        return path;
    }
    path.rsplit_once(':').map_or(path, |(_, mailbox)| mailbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_end_where_the_next_token_begins() {
        assert_eq!(end_of_blanks(b" (a)\r\n b", 0), Some(7));
        assert_eq!(end_of_blanks(b" (a b", 0), None);
    }

    #[test]
    fn comments_and_quoted_strings_end_where_the_rfc_says() {
        let rows: &[(&str, &str, Option<usize>)] = &[
            ("comment", "(a)b", Some(3)),
            ("nested", "(a(b)c)d", Some(7)),
            ("escaped parenthesis", r"(a\)b)c", Some(6)),
            ("a quote means nothing in a comment", "(\")b", Some(3)),
            ("without an end", "(a(b)", None),
            ("ends in a backslash", "(a\\", None),
            ("quoted string", "\"a\"b", Some(3)),
            ("escaped quote", r#""a\"b"c"#, Some(6)),
            ("a parenthesis means nothing in quotes", "\"(\"b", Some(3)),
            ("quoted without an end", "\"a", None),
        ];
        for (name, text, end) in rows {
            let found = match text.starts_with('(') {
                true => end_of_comment(text.as_bytes(), 0),
                false => end_of_quoted_string(text.as_bytes(), 0),
            };
            assert_eq!(found, *end, "{name}");
        }
    }

    #[test]
    fn a_value_is_left_without_its_comments() {
        let rows: &[(&str, &str, &str)] = &[
            ("none", "no", "no"),
            ("behind", "no (a (nested) comment)", "no  "),
            ("before and between", "(a)b(c)d", " b d"),
            ("not in quotes", "\"a (b)\" (c)", "\"a (b)\"  "),
            ("without an end", "no (a", "no  "),
            ("quoted without an end", "no \"a (b)", "no \"a (b)"),
            ("not ascii", "ä(ö)ü", "ä ü"),
        ];
        for (name, value, bare) in rows {
            assert_eq!(without_comments(value), *bare, "{name}");
        }
    }

    #[test]
    fn a_source_route_is_passed_over() {
        let rows = [
            ("@a,@b:jane@example.org", "jane@example.org"),
            ("@a", "@a"),
            ("jane@example.org", "jane@example.org"),
            ("mailto:jane@example.org", "mailto:jane@example.org"),
        ];
        for (path, mailbox) in rows {
            assert_eq!(without_source_route(path), mailbox);
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_stops_the_scanner(value in r#"[()"\\aä :@,]{0,40}"#) {
            let bare = without_comments(&value);
            proptest::prop_assert!(bare.len() <= value.len());
            let _ = (end_of_comment(value.as_bytes(), 0), end_of_quoted_string(value.as_bytes(), 0));
            proptest::prop_assert!(value.ends_with(without_source_route(&value)));
        }
    }
}
