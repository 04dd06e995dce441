//! Handing a notice to the MTA: what fails defers the message, gives the reservation back, and the second try sends once.

use std::time::Duration;

use mailhatch::ledger::DeliveryLog;

use super::{Desk, Mail};
use crate::support::smtp_server::{At, SmtpServer, Then};

#[tokio::test]
async fn what_fails_is_deferred_and_tried_again_once() {
    const LATER: Then = Then::Reply("451 4.3.0 later");
    let rows: &[(&str, At, Then)] = &[
        ("greeting 4xx", At::Connect, Then::Reply("421 4.3.2 closing")),
        ("greeting 5xx", At::Connect, Then::Reply("554 5.3.2 no")),
        ("no greeting", At::Connect, Then::Close),
        ("silent greeting", At::Connect, Then::Hang),
        ("no SMTP", At::Connect, Then::Reply("HTTP/1.1 400 Bad Request")),
        ("EHLO refused", At::Ehlo, Then::Reply("502 5.5.1 no")),
        ("EHLO silent", At::Ehlo, Then::Hang),
        ("MAIL refused", At::Mail, LATER),
        ("MAIL refused for good", At::Mail, Then::Reply("550 5.7.1 no")),
        ("MAIL closed", At::Mail, Then::Close),
        ("RCPT refused", At::Rcpt, LATER),
        ("RCPT refused for good", At::Rcpt, Then::Reply("550 5.1.1 unknown")),
        ("RCPT closed", At::Rcpt, Then::Close),
        ("RCPT silent", At::Rcpt, Then::Hang),
        ("DATA refused", At::Data, LATER),
        ("DATA closed", At::Data, Then::Close),
        ("message refused", At::Message, LATER),
        ("message refused for good", At::Message, Then::Reply("554 5.6.0 no")),
        ("message closed", At::Message, Then::Close),
        ("message silent", At::Message, Then::Hang),
    ];
    for (name, at, then) in rows {
        let desk = Desk::with("per_domain_per_hour = 1\ntotal_per_hour = 1", "");
        desk.mta.fail(Some((*at, *then)));
        // Only what hangs waits for the deadline.
        let deadline = Duration::from_millis(if *then == Then::Hang { 3_000 } else { 30_000 });
        let deferral = desk.reject_within(&Mail::jane(), deadline).await.expect_err(name);
        assert_eq!((deferral.status.to_string().as_str(), deferral.cause), ("4.3.0", "notice"), "{name}");
        assert!(deferral.alarm && deferral.detail.contains(&desk.mta.address().to_string()), "{name}: {deferral:?}");
        assert!(!deferral.public.contains("127.0.0.1"), "{name}: {}", deferral.public);
        assert!(desk.mta.taken().is_empty(), "{name}");
        desk.mta.fail(None);
        for said in ["sent", "sent before"] {
            assert_eq!(desk.reject(&Mail::jane()).await.expect(name).to_string(), said, "{name}");
        }
        assert_eq!(desk.mta.taken().len(), 1, "{name}");
    }
}

/// What the MTA refuses for good would defer the message until Postfix returns it, to an address that a sender may have chosen for
/// just that.
#[tokio::test]
async fn what_is_refused_for_good_is_given_up_in_the_end() {
    let rows: &[(&str, At, Then, bool)] = &[
        ("MAIL", At::Mail, Then::Reply("550 5.7.1 no"), true),
        ("RCPT", At::Rcpt, Then::Reply("550 5.1.1 unknown"), true),
        ("DATA", At::Data, Then::Reply("554 5.5.1 no"), true),
        ("message", At::Message, Then::Reply("554 5.6.0 no"), true),
        ("for now", At::Rcpt, Then::Reply("451 4.3.0 later"), false),
        ("closed", At::Rcpt, Then::Close, false),
    ];
    for (name, at, then, given_up) in rows {
        let desk = Desk::with("", "[limits]\nundecided = \"1s\"");
        desk.mta.fail(Some((*at, *then)));
        let first = desk.reject(&Mail::jane()).await;
        assert!(first.is_err(), "{name}: {first:?}");
        let waited = || async { desk.ledger.first_deferral(&Mail::jane().id()).await.unwrap() };
        while waited().await < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let then = desk.reject(&Mail::jane()).await.map(|outcome| outcome.to_string());
        if *given_up {
            assert_eq!(then.expect(name), "withheld: the local MTA refused it", "{name}");
        } else {
            assert_eq!(then.expect_err(name).cause, "notice", "{name}");
        }
        assert!(desk.mta.taken().is_empty(), "{name}");
        // Nothing was sent, so nothing is used up.
        desk.mta.fail(None);
        assert_eq!(desk.reject(&Mail::jane()).await.expect(name).to_string(), "sent", "{name}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let address = crate::support::http_server::unused_address();
    let desk = Desk::open_at(tempfile::tempdir().unwrap(), SmtpServer::start(), address, "", "");
    let deferral = desk.reject(&Mail::jane()).await.expect_err("deferred");
    assert!(deferral.detail.contains(&address.to_string()), "{deferral:?}");
}

/// What was taken is sent, whatever comes behind it: else the second try would send it twice.
#[tokio::test]
async fn a_fault_behind_the_answer_is_none() {
    for then in [Then::Hang, Then::Close, Then::Reply("421 4.3.2 closing"), Then::Reply("garbage")] {
        let desk = Desk::new();
        desk.mta.fail(Some((At::Quit, then)));
        for said in ["sent", "sent before"] {
            let outcome = desk.reject_within(&Mail::jane(), Duration::from_secs(8)).await;
            assert_eq!(outcome.unwrap_or_else(|d| panic!("{then:?}: {d:?}")).to_string(), said, "{then:?}");
        }
        assert_eq!(desk.mta.taken().len(), 1, "{then:?}");
    }
}

#[tokio::test]
async fn an_mta_without_dsn_gets_it_without() {
    let desk = Desk::new();
    desk.mta.keywords(&["8BITMIME"]);
    desk.mta.fail(Some((At::RcptNotify, Then::Reply("555 5.5.4 Unsupported option: NOTIFY=NEVER"))));
    assert_eq!(desk.reject(&Mail::jane()).await.unwrap().to_string(), "sent");
    assert_eq!(desk.mta.only().rcpt, ["<jane@example.org>"]);
}

#[tokio::test]
async fn an_mta_without_smtputf8_cannot_be_given_an_international_address() {
    let desk = Desk::new();
    desk.mta.keywords(&["8BITMIME", "DSN"]);
    let deferral = desk.reject(&Mail::new("jäne@bücher.example", "")).await.expect_err("deferred");
    assert!(deferral.detail.contains("SMTPUTF8"), "{deferral:?}");
    assert!(desk.mta.taken().is_empty());
}

#[tokio::test]
async fn two_recipients_at_once_make_one_notice() {
    let desk = Desk::new();
    let (one, two) = (Mail::jane().to("a@mail.example.com", None), Mail::jane().to("b@mail.example.com", None));
    let (one, two) = tokio::join!(desk.reject(&one), desk.reject(&two));
    let mut outcomes = [one.unwrap().to_string(), two.unwrap().to_string()];
    outcomes.sort();
    assert_eq!(outcomes, ["sent", "withheld: sender had a notice within the interval"]);
    assert_eq!(desk.mta.taken().len(), 1);
}

#[tokio::test]
async fn limits_hold_over_a_restart() {
    let desk = Desk::new();
    desk.reject(&Mail::jane()).await.unwrap();
    let Desk { place, ledger, .. } = desk;
    drop(ledger);
    let desk = Desk::open(place, "", "");
    let other = Mail::jane().to("other@mail.example.com", None);
    assert!(desk.reject(&other).await.unwrap().to_string().contains("within the interval"));
    assert_eq!(desk.reject(&Mail::jane()).await.unwrap().to_string(), "sent before", "the same event");
    assert!(desk.mta.taken().is_empty());
}
