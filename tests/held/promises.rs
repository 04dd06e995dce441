//! What the service promised with its answer is there: seen from outside, through real LMTP.

use crate::support::config::{BASE, SPOOL};
use crate::support::service::Service;

fn message(number: usize, octets: usize) -> Vec<u8> {
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789\r\n";
    format!("From: jane@example.org\r\nMessage-ID: <{number}@example.org>\r\n\r\n{}", line.repeat(octets / line.len()))
        .into_bytes()
}

#[test]
fn each_of_fifty_copies_of_a_large_mail_that_was_promised_is_there() {
    let service = Service::start(&format!("{BASE}{SPOOL}[held]\nmax_size = \"64MiB\"\n"));
    let recipients: Vec<_> = (0..50).map(|number| format!("nobody{number}@example.com")).collect();
    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
    let replies = service.lmtp().send("jane@example.org", &recipients, &message(1, 8_000_000));
    let promised = replies.iter().filter(|reply| reply.starts_with("250 ")).count();
    assert_eq!((promised, service.place.held().len()), (50, 50), "{:?}", replies.last());
    assert!(super::bodies::taken(&service.place.path().join("state/held")) < 9_000_000);
}

/// What a person or an application waits for is not pushed out by what strangers send.
#[test]
fn held_mail_is_not_pushed_out_by_strangers() {
    let unproven = SPOOL.replace("app = \"spool\"\n[[app]]", "app = \"spool\"\nunproven = \"hold\"\n[[app]]");
    let service = Service::start(&format!("{BASE}{unproven}[held]\nmax_size = \"1MiB\"\n"));
    let mut client = service.lmtp();
    let mine = crate::support::config::REPLY_ADDRESS;
    let reply = client.send("jane@example.org", &[mine], &message(0, 100_000)).remove(0);
    assert!(reply.starts_with("250 2.0.0 held: unproven-sender"), "{reply}");
    let held = service.place.held();
    for number in 1..40 {
        let reply = client.send("stranger@example.org", &["nobody@example.com"], &message(number, 100_000)).remove(0);
        assert!(reply.starts_with("250 2.0.0 rejected"), "{reply}");
    }
    let kept = service.place.held();
    assert!(kept.contains(&held[0]) && kept.len() > 5, "{kept:?}");
}

#[test]
fn without_room_for_it_the_mail_stays_with_the_mta() {
    let unproven = SPOOL.replace("app = \"spool\"\n[[app]]", "app = \"spool\"\nunproven = \"hold\"\n[[app]]");
    let service = Service::start(&format!("{BASE}{unproven}[held]\nmax_size = \"1MiB\"\n"));
    let mut client = service.lmtp();
    let mine = crate::support::config::REPLY_ADDRESS;
    let (mut taken, mut deferred) = (0, 0);
    for number in 0..12 {
        let reply = client.send("jane@example.org", &[mine], &message(number, 100_000)).remove(0);
        match reply.starts_with("250 2.0.0 held: unproven-sender") {
            true => taken += 1,
            false => {
                assert!(reply.starts_with("451 4.3.1 deferred: "), "{reply}");
                deferred += 1;
            }
        }
    }
    assert_eq!((taken, deferred), (9, 3));
    assert_eq!(service.place.held().len(), taken);
    assert!(service.log().contains("may not be pushed out"), "{}", service.log());
}
