//! Acknowledged means read, understood and whole: what an answer must be before a message counts as taken.

use std::io::{Read, Write};
use std::net::TcpStream;

use mailhatch::app::{Answer, AppError};

use super::{GITLAB_SECRET, KEY, Setup, WEBHOOK_SECRET, reply};
use crate::support::http_server::{HttpServer, Reply};

/// Larger than all buffers between us and an application that does not read.
const LARGE: usize = 32 * 1024 * 1024;

fn setup(kind: &str, url: &str) -> Setup {
    let secret = if kind == "gitlab" { GITLAB_SECRET } else { WEBHOOK_SECRET };
    let parts = if kind == "webhook" { "parts = [\"raw\"]\n" } else { "" };
    Setup::new(&format!("kind = \"{kind}\"\nurl = \"{url}\"\nSECRET\n{parts}"), secret)
}

/// What is said of a message that the application was given, and what of it only the log gets.
async fn hand_over(kind: &str, url: &str, size: usize) -> Result<Answer, String> {
    let setup = setup(kind, url);
    let event = setup.event(KEY, format!("{}{}", reply(), "x".repeat(size)));
    setup.app().hand_over(&event).await.map_err(|error| match error {
        AppError::Unavailable { detail, .. } => detail,
        AppError::Refused { .. } => panic!("{kind}: {error}"),
    })
}

/// An answer that both kinds would take for "yes".
fn yes(head: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{head}\r\n{{\"success\":true}}").into_bytes()
}

#[tokio::test]
async fn an_answer_that_is_not_clean_is_no_acknowledgement() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let raw = |head: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let rows: &[(&str, Vec<u8>, &str)] = &[
        ("no length, nothing", b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), "must send a length"),
        ("no length, a text", yes("Content-Type: text/plain\r\n"), "must send a length"),
        ("HTTP/1.0, no length", b"HTTP/1.0 200 OK\r\n\r\n{\"success\":true}".to_vec(), "must send a length"),
        ("fewer octets than announced", yes("Content-Length: 17\r\n"), "connection ended"),
        (
            "chunks that break off",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"success\":true}\r\n".to_vec(),
            "connection ended",
        ),
        (
            "chunks without the last line",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"success\":true}\r\n0\r\n".to_vec(),
            "connection ended",
        ),
        (
            "chunks and a length",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"success\":true}\r\n0\r\n\r\n"
                .to_vec(),
            "two lengths",
        ),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\nContent-Length: 17\r\n\r\n{\"success\":true}".to_vec(),
            "does not speak HTTP",
        ),
        (
            "another transfer coding",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n10\r\n{\"success\":true}\r\n0\r\n\r\n".to_vec(),
            "Transfer-Encoding: gzip",
        ),
        ("gzip", raw("Content-Encoding: gzip\r\n", b"\x1f\x8b\x08"), "Content-Encoding: gzip"),
        ("an unknown coding of nothing", raw("Content-Encoding: x\r\n", b""), "Content-Encoding: x"),
        ("UTF-16", raw("Content-Type: text/plain; charset=utf-16\r\n", &utf16("<html>Anmelden")), "charset"),
        ("UTF-16 that does not say so", raw("Content-Type: text/plain\r\n", &utf16("Please log in")), "text"),
        ("UTF-16 with its mark", raw("Content-Type: text/plain\r\n", &utf16("\u{feff}Log in")), "UTF-8"),
        ("Latin-1", raw("Content-Type: text/plain\r\n", b"Pr\xfcfung"), "UTF-8"),
        ("a picture", raw("Content-Type: image/png\r\n", b"\x89PNG\r\n"), "image/png"),
        ("text of no type", raw("", b"Please log in"), "Content-Type"),
        ("octets", raw("Content-Type: application/octet-stream\r\n", b"ok"), "application/octet-stream"),
        ("XML", raw("Content-Type: application/xml\r\n", b"<ok/>"), "page"),
        ("a page", raw("Content-Type: text/html\r\n", b"ok"), "page"),
        ("a page as text", raw("Content-Type: text/plain\r\n", b"\n <!doctype html>"), "page"),
        ("JSON that broke off", raw("Content-Type: application/json\r\n", b"{\"success\":tru"), "JSON"),
        ("JSON that is not JSON", raw("Content-Type: application/json\r\n", b"success"), "JSON"),
        ("JSON and more", raw("Content-Type: text/plain\r\n", b"{\"success\":true} x"), "JSON"),
        ("JSON in UTF-16", raw("Content-Type: application/json\r\n", &utf16("{\"success\":true}")), "JSON"),
    ];
    for (name, bytes, word) in rows {
        let bytes = bytes.clone();
        let server = HttpServer::tcp(move |_| Reply::Raw(bytes.clone()));
        for kind in ["gitlab", "webhook"] {
            match hand_over(kind, server.url(), 10).await {
                Ok(answer) => panic!("{kind}, {name}: {answer:?}"),
                Err(detail) => assert!(detail.contains(word), "{kind}, {name}: {detail}"),
            }
        }
    }
}

#[tokio::test]
async fn a_clean_answer_is_an_acknowledgement() {
    let rows: &[(&str, &[u8])] = &[
        ("204", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("204 with a type", b"HTTP/1.1 204 No Content\r\nContent-Type: text/html\r\n\r\n"),
        ("nothing", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("nothing, in HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("nothing, with a framework's type", b"HTTP/1.1 202 Accepted\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n"),
        ("nothing, in chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("text", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"),
        ("text in UTF-8", b"HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; Charset=\"UTF-8\"\r\nContent-Length: 3\r\n\r\nj\xc3\xa0"),
        ("text of a Java server", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=ISO-8859-1\r\nContent-Length: 2\r\n\r\nok"),
        ("text in chunks", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n"),
        ("JSON", b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.app+json\r\nContent-Length: 4\r\n\r\ntrue"),
        ("JSON by its first octet", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n\r\n{ }"),
        ("JSON of no type with a mark", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\xef\xbb\xbf[]"),
        ("not encoded, as it says", b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 0\r\n\r\n"),
    ];
    for (name, bytes) in rows {
        let bytes = bytes.to_vec();
        let server = HttpServer::tcp(move |_| Reply::Raw(bytes.clone()));
        if let Err(detail) = hand_over("webhook", server.url(), 10).await {
            panic!("{name}: {detail}");
        }
    }
}

/// Reads so many octets and answers: what it says cannot be about what it has not read.
fn answers_after(octets: usize) -> impl Fn(&mut TcpStream) + Send + Sync + 'static {
    move |stream| {
        let mut read = vec![0; octets];
        if stream.read_exact(&mut read).is_ok() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"success\":true}");
        }
    }
}

// With threads of its own, so that a connection is closed while the test waits to see it closed.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_message_is_handed_over_whole_is_no_acknowledgement() {
    let rows: &[(&str, usize)] = &[("after no octet", 0), ("after the header", 600), ("after half", LARGE / 2)];
    for (name, octets) in rows {
        for kind in ["gitlab", "webhook"] {
            let server = HttpServer::raw(answers_after(*octets));
            let setup = setup(kind, server.url());
            let app = setup.app();
            let event = setup.event(KEY, format!("{}{}", reply(), "x".repeat(LARGE)));
            match app.hand_over(&event).await {
                Err(AppError::Unavailable { detail, .. }) => {
                    assert!(
                        detail.contains("before it had the whole") || detail.contains("before it was asked"),
                        "{kind}, {name}: {detail}"
                    );
                }
                other => panic!("{kind}, {name}: {other:?}"),
            }
            let unread = server.unread();
            assert!(
                octets + unread < LARGE,
                "{kind}, {name}: the connection was cut, not used up ({unread} octets more)"
            );
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_there_before_the_request_is_no_acknowledgement() {
    // The first message shows that the answer is good; the second one's stands there before it is sent.
    let two = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"success\":true}".repeat(2);
    for kind in ["gitlab", "webhook"] {
        let answers = two.clone();
        let server = HttpServer::tcp(
            move |request| {
                if request.connection == 0 { Reply::Kept(answers.clone()) } else { Reply::Close }
            },
        );
        let setup = setup(kind, server.url());
        let app = setup.app();
        app.hand_over(&setup.event(KEY, reply())).await.expect("the first");
        let second = app.hand_over(&setup.event(KEY, format!("{}second", reply()))).await;
        assert!(matches!(second, Err(AppError::Unavailable { .. })), "{kind}: {second:?}");
        assert_eq!(server.connections(), 2, "{kind}: what spoke unasked is not asked again");
    }
}

#[tokio::test]
async fn a_connection_is_kept_after_a_clean_answer_only() {
    let rows: &[(&str, Reply, usize)] = &[
        ("clean", Reply::json(200, r#"{"success":true}"#), 1),
        ("a clean refusal", Reply::json(503, "{}"), 1),
        ("gzip", Reply::json(200, "x").with_header("Content-Encoding", "gzip"), 2),
        ("not UTF-8", Reply::json(200, "x").with_header("Content-Type", "text/plain; charset=utf-16"), 2),
        ("too long", Reply::new(200, "text/plain", &"x".repeat(2 * 1024 * 1024)), 2),
    ];
    for (name, reply_with, connections) in rows {
        let answer = reply_with.clone();
        let server = HttpServer::tcp(move |_| answer.clone());
        let setup = setup("webhook", server.url());
        let app = setup.app();
        for _ in 0..2 {
            let _ = app.hand_over(&setup.event(KEY, reply())).await;
        }
        assert_eq!(server.connections(), *connections, "{name}");
    }
}
