//! The application or the server is down, refuses us, or ends in the middle; this process is killed at its worst moments. Each
//! ends with every message handed over once.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::servers::{Dovecot, PASSWORD, wait_for};
use crate::site::{Site, address, append, inbox, message};
use crate::support::config::{BASE, SPOOL};
use crate::support::http_server::{HttpServer, Reply};
use crate::support::needs;

fn ids(count: usize) -> Vec<String> {
    let mut ids: Vec<_> = (1..=count).map(|number| format!("message {number}")).collect();
    ids.sort();
    ids
}

fn messages(count: usize) -> impl Iterator<Item = Vec<u8>> {
    (1..=count).map(|number| message(&address(number as u64), &format!("message {number}")))
}

#[needs(dovecot_imap, root)]
#[test]
fn while_the_application_is_down_all_stays_and_then_all_goes_once() {
    let server = Dovecot::start();
    server.fill(messages(30));
    let site = Site::new(server.imap(), "since = \"all\"");
    site.break_spool();
    let log = site.once().expect(1).err();
    let tried = log.matches("verdict=deferred").count();
    assert!((3..=7).contains(&tried), "after three in a row no more are fetched: {tried}: {log}");
    assert!(server.client().flags("INBOX").iter().all(|(_, flags)| flags.is_empty()));
    site.mend_spool();
    site.run(&["inbox", "retry", "test"]).expect(0);
    site.once().expect(0);
    assert_eq!(site.spooled(), ids(30));
    assert!(server.client().flags("INBOX").iter().all(|(_, flags)| flags == "$MailhatchDone"));
}

#[needs(dovecot_imap, root)]
#[test]
fn a_killed_reader_repeats_nothing_and_loses_nothing() {
    for place in
        ["message-begun", "before-app", "app-acknowledged", "delivery-recorded", "message-settled", "message-marked"]
    {
        for more in ["", "delete_after_delivery = true\nexpunge_deleted = true", "move_to = \"Trash\""] {
            let server = Dovecot::start();
            server.client().command("CREATE Trash");
            server.fill(messages(5));
            let site = Site::new(server.imap(), &format!("since = \"all\"\n{more}"));
            let mut killed = site.fetch_with(&[("MAILHATCH_CRASH", place)]);
            killed.wait();
            for _ in 0..3 {
                site.run(&["inbox", "retry", "test"]);
                site.once().expect(0);
            }
            assert_eq!(site.spooled(), ids(5), "{place}, {more}");
            let mut client = server.client();
            let (inbox, trash) = (client.flags("INBOX"), client.flags("Trash"));
            let all = match more {
                "" => inbox.len() == 5 && inbox.iter().all(|(_, flags)| flags == "$MailhatchDone"),
                _ if more.starts_with("move") => inbox.is_empty() && trash.len() == 5,
                _ => inbox.is_empty(),
            };
            assert!(all, "{place}, {more}: {inbox:?} {trash:?}");
        }
    }
}

#[needs(dovecot_imap, root)]
#[test]
fn a_panic_costs_one_connection() {
    let server = Dovecot::start();
    server.fill(messages(5));
    let site = Site::new(server.imap(), "since = \"all\"");
    let running = site.fetch_with(&[("MAILHATCH_CRASH", "panic:message-marked")]);
    running.wait_log("panic");
    site.wait_spooled(5);
    running.kill();
    site.once().expect(0);
    assert_eq!(site.spooled(), ids(5));
}

#[needs(dovecot_imap, root)]
#[test]
fn a_wrong_password_is_tried_seldom_and_a_new_one_is_seen() {
    let server = Dovecot::start();
    append(&mut server.client(), [message(&address(1), "one")]);
    let site = Site::new(server.imap(), "since = \"all\"");
    site.password("wrong");
    let begun = std::time::Instant::now();
    let log = site.once().expect(1).err();
    assert!(log.contains("event=auth-failed") && log.contains("wrong user or password"), "{log}");
    assert!(!log.contains("wrong\n") && begun.elapsed() < Duration::from_secs(60));
    let logins = server.log().matches("Aborted login").count() + server.log().matches("auth failed").count();
    assert!(logins <= 2, "{}", server.log());
    site.password("hush hush");
    site.once().expect(0);
    assert_eq!(site.spooled(), ["one"]);
}

#[needs(dovecot_imap, root)]
#[test]
fn what_is_refused_for_good_ends_soon_and_names_itself() {
    let server = Dovecot::start();
    let rows: &[(&str, String, &str)] = &[
        ("no such folder", inbox(server.imap(), "folder = \"Nowhere\""), "the folder \\\"Nowhere\\\" cannot be opened"),
        (
            "a certificate of nobody's",
            inbox(server.imaps(), "").replace("ssl = false", "ssl = true"),
            "cause=certificate",
        ),
    ];
    for (name, inbox, said) in rows {
        let site = Site::with(&format!("{BASE}{SPOOL}{inbox}"));
        let log = site.once().expect(1).err();
        assert!(log.contains(said), "{name}: {log}");
    }
    let known = inbox(server.imaps(), &format!("ca_file = \"{}\"", server.path("tls.pem").display()));
    for (name, inbox) in [
        ("TLS", known.replace("ssl = false", "ssl = true")),
        (
            "STARTTLS",
            known
                .replace("ssl = false", "start_tls = true")
                .replace(&server.imaps().to_string(), &server.imap().to_string()),
        ),
    ] {
        let site = Site::with(&format!("{BASE}{SPOOL}{inbox}"));
        let log = site.once().err();
        assert!(log.contains("event=connect"), "{name}: {log}");
    }
}

#[needs(dovecot_imap, root)]
#[test]
fn the_service_hears_of_mail_and_outlives_its_server() {
    let mut server = Dovecot::start();
    let site = Site::new(server.imap(), "");
    let running = site.fetch();
    running.wait_log("event=connect");
    append(&mut server.client(), [message(&address(1), "one")]);
    site.wait_spooled(1);
    server.kick();
    append(&mut server.client(), [message(&address(2), "two")]);
    site.wait_spooled(2);
    server.stop();
    running.wait_log("cause=unreachable");
    server.begin();
    append(&mut server.client(), [message(&address(3), "three")]);
    site.wait_spooled(3);
    // The mark comes within a second.
    wait_for("the mark", || {
        server.client().flags("INBOX").iter().all(|(_, flags)| flags == "$MailhatchDone").then_some(())
    });
    running.stop();
}

#[needs(dovecot_imap, root)]
#[test]
fn a_wish_reaches_a_running_reader() {
    let server = Dovecot::start();
    append(&mut server.client(), [message(&address(1), "one")]);
    let site = Site::new(server.imap(), "since = \"unseen\"");
    site.break_spool();
    let running = site.fetch();
    running.wait_log("verdict=deferred");
    site.mend_spool();
    wait_for("the message to wait", || site.run(&["inbox", "retry", "test", "1"]).0.status.success().then_some(()));
    site.wait_spooled(1);
    server.client().append("INBOX", "\\Seen", None, &message("joe@example.net", "other"));
    running.wait_log("event=left");
    site.run(&["inbox", "restart", "test", "--since=all"]).expect(0);
    running.wait_log("event=begin-anew");
    running.stop();
    assert_eq!(site.spooled(), ["one"]);
}

#[needs(dovecot_imap, root)]
#[test]
fn a_reload_changes_what_is_read() {
    let server = Dovecot::start();
    server.client().command("CREATE Other");
    let site = Site::new(server.imap(), "");
    let running = site.fetch();
    running.wait_log("event=connect");
    site.place
        .configure(&format!("{BASE}{SPOOL}{}", inbox(server.imap(), "folder = \"Nowhere and = nothing\"\nport = 0")));
    running.signal(Signal::SIGHUP);
    running.wait_log("the old configuration stays in force");
    site.place.configure(&format!("{BASE}{SPOOL}{}", inbox(server.imap(), "").replace("\"test\"", "\"second\"")));
    running.signal(Signal::SIGHUP);
    running.wait_log("event=connect inbox=second");
    running.stop();
}

#[needs(dovecot_imap, root)]
#[test]
fn a_reload_tries_again_at_once_with_what_was_put_right() {
    let server = Dovecot::start();
    let tls = inbox(server.imaps(), "ca_file = \"{dir}/ca.pem\"").replace("ssl = false\n", "");
    let site = Site::with(&format!("{BASE}{SPOOL}{tls}"));
    let show_certificate = || std::fs::copy(server.path("tls.pem"), site.place.path().join("ca.pem")).unwrap();
    show_certificate();
    let running = site.fetch();
    let connected = |times: usize| {
        wait_for("a connection", || (running.log().matches("event=connect ").count() >= times).then_some(()));
    };
    connected(1);
    server.change_certificate();
    running.wait_log("cause=certificate");
    show_certificate();
    running.signal(Signal::SIGHUP);
    connected(2);
    site.password("guess");
    server.kick();
    running.wait_log("event=auth-failed");
    site.password(PASSWORD);
    running.signal(Signal::SIGHUP);
    connected(3);
    running.stop();
}

#[needs(dovecot_imap, root)]
#[test]
fn what_the_application_has_is_settled_though_the_mailbox_is_gone_and_we_are_told_to_stop() {
    let mut server = Dovecot::start();
    let app = HttpServer::tcp(|_| {
        std::thread::sleep(Duration::from_secs(2));
        Reply::json(200, "{}")
    });
    let webhook = SPOOL.replace(
        "kind = \"spool\"\npath = \"{dir}/spool\"",
        &format!("kind = \"webhook\"\nurl = \"{}\"\nsecret_file = \"{{dir}}/secret\"", app.url()),
    );
    let site = Site::with(&format!("{BASE}{webhook}{}", inbox(server.imap(), "since = \"all\"")));
    site.place.write_secret("secret", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    append(&mut server.client(), [message(&address(1), "one")]);
    let running = site.fetch();
    wait_for("the application to be asked", || (!app.requests().is_empty()).then_some(()));
    // Dovecot lets a session live on when it is stopped.
    let sessions = server.sessions();
    server.stop();
    for session in sessions {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(session), Signal::SIGKILL);
    }
    running.wait_log("event=disconnect inbox=test cause=");
    running.stop();
    let shown = site.run(&["inbox", "show", "test"]).expect(0).out();
    assert!(shown.contains("1 that the mailbox does not show yet"), "{shown}");
    server.begin();
    let log = site.once().expect(0).err();
    assert!(!log.contains("verdict="), "it is not fetched again: {log}");
    assert_eq!(server.client().flags("INBOX"), [(1, "$MailhatchDone".to_owned())]);
    assert_eq!(app.requests().len(), 1);
}
