//! Every verdict of the contract's table, by LMTP and by pipe.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::support::http_server::{HttpServer, Reply};
use crate::support::needs;
use crate::support::wait::wait_for;

const JANE: &str = "jane@example.org";

#[test]
fn each_verdict_is_said_the_same_by_both_ways() {
    let small = spool_config().replace("[auth]", "[limits]\nmessage_size = \"1KiB\"\n[auth]");
    let holding = spool_config().replace("app = \"spool\"", "app = \"spool\"\nunproven = \"hold\"");
    let in_mailbox =
        |keys: &str| spool_config().replace("app = \"spool\"", &format!("app = \"spool\"\nscreen = {{ {keys} }}"));
    let replies = in_mailbox("auto_replies = \"deliver\"");
    let not_bounces = format!("{}[screen]\nbounces = \"deliver\"\n", in_mailbox("bounces = \"ignore\""));
    let no_spam = format!("{}[screen]\nspam = \"hold\"\n", spool_config());
    let away = || message("Auto-Submitted: auto-replied\r\n", "away");
    let spam = || message("X-Spam-Flag: YES\r\n", "buy");
    let rows: &[(&str, &str, &str, &str, Vec<u8>, &str)] = &[
        ("machine-made, its mailbox wants it", &replies, JANE, REPLY_ADDRESS, away(), "2.0.0 delivered: "),
        ("machine-made, no mailbox", &replies, JANE, "nobody@example.com", away(), "2.0.0 ignored: auto-submitted"),
        (
            "a bounce that its mailbox does not want",
            &not_bounces,
            "",
            REPLY_ADDRESS,
            message("", "x"),
            "2.0.0 ignored: null-sender",
        ),
        (
            "a bounce to no known action of that mailbox",
            &not_bounces,
            "",
            "incoming+a+b+c@gitlab.example.com",
            message("", "x"),
            "2.0.0 ignored: null-sender",
        ),
        ("spam", &spool_config(), JANE, REPLY_ADDRESS, spam(), "2.0.0 delivered: "),
        ("spam held", &no_spam, JANE, REPLY_ADDRESS, spam(), "2.0.0 held: x-spam-flag (X-Spam-Flag: YES) id="),
        ("spam held before it is rejected", &no_spam, JANE, "nobody@example.com", spam(), "2.0.0 held: x-spam-flag"),
        (
            "delivered",
            &spool_config(),
            JANE,
            REPLY_ADDRESS,
            message("", "hi"),
            "2.0.0 delivered: incoming_email reply 59d8... id=",
        ),
        (
            "machine-made",
            &spool_config(),
            JANE,
            REPLY_ADDRESS,
            message("Auto-Submitted: auto-replied\r\n", "away"),
            "2.0.0 ignored: auto-submitted (Auto-Submitted: auto-replied) id=",
        ),
        ("null sender", &spool_config(), "", REPLY_ADDRESS, message("", "bounce"), "2.0.0 ignored: null-sender"),
        (
            "no mailbox",
            &spool_config(),
            JANE,
            "nobody@example.com",
            message("", "hi"),
            "2.0.0 rejected: unknown-address (",
        ),
        (
            "no known action",
            &spool_config(),
            JANE,
            "incoming+a+b+c@gitlab.example.com",
            message("", "hi"),
            "2.0.0 rejected: unknown-address (",
        ),
        ("too large", &small, JANE, REPLY_ADDRESS, message("", &"x".repeat(2000)), "2.0.0 rejected: too-large ("),
        ("unproven", &holding, JANE, REPLY_ADDRESS, message("", "hi"), "2.0.0 held: unproven-sender ("),
        (
            "machine-made comes before rejected",
            &spool_config(),
            JANE,
            "nobody@example.com",
            message("X-Autoreply: yes\r\n", "away"),
            "2.0.0 ignored: x-autoreply",
        ),
    ];
    for (name, config, sender, recipient, mail, expected) in rows {
        eprintln!("row: {name}");
        assert_verdict(config, sender, recipient, mail, expected);
    }
}

#[test]
fn an_unproven_sender_is_deferred_while_dns_is_silent() {
    // A closed port: the question is refused at once.
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = spool_config()
        .replace("method = \"off\"", &format!("method = \"verify\"\nnameservers = [\"{closed}\"]"))
        .replace("app = \"spool\"", "app = \"spool\"\nunproven = \"hold\"");
    let service = Service::start(&config);
    let mut lmtp = service.lmtp();
    lmtp.command("XFORWARD ADDR=203.0.113.7 HELO=mail.example.org", "250");
    let reply = lmtp.send(JANE, &[REPLY_ADDRESS], &message("", "hi")).remove(0);
    assert!(reply.starts_with("451 4.4.3 deferred: dns ("), "{reply}");
    assert!(service.place.held().is_empty());
}

/// A sender chooses the domain, and with it the name server that is silent: Postfix would return the mail in the end, body
/// included, to whom the sender names.
#[test]
fn a_sender_that_stays_undecided_is_held_in_the_end() {
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = spool_config()
        .replace(
            "[auth]\nmethod = \"off\"",
            &format!("[limits]\nundecided = \"2s\"\n[auth]\nmethod = \"verify\"\nnameservers = [\"{closed}\"]"),
        )
        .replace("app = \"spool\"", "app = \"spool\"\nunproven = \"hold\"");
    assert!(config.contains("undecided"), "{config}");
    let service = Service::start(&config);
    let mut replies = Vec::new();
    let last = wait_for("an end of the deferrals", || {
        let mut lmtp = service.lmtp();
        lmtp.command("XFORWARD ADDR=203.0.113.7 HELO=mail.example.org", "250");
        replies.push(lmtp.send(JANE, &[REPLY_ADDRESS], &message("", "hi")).remove(0));
        replies.last().filter(|reply| !reply.starts_with("451 4.4.3 deferred: dns (")).cloned()
    });
    assert!(replies.len() > 1, "the first try is deferred: {replies:?}");
    assert!(last.starts_with("250 2.0.0 held: unproven-sender (") && last.contains("undecided for 2s"), "{last}");
    assert_eq!(service.place.held().len(), 1);
}

#[test]
fn what_is_not_handed_over_is_held_whole() {
    let service = Service::start(&spool_config());
    let mail = message("Auto-Submitted: auto-replied\r\n", "away");
    let replies = service.lmtp().send(JANE, &[REPLY_ADDRESS, "nobody@example.com"], &mail);
    assert!(replies.iter().all(|reply| reply.starts_with("250 2.0.0 ignored")), "{replies:?}");
    let held = service.place.held();
    assert_eq!(held.len(), 2, "one copy a recipient");
    let copy = std::fs::read(service.place.path().join("state/held").join(&held[0]).join("message.eml")).unwrap();
    assert_eq!(copy, mail);
    assert!(service.place.spooled().is_empty());
}

#[test]
fn a_second_copy_is_a_duplicate_also_by_the_other_way() {
    let service = Service::start(&spool_config());
    let mail = message("Received: from a by b; Sun, 22 Nov 2026 10:00:00 +0000\r\n", "hi");
    let again = message("Received: from c by d; Sun, 22 Nov 2026 11:00:00 +0000\r\n", "hi");
    assert!(service.lmtp().send(JANE, &[REPLY_ADDRESS], &mail)[0].starts_with("250 2.0.0 delivered"));
    assert!(service.lmtp().send(JANE, &[REPLY_ADDRESS], &again)[0].starts_with("250 2.0.0 duplicate"));
    let output = service.place.run(&["pipe", &format!("--recipient={REPLY_ADDRESS}")], &again);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("2.0.0 duplicate"));
    assert_eq!(service.place.spooled().len(), 1);
}

#[test]
fn two_keys_in_one_message_are_two_events() {
    let service = Service::start(&spool_config());
    let other = "incoming+0123456789abcdef0123456789abcdef@gitlab.example.com";
    let mail = message(&format!("To: {REPLY_ADDRESS}, {other}\r\n"), "hi");
    let replies = service.lmtp().send(JANE, &[REPLY_ADDRESS, other, REPLY_ADDRESS], &mail);
    assert!(replies[0].starts_with("250 2.0.0 delivered: incoming_email reply 59d8..."), "{replies:?}");
    assert!(replies[1].starts_with("250 2.0.0 delivered: incoming_email reply 0123..."), "{replies:?}");
    assert!(replies[2].starts_with("250 2.0.0 d"), "the same key twice is delivered once: {replies:?}");
    assert_eq!(service.place.spooled().len(), 2);
}

#[needs(crash_points)]
#[test]
fn a_panic_costs_one_message() {
    let service = Service::start_in(Place::new(&spool_config()), &[("MAILHATCH_CRASH", "panic:before-app")]);
    let mut lmtp = service.lmtp();
    let replies = lmtp.send(JANE, &[REPLY_ADDRESS, "nobody@example.com"], &message("", "hi"));
    assert!(replies[0].starts_with("451 4.3.0 deferred: internal-error"), "{replies:?}");
    assert!(replies[1].starts_with("250 2.0.0 rejected"), "the other recipient has its own verdict: {replies:?}");
    let replies = lmtp.send(JANE, &["nobody@example.com"], &message("", "again"));
    assert!(replies[0].starts_with("250 2.0.0 rejected"), "the service goes on: {replies:?}");
    assert!(service.log().contains("panic"), "{}", service.log());
}

#[test]
fn a_log_line_tells_of_each_recipient_and_shows_no_key() {
    let service = Service::start(&spool_config());
    let mut lmtp = service.lmtp();
    lmtp.command(
        "XFORWARD NAME=mail.example.org ADDR=203.0.113.7 PROTO=ESMTP HELO=mail IDENT=4XrQ1m2Zzz SOURCE=REMOTE",
        "250",
    );
    lmtp.send(JANE, &[REPLY_ADDRESS], &message("", "hi"));
    let log = service.log();
    let line = log.lines().find(|line| line.contains("verdict=")).unwrap();
    for part in [
        "queue_id=4XrQ1m2Zzz ",
        "message_id=1@example.org ",
        "sender=jane@example.org ",
        "client=203.0.113.7 ",
        "to=incoming+59d8…@gitlab.example.com ",
        "verdict=delivered ",
        "mailbox=incoming_email ",
        "action=reply ",
        "key=59d8… ",
        "source=envelope ",
    ] {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
    assert!(!log.contains("59d8df"), "{log}");
}

#[test]
fn a_released_copy_goes_through_the_pipeline_again() {
    let service = Service::start(&spool_config());
    let mail = message("X-Autoreply: yes\r\n", "away");
    service.lmtp().send(JANE, &[REPLY_ADDRESS], &mail);
    let place = &service.place;
    let id = place.held().remove(0);
    let list = place.run(&["held", "list"], b"");
    assert!(String::from_utf8_lossy(&list.stdout).contains(&id));
    let refused = place.run(&["held", "release", &id], b"");
    assert_eq!(refused.status.code(), Some(1), "the same rules ignore it again");
    assert_eq!(place.held(), [&*id]);
    place.configure(&format!("{}[screen]\nauto_replies = \"deliver\"\n", spool_config()));
    let released = place.run(&["held", "release", &id], b"");
    assert_eq!(released.status.code(), Some(0), "{}", String::from_utf8_lossy(&released.stderr));
    assert!(place.held().is_empty());
    let event = place.path().join("spool").join(&place.spooled()[0]);
    assert_eq!(std::fs::read(event.join("message.eml")).unwrap(), mail);
}

#[test]
fn what_the_application_is_unsure_of_stands_in_the_log() {
    let rows: &[(&str, &str, &[Reply], &str)] = &[
        (
            "Action Mailbox after a fault",
            "action-mailbox",
            &[Reply::new(500, "text/plain", ""), Reply::Kept(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())],
            "verdict=delivered .* warning=.*route_later",
        ),
        (
            "Request Tracker's no",
            "request-tracker",
            &[Reply::new(200, "text/plain", "not ok - operation unsuccessful\n")],
            "verdict=ignored reason=app-drop .* warning=.*look at its log",
        ),
    ];
    for (name, kind, replies, logged) in rows {
        let (replies, asked) = (replies.to_vec(), AtomicUsize::new(0));
        let last = replies.len() - 1;
        let server = HttpServer::tcp(move |_| replies[asked.fetch_add(1, Ordering::SeqCst).min(last)].clone());
        let place = Place::new("");
        place.write_secret("secret", "open sesame");
        let secret = if *kind == "action-mailbox" { "secret_file = \"{dir}/secret\"\n" } else { "" };
        place.configure(&format!(
            "{BASE}[[mailbox]]\nname = \"support\"\naddress = \"support@example.com\"\nkey = \"General\"\napp = \"app\"\n\
             [[app]]\nname = \"app\"\nkind = \"{kind}\"\nurl = \"{}\"\n{secret}",
            server.url()
        ));
        let service = Service::start_in(place, &[]);
        for _ in 0..=last {
            service.lmtp().send(JANE, &["support@example.com"], &message("", "hi"));
        }
        let log = service.log();
        let logged = regex::Regex::new(logged).unwrap();
        assert!(log.lines().any(|line| logged.is_match(line)), "{name}: {log}");
    }
}
