//! Action Mailbox: what it is sent, and what its answers mean. The real one is asked in tests/apps.

use std::sync::atomic::{AtomicUsize, Ordering};

use mailhatch::app::{Answer, AppError};

use super::{KEY, Setup, reply};
use crate::support::http_server::{HttpServer, Reply, unused_address};

const PASSWORD: &str = "open sesame";

fn setup(url: &str, more: &str) -> Setup {
    let settings = format!("kind = \"action-mailbox\"\nurl = \"{url}\"\nSECRET\n{more}");
    Setup::with_address("incoming+%{key}@gitlab.example.com", &settings, PASSWORD)
}

#[tokio::test]
async fn the_mail_is_posted_as_it_is_behind_the_recipient() {
    let server = HttpServer::tcp(|_| Reply::Kept(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()));
    let setup = setup(server.url(), "");
    let message = [reply().as_bytes(), b"\x00\xe9 and the rest"].concat();
    let event = setup.event(KEY, message.clone());
    let app = setup.app();
    for _ in 0..2 {
        assert_eq!(app.hand_over(&event).await, Ok(Answer::delivered("Action Mailbox took it")));
    }
    let requests = server.requests();
    let request = &requests[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/rails/action_mailbox/relay/inbound_emails")
    );
    assert_eq!(request.header("authorization"), "Basic YWN0aW9ubWFpbGJveDpvcGVuIHNlc2FtZQ==");
    assert_eq!(request.header("content-type"), "message/rfc822");
    assert_eq!(request.header("idempotency-key"), event.id.as_str());
    let head = format!("X-Original-To: incoming+{KEY}@gitlab.example.com\r\n");
    assert_eq!(request.body, [head.as_bytes(), &message].concat());
    assert_eq!(requests[1].body, request.body, "the same octets on each try: it knows the mail by their checksum");
}

#[tokio::test]
async fn add_to_puts_the_recipient_into_the_last_to_field() {
    let to = format!("incoming+{KEY}@gitlab.example.com");
    let rows: &[(&str, String, bool)] = &[
        ("it is there", format!("To: Desk <{to}>"), false),
        ("it is there in another case", format!("To: {}", to.to_uppercase()), false),
        ("it is not there", "To: jane@example.org".to_owned(), true),
        ("another address ends so", format!("To: x{to}"), true),
        ("only in a field that the gem drops", format!("To: {to}\r\nTo: jane@example.org"), true),
        ("no field", "X: y".to_owned(), true),
    ];
    let server = HttpServer::tcp(|_| Reply::Kept(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()));
    for (name, header, put_in) in rows {
        for (more, add_to) in [("", false), ("add_to = true", true)] {
            let setup = setup(server.url(), more);
            let message = format!("{header}\r\n\r\nText\r\n");
            setup.app().hand_over(&setup.event(KEY, message.clone())).await.expect(name);
            let field = if *put_in && add_to { format!("To: {to}\r\n") } else { String::new() };
            let wanted = format!("X-Original-To: {to}\r\n{header}\r\n{field}\r\nText\r\n");
            assert_eq!(String::from_utf8_lossy(&server.last_request().body), wanted, "{name}, {more}");
        }
    }
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let rows: &[(&str, Reply, Option<bool>, &str)] = &[
        ("204", Reply::Kept(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()), None, ""),
        ("200 without a page", Reply::new(200, "text/plain", ""), None, ""),
        ("a page", Reply::new(200, "text/html", "<p>"), Some(true), "HTML page"),
        ("401", Reply::new(401, "text/html", "HTTP Basic: Access denied."), Some(true), "secret_file"),
        ("404", Reply::new(404, "text/html", ""), Some(true), "config.action_mailbox.ingress = :relay"),
        ("415", Reply::new(415, "text/html", ""), Some(true), "does not take such requests"),
        ("500", Reply::new(500, "text/html", "<p>"), Some(false), "look at its log"),
    ];
    for (name, reply_with, alarm, word) in rows {
        let answer = reply_with.clone();
        let server = HttpServer::tcp(move |_| answer.clone());
        let setup = setup(server.url(), "");
        match (setup.app().hand_over(&setup.event(KEY, reply())).await, alarm) {
            (Ok(Answer::Delivered { warning: None, .. }), None) => {}
            (Err(AppError::Unavailable { alarm, detail, .. }), Some(wanted)) => {
                assert_eq!(alarm, *wanted, "{name}: {detail}");
                assert!(detail.contains(word) && !detail.contains(PASSWORD), "{name}: {detail}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_yes_after_a_fault_comes_with_a_warning() {
    // What the tries before end in, and whether the mail may lie in the application, unprocessed.
    let rows: &[(&str, &[Reply], bool)] = &[
        ("at once", &[], false),
        ("after 500", &[Reply::new(500, "text/plain", "")], true),
        ("after no answer", &[Reply::Close], true),
        ("after 401", &[Reply::new(401, "text/plain", "")], false),
        ("after 500 and 401", &[Reply::new(500, "text/plain", ""), Reply::new(401, "text/plain", "")], true),
    ];
    for (name, before, warned) in rows {
        let (replies, next) = (before.to_vec(), AtomicUsize::new(0));
        let server = HttpServer::tcp(move |_| {
            let yes = Reply::Kept(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
            replies.get(next.fetch_add(1, Ordering::SeqCst)).cloned().unwrap_or(yes)
        });
        let setup = setup(server.url(), "");
        let (app, event) = (setup.app(), setup.event(KEY, reply()));
        for _ in *before {
            app.hand_over(&event).await.expect_err(name);
        }
        for (time, warned) in [("first", *warned), ("second", false)] {
            let Ok(Answer::Delivered { warning, .. }) = app.hand_over(&event).await else { panic!("{name}") };
            let text = "ActionMailbox::InboundEmail.pending.find_each(&:route_later)";
            assert_eq!(warning.is_some_and(|warning| warning.contains(text)), warned, "{name}, {time}");
        }
    }
}

#[tokio::test]
async fn an_application_that_was_not_there_has_nothing_unprocessed() {
    let address = unused_address();
    let setup = setup(&format!("http://{address}"), "");
    let (app, event) = (setup.app(), setup.event(KEY, reply()));
    app.hand_over(&event).await.expect_err("nobody listens");
    let server = HttpServer::tcp_on(address, |_| Reply::Kept(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()));
    assert_eq!(app.hand_over(&event).await, Ok(Answer::delivered("Action Mailbox took it")));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn check_hands_nothing_over() {
    let rows: &[(u16, Result<&str, &str>)] = &[
        (415, Ok("the password is accepted, the ingress is :relay")),
        (401, Err("secret_file")),
        (404, Err("ingress = :relay")),
    ];
    for (status, wanted) in rows {
        let status = *status;
        let server = HttpServer::tcp(move |_| Reply::new(status, "text/html", ""));
        let checked = setup(server.url(), "").app().check().await;
        match (&checked, wanted) {
            (Ok(text), Ok(word)) | (Err(text), Err(word)) => assert!(text.contains(word), "{status}: {text}"),
            _ => panic!("{status}: {checked:?}"),
        }
        let request = server.last_request();
        assert_eq!((request.header("content-type"), request.body.len()), ("text/plain", 0));
    }
}
