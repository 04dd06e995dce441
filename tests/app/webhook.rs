//! The webhook's contract: Standard Webhooks, and what its answers mean.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailhatch::app::{Answer, AppError};
use ring::hmac;
use serde_json::Value;

use super::{KEY, Setup, WEBHOOK_SECRET, reply};
use crate::support::http_server::{Fault, HttpServer, Reply, Request};

/// What a receiver by the specification checks.
fn is_signed(request: &Request) -> bool {
    let secret = STANDARD.decode(WEBHOOK_SECRET.trim_start_matches("whsec_")).unwrap();
    let mut signed = format!("{}.{}.", request.header("webhook-id"), request.header("webhook-timestamp")).into_bytes();
    signed.extend_from_slice(&request.body);
    let Some(signature) = request.header("webhook-signature").strip_prefix("v1,") else { return false };
    let signature = STANDARD.decode(signature).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &secret), &signed, &signature).is_ok()
}

fn receiver(request: &Request) -> Reply {
    if is_signed(request) { Reply::json(200, "{}") } else { Reply::json(401, "{}") }
}

#[tokio::test]
async fn an_event_is_signed_small_or_large() {
    let files = tempfile::tempdir().expect("directory");
    let socket = files.path().join("app.sock");
    let server = HttpServer::unix(&socket, receiver);
    let setup = Setup::webhook(&format!("{}:/hooks/mail?x=1", server.url()), "parts = [\"raw\"]");
    let app = setup.app();
    for size in [10, 200_000, 300_000, 5_000_000] {
        let message = format!("{}{}", reply(), "x".repeat(size));
        let event = setup.event(KEY, message.clone());
        let answer = app.hand_over(&event).await;
        assert_eq!(answer, Ok(Answer::delivered("the application answered 200")), "{size}");
        let request = server.last_request();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hooks/mail?x=1"));
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("webhook-id"), event.id.as_str());
        assert_eq!(request.header("idempotency-key"), event.id.as_str());
        assert_eq!(request.header("transfer-encoding"), "", "Content-Length is told");
        let json: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(STANDARD.decode(json["data"]["raw"].as_str().unwrap()).unwrap(), message.into_bytes(), "{size}");
    }
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let delivered = |status: u16| Some(Answer::delivered(format!("the application answered {status}")));
    let rejected = |reason: &str| Some(Answer::Rejected(reason.to_owned()));
    let long = format!(r#"{{"result":"reject","reason":"{}"}}"#, "x".repeat(2000));
    let rows: &[(&str, u16, &str, &str, Option<Answer>)] = &[
        ("empty", 200, "text/plain", "", delivered(200)),
        ("no content", 204, "text/plain", "", delivered(204)),
        ("empty with a framework's type", 200, "text/html", "", delivered(200)),
        ("plain", 202, "text/plain", "ok", delivered(202)),
        ("other JSON", 200, "application/json", r#"{"result":"stored"}"#, delivered(200)),
        ("JSON array", 200, "application/json", r#"["reject"]"#, delivered(200)),
        ("result that is no text", 200, "application/json", r#"{"result":["reject"]}"#, delivered(200)),
        ("JSON as text/html", 200, "text/html", r#"{"ok":true}"#, delivered(200)),
        ("login page", 200, "text/html", "<p>Log in", None),
        ("login page without its type", 200, "text/plain", " <!doctype HTML>", None),
        ("login page behind a comment", 200, "text/plain", "\n<!-- x --><html>login</html>", None),
        ("JSON that broke off", 200, "application/json", "{\"resul", None),
        ("a refusal that broke off", 200, "text/plain", "{\"result\":\"reject\",\"reason\":\"no", None),
        ("reject", 200, "application/json", r#"{"result":"reject","reason":"closed"}"#, rejected("closed")),
        ("reject with 422", 422, "application/json", r#"{"result":"reject","reason":"closed"}"#, rejected("closed")),
        ("reject with 500", 500, "text/html", r#"{"result":"reject","reason":"closed"}"#, rejected("closed")),
        (
            "reject with a byte order mark",
            200,
            "x/y",
            "\u{feff}{\"result\":\"reject\",\"reason\":\"a\"}",
            rejected("a"),
        ),
        (
            "reject without a reason",
            200,
            "application/json",
            r#"{"result":"reject"}"#,
            rejected("the application does not take this message"),
        ),
        (
            "reason of several lines",
            200,
            "application/json",
            r#"{"result":"reject","reason":" a\r\nSubject: b\u0000 c "}"#,
            rejected("a Subject: b c"),
        ),
        ("long reason", 200, "application/json", &long, rejected(&format!("{}…", "x".repeat(500)))),
        ("drop", 200, "application/json", r#"{"result":"drop"}"#, Some(Answer::dropped("the application dropped it"))),
        (
            "drop with 410",
            410,
            "application/json",
            r#"{"result":"drop","reason":"spam"}"#,
            Some(Answer::dropped("spam")),
        ),
        ("page of a proxy that says reject", 503, "text/html", "<html>{\"result\":\"reject\"}</html>", None),
        ("refused without a reason", 422, "application/json", r#"{"errors":["key"]}"#, None),
    ];
    for (name, status, content_type, body, meaning) in rows {
        let (status, content_type, body) = (*status, (*content_type).to_owned(), (*body).to_owned());
        let server = HttpServer::tcp(move |_| Reply::new(status, &content_type, &body));
        let setup = Setup::webhook(server.url(), "");
        let answer = setup.app().hand_over(&setup.event(KEY, reply())).await;
        assert_eq!(answer.clone().ok(), *meaning, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn an_application_that_stops_reading_a_large_event_is_unavailable() {
    let server = Fault::ClosedWithoutAnswer.start();
    let setup = Setup::webhook(server.url(), "parts = [\"raw\"]");
    let event = setup.event(KEY, format!("{}{}", reply(), "x".repeat(1_000_000)));
    let error = setup.app().hand_over(&event).await.expect_err("unavailable");
    assert!(matches!(error, AppError::Unavailable { .. }), "{error:?}");
}
