//! The process is killed at each step between "the application has it" and "the MTA knows": what the next try does.
//!
//! Only one gap can hand an event over twice: the application has acknowledged it, and the ledger does not know yet. No order
//! of the two closes it, so the second request has the id of the first (`Idempotency-Key`), by which an application knows it.

use std::os::unix::process::ExitStatusExt;

use super::*;
use crate::support::http_server::{HttpServer, Reply};
use crate::support::needs;
use crate::support::service::Lmtp;

const JANE: &str = "jane@example.org";
const OTHER_ADDRESS: &str = "incoming+0123456789abcdef0123456789abcdef@gitlab.example.com";
const KILLED: Option<i32> = Some(9);

/// What the application answers to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum App {
    Takes,
    Drops,
    Rejects,
}

/// What the next try must do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// The application had not been asked: it is now.
    Asked,
    /// It has it, and is asked again with the same id.
    AskedAgain,
    /// It has it, and is not asked again: a duplicate.
    Duplicate,
    /// Nobody is ever asked: the verdict is the same again, and there is one held copy.
    SetAside,
}

fn server(app: App) -> HttpServer {
    HttpServer::tcp(move |_| match app {
        App::Takes => Reply::json(200, "{}"),
        App::Drops => Reply::json(200, r#"{"result":"drop"}"#),
        App::Rejects => Reply::json(422, r#"{"result":"reject","reason":"closed"}"#),
    })
}

fn place(server: &HttpServer) -> Place {
    Place::with_http_app(BASE, "webhook", server.url())
}

fn keys(server: &HttpServer) -> Vec<String> {
    server.requests().iter().map(|request| request.header("idempotency-key").to_owned()).collect()
}

/// Kills `serve` at the point while it has the message; gives its place and what was said to the client before.
fn killed_serving(place: Place, point: &str, recipients: &[&str], mail: &[u8]) -> (Place, String) {
    let service = Service::start_in(place, &[("MAILHATCH_CRASH", point)]);
    let mut lmtp: Lmtp = service.lmtp();
    lmtp.begin(JANE, recipients);
    lmtp.write(crate::support::service::stuffed(mail));
    let said = lmtp.rest();
    let (status, place) = service.ended();
    assert_eq!(status.signal(), KILLED, "{point}: {status}");
    (place, said)
}

fn pipe(place: &Place, point: &str, recipient: &str, mail: &[u8]) -> std::process::Output {
    let arguments = ["pipe", &format!("--sender={JANE}"), &format!("--recipient={recipient}")];
    place.run_with(&arguments, mail, &[("MAILHATCH_CRASH", point)])
}

const ROWS: &[(&str, &str, App, &str, Then)] = &[
    // point, header, the application, recipient, what the next try does
    ("before-app", "", App::Takes, REPLY_ADDRESS, Then::Asked),
    ("app-acknowledged", "", App::Takes, REPLY_ADDRESS, Then::AskedAgain),
    ("delivery-recorded", "", App::Takes, REPLY_ADDRESS, Then::Duplicate),
    ("before-answer", "", App::Takes, REPLY_ADDRESS, Then::Duplicate),
    // Nothing is recorded of what the application does not want: it is asked again, and says so again.
    ("app-acknowledged", "", App::Drops, REPLY_ADDRESS, Then::AskedAgain),
    ("copy-held", "", App::Drops, REPLY_ADDRESS, Then::AskedAgain),
    ("before-answer", "", App::Drops, REPLY_ADDRESS, Then::AskedAgain),
    ("app-acknowledged", "", App::Rejects, REPLY_ADDRESS, Then::AskedAgain),
    ("copy-held", "", App::Rejects, REPLY_ADDRESS, Then::AskedAgain),
    ("before-answer", "", App::Rejects, REPLY_ADDRESS, Then::AskedAgain),
    ("copy-held", "X-Autoreply: yes\r\n", App::Takes, REPLY_ADDRESS, Then::SetAside),
    ("before-answer", "X-Autoreply: yes\r\n", App::Takes, REPLY_ADDRESS, Then::SetAside),
    ("copy-held", "", App::Takes, "nobody@example.com", Then::SetAside),
    ("before-answer", "", App::Takes, "nobody@example.com", Then::SetAside),
];

/// What must hold after the crash, and after the next try, which said `text`.
fn assert_then(name: &str, app: App, then: Then, place: &Place, asked_before: usize, server: &HttpServer, text: &str) {
    let keys = keys(server);
    let (before, after) = match then {
        Then::Asked => (0, 1),
        Then::AskedAgain => (1, 2),
        Then::Duplicate => (1, 1),
        Then::SetAside => (0, 0),
    };
    assert_eq!((asked_before, keys.len()), (before, after), "{name}: requests before and after: {text}");
    assert!(keys.iter().all(|key| *key == keys[0]), "{name}: {keys:?}");
    let expected = match (then, app) {
        (Then::Duplicate, _) => "2.0.0 duplicate",
        (Then::SetAside, _) => "2.0.0 ",
        (_, App::Takes) => "2.0.0 delivered",
        (_, App::Drops) => "2.0.0 ignored: app-drop",
        (_, App::Rejects) => "2.0.0 rejected: app-reject",
    };
    assert!(text.starts_with(expected), "{name}: {text}");
    let held = usize::from(then == Then::SetAside || app != App::Takes);
    assert_eq!(place.held().len(), held, "{name}: copies held");
}

#[needs(crash_points)]
#[test]
fn serve_killed_at_each_step() {
    for (point, header, app, recipient, then) in ROWS {
        let name = format!("{app:?} {recipient} killed at {point}");
        let (server, mail) = (server(*app), message(header, "hello"));
        let (place, said) = killed_serving(place(&server), point, &[recipient], &mail);
        assert_eq!(said, "", "{name}: the client has no answer, so it keeps the message");
        let asked = server.requests().len();
        let service = Service::start_in(place, &[]);
        let text = service.lmtp().send(JANE, &[recipient], &mail).remove(0)[4..].to_owned();
        assert_then(&name, *app, *then, &service.place, asked, &server, &text);
    }
}

#[needs(crash_points)]
#[test]
fn pipe_killed_at_each_step() {
    let only_pipe = [
        ("message-read", "", App::Takes, REPLY_ADDRESS, Then::Asked),
        // Postfix looks at the signal that ended the process, not at what it wrote.
        ("answered", "", App::Takes, REPLY_ADDRESS, Then::Duplicate),
    ];
    for (point, header, app, recipient, then) in ROWS.iter().chain(&only_pipe) {
        let name = format!("{app:?} {recipient} killed at {point}");
        let (server, mail) = (server(*app), message(header, "hello"));
        let place = place(&server);
        let output = pipe(&place, point, recipient, &mail);
        assert_eq!(output.status.signal(), KILLED, "{name}: {output:?}");
        let asked = server.requests().len();
        let output = pipe(&place, "", recipient, &mail);
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        assert_then(&name, *app, *then, &place, asked, &server, &String::from_utf8_lossy(&output.stdout));
    }
}

/// What one way began, the other ends: they share the ledger.
#[needs(crash_points)]
#[test]
fn pipe_knows_what_a_killed_service_delivered() {
    for (point, expected, asked) in
        [("app-acknowledged", "2.0.0 delivered", 2), ("delivery-recorded", "2.0.0 duplicate", 1)]
    {
        let (server, mail) = (server(App::Takes), message("", "hello"));
        let (place, _) = killed_serving(place(&server), point, &[REPLY_ADDRESS], &mail);
        let output = pipe(&place, "", REPLY_ADDRESS, &mail);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.starts_with(expected), "{point}: {text}");
        assert_eq!(server.requests().len(), asked, "{point}");
    }
}

/// The other recipients of the message: what was recorded stays recorded, the rest is asked again, each under its own id.
#[needs(crash_points)]
#[test]
fn two_recipients_and_a_kill_between_them() {
    for point in ["app-acknowledged", "delivery-recorded"] {
        let (server, mail) = (server(App::Takes), message("", "hello"));
        let both = [REPLY_ADDRESS, OTHER_ADDRESS];
        let (place, said) = killed_serving(place(&server), point, &both, &mail);
        assert_eq!(said, "", "{point}");
        let service = Service::start_in(place, &[]);
        let replies = service.lmtp().send(JANE, &both, &mail);
        assert!(replies.iter().all(|reply| reply.starts_with("250 2.0.0 d")), "{point}: {replies:?}");
        let mut ids = keys(&server);
        assert!(ids.len() <= 4, "{point}: at most twice each: {ids:?}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 2, "{point}: {ids:?}");
        let replies = service.lmtp().send(JANE, &both, &mail);
        assert!(replies.iter().all(|reply| reply.starts_with("250 2.0.0 duplicate")), "{point}: {replies:?}");
    }
}

/// A bug is as good as a kill, but the client is told.
#[needs(crash_points)]
#[test]
fn a_panic_at_each_step_defers_and_the_next_try_does_the_same_as_after_a_kill() {
    for (point, header, app, recipient, then) in ROWS.iter().filter(|row| row.0 != "before-answer") {
        let name = format!("{app:?} {recipient} panic at {point}");
        let (server, mail) = (server(*app), message(header, "hello"));
        let crash = format!("panic:{point}");
        let service = Service::start_in(place(&server), &[("MAILHATCH_CRASH", &crash)]);
        let reply = service.lmtp().send(JANE, &[recipient], &mail).remove(0);
        assert!(reply.starts_with("451 4.3.0 deferred: internal-error"), "{name}: {reply}");
        let asked = server.requests().len();
        service.signal("TERM");
        let service = Service::start_in(service.ended().1, &[]);
        let text = service.lmtp().send(JANE, &[recipient], &mail).remove(0)[4..].to_owned();
        assert_then(&name, *app, *then, &service.place, asked, &server, &text);
    }
}
