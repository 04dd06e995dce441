//! Where an address may stand, and how it is read there.

use mailhatch::mail::{Content, Message, Recipient};
use mailhatch::trail::Trail;
use proptest::prelude::*;

use super::{INCOMING, find, found, nobody, routes};

/// Section, what the header is, the header, and what is found.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str);

fn check(rows: &[Row<'_>]) {
    let routes = routes(&[INCOMING]);
    for (section, name, header, wanted) in rows {
        assert_eq!(found(find(&routes, header, &nobody())), *wanted, "{section} {name}: {header}");
    }
}

#[test]
fn one_address_matches_the_pattern_or_not() {
    check(&[
        ("1.2", "bare", "To: incoming+abc@example.com", "to abc"),
        ("1.2", "in brackets", "To: <incoming+abc@example.com>", "to abc"),
        ("1.2", "no key", "To: incoming+@example.com", "none"),
        ("1.2", "longer local part", "To: someincoming+k@example.com", "none"),
        ("1.2", "longer domain", "To: incoming+k@example.com.other.org", "none"),
        ("1.2", "slash and plus in the key", "To: incoming+a/b+tok@example.com", "to a/b+tok"),
        ("1.2", "two dots in the key", "To: incoming+a..b@example.com", "to a..b"),
        ("1.2", "at sign in the key", "To: incoming+a@b@example.com", "to a@b"),
        ("1.2", "the key keeps its case", "To: incoming+AbC@example.com", "to AbC"),
        ("1.2", "one bracket only, before", "Delivered-To: <incoming+abc@example.com", "delivered-to abc"),
        ("1.2", "one bracket only, behind", "Delivered-To: incoming+abc@example.com>", "delivered-to abc"),
        ("1.2, ours differs", "domain in capitals", "To: incoming+K@EXAMPLE.com", "to K"),
        ("1.2, ours differs", "local part in capitals", "To: Incoming+K@example.com", "to K"),
        ("14", "no longer than both ends together", "Delivered-To: incoming+@example.com", "none"),
        ("3.1", "a token with capitals and dashes", "To: incoming+glimt-aB_c-D@example.com", "to glimt-aB_c-D"),
    ]);
}

#[test]
fn a_key_of_any_place_in_the_local_part_is_found() {
    let rows: &[(&str, &str, &str, &str)] = &[
        ("1.2 catch-all", "%{key}@example.com", "To: abc@example.com", "to abc"),
        ("1.2 Exchange form", "incoming-%{key}@example.com", "To: incoming-abc@example.com", "to abc"),
        ("key in the middle", "in+%{key}-reply@example.com", "To: in+abc-reply@example.com", "to abc"),
        ("key in the middle, capitals", "In+%{key}-Reply@Example.com", "To: iN+aBc-rEPLY@eXAMPLE.com", "to aBc"),
        ("key in the middle, empty", "in+%{key}-reply@example.com", "To: in+-reply@example.com", "none"),
        ("ends that overlap", "aa%{key}aa@example.com", "To: aaa@example.com", "none"),
        ("letters outside of ASCII", "büro+%{key}@exämple.com", "To: büro+kü@exämple.com", "to kü"),
    ];
    for (name, address, header, wanted) in rows {
        let routes = routes(&[&format!("name = \"m\"\naddress = \"{address}\"\nactions = \"any\"")]);
        assert_eq!(found(find(&routes, header, &nobody())), *wanted, "{name}");
    }
}

#[test]
fn the_envelope_recipient_is_a_source() {
    let both = |address: &str, original: Option<&str>| Recipient {
        address: address.to_owned(),
        original: original.map(str::to_owned),
    };
    let rows = [
        ("the recipient", both("incoming+abc@example.com", None), "envelope abc"),
        ("its original form", both("mailhatch@localhost", Some("incoming+abc@example.com")), "envelope abc"),
        (
            "the recipient before its original form",
            both("incoming+a@example.com", Some("incoming+b@example.com")),
            "envelope a",
        ),
        ("in brackets", both("<incoming+abc@example.com>", None), "envelope abc"),
        ("quoted", both("\"incoming+a b\"@example.com", None), "envelope a b"),
        ("quoted, with escapes", both("\"incoming+a\\\"b\"@example.com", None), "envelope a\"b"),
        ("the dot of the root", both("incoming+abc@example.com.", None), "envelope abc"),
        ("a bare name", both("incoming+abc", None), "to header"),
        ("empty", both("", None), "to header"),
    ];
    let routes = routes(&[INCOMING]);
    for (name, recipient, wanted) in rows {
        // Section 15.1: the envelope wins over To, because it is what this copy was sent to.
        let result = find(&routes, "To: incoming+header@example.com", &recipient);
        assert_eq!(found(result), wanted, "{name}");
    }
}

#[test]
fn to_and_cc_are_lists() {
    check(&[
        ("1.6", "display name", "To: GitLab <incoming+abc@example.com>", "to abc"),
        ("1.6", "quoted display name", "To: \"Lab, Git\" <incoming+abc@example.com>", "to abc"),
        ("1.6", "second of a list", "To: Jane <jane@example.org>, incoming+abc@example.com", "to abc"),
        ("1.6", "group", "To: team: jane@example.org, incoming+abc@example.com;", "to abc"),
        ("1.6", "group without blank", "To: team:incoming+abc@example.com;", "to abc"),
        ("1.6", "key in the last of two fields", "To: jane@example.org\r\nTo: incoming+abc@example.com", "to abc"),
        (
            "1.6, ours differs",
            "key in the first of two fields",
            "To: incoming+abc@example.com\r\nTo: jane@example.org",
            "to abc",
        ),
        ("1.6", "comment", "To: incoming+abc@example.com (GitLab)", "to abc"),
        ("1.6", "comment with an address", "To: jane@example.org (was incoming+abc@example.com)", "none"),
        ("1.6", "semicolons", "To: jane@example.org; incoming+abc@example.com", "to abc"),
        ("1.6", "encoded word as display name", "To: =?utf-8?q?J=C3=BC?= <incoming+abc@example.com>", "to abc"),
        ("1.6", "encoded word that is the address", "To: =?utf-8?q?incoming+abc=40example.com?=", "to abc"),
        ("1.6", "raw utf-8", "To: Jürgen <incoming+abc@example.com>", "to abc"),
        ("1.6", "folded", "To: jane@example.org,\r\n\tincoming+abc@example.com", "to abc"),
        ("1.3", "blank before the colon", "To : incoming+abc@example.com", "to abc"),
        ("1.3", "name in capitals", "TO: incoming+abc@example.com", "to abc"),
        ("1.6", "no To", "Cc: incoming+abc@example.com", "cc abc"),
        ("1.6", "empty To", "To:\r\nDelivered-To: incoming+abc@example.com", "delivered-to abc"),
        (
            "1.6",
            "nobody in To",
            "To: undisclosed-recipients:;\r\nDelivered-To: incoming+abc@example.com",
            "delivered-to abc",
        ),
        ("1.6, ours differs", "quoted local part", "To: \"incoming+abc\"@example.com", "to abc"),
        ("1.6, ours differs", "the dot of the root", "To: incoming+abc@example.com.", "to abc"),
        ("1.6, ours differs", "mailto", "To: mailto:incoming+abc@example.com", "to abc"),
        ("1.6, ours differs", "source route", "To: <@relay.example:incoming+abc@example.com>", "to abc"),
        ("1.6, ours differs", "junk before a bare address", "To: the lab incoming+abc@example.com", "to abc"),
        ("1.6, ours differs", "one bad address in the list", "To: @@@, incoming+abc@example.com", "to abc"),
        ("1.6, ours differs", "a comment that never ends", "To: (oops incoming+abc@example.com", "to abc"),
        ("1.6, ours differs", "quotes that never end", "To: \"oops <incoming+abc@example.com>", "to abc"),
        ("ours", "an address as display name is no address", "To: incoming+abc@example.com <jane@example.com>", "none"),
        ("ours", "the same, quoted", "To: \"incoming+abc@example.com\" <jane@example.com>", "none"),
        ("1.1", "the first of two keys", "To: incoming+a@example.com, incoming+b@example.com", "to a"),
        (
            "1.7, needs GitLab's database",
            "custom address",
            "To: support+59d8df8370b7e95c5a49fbf86aeb2c93@customer.example",
            "none",
        ),
    ]);
}

#[test]
fn trace_fields_hold_one_address_or_more() {
    check(&[
        ("1.3", "bare", "Delivered-To: incoming+abc@example.com", "delivered-to abc"),
        ("1.3", "X-Delivered-To", "X-Delivered-To: incoming+abc@example.com", "x-delivered-to abc"),
        ("1.3", "Envelope-To in brackets", "Envelope-To: <incoming+abc@example.com>", "envelope-to abc"),
        ("1.3", "X-Envelope-To", "X-Envelope-To: incoming+abc@example.com", "x-envelope-to abc"),
        ("1.3", "X-Original-To", "X-Original-To: incoming+abc@example.com", "x-original-to abc"),
        ("1.3", "X-Forwarded-To", "X-Forwarded-To: incoming+abc@example.com", "x-forwarded-to abc"),
        (
            "1.3",
            "several lines",
            "Delivered-To: jane@example.org\r\nDelivered-To: incoming+abc@example.com",
            "delivered-to abc",
        ),
        ("1.3", "folded, blanks around", "Delivered-To:\r\n  incoming+abc@example.com ", "delivered-to abc"),
        ("1.2", "comma in the key", "Delivered-To: incoming+a,b@example.com", "delivered-to a,b"),
        ("1.2", "blank in the key", "Delivered-To: incoming+a b@example.com", "delivered-to a b"),
        ("1.3, ours differs", "display name", "Delivered-To: Name <incoming+abc@example.com>", "delivered-to abc"),
        ("1.3, ours differs", "comment", "Delivered-To: incoming+abc@example.com (comment)", "delivered-to abc"),
        ("1.3, ours differs", "list", "Envelope-To: jane@example.org, incoming+abc@example.com", "envelope-to abc"),
        (
            "1.3, ours differs",
            "two keys are two, not one long one",
            "Envelope-To: incoming+a@example.com, incoming+b@example.com",
            "envelope-to a",
        ),
        ("ours", "two addresses do not make one key", "Envelope-To: incoming+a@other.org, jane@example.com", "none"),
        ("1.1", "not a source: Bcc", "Bcc: incoming+abc@example.com", "none"),
        ("1.1", "not a source: Resent-To", "Resent-To: incoming+abc@example.com", "none"),
        ("1.1", "not a source: Apparently-To", "Apparently-To: incoming+abc@example.com", "none"),
        ("1.1", "not a source: Reply-To", "Reply-To: incoming+abc@example.com", "none"),
        ("1.1", "not a source: Return-Path", "Return-Path: <incoming+abc@example.com>", "none"),
        ("1.1", "not a source: X-Forwarded-For", "X-Forwarded-For: incoming+abc@example.com", "none"),
    ]);
}

#[test]
fn received_names_the_recipient_behind_for() {
    const BY: &str = "Received: from a.example (b [192.0.2.1]) by mx.example.com (Postfix) with ESMTP id 4XYZ";
    let rows: &[Row<'_>] = &[
        ("1.5", "Postfix", "for <incoming+abc@example.com>; Sun, 22 Nov 2026 10:00:00 +0000", "received abc"),
        ("1.5", "folded between", "for\r\n\t<incoming+abc@example.com>; date", "received abc"),
        ("1.5", "rubbish date", "for <incoming+abc@example.com>; no date (at all", "received abc"),
        ("1.5", "no date", "for <incoming+abc@example.com>", "received abc"),
        ("1.5", "two behind one for", "for <incoming+a@example.com>,<incoming+b@example.com>; date", "received a"),
        ("1.9", "second of two", "for <jane@example.org>, <incoming+b@example.com>; date", "received b"),
        ("1.5, ours differs", "Exim, without brackets", "for incoming+abc@example.com; date", "received abc"),
        (
            "1.5, ours differs",
            "Exim, blank behind",
            "for incoming+abc@example.com (envelope-from x@y); date",
            "received abc",
        ),
        ("1.5, ours differs", "capitals", "FOR <incoming+abc@example.com>; date", "received abc"),
        ("1.5, ours differs", "no blank", "for<incoming+abc@example.com>; date", "received abc"),
        ("1.5, ours differs", "a word that ends with for", "xfor <incoming+abc@example.com>; date", "none"),
        (
            "1.5, ours differs",
            "bracket in a later comment",
            "for <incoming+abc@example.com> (a>b); date",
            "received abc",
        ),
        (
            "1.5, ours differs",
            "second for",
            "for <jane@example.org> for <incoming+abc@example.com>; date",
            "received abc",
        ),
        ("1.5", "unclosed, then closed", "for <for <incoming+abc@example.com>; date", "received abc"),
        ("1.5", "no key behind for", "for <jane@example.org>; date", "none"),
        ("1.5", "not behind for", "via <incoming+abc@example.com>; date", "none"),
        (
            "ours",
            "outside of a comment first",
            "(for <incoming+a@example.com>) for <incoming+b@example.com>",
            "received b",
        ),
        ("1.5", "in a comment, if nowhere else", "(for <incoming+a@example.com>); date", "received a"),
        ("ours", "quoted, if nowhere else", "\"for <incoming+a@example.com>\"; date", "received a"),
    ];
    let rows: Vec<_> = rows.iter().map(|(s, n, rest, wanted)| (*s, *n, format!("{BY} {rest}"), *wanted)).collect();
    check(&rows.iter().map(|(s, n, header, wanted)| (*s, *n, header.as_str(), *wanted)).collect::<Vec<_>>());
    check(&[
        (
            "1.5",
            "newest hop first",
            "Received: by b for <incoming+new@example.com>\r\nReceived: by a for <incoming+old@example.com>",
            "received new",
        ),
        ("1.1", "not a source: X-Received", "X-Received: by b for <incoming+new@example.com>", "none"),
    ]);
}

#[test]
fn references_give_a_reply_and_nothing_else() {
    check(&[
        ("1.4", "two ids", "References: <reply-abc@example.com> <issue_1@example.com>", "references abc"),
        ("1.4", "second of two", "References: <issue_1@example.com> <reply-abc@example.com>", "references abc"),
        ("1.4", "commas (Exchange)", "References: <issue_1@example.com>,<reply-abc@example.com>", "references abc"),
        ("1.4", "nothing between", "References: <issue_1@example.com><reply-abc@example.com>", "references abc"),
        ("1.4", "quoted", "References: \"<reply-abc@example.com>\" <issue_1@example.com>", "references abc"),
        ("1.4", "folded", "References: <issue_1@example.com>\r\n\t<reply-abc@example.com>", "references abc"),
        (
            "1.4",
            "trailing rubbish",
            "References: <reply-abc@example.com> <issue_1@example.com> rubbish",
            "references abc",
        ),
        ("1.4", "beside an id without at sign", "References: <rubbish> <reply-abc@example.com>", "references abc"),
        ("14", "no opening bracket", "References: reply-abc@example.com> <x@example.com>", "references abc"),
        ("1.4, ours differs", "exactly one id", "References: <reply-abc@example.com>", "references abc"),
        ("1.4, ours differs", "one id without brackets", "References: reply-abc@example.com", "references abc"),
        ("1.4, ours differs", "host in capitals", "References: <reply-abc@EXAMPLE.com>", "references abc"),
        (
            "1.4, ours differs",
            "two fields",
            "References: <x@y>\r\nReferences: <reply-abc@example.com>",
            "references abc",
        ),
        ("1.4", "other host", "References: <reply-abc@gitlab.example.com> <x@y>", "none"),
        ("1.4", "the dot is a dot", "References: <reply-abc@exampleXcom> <x@y>", "none"),
        ("1.4", "no key", "References: <reply-@example.com> <x@y>", "none"),
        ("1.4", "longer id", "References: <xreply-abc@example.com> <x@y>", "none"),
        ("9 (364683)", "an address is no id", "References: <incoming+abc@example.com> <x@y>", "none"),
        ("1.1", "not a source: In-Reply-To", "In-Reply-To: <reply-abc@example.com>", "none"),
    ]);
}

#[test]
fn sources_are_tried_in_order() {
    let lines = [
        "To: incoming+to@example.com",
        "Delivered-To: incoming+delivered@example.com",
        "X-Delivered-To: incoming+xdelivered@example.com",
        "Envelope-To: incoming+envelope@example.com",
        "X-Envelope-To: incoming+xenvelope@example.com",
        "Received: by a for <incoming+received@example.com>; date",
        "X-Original-To: incoming+original@example.com",
        "X-Forwarded-To: incoming+forwarded@example.com",
        "Cc: incoming+cc@example.com",
        "References: <reply-reference@example.com>",
    ];
    let wanted = [
        "to to",
        "delivered-to delivered",
        "x-delivered-to xdelivered",
        "envelope-to envelope",
        "x-envelope-to xenvelope",
        "received received",
        "x-original-to original",
        "x-forwarded-to forwarded",
        "cc cc",
        "references reference",
    ];
    let routes = routes(&[INCOMING]);
    for (first, wanted) in wanted.into_iter().enumerate() {
        // The order in the message must not matter.
        let header: Vec<_> = lines[first..].iter().rev().copied().collect();
        assert_eq!(found(find(&routes, &header.join("\r\n"), &nobody())), wanted);
    }
}

#[test]
fn odd_messages_do_not_hide_the_key() {
    let many = "X-Filler: x\r\n".repeat(1_500);
    let rows: &[(&str, &str, Vec<u8>, &str)] = &[
        (
            "1.6, ours differs",
            "behind the 1000th field",
            format!("{many}To: incoming+abc@example.com").into(),
            "to abc",
        ),
        ("1.6, ours differs", "raw Latin-1", b"To: J\xfcrgen <incoming+abc@example.com>".to_vec(), "to abc"),
        ("1.6", "NUL in the key", b"To: incoming+a\0b@example.com".to_vec(), "to a\0b"),
        ("1.6", "LF alone", b"Subject: x\nTo: incoming+abc@example.com\n\n".to_vec(), "to abc"),
        ("1.6", "CR alone", b"Subject: x\rTo: incoming+abc@example.com\r\r".to_vec(), "to abc"),
        ("1.6", "mbox line and blank line first", b"\nFrom a@b Mon\nTo: incoming+abc@example.com\n".to_vec(), "to abc"),
        ("1.6", "a garbage line between", b"A: 1\r\ngarbage\r\nTo: incoming+abc@example.com\r\n".to_vec(), "to abc"),
        ("1.6", "a key in the body is none", b"A: 1\r\n\r\nTo: incoming+abc@example.com\r\n".to_vec(), "none"),
    ];
    let routes = routes(&[INCOMING]);
    for (section, name, bytes, wanted) in rows {
        let message = Message::parse(Content::whole(bytes.clone()));
        let result = routes.find(&message, &nobody(), &mut Trail::off());
        assert_eq!(found(result), *wanted, "{section} {name}");
    }
}

#[test]
fn hostile_fields_are_read_in_linear_time() {
    // Section 1.5 demands the first of these. Anything quadratic takes minutes here.
    let times = 100_000;
    let repeated =
        ["for <<", "for <", "for ", "(", "\"", "<", "@", "a@b,", "for (", "for \"", "=?", "\\(", "for a@b,", ":"];
    let routes = routes(&[INCOMING]);
    for text in repeated {
        for name in ["Received", "To", "Delivered-To", "References"] {
            let header = format!("{name}: {}\r\nCc: incoming+abc@example.com", text.repeat(times));
            assert_eq!(found(find(&routes, &header, &nobody())), "cc abc", "{name}: {text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_rendered_address_finds_its_key_again_through_every_source(key in "[A-Za-z0-9_+/.=-]{1,60}", upper: bool) {
        let routes = routes(&[INCOMING]);
        let domain = if upper { "EXAMPLE.COM" } else { "example.com" };
        let address = format!("incoming+{key}@{domain}");
        let in_envelope = find(&routes, "To: x@y", &Recipient::new(address.as_str()));
        prop_assert_eq!(found(in_envelope), format!("envelope {key}"));
        let fields = [
            ("to", format!("To: {address}")),
            ("to", format!("To: Jane <jane@example.org>, \"Lab\" <{address}>")),
            ("cc", format!("Cc: {address}, jane@example.org")),
            ("delivered-to", format!("Delivered-To: {address}")),
            ("x-delivered-to", format!("X-Delivered-To: {address}")),
            ("envelope-to", format!("Envelope-To: <{address}>")),
            ("x-envelope-to", format!("X-Envelope-To: {address}")),
            ("x-original-to", format!("X-Original-To: {address}")),
            ("x-forwarded-to", format!("X-Forwarded-To: {address}")),
            ("received", format!("Received: from a by b\r\n\tfor <{address}>; date")),
            ("received", format!("Received: from a by b\r\n\tfor {address}; date")),
            ("references", format!("References: <reply-{key}@{domain}>")),
        ];
        for (source, field) in fields {
            let result = find(&routes, &field, &nobody());
            prop_assert_eq!(found(result), format!("{source} {key}"), "{}", field);
        }
    }

    #[test]
    fn no_header_makes_the_search_fail(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let routes = routes(&[INCOMING]);
        for name in ["To", "Received", "Delivered-To", "References"] {
            let mut content = format!("{name}: ").into_bytes();
            content.extend(&bytes);
            let message = Message::parse(Content::whole(content));
            let _ = routes.find(&message, &nobody(), &mut Trail::kept());
        }
    }
}
