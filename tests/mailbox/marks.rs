//! What is shown in the mailbox, moved or deleted, and that nothing else is ever touched. With a real Dovecot.

use crate::servers::{Dovecot, Imap};
use crate::site::{Site, address, append, message};
use crate::support::needs;

/// Two messages of ours, one of a stranger's between them, and one that a person has deleted.
fn fill(client: &mut Imap) {
    append(
        client,
        [
            message(&address(1), "one"),
            message("joe@example.net", "other"),
            message(&address(2), "deleted"),
            message(&address(3), "three"),
        ],
    );
    client.command("SELECT INBOX");
    client.command("UID STORE 3 +FLAGS (\\Deleted \\Flagged)");
}

#[needs(dovecot_imap, root)]
#[test]
fn what_is_done_is_shown_as_configured_and_nothing_else_changes() {
    type Row<'r> = (&'r str, &'r str, &'r [(u32, &'r str)], &'r [(u32, &'r str)]);
    let rows: &[Row<'_>] = &[
        (
            "it stays, with a mark",
            "",
            &[(1, "$MailhatchDone"), (2, ""), (3, "\\Deleted \\Flagged"), (4, "$MailhatchDone")],
            &[],
        ),
        (
            "it is marked as deleted",
            "delete_after_delivery = true",
            &[(1, "\\Deleted \\Seen"), (2, ""), (3, "\\Deleted \\Flagged"), (4, "\\Deleted \\Seen")],
            &[],
        ),
        (
            "it is removed, and the other's deleted message is not",
            "delete_after_delivery = true\nexpunge_deleted = true",
            &[(2, ""), (3, "\\Deleted \\Flagged")],
            &[],
        ),
        (
            "it goes to another folder",
            "move_to = \"Done\"",
            &[(2, ""), (3, "\\Deleted \\Flagged")],
            &[(1, ""), (2, "")],
        ),
        (
            "Gmail: it goes to the folder that is called \\Trash",
            "provider = \"gmail\"\ndelete_after_delivery = true\nexpunge_deleted = true",
            &[(2, ""), (3, "\\Deleted \\Flagged")],
            &[],
        ),
    ];
    for (name, more, inbox, done) in rows {
        let server = Dovecot::start();
        let mut client = server.client();
        client.command("CREATE Done");
        client.command("CREATE Trash");
        fill(&mut client);
        let site = Site::new(server.imap(), &format!("since = \"all\"\n{more}"));
        let log = site.once().expect(0).err();
        assert_eq!(site.spooled(), ["one", "three"], "{name}: {log}");
        let flags = |client: &mut Imap, folder: &str| client.flags(folder);
        let expected =
            |list: &[(u32, &str)]| list.iter().map(|(uid, flags)| (*uid, (*flags).to_owned())).collect::<Vec<_>>();
        assert_eq!(flags(&mut client, "INBOX"), expected(inbox), "{name}: {log}");
        assert_eq!(flags(&mut client, "Done"), expected(done), "{name}: {log}");
        let in_trash = if name.starts_with("Gmail") { 2 } else { 0 };
        assert_eq!(flags(&mut client, "Trash").len(), in_trash, "{name}: {log}");
        site.once().expect(0);
        assert_eq!(site.spooled(), ["one", "three"], "{name}: again");
    }
}

#[needs(dovecot_imap, root)]
#[test]
fn mail_that_is_not_ours_keeps_bytes_flags_and_modseq() {
    let server = Dovecot::start();
    let mut client = server.client();
    let strangers = (1..=20).map(|number| message(&format!("joe{number}@example.net"), &format!("other{number}")));
    append(&mut client, strangers);
    let before = (client.list("INBOX"), client.status("INBOX", "HIGHESTMODSEQ"));
    let site = Site::new(server.imap(), "since = \"all\"\ndelete_after_delivery = true\nexpunge_deleted = true");
    let log = site.once().expect(0).err();
    assert_eq!(log.matches("event=left").count(), 20, "{log}");
    assert_eq!((client.list("INBOX"), client.status("INBOX", "HIGHESTMODSEQ")), before);
    assert!(site.place.held().is_empty(), "no copy of it is kept");
    let log = site.once().expect(0).err();
    assert!(!log.contains("event=left"), "it is not looked at again: {log}");
}

#[needs(dovecot_imap, root)]
#[test]
fn with_reject_a_stranger_is_rejected_and_held() {
    let server = Dovecot::start();
    let mut client = server.client();
    append(&mut client, [message("joe@example.net", "other")]);
    let site = Site::new(server.imap(), "since = \"all\"\nunknown = \"reject\"");
    let log = site.once().expect(0).err();
    assert!(log.contains("verdict=rejected reason=unknown-address") && log.contains("inbox=test uid=1"), "{log}");
    assert_eq!(client.flags("INBOX"), [(1, "$MailhatchDone".to_owned())]);
    assert_eq!(site.place.held().len(), 1);
}

#[needs(dovecot_imap, root)]
#[test]
fn a_person_who_reads_hides_no_mail() {
    let server = Dovecot::start();
    let mut client = server.client();
    let site = Site::new(server.imap(), "");
    site.once().expect(0);
    client.append("INBOX", "\\Seen", None, &message(&address(1), "read"));
    append(&mut client, [message(&address(2), "unread")]);
    site.once().expect(0);
    assert_eq!(site.spooled(), ["read", "unread"]);
    let flags = [(1, "$MailhatchDone \\Seen".to_owned()), (2, "$MailhatchDone".to_owned())];
    assert_eq!(client.flags("INBOX"), flags, "fetching leaves \\Seen");
}

#[needs(dovecot_imap, root)]
#[test]
fn a_folder_that_cannot_be_changed_is_read_all_the_same() {
    let server = Dovecot::start();
    let mut client = server.client();
    append(&mut client, [message(&address(1), "one")]);
    let site = Site::new(server.imap(), "since = \"all\"\ndelete_after_delivery = true");
    server.make_read_only();
    let log = site.once().expect(0).err();
    assert_eq!(site.spooled(), ["one"], "{log}");
    assert!(log.contains("read-only"), "{log}");
    let log = site.once().expect(0).err();
    assert_eq!(site.spooled(), ["one"], "{log}");
    assert!(!log.contains("verdict="), "the ledger knows it: {log}");
}

#[needs(dovecot_imap, root)]
#[test]
fn a_missing_folder_to_move_to_is_an_alarm_and_loses_nothing() {
    let server = Dovecot::start();
    let mut client = server.client();
    append(&mut client, [message(&address(1), "one")]);
    let site = Site::new(server.imap(), "since = \"all\"\nmove_to = \"Erledigt & fertig\"");
    let log = site.once().expect(1).err();
    assert!(log.contains("cannot go to the folder") && log.contains("mailhatch creates no folders"), "{log}");
    assert_eq!(client.flags("INBOX"), [(1, String::new())]);
    client.command("CREATE \"Erledigt &- fertig\"");
    site.once().expect(0);
    assert_eq!(site.spooled(), ["one"]);
    assert_eq!((client.flags("INBOX").len(), client.flags("Erledigt &- fertig").len()), (0, 1));
}

#[needs(dovecot_imap, root)]
#[test]
fn an_empty_message_is_held() {
    let server = Dovecot::start();
    // Dovecot takes none by APPEND: it is what a full disk leaves behind.
    server.fill([Vec::new(), message(&address(1), "one")].into_iter());
    let site = Site::new(server.imap(), "since = \"all\"");
    let log = site.once().expect(0).err();
    assert!(log.contains("verdict=held reason=empty"), "{log}");
    assert_eq!(site.spooled(), ["one"]);
    assert_eq!(site.place.held().len(), 1);
}
