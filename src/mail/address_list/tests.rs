use super::*;
use crate::mail::lexical::without_comments;

/// `name <address>`, with `-` for what is not there.
fn shown(text: &str) -> Vec<String> {
    let mut list = Listed::default();
    read(text, &mut list, 1000);
    let show = |entry: &NamedAddress| {
        let address = entry.address.as_ref().map_or("-", Address::as_str);
        format!("{} <{address}>", entry.name.as_deref().unwrap_or("-"))
    };
    list.entries.iter().map(show).collect()
}

#[test]
fn what_the_rfc_allows_is_read() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("bare", "jane@example.org", &["- <jane@example.org>"]),
        ("in brackets", "<jane@example.org>", &["- <jane@example.org>"]),
        ("a name", "Jane Doe <jane@example.org>", &["Jane Doe <jane@example.org>"]),
        ("a quoted name", "\"Doe, Jane\" <jane@example.org>", &["Doe, Jane <jane@example.org>"]),
        ("escapes in a name", r#""a \"b\" \\c" <jane@example.org>"#, &[r#"a "b" \c <jane@example.org>"#]),
        ("a name of both", "\"Dr.\" Jane <jane@example.org>", &["Dr. Jane <jane@example.org>"]),
        ("no blank before the bracket", "Jane<jane@example.org>", &["Jane <jane@example.org>"]),
        ("a dot in a name", "Jane D. Doe <jane@example.org>", &["Jane D. Doe <jane@example.org>"]),
        ("a comment as the name", "jane@example.org (Jane Doe)", &["Jane Doe <jane@example.org>"]),
        ("a comment beside the name", "Jane (the boss) <jane@example.org> (x)", &["Jane <jane@example.org>"]),
        ("a comment in the address", "<jane(x)@(y)example.org>", &["- <jane@example.org>"]),
        (
            "a list",
            "a@h.example, B <b@h.example> ,, c@h.example",
            &["- <a@h.example>", "B <b@h.example>", "- <c@h.example>"],
        ),
        ("a group", "team: a@h.example, B <b@h.example>;", &["- <a@h.example>", "B <b@h.example>"]),
        ("a group and more", "team: a@h.example;, b@h.example", &["- <a@h.example>", "- <b@h.example>"]),
        ("an empty group", "undisclosed-recipients:;", &[]),
        ("a quoted group", "\"a: b\": c@h.example;", &["- <c@h.example>"]),
        ("nothing", " ", &[]),
        ("a quoted local part", "\"john doe\"@h.example", &["- <\"john doe\"@h.example>"]),
        ("a quoted local part in brackets", "T <\"a..b\"@h.example>", &["T <\"a..b\"@h.example>"]),
        ("a quoted local part with everything", r#"<"a b,c@\"d"@h.example>"#, &[r#"- <"a b,c@\"d"@h.example>"#]),
        (
            "two quoted local parts",
            "\"a b\"@h.example, \"c\"@h.example",
            &["- <\"a b\"@h.example>", "- <\"c\"@h.example>"],
        ),
        ("dots anywhere", "taro..yamada.@docomo.example", &["- <taro..yamada.@docomo.example>"]),
        ("blanks around the at sign", "jane @ example.org", &["- <jane@example.org>"]),
        (
            "blanks around a dot of the domain",
            "jdoe@test   . example, a@h.example",
            &["- <jdoe@test.example>", "- <a@h.example>"],
        ),
        ("blanks around dots in brackets", "<john . doe @ test . example>", &["- <john.doe@test.example>"]),
        ("a sentence", "write to jane@example.org, please.", &["write to <jane@example.org>", "please. <->"]),
        ("a source route", "<@a.example,@b.example:jane@example.org>", &["- <jane@example.org>"]),
        (
            "a literal",
            "jane@[192.0.2.1], <j@[IPv6:2001:db8::1]>",
            &["- <jane@[192.0.2.1]>", "- <j@[IPv6:2001:db8::1]>"],
        ),
        ("the root's dot", "jane@example.org.", &["- <jane@example.org.>"]),
        ("not ascii", "Jürgen <jürgen@bücher.example>", &["Jürgen <jürgen@bücher.example>"]),
        ("encoded words", "=?utf-8?q?J=C3=BCrgen?= =?utf-8?q?_Ro=C3=9F?= <j@h.example>", &["Jürgen Roß <j@h.example>"]),
        ("an encoded comma", "=?iso-8859-1?Q?Stra=DFer=2C_Anna?= <a@h.example>", &["Straßer, Anna <a@h.example>"]),
        ("encoded brackets", "=?utf-8?q?a_=3Cb=40c=3E?= <a@h.example>", &["a <b@c> <a@h.example>"]),
        ("an encoded word in quotes", "\"=?utf-8?q?J=C3=BCrgen?=\" <j@h.example>", &["Jürgen <j@h.example>"]),
        ("an encoded comment", "j@h.example (=?utf-8?q?J=C3=BCrgen?=)", &["Jürgen <j@h.example>"]),
    ];
    for (name, text, want) in rows {
        assert_eq!(shown(text), *want, "{name}");
    }
}

#[test]
fn what_is_written_badly_is_read_in_one_way_or_not_at_all() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("no comma", "Bob <b@h.example> Bobby <c@h.example>", &["Bob <b@h.example>", "Bobby <c@h.example>"]),
        ("no comma, no blank", "<b@h.example><c@h.example>", &["- <b@h.example>", "- <c@h.example>"]),
        ("no comma, bare", "b@h.example c@h.example", &["- <b@h.example>", "- <c@h.example>"]),
        ("no comma, a bare one behind", "Bob <b@h.example> c@h.example", &["Bob <b@h.example>", "- <c@h.example>"]),
        ("the address as the name", "b@h.example <b@h.example>", &["b@h.example <b@h.example>"]),
        ("another address as the name", "boss@bank.example <b@h.example>", &["boss@bank.example <b@h.example>"]),
        ("semicolons", "b@h.example; C <c@h.example>;", &["- <b@h.example>", "C <c@h.example>"]),
        ("no closing bracket", "Bob <b@h.example", &["Bob <b@h.example>"]),
        (
            "no closing bracket, more behind",
            "Bob <b@h.example, C <c@h.example>",
            &["Bob <b@h.example>", "C <c@h.example>"],
        ),
        ("no closing bracket, words behind", "Bob <b@h.example or so", &["Bob <b@h.example>"]),
        ("no opening bracket", "\"A Person\" person@h.example>", &["A Person <person@h.example>"]),
        ("doubled brackets", "Bob <<b@h.example>>", &["Bob <b@h.example>"]),
        ("no closing quote", "\"Bob Dunn <b@h.example>", &["Bob Dunn <b@h.example>"]),
        ("no opening quote", "Bob Dunn\" <b@h.example>", &["Bob Dunn <b@h.example>"]),
        ("no closing parenthesis", "b@h.example (Bob", &["Bob <b@h.example>"]),
        ("the name behind", "<b@h.example> Bob Dunn", &["Bob Dunn <b@h.example>"]),
        ("a name before a bare one", "Bob Dunn b@h.example", &["Bob Dunn <b@h.example>"]),
        ("single quotes", "'b@h.example'", &["- <b@h.example>"]),
        ("square brackets", "Bob [b@h.example]", &["Bob <b@h.example>"]),
        ("a scheme", "<mailto:b@h.example>, mailto:c@h.example", &["- <b@h.example>", "- <c@h.example>"]),
        ("blanks in brackets", "Bob < b@h.example >", &["Bob <b@h.example>"]),
        ("empty brackets", "Mail System <>, <>", &["Mail System <->"]),
        ("a name alone", "Cron Daemon", &["Cron Daemon <->"]),
        ("a quoted name alone", "\"b@h.example\"", &["b@h.example <->"]),
        ("a local name", "root", &["root <->"]),
        ("a local name in brackets", "Cron <root>", &["Cron <root> <->"]),
        ("two at signs", "<a@b@h.example>", &["a@b@h.example <->"]),
        ("two dots in the domain", "<a@h..example>", &["a@h..example <->"]),
        ("blanks in the local part", "<john doe@h.example>", &["john doe@h.example <->"]),
        ("a quoted string in the middle", "<a\"b\"c@h.example>", &["a\"b\"c@h.example <->"]),
        ("no local part", "<@h.example>", &["@h.example <->"]),
        ("no domain", "Bob <b@>", &["Bob <b@> <->"]),
        ("all in an encoded word", "=?utf-8?q?Bob_=3Cb=40h=2Eexample=3E?=", &["Bob <b@h.example> <->"]),
        ("an encoded address", "Bob <=?utf-8?q?b=40h=2Eexample?=>", &["Bob <b@h.example> <->"]),
        ("an encoded local part", "=?utf-8?q?b?=@h.example", &["b@h.example <->"]),
        ("nul", "<a\0b@h.example>", &["a\0b@h.example <->"]),
        ("a character that was not read", "<a@\u{fffd}.example>", &["a@\u{fffd}.example <->"]),
    ];
    for (name, text, want) in rows {
        assert_eq!(shown(text), *want, "{name}");
    }
}

#[test]
fn a_list_ends_at_its_limit() {
    let mut list = Listed::default();
    read("a@h, b@h", &mut list, 3);
    read("c@h, d@h, e@h", &mut list, 3);
    assert_eq!((list.entries.len(), list.is_truncated), (3, true));
}

proptest::proptest! {
    #[test]
    fn an_address_stands_in_the_field(text in "([a-c.@<>\", ;:()\\\\'\\[\\]]|=\\?utf-8\\?q\\?|\\?=|\\PC){0,40}") {
        let mut list = Listed::default();
        read(&text, &mut list, 1000);
        let compact: String = without_comments(&text).split_ascii_whitespace().collect();
        for entry in list.entries {
            proptest::prop_assert!(entry.name.is_some() || entry.address.is_some());
            if let Some(address) = entry.address {
                let address: String = address.as_str().split_ascii_whitespace().collect();
                let is_there = compact.contains(&address) || text.contains('(');
                proptest::prop_assert!(is_there, "{} is not in {}", address, text);
            }
        }
    }
}
