//! One message and its events: each key once, whoever reads it, however often, and under whatever number.

use crate::servers::Dovecot;
use crate::site::{Site, address, append, inbox, key, message};
use crate::support::config::{BASE, SPOOL};
use crate::support::needs;

#[needs(dovecot_imap, root)]
#[test]
fn every_key_that_a_copy_was_sent_to_gets_its_event() {
    let two = |to: &str, cc: &str, trace: &str| {
        let text = String::from_utf8(message(to, "two")).unwrap();
        format!("{trace}{}", text.replace("Subject:", &format!("Cc: <{cc}>\r\nSubject:"))).into_bytes()
    };
    let delivered = |number| {
        format!(
            "Return-Path: <jane@example.org>\r\nX-Original-To: {}\r\nReceived: from a by b; Sun, 22 Nov 2026 10:00:00 +0000\r\n",
            address(number)
        )
    };
    type Row = (&'static str, Vec<Vec<u8>>, Vec<u64>);
    let rows: Vec<Row> = vec![
        ("one copy, keys in To and Cc", vec![two(&address(1), &address(2), "")], vec![1, 2]),
        (
            "two copies, each sent to its own key",
            vec![two(&address(1), &address(2), &delivered(1)), two(&address(1), &address(2), &delivered(2))],
            vec![1, 2],
        ),
        ("Bcc: the copy says whom it was sent to", vec![two("a@example.net", "b@example.net", &delivered(3))], vec![3]),
        ("the same copy twice", vec![message(&address(4), "four"), message(&address(4), "four")], vec![4]),
    ];
    for (name, messages, keys) in rows {
        let server = Dovecot::start();
        append(&mut server.client(), messages);
        let site = Site::new(server.imap(), "since = \"all\"");
        let log = site.once().expect(0).err();
        assert_eq!(site.keys(), keys.into_iter().map(key).collect::<Vec<_>>(), "{name}: {log}");
    }
}

#[needs(dovecot_imap, root)]
#[test]
fn new_numbers_repeat_nothing_and_lose_nothing() {
    let server = Dovecot::start();
    let mut client = server.client();
    let site = Site::new(server.imap(), "folder = \"Mail\"\nsince = \"all\"");
    client.command("CREATE Mail");
    let (one, two) = (message(&address(1), "one"), message(&address(2), "two"));
    client.append("Mail", "", None, &one);
    client.append("Mail", "", None, &two);
    site.once().expect(0);
    assert_eq!(site.spooled(), ["one", "two"]);
    // Made anew, as after a restore from a backup: other numbers, no marks, one message that came in meanwhile.
    client.command("DELETE Mail");
    client.command("CREATE Mail");
    for message in [&one, &two, &message(&address(3), "three")] {
        client.append("Mail", "", None, message);
    }
    let log = site.once().expect(0).err();
    assert!(log.contains("event=epoch"), "{log}");
    assert_eq!(log.matches("verdict=duplicate").count(), 2, "{log}");
    assert_eq!(site.spooled(), ["one", "three", "two"]);
    assert!(client.flags("Mail").iter().all(|(_, flags)| flags == "$MailhatchDone"), "{:?}", client.flags("Mail"));
}

#[needs(dovecot_imap, root)]
#[test]
fn a_second_host_with_an_empty_ledger_repeats_nothing() {
    let server = Dovecot::start();
    append(&mut server.client(), [message(&address(1), "one")]);
    let first = Site::new(server.imap(), "since = \"all\"");
    first.once().expect(0);
    append(&mut server.client(), [message(&address(2), "two")]);
    let second = Site::new(server.imap(), "since = \"all\"");
    second.once().expect(0);
    assert_eq!((first.spooled(), second.spooled()), (vec!["one".to_owned()], vec!["two".to_owned()]));
}

#[needs(dovecot_imap, root)]
#[test]
fn two_readers_by_mistake_hand_over_the_same_ids() {
    let server = Dovecot::start();
    server.fill((1..=1000).map(|number| message(&address(number), &format!("message {number}"))));
    let (one, two) = (Site::new(server.imap(), "since = \"all\""), Site::new(server.imap(), "since = \"all\""));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| one.once());
        two.once().expect(0);
        first.join().unwrap().expect(0);
    });
    let (mut both, alone) = (one.place.spooled(), two.place.spooled());
    both.extend(alone);
    both.sort();
    both.dedup();
    assert_eq!(both.len(), 1000, "each id is one message's");
}

#[needs(dovecot_imap, root)]
#[test]
fn an_inbox_has_one_reader_on_a_host() {
    let server = Dovecot::start();
    let site = Site::new(server.imap(), "");
    let first = site.fetch();
    first.wait_log("event=connect");
    let second = site.run(&["fetch"]).expect(1);
    assert!(second.err().contains(&format!("is read by process {}", first.id())), "{}", second.err());
    site.once().expect(1);
    first.stop();
    site.once().expect(0);
}

#[needs(dovecot_imap, root)]
#[test]
fn first_runs_take_what_since_says() {
    let rows: &[(&str, &[&str])] = &[
        ("now", &[]),
        ("unseen", &["new", "old unread"]),
        ("all", &["new", "old read", "old unread"]),
        ("2026-11-22", &["new"]),
    ];
    for (since, expected) in rows {
        let server = Dovecot::start();
        let mut client = server.client();
        let old = Some("01-Nov-2026 10:00:00 +0000");
        client.append("INBOX", "\\Seen", old, &message(&address(1), "old read"));
        client.append("INBOX", "", old, &message(&address(2), "old unread"));
        client.append("INBOX", "", Some("22-Nov-2026 10:00:00 +0000"), &message(&address(3), "new"));
        let site = Site::with(&format!("{BASE}{SPOOL}{}", inbox(server.imap(), &format!("since = \"{since}\""))));
        site.once().expect(0);
        assert_eq!(site.spooled(), *expected, "{since}");
        append(&mut client, [message(&address(4), "zlast")]);
        site.once().expect(0);
        assert_eq!(site.spooled().last().map(String::as_str), Some("zlast"), "{since}");
    }
}
