//! What is sent arrives as it was sent; what is refused is nowhere, and nobody is told a wrong thing.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::application::{Kind, SECRET};
use crate::arrived::Arrived;
use crate::site::{Mail, Tracker, usual_address};
use crate::support::site::DOMAIN;

#[test]
#[ignore = "needs real applications: make test-apps"]
fn what_is_sent_to_action_mailbox_arrives() {
    rows(&mut Tracker::start(Kind::ActionMailbox));
}

#[test]
#[ignore = "needs real applications: make test-apps"]
fn what_is_sent_to_redmine_arrives() {
    rows(&mut Tracker::start(Kind::Redmine));
}

#[test]
#[ignore = "needs real applications: make test-apps"]
fn what_is_sent_to_request_tracker_arrives() {
    rows(&mut Tracker::start(Kind::RequestTracker));
}

/// A row: the application, and the kind of it.
type Row = fn(&mut Tracker, Kind);

/// One after another, because an application takes seconds to start.
fn rows(tracker: &mut Tracker) {
    let rows: &[(&str, Row)] = &[
        ("a good mail, and the same once more", good_and_twice),
        ("8-bit text in Latin-1", latin1),
        ("NUL", nul),
        ("an attachment of every octet, unencoded", every_octet),
        ("5 MB", five_megabytes),
        ("named by nobody but the envelope", bcc_only),
        ("refused", refused),
        ("the wrong secret", wrong_secret),
    ];
    let kind = tracker.application.kind;
    for (name, row) in rows {
        eprintln!("{}: {name}", kind.name());
        row(tracker, kind);
        tracker.site.postfix.assert_nobody_was_written_to();
    }
}

/// Hands a mail over that must be delivered; gives what the application has of it.
#[track_caller]
fn arrive(tracker: &Tracker, mail: &Mail, subject: &str) -> Arrived {
    let line = tracker.deliver(mail);
    let log = || format!("{}\n{}", tracker.site.service_log(), tracker.application.log());
    assert!(line.contains("2.0.0 delivered: "), "{line}\n{}", log());
    let arrived = tracker.application.arrived_as(subject);
    assert_eq!(arrived.len(), 1, "{arrived:?}\n{}", log());
    arrived.into_iter().next().unwrap()
}

fn good_and_twice(tracker: &mut Tracker, kind: Kind) {
    let mail = Mail::new(kind, "good", "", b"How do I do that?");
    let arrived = arrive(tracker, &mail, "good");
    let place = match kind {
        Kind::ActionMailbox => &usual_address(kind),
        Kind::Redmine => "general",
        Kind::RequestTracker => "General",
    };
    assert_eq!(arrived.place.split(' ').next(), Some(place), "{arrived:?}");
    let line = tracker.deliver(&mail);
    assert!(line.contains("2.0.0 duplicate: "), "{line}");
    assert_eq!(tracker.application.arrived_as("good").len(), 1);
}

/// Each application makes UTF-8 of the text; Action Mailbox keeps the mail.
fn latin1(tracker: &mut Tracker, kind: Kind) {
    let header =
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n";
    let mail = Mail::new(kind, "latin1", header, b"Gr\xfc\xdfe aus K\xf6ln");
    let arrived = arrive(tracker, &mail, "latin1");
    match kind {
        Kind::ActionMailbox => assert_posted(tracker, &mail),
        Kind::Redmine | Kind::RequestTracker => {
            assert_octets(arrived.text.trim_ascii_end(), "Grüße aus Köln".as_bytes());
        }
    }
}

fn nul(tracker: &mut Tracker, kind: Kind) {
    // Where the charset is not declared, Request Tracker takes a NUL for a sign of UTF-16.
    let header = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n";
    let mail = Mail::new(kind, "nul", header, b"before\0behind");
    let arrived = arrive(tracker, &mail, "nul");
    match kind {
        Kind::ActionMailbox => assert_posted(tracker, &mail),
        Kind::Redmine | Kind::RequestTracker => assert_octets(arrived.text.trim_ascii_end(), b"before\0behind"),
    }
}

/// NUL and all of Latin-1, with nothing around them that would hide a change; CR and LF end lines, so they are not among them.
fn every_octet(tracker: &mut Tracker, kind: Kind) {
    let attachment: Vec<u8> = (0..=u8::MAX).filter(|octet| !b"\r\n".contains(octet)).collect();
    let header = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    let body = [
        b"--b\r\nContent-Type: text/plain\r\n\r\nSee the attachment.\r\n--b\r\nContent-Type: application/octet-stream\r\n\
          Content-Disposition: attachment; filename=octets.bin\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
        attachment.as_slice(),
        b"\r\n--b--",
    ]
    .concat();
    let mail = Mail::new(kind, "octets", header, &body);
    let arrived = arrive(tracker, &mail, "octets");
    match kind {
        Kind::ActionMailbox => assert_posted(tracker, &mail),
        Kind::Redmine | Kind::RequestTracker => {
            assert_eq!(arrived.attachments.len(), 1, "{arrived:?}");
            assert_octets(&arrived.attachments[0], &attachment);
        }
    }
}

fn five_megabytes(tracker: &mut Tracker, kind: Kind) {
    let attachment: Vec<u8> = (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let lines: Vec<String> = attachment.chunks(57).map(|line| STANDARD.encode(line)).collect();
    let header = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    let body = format!(
        "--b\r\nContent-Type: text/plain\r\n\r\nSee the attachment.\r\n--b\r\nContent-Type: application/octet-stream\r\n\
         Content-Disposition: attachment; filename=dump.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--",
        lines.join("\r\n")
    );
    let mail = Mail::new(kind, "large", header, body.as_bytes());
    let arrived = arrive(tracker, &mail, "large");
    match kind {
        Kind::ActionMailbox => assert_posted(tracker, &mail),
        Kind::Redmine | Kind::RequestTracker => {
            assert_eq!(arrived.attachments.len(), 1);
            assert_octets(&arrived.attachments[0], &attachment);
        }
    }
}

fn bcc_only(tracker: &mut Tracker, kind: Kind) {
    let recipient = match kind {
        Kind::ActionMailbox => format!("incoming+secret@{DOMAIN}"),
        Kind::Redmine => format!("project+other@{DOMAIN}"),
        Kind::RequestTracker => usual_address(kind),
    };
    let mut mail = Mail::new(kind, "bcc", "", b"Nobody knows.").to(&recipient);
    let text = String::from_utf8(mail.text).unwrap().replace(&usual_address(kind), "everybody@example.net");
    mail.text = text.into_bytes();
    let arrived = arrive(tracker, &mail, "bcc");
    let place = match kind {
        Kind::ActionMailbox => &recipient,
        Kind::Redmine => "other",
        Kind::RequestTracker => "General",
    };
    assert!(arrived.place.split(' ').any(|known| known == place), "{arrived:?}");
}

fn refused(tracker: &mut Tracker, kind: Kind) {
    let mut mail = Mail::new(kind, "refused", "", b"Let me in.");
    match kind {
        // It refuses nothing. What it swallows after a fault of its own is said to the administrator.
        Kind::ActionMailbox => {
            let down = tracker.application.shared("queue-is-down");
            fs::write(&down, "").unwrap();
            let id = tracker.submit(&mail);
            let line = tracker.site.postfix.wait_deferred(&id);
            assert!(line.contains("the application"), "{line}");
            fs::remove_file(&down).unwrap();
            tracker.site.postfix.wait_done(&id);
            let log = tracker.site.service_log();
            assert!(log.contains("InboundEmail.pending.find_each(&:route_later)"), "{log}");
            let (_, pending) = tracker.application.stored_and_pending();
            assert_eq!(pending, 1, "{}", tracker.application.log());
        }
        Kind::Redmine => {
            mail.text = String::from_utf8(mail.text).unwrap().replace("jane@", "stranger@").into_bytes();
            let id = tracker.submit(&mail);
            tracker.site.postfix.wait_deferred(&id);
            let lines = tracker.site.postfix.wait_done(&id);
            assert!(
                lines.last().unwrap().contains("2.0.0 rejected: app-refused (The tracker does not take"),
                "{lines:?}"
            );
            assert!(tracker.site.held().contains("app-refused"), "{}", tracker.site.held());
        }
        Kind::RequestTracker => {
            mail.text = String::from_utf8(mail.text)
                .unwrap()
                .replace("From: Jane <jane@example.org>", "From: undisclosed:;")
                .into_bytes();
            let line = tracker.deliver(&mail);
            assert!(line.contains("2.0.0 ignored: app-drop ("), "{line}");
            assert!(tracker.site.service_log().contains("and for faults of its own"), "{}", tracker.site.service_log());
        }
    }
    assert_eq!(tracker.application.arrived_as("refused"), []);
}

/// Mail waits until the secret, or the queue's name, is right.
fn wrong_secret(tracker: &mut Tracker, kind: Kind) {
    let mail = Mail::new(kind, "waits", "", b"I wait.");
    if kind == Kind::RequestTracker {
        let mail = mail.to(&format!("nowhere@{DOMAIN}"));
        let id = tracker.submit(&mail);
        let line = tracker.site.postfix.wait_deferred(&id);
        assert!(line.contains("4.3.5"), "{line}");
        let configuration = tracker.configuration().replace("no such queue", "General");
        tracker.site.write_configuration(&configuration);
        tracker.site.stop_service();
        tracker.site.start_service();
        tracker.site.postfix.wait_done(&id);
    } else {
        tracker.set_secret("wrong");
        tracker.site.stop_service();
        tracker.site.start_service();
        let id = tracker.submit(&mail);
        let line = tracker.site.postfix.wait_deferred(&id);
        assert!(line.contains("4.3.5"), "{line}");
        tracker.set_secret(SECRET);
        tracker.site.stop_service();
        tracker.site.start_service();
        tracker.site.postfix.wait_done(&id);
    }
    assert_eq!(tracker.application.arrived_as("waits").len(), 1, "{}", tracker.site.service_log());
}

/// Says where two differ: five million octets tell nobody anything.
#[track_caller]
fn assert_octets(arrived: &[u8], sent: &[u8]) {
    let same = arrived.iter().zip(sent).take_while(|(arrived, sent)| arrived == sent).count();
    let near = |octets: &[u8]| octets[same.saturating_sub(8)..octets.len().min(same + 16)].escape_ascii().to_string();
    assert!(
        arrived == sent,
        "{} octets arrived, {} were sent; from octet {same} on they differ: {} is not {}",
        arrived.len(),
        sent.len(),
        near(arrived),
        near(sent)
    );
}

/// Action Mailbox keeps the octets that it was given: the mail, behind the recipient.
#[track_caller]
fn assert_posted(tracker: &Tracker, mail: &Mail) {
    let is_it = |posted: &Vec<u8>| {
        // Postfix puts its own fields before.
        posted.starts_with(b"X-Original-To: ") && posted.ends_with(&mail.text)
    };
    assert!(tracker.application.posted().iter().any(is_it), "{}", tracker.application.log());
}
