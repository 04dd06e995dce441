//! `mailhatch-postfix` puts in what it shows, and takes out exactly what it put in.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use crate::support::needs;
use crate::support::postfix::Postfix;

/// Every file of the configuration directory with its content.
pub fn snapshot(postfix: &Postfix) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut directories = vec![postfix.config_dir()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.insert(path.display().to_string(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

pub fn value(postfix: &Postfix, parameter: &str) -> String {
    String::from_utf8(postfix.run("postconf", &["-h", parameter]).stdout).unwrap().trim().to_owned()
}

#[track_caller]
pub fn good(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[needs(postfix, root)]
#[test]
fn disable_restores_the_configuration_to_the_byte() {
    for variant in ["lmtp", "pipe"] {
        let postfix = Postfix::prepare();
        // Lists with members of the site's own, and one that is not set.
        postfix.set(&[
            "transport_maps=inline:{a.example=smtp:b}",
            "smtpd_discard_ehlo_keywords=chunking",
            "virtual_mailbox_maps=inline:{x@y.example=z}",
        ]);
        let before = snapshot(&postfix);
        good(&postfix.wire(&["enable", "--yes", "--variant", variant, "mail.example.com"]));
        assert_ne!(snapshot(&postfix), before);
        good(&postfix.wire(&["enable", "--yes", "--variant", variant, "second.example.com"]));
        good(&postfix.wire(&["disable", "--yes"]));
        assert_eq!(snapshot(&postfix), before, "{variant}");
    }
}

#[needs(postfix, root)]
#[test]
fn enable_is_idempotent_and_keeps_the_lists_of_the_site() {
    let postfix = Postfix::prepare();
    postfix.set(&["transport_maps=inline:{a.example=smtp:b}", "smtpd_discard_ehlo_keywords=chunking"]);
    let enable = ["enable", "--yes", "--variant", "pipe", "mail.example.com"];
    good(&postfix.wire(&enable));
    let once = snapshot(&postfix);
    assert_eq!(
        value(&postfix, "transport_maps"),
        "texthash:$config_directory/mailhatch/transport, inline:{a.example=smtp:b}"
    );
    assert_eq!(value(&postfix, "smtpd_discard_ehlo_keywords"), "dsn, chunking");
    good(&postfix.wire(&enable));
    assert_eq!(snapshot(&postfix), once);
}

#[needs(postfix, root)]
#[test]
fn a_dry_run_shows_the_changes_and_makes_none() {
    let postfix = Postfix::prepare();
    let before = snapshot(&postfix);
    let shown = good(&postfix.wire(&["enable", "--dry-run", "mail.example.com"]));
    for part in
        ["transport_maps = ", "virtual_mailbox_domains = ", "mailhatch-lmtp unix", "lmtp_send_xforward_command=yes"]
    {
        assert!(shown.contains(part), "no {part} in:\n{shown}");
    }
    assert_eq!(snapshot(&postfix), before);
}

#[needs(postfix, root)]
#[test]
fn without_a_terminal_and_without_yes_nothing_is_changed() {
    let postfix = Postfix::prepare();
    let before = snapshot(&postfix);
    let output = postfix.wire(&["enable", "mail.example.com"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(snapshot(&postfix), before);
}

#[needs(postfix, root)]
#[test]
fn what_the_administrator_changed_since_is_left() {
    let postfix = Postfix::prepare();
    good(&postfix.wire(&["enable", "--yes", "--variant", "pipe", "mail.example.com"]));
    postfix.set(&["mailhatch_time_limit=500s", "smtpd_discard_ehlo_keywords=chunking dsn"]);
    let shown = good(&postfix.wire(&["disable", "--yes"]));
    assert!(shown.contains("mailhatch_time_limit = 500s is left"), "{shown}");
    assert_eq!(value(&postfix, "smtpd_discard_ehlo_keywords"), "chunking");
    assert_eq!(value(&postfix, "transport_maps"), "");
}

#[needs(postfix, root)]
#[test]
fn names_are_taken_out_one_by_one() {
    let postfix = Postfix::prepare();
    let before = snapshot(&postfix);
    good(&postfix.wire(&["enable", "--yes", "one.example.com", "two.example.com"]));
    let shown = good(&postfix.wire(&["disable", "--yes", "one.example.com"]));
    assert!(shown.contains("still in force for: two.example.com"), "{shown}");
    let table = fs::read_to_string(postfix.path("etc/mailhatch/transport")).unwrap();
    assert!(table.contains("\ntwo.example.com ") && !table.contains("one.example.com"), "{table}");
    good(&postfix.wire(&["disable", "--yes", "two.example.com"]));
    assert_eq!(snapshot(&postfix), before);
}

#[needs(postfix, root)]
#[test]
fn a_socket_is_kept_until_another_is_named() {
    let postfix = Postfix::prepare();
    let next_hops = || {
        let table = fs::read_to_string(postfix.path("etc/mailhatch/transport")).unwrap();
        let lines = table.lines().filter(|line| line.contains("example.com") && !line.starts_with(['#', '@']));
        lines.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    good(&postfix.wire(&["enable", "--yes", "--socket", "unix:/tmp/one.sock", "one.example.com"]));
    good(&postfix.wire(&["enable", "--yes", "two.example.com"]));
    assert_eq!(next_hops(), ["mailhatch-lmtp:unix:/tmp/one.sock"; 2]);
    good(&postfix.wire(&["disable", "--yes", "one.example.com"]));
    assert_eq!(next_hops(), ["mailhatch-lmtp:unix:/tmp/one.sock"]);
    good(&postfix.wire(&["enable", "--yes", "--socket", "unix:/tmp/two.sock", "two.example.com"]));
    assert_eq!(next_hops(), ["mailhatch-lmtp:unix:/tmp/two.sock"]);
}

#[needs(postfix, root)]
#[test]
fn status_tells_what_is_missing() {
    let postfix = Postfix::prepare();
    assert_eq!(postfix.wire(&["status"]).status.code(), Some(1));
    good(&postfix.wire(&["enable", "--yes", "mail.example.com"]));
    good(&postfix.wire(&["status"]));
    postfix.set(&["transport_maps="]);
    let output = postfix.wire(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("transport_maps"), "{output:?}");
    good(&postfix.wire(&["enable", "--yes", "mail.example.com"]));
    good(&postfix.wire(&["status"]));
}

#[needs(postfix, root)]
#[test]
fn wrong_wishes_are_refused_before_anything_is_changed() {
    let rows: &[(&str, &[&str], &str)] = &[
        ("no name", &["enable", "--yes"], "needs a domain"),
        ("no domain", &["enable", "--yes", "a b"], "no domain"),
        ("a pattern", &["enable", "--yes", "*.example.com"], "no domain"),
        ("a local domain", &["enable", "--yes", "local.example.com"], "incoming@local.example.com"),
        ("an unknown variant", &["enable", "--yes", "--variant", "uucp", "mail.example.com"], "unknown variant"),
        ("an unknown option", &["enable", "--yse", "mail.example.com"], "unknown option --yse"),
        ("nothing to take out", &["disable", "--yes"], "nothing to take out"),
    ];
    let postfix = Postfix::prepare();
    postfix.set(&["mydestination=local.example.com"]);
    let before = snapshot(&postfix);
    for (name, arguments, expected) in rows {
        let output = postfix.wire(arguments);
        assert!(!output.status.success(), "{name}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{name}: {output:?}");
        assert_eq!(snapshot(&postfix), before, "{name}");
    }
}

/// Postfix waits longer than mailhatch takes: who gives up first decides whether a mail is delivered twice (LMTP) or its
/// process killed (pipe).
#[needs(postfix, root)]
#[test]
fn postfix_waits_longer_than_our_deadline() {
    let minimal = "[[mailbox]]\nname = \"m\"\naddress = \"m+%{key}@example.com\"\napp = \"a\"\n[[app]]\nname = \"a\"\nkind = \"spool\"\npath = \"/s\"\n";
    let deadline = mailhatch::config::Config::parse("m.toml".as_ref(), minimal).unwrap().limits.deadline;
    let postfix = Postfix::prepare();
    for (variant, limit) in [("lmtp", "lmtp_data_done_timeout"), ("pipe", "mailhatch_time_limit")] {
        let shown = good(&postfix.wire(&["enable", "--dry-run", "--variant", variant, "mail.example.com"]));
        let at = shown.find(limit).unwrap_or_else(|| panic!("no {limit} in:\n{shown}"));
        let digits = shown[at + limit.len()..].trim_start_matches([' ', '=']);
        let seconds: u64 = digits.split('s').next().unwrap().parse().unwrap();
        assert!(seconds >= 2 * deadline.as_secs(), "{limit} = {seconds}s");
    }
}
