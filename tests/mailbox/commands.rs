//! The commands about inboxes: what they show, and that those that only look change nothing.

use crate::servers::{Dovecot, Imap};
use crate::site::{Site, address, append, message};
use crate::support::needs;

/// Everything of the mailbox that a client can see.
fn seen(client: &mut Imap) -> (Vec<crate::servers::client::Listed>, u64) {
    (client.list("INBOX"), client.status("INBOX", "HIGHESTMODSEQ"))
}

fn some(client: &mut Imap) {
    let auto = String::from_utf8(message(&address(3), "auto"))
        .unwrap()
        .replace("Subject:", "Auto-Submitted: auto-replied\r\nSubject:");
    append(
        client,
        [
            message(&address(1), "one"),
            message("joe@example.net", "other"),
            auto.into_bytes(),
            message(&address(2), "two"),
        ],
    );
}

#[needs(dovecot_imap, root)]
#[test]
fn a_dry_run_counts_and_changes_nothing() {
    let server = Dovecot::start();
    let mut client = server.client();
    some(&mut client);
    let before = seen(&mut client);
    let site = Site::new(server.imap(), "since = \"unseen\"");
    let out = site.run(&["fetch", "--dry-run"]).expect(0).out();
    for line in ["inbox test: 4 messages", "delivered  -", "ignored    auto-submitted", "left       unknown-address"] {
        assert!(out.contains(line), "{line} is not in\n{out}");
    }
    assert_eq!(seen(&mut client), before);
    assert!(site.spooled().is_empty());
    assert!(!site.place.path().join("state").exists(), "looking makes no ledger");
    site.once().expect(0);
    let out = site.run(&["fetch", "--dry-run", "--inbox", "test"]).expect(0).out();
    assert!(out.contains("inbox test: 0 messages"), "{out}");
    let out = site.run(&["fetch", "--dry-run", "--inbox", "nobody"]).expect(2).err();
    assert!(out.contains("there is no [[inbox]] with the name \"nobody\""), "{out}");
}

#[needs(dovecot_imap, root)]
#[test]
fn a_first_run_that_takes_nothing_says_what_it_leaves() {
    let server = Dovecot::start();
    let mut client = server.client();
    some(&mut client);
    let before = seen(&mut client);
    let site = Site::new(server.imap(), "");
    let out = site.run(&["fetch", "--dry-run"]).expect(0).out();
    assert!(out.contains("inbox test: 0 messages") && out.contains("4 unread messages that are there stay"), "{out}");
    let log = site.once().expect(0).err();
    assert!(log.contains("event=begin") && log.contains("4 unread messages"), "{log}");
    assert_eq!(seen(&mut client), before);
    append(&mut client, [message(&address(7), "seven")]);
    site.once().expect(0);
    assert_eq!(site.spooled(), ["seven"]);
}

#[needs(dovecot_imap, root)]
#[test]
fn explain_says_what_fetch_would_do_and_changes_nothing() {
    let server = Dovecot::start();
    let mut client = server.client();
    some(&mut client);
    client.command("SELECT INBOX");
    client.command("UID STORE 4 +FLAGS (\\Deleted)");
    let before = seen(&mut client);
    let site = Site::new(server.imap(), "since = \"all\"");
    let explain = |uid: &str| site.run(&["explain", "--inbox", "test", "--uid", uid]);
    let rows = [
        ("1", "verdict delivered"),
        ("2", "verdict left: unknown-address"),
        ("3", "verdict ignored: auto-submitted"),
        // Also one that nobody would fetch any more.
        ("4", "verdict delivered"),
    ];
    for (uid, verdict) in rows {
        let out = explain(uid).expect(0).out();
        assert!(out.contains(verdict) && out.contains(&format!("inbox test, uid {uid}")), "{verdict}\n{out}");
    }
    let json = site.run(&["explain", "--json", "--inbox", "test", "--uid", "1"]).expect(0).out();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (json["inbox"].as_str(), json["uid"].as_u64(), json["left"].as_bool()),
        (Some("test"), Some(1), Some(false))
    );
    assert_eq!(json["recipients"][0]["recipient"], address(1));
    let err = explain("99").expect(1).err();
    assert!(err.contains("there is no message with the UID 99"), "{err}");
    site.run(&["explain", "--inbox", "nobody", "--uid", "1"]).expect(2);
    site.run(&["explain", "--inbox", "test"]).expect(2);
    assert_eq!(seen(&mut client), before);
    assert!(!site.place.path().join("state").exists());
}

#[needs(dovecot_imap, root)]
#[test]
fn what_waits_is_shown_retried_and_begun_anew() {
    let server = Dovecot::start();
    let mut client = server.client();
    append(&mut client, [message(&address(1), "one"), message("joe@example.net", "other")]);
    let site = Site::new(server.imap(), "since = \"all\"");
    let out = site.run(&["inbox", "list"]).expect(0).out();
    assert!(out.contains("test") && out.contains("never read"), "{out}");
    site.break_spool();
    site.once().expect(1);
    let out = site.run(&["inbox", "show", "test"]).expect(0).out();
    assert!(out.contains("uid 1  waiting  attempts=1 cause=app"), "{out}");
    let out = site.run(&["inbox", "list"]).expect(0).out();
    assert!(out.contains("pending 1 (0 new, 0 begun, 1 waiting)") && out.contains("reader: none now"), "{out}");
    site.mend_spool();
    site.once().expect(0);
    assert!(site.spooled().is_empty(), "it is not due");
    site.run(&["inbox", "retry", "test", "9"]).expect(1);
    site.run(&["inbox", "retry", "test", "1"]).expect(0);
    site.once().expect(0);
    assert_eq!(site.spooled(), ["one"]);
    site.run(&["inbox", "restart", "test", "--since=yesterday"]).expect(2);
    site.run(&["inbox", "restart", "test", "--since=all"]).expect(0);
    let log = site.once().expect(0).err();
    assert!(log.contains("event=begin-anew"), "{log}");
    assert_eq!(site.spooled(), ["one"], "it has its mark");
    site.run(&["inbox", "show", "nobody"]).expect(2);
}
