//! `mailhatch check` with inboxes: a line for each thing, and nothing in the mailbox changes.

use crate::servers::Dovecot;
use crate::site::{Site, address, append, message};
use crate::support::needs;

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[needs(dovecot_imap, root)]
#[test]
fn an_inbox_is_looked_at_whole_and_not_touched() {
    let server = Dovecot::start();
    let mut client = server.client();
    let trace = "Return-Path: <jane@example.org>\r\nDelivered-To: joe\r\nReceived: from a by b; Sun, 22 Nov 2026 10:00:00 +0000\r\n";
    let traced = [trace.as_bytes(), &message(&address(2), "two")].concat();
    append(&mut client, [message(&address(1), "one"), traced]);
    client.command("CREATE Done");
    let look = |client: &mut crate::servers::Imap| (client.list("INBOX"), client.status("INBOX", "HIGHESTMODSEQ"));
    let before = look(&mut client);
    type Row<'r> = (&'r str, &'r str, i32, &'r [&'r str]);
    let rows: &[Row<'_>] = &[
        (
            "healthy",
            "",
            0,
            &[
                "ok inbox test joe logged in at 127.0.0.1",
                "INBOX is open (2 messages, UIDVALIDITY",
                "ok inbox test first run, since = \"now\": 2 unread messages that are there stay as they are; 0 messages are not done",
                "ok inbox test the newest message (UID 2) has the trace fields of provider \"own\"",
            ],
        ),
        (
            "another provider",
            "provider = \"gmail\"",
            0,
            &["warning inbox test the newest message (UID 2) does not have"],
        ),
        ("a folder that is there", "move_to = \"Done\"", 0, &["ok inbox test move_to: the folder \"Done\" is there"]),
        (
            "a folder that is not",
            "move_to = \"Nowhere\"",
            1,
            &["failed inbox test move_to: there is no folder \"Nowhere\"; make it"],
        ),
        ("no such folder", "folder = \"Nowhere\"", 1, &["failed inbox test the folder \"Nowhere\" cannot be opened"]),
    ];
    for (name, more, status, lines) in rows {
        let site = Site::new(server.imap(), more);
        std::fs::create_dir(site.place.path().join("state")).unwrap();
        let out = squeezed(&site.run(&["check"]).expect(*status).out());
        for line in *lines {
            assert!(out.contains(line), "{name}: {line} is not in\n{out}");
        }
        assert_eq!(look(&mut client), before, "{name}");
    }
    let site = Site::new(server.imap(), "");
    std::fs::create_dir(site.place.path().join("state")).unwrap();
    site.password("wrong");
    let out = squeezed(&site.run(&["check"]).expect(1).out());
    assert!(out.contains("failed inbox test wrong user or password"), "{out}");
}
