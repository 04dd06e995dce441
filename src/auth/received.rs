//! Reads the trace clauses of a Received field (RFC 5321 section 4.4): who wrote it, and whom it had before it.

use std::net::IpAddr;

use super::field_reader::Reader;

/// Who wrote a Received field, and where the message came from (RFC 5321 section 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// `by`, in lower case.
    pub(super) by: Option<String>,
    /// Whether there is a `from` at all; a message made on this host has none.
    pub(super) has_from: bool,
    /// The address that the server saw: in brackets, in the comment after `from`. The client's own words stand outside
    /// of the comment, or before the brackets.
    pub(super) client: Option<IpAddr>,
}

/// Reads a Received field; `None` if its comments or quotes do not end.
pub(super) fn parse(value: &[u8]) -> Option<Received> {
    let mut reader = Reader::new(value)?;
    let mut received = Received { by: None, has_from: false, client: None };
    let mut clause = String::new();
    loop {
        let comments_from = reader.position();
        reader.skip_blanks()?;
        if clause == "from" && received.client.is_none() {
            received.client = bracketed_address(reader.since(comments_from));
        }
        match reader.peek() {
            None | Some(b';') => return Some(received),
            Some(b'"') => {
                reader.quoted_string()?;
                continue;
            }
            Some(_) => {}
        }
        let word = reader.take_while(|b| !b.is_ascii_whitespace() && !matches!(b, b'(' | b'"' | b';'));
        let name = word.to_ascii_lowercase();
        match (clause.as_str(), name.as_str()) {
            ("from!", _) => clause = "from".to_owned(),
            ("by!", _) => {
                received.by = Some(name);
                clause = "by".to_owned();
            }
            ("", "from") => {
                received.has_from = true;
                clause = "from!".to_owned();
            }
            ("" | "from", "by") => clause = "by!".to_owned(),
            _ => {}
        }
    }
}

fn bracketed_address(comment: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(comment).ok()?;
    let inside = text.rsplit_once('[')?.1.split_once(']')?.0;
    let bare = inside.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:")).map_or(inside, |_| &inside[5..]);
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_received_field_tells_the_server_and_its_client() {
        type Expected = Option<(&'static str, bool, Option<&'static str>)>;
        let rows: &[(&str, &str, Expected)] = &[
            (
                "Postfix",
                " from mail.example.org (unknown [203.0.113.7])\r\n\tby mx.example.com (Postfix) with ESMTPS id 4XYZ\r\n\
                 \tfor <incoming+k@example.com>; Sun, 22 Nov 2026 10:00:00 +0000 (UTC)",
                Some(("mx.example.com", true, Some("203.0.113.7"))),
            ),
            (
                "Postfix over IPv6",
                " from a (a.example [IPv6:2001:db8::1]) by mx (Postfix); x",
                Some(("mx", true, Some("2001:db8::1"))),
            ),
            (
                "made here",
                " by mx.example.com (Postfix, from userid 0) id 4X; x",
                Some(("mx.example.com", false, None)),
            ),
            (
                "literal in HELO",
                " from [127.0.0.1] (x [203.0.113.7]) by mx; x",
                Some(("mx", true, Some("203.0.113.7"))),
            ),
            ("by in HELO", " from by (x [203.0.113.7]) by mx; x", Some(("mx", true, Some("203.0.113.7")))),
            ("by in a comment", " from a (by evil [203.0.113.7]) by mx; x", Some(("mx", true, Some("203.0.113.7")))),
            ("no address", " from a by mx; x", Some(("mx", true, None))),
            ("comment that does not end", " from a (b by mx; x", None),
        ];
        for (name, value, expected) in rows {
            let received = parse(value.as_bytes());
            let expected = expected.map(|(by, has_from, client)| Received {
                by: Some(by.to_owned()),
                has_from,
                client: client.map(|client| client.parse().expect("address")),
            });
            assert_eq!(received, expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&value);
        }

        #[test]
        fn any_marks_are_read_without_a_panic(value in "(from|by|[()\"\\\\;\\[\\]. a1:\r\n]){0,30}") {
            let _ = parse(value.as_bytes());
        }
    }
}
