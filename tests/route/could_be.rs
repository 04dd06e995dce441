//! What an address alone tells: only what no header could change.

use std::path::Path;

use mailhatch::config::Config;
use mailhatch::mail::{Address, Recipient};
use mailhatch::route::{Foreseeable, Routes, Unrouted};
use proptest::prelude::*;

use super::{find, routes};

const GITLAB: &str = "name = \"incoming\"\naddress = \"incoming+%{key}@mail.example.com\"\nactions = \"gitlab\"";
const REPLY: &str = "59d8df8370b7e95c5a49fbf86aeb2c93";

/// The mailboxes with a `[refuse]` section.
fn refusing(mailboxes: &[&str], refuse: &str) -> Result<Routes, String> {
    let mut text = format!("[refuse]\n{refuse}\n[[app]]\nname = \"store\"\nkind = \"spool\"\npath = \"/nowhere\"\n");
    for mailbox in mailboxes {
        text.push_str(&format!("[[mailbox]]\napp = \"store\"\n{mailbox}\n"));
    }
    let config = Config::parse(Path::new("test.toml"), &text).map_err(|error| error.to_string())?;
    Routes::new(&config).map_err(|error| error.to_string())
}

fn name(foreseeable: &Foreseeable) -> &'static str {
    match foreseeable {
        Foreseeable::Accepted => "accepted",
        Foreseeable::Closed => "closed",
        Foreseeable::Dedicated => "dedicated",
        Foreseeable::Foreign => "foreign",
        Foreseeable::HeaderFirst { .. } => "header first",
        Foreseeable::Known { .. } => "known",
        Foreseeable::Open => "open",
        Foreseeable::UnknownKey { .. } => "unknown key",
    }
}

#[track_caller]
fn check(routes: &Routes, rows: &[(&str, &str, &str)]) {
    for (row, address, wanted) in rows {
        let address = Address::parse(address).unwrap_or_else(|| panic!("{row}: {address}"));
        assert_eq!(name(&routes.could_be(&address)), *wanted, "{row}");
    }
}

#[test]
fn a_mailbox_knows_its_keys_by_their_form() {
    check(
        &refusing(&[GITLAB], "").unwrap(),
        &[
            ("a reply key", &format!("incoming+{REPLY}@mail.example.com"), "known"),
            ("an issue", "incoming+group-project-20-token-issue@mail.example.com", "known"),
            ("upper case around the key", &format!("INCOMING+{REPLY}@Mail.Example.COM"), "known"),
            ("quotes without need", &format!("\"incoming+{REPLY}\"@mail.example.com"), "known"),
            ("a dot at the end", &format!("incoming+{REPLY}@mail.example.com."), "known"),
            ("not a key", "incoming+nota@mail.example.com", "unknown key"),
            ("not a key, in quotes", "\"incoming+not a key\"@mail.example.com", "unknown key"),
            (
                "a reply key in upper case is none",
                &format!("incoming+{}@mail.example.com", REPLY.to_uppercase()),
                "unknown key",
            ),
            ("UTF-8", "incoming+schlüssel@mail.example.com", "unknown key"),
            ("no key at all", "incoming+@mail.example.com", "open"),
            ("the mailbox without a key", "incoming@mail.example.com", "open"),
            ("somebody else", "jane@mail.example.com", "open"),
            ("another domain", "incoming+nota@example.com", "foreign"),
            ("a domain below", "incoming+nota@x.mail.example.com", "foreign"),
            ("postmaster", "Postmaster@mail.example.com", "accepted"),
        ],
    );
}

#[test]
fn an_address_with_a_key_of_its_own_is_known_as_it_is_written() {
    let support = "name = \"support\"\naddress = \"support@mail.example.com\"\nkey = \"General\"";
    let header_first = format!("{support}\nsources = [\"to\", \"envelope\"]");
    check(
        &refusing(&[support], "closed = [\"mail.example.com\"]").unwrap(),
        &[
            ("the address", "Support@mail.example.com", "known"),
            ("with quotes", "\"support\"@mail.example.com", "known"),
            ("a sub-address of it", "support+x@mail.example.com", "closed"),
            ("one that begins so", "supports@mail.example.com", "closed"),
        ],
    );
    check(
        &refusing(&[&header_first], "").unwrap(),
        &[
            ("the address", "support@mail.example.com", "header first"),
            ("a sub-address of it", "support+x@mail.example.com", "open"),
        ],
    );
}

#[test]
fn a_closed_domain_has_no_address_but_its_mailboxes() {
    let dedicated =
        "name = \"desk\"\naddress = \"gitlab@mail.example.com\"\nsources = [\"references\"]\nactions = \"gitlab\"";
    let landing = "accept = [\"Landing@mail.example.com\", \"incoming+old-list@mail.example.com\"]";
    check(
        &refusing(&[GITLAB, dedicated], &format!("closed = [\"Mail.example.com\"]\n{landing}")).unwrap(),
        &[
            ("a key", &format!("incoming+{REPLY}@mail.example.com"), "known"),
            ("not a key", "incoming+nota@mail.example.com", "unknown key"),
            ("no mailbox's form", "jane@mail.example.com", "closed"),
            ("the mailbox without a key", "incoming@mail.example.com", "closed"),
            ("the dedicated address", "gitlab@mail.example.com", "dedicated"),
            ("a sub-address of it", "GitLab+x@mail.example.com", "dedicated"),
            ("an accepted address", "landing@MAIL.example.com", "accepted"),
            ("a sub-address of it", "landing+x+y@mail.example.com", "accepted"),
            ("one that only begins so", "landings@mail.example.com", "closed"),
            ("an accepted address with a plus", "incoming+old-list@mail.example.com", "accepted"),
            ("a sub-address of that", "incoming+old-list+x@mail.example.com", "accepted"),
            ("one that only begins like that", "incoming+old-lists@mail.example.com", "unknown key"),
            ("postmaster", "postmaster@mail.example.com", "accepted"),
            ("another domain", "jane@example.com", "foreign"),
        ],
    );
}

#[test]
fn domains_are_compared_by_their_a_labels() {
    let umlaut = "name = \"u\"\naddress = \"incoming+%{key}@bücher.example\"\nactions = \"gitlab\"";
    let punycode = umlaut.replace("bücher", "xn--bcher-kva");
    for (mailbox, closed) in [(umlaut, "xn--bcher-kva.example"), (&punycode, "Bücher.example")] {
        let refuse = format!("closed = [\"{closed}\"]\naccept = [\"landing@{closed}\"]");
        check(
            &refusing(&[mailbox], &refuse).unwrap(),
            &[
                ("a key at the U-label", &format!("incoming+{REPLY}@bücher.example"), "known"),
                ("a key at the A-label", &format!("incoming+{REPLY}@xn--bcher-kva.example"), "known"),
                ("not a key at the U-label", "incoming+nota@BÜCHER.example", "unknown key"),
                ("not a key at the A-label", "incoming+nota@XN--BCHER-kva.example", "unknown key"),
                ("closed at the U-label", "jürgen@bücher.example", "closed"),
                ("accepted at the U-label", "landing@bücher.example", "accepted"),
            ],
        );
    }
}

#[test]
fn where_the_header_comes_first_nothing_is_certain() {
    let header_first = format!("{GITLAB}\nsources = [\"to\", \"envelope\"]");
    let other = "name = \"other\"\naddress = \"other+%{key}@other.example\"\nactions = \"any\"";
    let never = format!("{other}\nsources = [\"to\"]");
    let only_to = format!("{GITLAB}\nsources = [\"to\"]");
    let rows: &[(&str, &[&str], &str)] = &[
        ("the envelope first", &[GITLAB], "unknown key"),
        ("this mailbox looks at To first", &[&header_first], "header first"),
        ("another one does", &[GITLAB, &format!("{other}\nsources = [\"cc\", \"envelope\"]")], "header first"),
        ("another one never looks at the envelope", &[GITLAB, &never], "unknown key"),
        ("this one never does", &[&only_to, other], "header first"),
    ];
    for (row, mailboxes, wanted) in rows {
        check(&refusing(mailboxes, "").unwrap(), &[(row, "incoming+nota@mail.example.com", wanted)]);
    }
}

#[test]
fn of_two_mailboxes_the_one_that_find_asks_decides() {
    let any = "name = \"any\"\naddress = \"%{key}@mail.example.com\"\nactions = \"any\"";
    check(&routes(&[GITLAB, any]), &[("GitLab's first", "incoming+nota@mail.example.com", "unknown key")]);
    check(&routes(&[any, GITLAB]), &[("the catch-all first", "incoming+nota@mail.example.com", "known")]);
    let later = format!("{any}\nsources = [\"to\"]");
    check(&routes(&[&later, GITLAB]), &[("one that is not asked", "incoming+nota@mail.example.com", "unknown key")]);
}

#[test]
fn an_entry_that_would_do_nothing_is_an_error_at_its_line() {
    let rows = [
        ("closed = [\"mail.example.org\"]", "mail.example.org is not the domain of a mailbox"),
        ("closed = [\"*\"]", "* is not the domain of a mailbox"),
        ("accept = [\"jane@example.com\"]", "example.com is not the domain of a mailbox"),
        ("accept = [\"jane\"]", "\"jane\" is not a valid mail address"),
        ("accept = [\"a b@mail.example.com\"]", "is not a valid mail address"),
        ("mode = \"reject\"", "unknown variant `reject`, expected `log` or `refuse`"),
        ("close = []", "unknown field `close`"),
    ];
    for (refuse, message) in rows {
        let error = refusing(&[GITLAB], refuse).expect_err(refuse);
        assert!(error.starts_with("test.toml:2:") && error.contains(message), "{refuse}: {error}");
    }
}

/// Mailboxes whose addresses overlap, in any order, with any sources and actions.
fn mailboxes() -> impl Strategy<Value = Vec<String>> {
    let address = prop_oneof![
        Just("incoming+%{key}@mail.example.com"),
        Just("incoming+%{key}-x@mail.example.com"),
        Just("%{key}@mail.example.com"),
        Just("desk-%{key}@mail.example.com"),
        Just("other+%{key}@bücher.example"),
    ];
    let actions = prop_oneof![
        Just("actions = \"gitlab\""),
        Just("actions = \"gitlab-service-desk\""),
        Just("actions = \"any\""),
        Just("[[mailbox.action]]\nname = \"number\"\npattern = \"[0-9]+\""),
        Just("[[mailbox.action]]\nname = \"reply\"\npattern = \"[a-f0-9]{4}\""),
    ];
    let names = ["envelope", "to", "delivered-to", "received", "cc", "references"];
    let sources = prop_oneof![
        2 => Just(Vec::new()),
        2 => proptest::sample::subsequence(names.to_vec(), 1..names.len()).prop_shuffle(),
    ];
    let mailbox = (address, actions, sources).prop_map(|(address, actions, sources)| {
        let sources = if sources.is_empty() { String::new() } else { format!("sources = {sources:?}\n") };
        format!("address = \"{address}\"\n{sources}{actions}")
    });
    proptest::collection::vec(mailbox, 1..5).prop_map(|mailboxes| {
        mailboxes.iter().enumerate().map(|(index, text)| format!("name = \"m{index}\"\n{text}")).collect()
    })
}

fn address() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just(REPLY.to_owned()),
        Just("12ab".to_owned()),
        Just("4711".to_owned()),
        Just("group-project-20-token-issue".to_owned()),
        "[a-z0-9+./-]{0,6}",
        "\\PC{0,4}",
    ];
    let before = prop_oneof![Just("incoming+"), Just("Incoming+"), Just("desk-"), Just("other+"), Just("")];
    let after = prop_oneof![4 => Just(""), 1 => Just("-x")];
    let domain =
        prop_oneof![4 => Just("mail.example.com"), 1 => Just("MAIL.example.com."), 1 => Just("xn--bcher-kva.example")];
    (before, key, after, domain, any::<bool>()).prop_map(|(before, key, after, domain, quoted)| {
        let local = format!("{before}{key}{after}");
        if quoted {
            let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{escaped}\"@{domain}")
        } else {
            format!("{local}@{domain}")
        }
    })
}

fn header() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("To"),
        Just("Cc"),
        Just("Delivered-To"),
        Just("Received"),
        Just("References"),
        Just("X-Original-To")
    ];
    let field = (name, address()).prop_map(|(name, address)| match name {
        "Received" => format!("Received: from a by b for <{address}>; Sun, 22 Nov 2026 10:00:00 +0000"),
        "References" => format!("References: <reply-{REPLY}@mail.example.com> <{address}>"),
        name => format!("{name}: <{address}>"),
    });
    proptest::collection::vec(field, 0..5).prop_map(|fields| {
        // A line of its own for what a field might hold of line ends.
        fields.iter().map(|field| field.replace(['\r', '\n'], " ") + "\r\n").collect::<String>() + "X: y"
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is refused for its key, the route calls an unknown action, whatever the header says and wherever an alias led it.
    #[test]
    fn whatever_is_refused_for_its_key_no_header_could_have_routed(
        mailboxes in mailboxes(),
        address in address(),
        headers in proptest::collection::vec(header(), 1..4),
        original in proptest::option::of(address()),
    ) {
        let mailboxes: Vec<_> = mailboxes.iter().map(String::as_str).collect();
        let routes = refusing(&mailboxes, "").unwrap();
        let Some(address) = Address::parse(&address) else { return Ok(()) };
        let could_be = routes.could_be(&address);
        let mut recipient = Recipient::new(address.as_str());
        recipient.original = original;
        for header in &headers {
            let found = find(&routes, header, &recipient);
            match &could_be {
                Foreseeable::UnknownKey { mailbox } => {
                    let same = matches!(&found, Err(Unrouted::UnknownAction { mailbox: found, .. }) if found.name.value == mailbox.name.value);
                    prop_assert!(same, "{address} with {header}: {found:?}");
                }
                Foreseeable::Known { mailbox, action } => {
                    let same = matches!(&found, Ok(route) if route.mailbox.name.value == mailbox.name.value && route.action == *action);
                    prop_assert!(same, "{address} with {header}: {found:?}");
                }
                _ => {}
            }
        }
    }
}
