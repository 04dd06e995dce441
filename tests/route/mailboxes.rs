//! Several mailboxes, their order, and what is said about their addresses.

use std::path::Path;

use super::{INCOMING, config, find, found, message, nobody, routes};
use mailhatch::config::Config;
use mailhatch::mail::{Address, Recipient};
use mailhatch::route::Routes;
use mailhatch::trail::Trail;

const KEY: &str = "59d8df8370b7e95c5a49fbf86aeb2c93";

fn mailbox_of(routes: &Routes, header: &str, recipient: &Recipient) -> String {
    find(routes, header, recipient).map_or("none".to_owned(), |route| route.mailbox.name.value.clone())
}

#[test]
fn the_first_mailbox_of_the_configuration_wins() {
    let support = "name = \"support\"\naddress = \"in+s-%{key}@example.com\"\nactions = \"any\"";
    let incoming = "name = \"incoming\"\naddress = \"in+%{key}@example.com\"\nactions = \"any\"";
    let everything = "name = \"everything\"\naddress = \"%{key}@example.com\"\nactions = \"any\"";
    let rows: &[(&str, &[&str], &str, &str)] = &[
        ("narrow first", &[support, incoming], "in+s-1@example.com", "support"),
        ("narrow first, other key", &[support, incoming], "in+1@example.com", "incoming"),
        ("wide first", &[incoming, support], "in+s-1@example.com", "incoming"),
        ("catch-all first", &[everything, incoming], "in+1@example.com", "everything"),
        ("catch-all last", &[incoming, support, everything], "jane@example.com", "everything"),
    ];
    for (name, mailboxes, address, wanted) in rows {
        assert_eq!(mailbox_of(&routes(mailboxes), &format!("To: {address}"), &nobody()), *wanted, "{name}");
    }
}

#[test]
fn the_first_address_wins_before_the_first_mailbox() {
    let a = "name = \"a\"\naddress = \"a+%{key}@example.com\"\nactions = \"any\"";
    let b = "name = \"b\"\naddress = \"b+%{key}@example.com\"\nactions = \"any\"";
    let routes = routes(&[a, b]);
    assert_eq!(mailbox_of(&routes, "To: b+1@example.com, a+1@example.com", &nobody()), "b");
    assert_eq!(mailbox_of(&routes, "To: a+1@example.com", &Recipient::new("b+1@example.com")), "b");
}

#[test]
fn a_match_with_an_unknown_action_ends_the_search() {
    let gitlab = INCOMING.replace("any", "gitlab");
    let routes = routes(&[&gitlab]);
    let header = format!("To: incoming+{KEY}@example.com");
    // Section 1.1: scanning stops at the first match, even if the key turns out to be useless.
    assert_eq!(found(find(&routes, &header, &Recipient::new("incoming+nothing@example.com"))), "unknown nothing");
    // The dedicated part of the address alone is no match, so the search goes on.
    assert_eq!(found(find(&routes, &header, &Recipient::new("incoming@example.com"))), format!("to {KEY}"));
}

#[test]
fn each_mailbox_has_its_own_sources() {
    let only_references =
        "name = \"replies\"\naddress = \"r+%{key}@example.com\"\nactions = \"any\"\nsources = [\"references\"]";
    let to_first =
        "name = \"to\"\naddress = \"t+%{key}@example.com\"\nactions = \"any\"\nsources = [\"to\", \"envelope\"]";
    let usual = "name = \"usual\"\naddress = \"u+%{key}@example.com\"\nactions = \"any\"";
    let both = "References: <reply-1@example.com>\r\nTo: t+1@example.com";
    let rows: &[(&str, &[&str], &str, &str, &str)] = &[
        ("a source that is not in the list", &[to_first], "Cc: t+1@example.com", "x@y", "none"),
        ("the list's own order", &[to_first], "To: t+to@example.com", "t+envelope@example.com", "to"),
        ("a short list does not overtake", &[only_references, usual], both, "u+1@example.com", "usual"),
        ("a short list has its turn", &[only_references, usual], both, "x@y", "replies"),
        ("its address is not looked for elsewhere", &[only_references], "To: r+1@example.com", "x@y", "none"),
        (
            "mixed: the envelope is looked at first",
            &[to_first, usual],
            "To: t+1@example.com",
            "u+1@example.com",
            "usual",
        ),
    ];
    for (name, mailboxes, header, recipient, wanted) in rows {
        let routes = routes(mailboxes);
        assert_eq!(mailbox_of(&routes, header, &Recipient::new(*recipient)), *wanted, "{name}");
    }
    let mine = routes(&[to_first]);
    let recipient = Recipient::new("t+envelope@example.com");
    assert_eq!(found(find(&mine, "To: t+to@example.com", &recipient)), "to to");
    assert_eq!(found(find(&mine, "Cc: t+cc@example.com", &recipient)), "envelope envelope");
}

#[test]
fn a_dedicated_address_takes_replies_only() {
    let dedicated = "name = \"d\"\naddress = \"gitlab@example.com\"\nactions = \"gitlab\"\n\
                     references_host = \"GitLab.example.com\"";
    let routes = routes(&[dedicated]);
    let rows = [
        ("reply", format!("References: <reply-{KEY}@gitlab.example.com> <x@y>"), format!("references {KEY}")),
        (
            "references_host is not the address's domain",
            format!("References: <reply-{KEY}@example.com>"),
            "none".into(),
        ),
        ("no sub-address", format!("To: gitlab+{KEY}@example.com"), "none".into()),
        ("nothing to find", "To: gitlab@example.com".to_owned(), "none".into()),
    ];
    for (name, header, wanted) in rows {
        assert_eq!(found(find(&routes, &header, &Recipient::new("gitlab@example.com"))), wanted, "{name}");
    }
}

#[test]
fn a_mailbox_with_a_key_of_its_own_takes_every_message() {
    let support = "name = \"support\"\naddress = \"Support@example.com\"\nkey = \"General\"";
    let reply = "name = \"reply\"\naddress = \"reply+%{key}@example.com\"\nactions = \"any\"";
    let everything = "name = \"everything\"\naddress = \"%{key}@example.com\"\nactions = \"any\"";
    let to = |address: &str| format!("To: {address}");
    let rows: &[(&str, &[&str], String, &str, &str)] = &[
        ("the envelope", &[support], to("x@y"), "support@example.com", "support: envelope General"),
        ("another case", &[support], to("x@y"), "SUPPORT@Example.COM", "support: envelope General"),
        ("quoted", &[support], to("x@y"), "\"support\"@example.com", "support: envelope General"),
        ("a header field", &[support], to("Desk <support@example.com>"), "x@y", "support: to General"),
        ("no sub-address", &[support], to("x@y"), "support+a@example.com", "none: none"),
        ("no longer one", &[support], to("x@y"), "xsupport@example.com", "none: none"),
        ("another domain", &[support], to("x@y"), "support@example.org", "none: none"),
        ("beside a pattern", &[support, reply], to("x@y"), "reply+1@example.com", "reply: envelope 1"),
        ("before a catch-all", &[support, everything], to("x@y"), "support@example.com", "support: envelope General"),
        (
            "behind a catch-all",
            &[everything, support],
            to("x@y"),
            "support@example.com",
            "everything: envelope support",
        ),
        ("beside a catch-all", &[support, everything], to("x@y"), "jane@example.com", "everything: envelope jane"),
        ("not by References", &[support], "References: <reply-1@example.com> <x@y>".into(), "x@y", "none: none"),
    ];
    for (name, mailboxes, header, recipient, wanted) in rows {
        let routes = routes(mailboxes);
        let recipient = Recipient::new(*recipient);
        let route = find(&routes, header, &recipient);
        if let Ok(route) = &route {
            assert!(route.mailbox.name.value != "support" || (&*route.action, route.captures.len()) == ("message", 0));
        }
        let mailbox = mailbox_of(&routes, header, &recipient);
        assert_eq!(format!("{mailbox}: {}", found(route)), *wanted, "{name}");
    }
    // There is no key in the address that could be hidden.
    assert_eq!(routes(&[support]).mask("support@example.com"), "support@example.com");
}

#[test]
fn mailboxes_of_one_references_host_do_not_hide_each_other() {
    let desk = "name = \"desk\"\naddress = \"desk+%{key}@example.com\"\nactions = \"gitlab-service-desk\"";
    let gitlab = INCOMING.replace("any", "gitlab");
    let header = format!("References: <reply-{KEY}@example.com>");
    assert_eq!(mailbox_of(&routes(&[desk, &gitlab]), &header, &nobody()), "incoming_email");
}

#[test]
fn a_wrong_address_or_pattern_is_shown_with_its_line() {
    let address = |text: &str| format!("name = \"m\"\naddress = \"{text}\"\nactions = \"any\"");
    let rows = [
        ("key behind the at sign", address("incoming@%{key}.example.com"), 8, "must stand before the @"),
        ("two keys", address("%{key}+%{key}@example.com"), 8, "more than one %{key}"),
        ("no address", address("incoming+%{key}"), 8, "is not a valid mail address"),
        ("blank", address("in coming+%{key}@example.com"), 8, "is not a valid mail address"),
        ("no domain", address("incoming+%{key}@"), 8, "is not a valid mail address"),
        ("dedicated, no address", address("incoming"), 8, "is not a valid mail address"),
        (
            "dedicated without References",
            address("in@example.com") + "\nsources = [\"to\"]",
            8,
            "are not among the sources of this mailbox",
        ),
        (
            "dedicated service desk",
            "name = \"m\"\naddress = \"in@example.com\"\nactions = \"gitlab-service-desk\"".to_owned(),
            8,
            "never give the action service-desk",
        ),
        (
            "a key beside %{key}",
            address("in+%{key}@e.com").replace("actions = \"any\"", "key = \"k\""),
            9,
            "without %{key}",
        ),
        ("an empty key", address("in@e.com").replace("actions = \"any\"", "key = \"\""), 9, "at least one character"),
        (
            "a key, found by References alone",
            address("in@e.com").replace("actions = \"any\"", "key = \"k\"\nsources = [\"references\"]"),
            8,
            "not found by References",
        ),
        (
            "pattern",
            "name = \"m\"\naddress = \"%{key}@e.com\"\n[[mailbox.action]]\nname = \"a\"\npattern = '(x'".to_owned(),
            11,
            "unclosed group",
        ),
        (
            "pattern that would close what is put around it",
            "name = \"m\"\naddress = \"%{key}@e.com\"\n[[mailbox.action]]\nname = \"a\"\npattern = 'a)(b'".to_owned(),
            11,
            "unopened group",
        ),
    ];
    for (name, mailbox, line, reason) in rows {
        let error = Routes::new(&config(&[&mailbox])).expect_err(name);
        assert_eq!(error.line(), Some(line), "{name}: {error}");
        assert!(error.to_string().contains(reason), "{name}: {error}");
    }
}

#[test]
fn keys_are_masked_in_every_form_of_an_address() {
    let dedicated = "name = \"d\"\naddress = \"gitlab@example.org\"\nactions = \"any\"";
    let routes = routes(&[INCOMING, dedicated]);
    let rows = [
        ("a key", "incoming+59d8df8370b7@example.com", "incoming+59d8…@example.com"),
        ("case is kept", "Incoming+59D8df8370b7@Example.com", "Incoming+59D8…@Example.com"),
        ("in brackets", "<incoming+59d8df8370b7@example.com>", "<incoming+59d8…@example.com>"),
        ("quoted", "\"incoming+59d8df8370b7\"@example.com", "\"incoming+59d8…\"@example.com"),
        ("a short key", "incoming+59d8@example.com", "incoming+…@example.com"),
        ("a reply id", "reply-59d8df8370b7@example.com", "reply-59d8…@example.com"),
        ("a reply id of the other host", "reply-59d8df8370b7@example.org", "reply-59d8…@example.org"),
        ("no key", "incoming+@example.com", "incoming+@example.com"),
        ("somebody else", "jane+59d8df8370b7@example.net", "jane+59d8df8370b7@example.net"),
        ("no address", "rubbish", "rubbish"),
        ("nothing", "", ""),
    ];
    for (name, address, wanted) in rows {
        assert_eq!(routes.mask(address), wanted, "{name}");
    }
}

#[test]
fn addresses_that_come_back_to_us_are_our_own() {
    let dedicated = "name = \"d\"\naddress = \"gitlab@Example.org\"\nactions = \"any\"";
    let routes = routes(&[INCOMING, dedicated]);
    let rows = [
        ("an address of a mailbox", "incoming+abc@example.com", true),
        ("a dedicated address", "gitlab@example.org", true),
        ("its sub-address", "gitlab+abc@EXAMPLE.org", true),
        ("the domain of a mailbox", "jane@example.com", true),
        ("a domain below it", "jane@sub.example.com", false),
        ("another domain", "incoming+abc@example.net", false),
    ];
    for (name, address, wanted) in rows {
        assert_eq!(routes.is_own(&Address::parse(address).unwrap()), wanted, "{name}");
    }
}

#[test]
fn the_trail_says_what_was_looked_at() {
    let routes = routes(&[INCOMING]);
    let mut trail = Trail::kept();
    let header = "To: Jane <jane@example.org>, joe@example.org\r\nDelivered-To: incoming+abc@example.com";
    routes.find(&message(header), &nobody(), &mut trail).unwrap();
    let steps: Vec<_> = trail
        .into_steps()
        .into_iter()
        .map(|step| format!("{} {} {} {}", step.step, step.rule, step.result, step.detail))
        .collect();
    assert_eq!(
        steps,
        [
            "route envelope no match catchall@relay.example",
            "route to no match jane@example.org, joe@example.org",
            "route delivered-to match incoming+abc@example.com",
            "route action match incoming_email: message",
        ]
    );
}

#[test]
fn ten_thousand_mailboxes_are_told_apart() {
    let mut text = "[[app]]\nname = \"store\"\nkind = \"spool\"\npath = \"/nowhere\"\n".to_owned();
    for number in 0..10_000 {
        let domain = number % 100;
        text.push_str(&format!(
            "[[mailbox]]\nname = \"m{number}\"\naddress = \"m{number}+%{{key}}@d{domain}.example\"\nactions = \"any\"\napp = \"store\"\n"
        ));
    }
    let routes = Routes::new(&Config::parse(Path::new("test.toml"), &text).unwrap()).unwrap();
    for number in [0, 1, 4711, 9_999] {
        let recipient = Recipient::new(format!("M{number}+key@D{}.example", number % 100));
        assert_eq!(mailbox_of(&routes, "To: x@y", &recipient), format!("m{number}"));
    }
    assert_eq!(mailbox_of(&routes, "To: x@y", &Recipient::new("m1+key@d2.example")), "none");
    // Of all that share a host the first of the configuration takes the reply.
    assert_eq!(mailbox_of(&routes, "References: <reply-key@d7.example>", &nobody()), "m7");
}
