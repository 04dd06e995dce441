//! Discourse, against a server that is as strict as its published code (`Admin::EmailController#handle_mail`, the API key
//! constraint, the limit of requests by an admin key).

use std::sync::atomic::{AtomicUsize, Ordering};

use mailhatch::app::{Answer, AppError};

use super::forms::base64_field;
use super::{KEY, Setup, reply};
use crate::support::http_server::{HttpServer, Reply, Request};

const API_KEY: &str = "d9c0ffee";

fn setup(url: &str, more: &str) -> Setup {
    let settings = format!("kind = \"discourse\"\nurl = \"{url}\"\nSECRET\n{more}");
    Setup::with_address("forum+%{key}@example.com", &settings, API_KEY)
}

/// So many requests of an admin key in a minute (`max_admin_api_reqs_per_minute`).
const A_MINUTE: usize = 60;

fn discourse() -> HttpServer {
    let asked = AtomicUsize::new(0);
    HttpServer::tcp(move |request: &Request| {
        if (request.method.as_str(), request.path.as_str()) != ("POST", "/admin/email/handle_mail") {
            return Reply::new(404, "text/html; charset=utf-8", "<!DOCTYPE html>");
        }
        if request.header("api-key") != API_KEY || request.header("api-username") != "system" {
            return Reply::json(403, r#"{"errors":["You are not permitted to view the requested resource."]}"#);
        }
        if asked.fetch_add(1, Ordering::SeqCst) >= A_MINUTE {
            let text = r#"{"errors":["You’ve performed this action too many times."],"error_type":"rate_limit","extras":{"wait_seconds":42}}"#;
            return Reply::json(429, text).with_header("Retry-After", "42");
        }
        if request.body.is_empty() {
            return Reply::json(400, r#"{"errors":["param is missing or the value is empty: email"]}"#);
        }
        match (request.header("content-type"), base64_field(request, "email_encoded")) {
            ("application/x-www-form-urlencoded", Some(_)) => {
                Reply::new(200, "text/plain; charset=utf-8", "email has been received and is queued for processing")
            }
            _ => Reply::new(500, "text/html; charset=utf-8", "<!DOCTYPE html>"),
        }
    })
}

#[tokio::test]
async fn a_mail_of_any_octets_arrives_as_it_is() {
    let server = discourse();
    let setup = setup(server.url(), "");
    let app = setup.app();
    for size in [0, 1, 2, 3, 48 * 1024 - 14, 300_000, 5_000_000] {
        // 0xfb, 0xef and 0xff make plus signs and slashes in base64.
        let octets = [0xfb, 0xef, 0xff, 0, 0xe9, b'x'];
        let mail: Vec<u8> =
            b"Subject: x\r\n\r\n".iter().copied().chain(octets.into_iter().cycle().take(size)).collect();
        let event = setup.event(KEY, mail.clone());
        assert_eq!(app.hand_over(&event).await, Ok(Answer::delivered("Discourse queued it")), "{size}");
        let request = server.last_request();
        assert_eq!(request.header("idempotency-key"), event.id.as_str());
        assert!(base64_field(&request, "email_encoded") == Some(mail), "{size}");
    }
}

#[tokio::test]
async fn the_limit_of_a_minute_is_kept() {
    let server = discourse();
    let setup = setup(server.url(), "");
    let app = setup.app();
    let event = setup.event(KEY, reply());
    for number in 0..A_MINUTE {
        app.hand_over(&event).await.unwrap_or_else(|error| panic!("{number}: {error}"));
    }
    for _ in 0..10 {
        let error = app.hand_over(&event).await.expect_err("the limit");
        let AppError::Unavailable { retry_after, alarm, detail, .. } = error else { panic!("refused") };
        assert!(retry_after.is_some() && !alarm && detail.contains("Retry-After: 42 s"), "{detail}");
    }
    assert_eq!(server.requests().len(), A_MINUTE + 1, "it is not asked again before it wants to be");
}

#[tokio::test]
async fn every_other_answer_leaves_the_mail_with_postfix() {
    let rows: &[(&str, Reply, &str)] = &[
        ("400", Reply::json(400, "{}"), "answered 400"),
        ("403", Reply::json(403, "{}"), "the scope to receive emails"),
        ("404", Reply::new(404, "text/html", "<p>"), "the scope to receive emails"),
        ("500", Reply::new(500, "text/html", "<p>"), "look at its log"),
        ("a login page", Reply::new(200, "text/html", "<p>"), "HTML page"),
        ("201", Reply::new(201, "text/plain", ""), "look at url"),
    ];
    for (name, reply_with, word) in rows {
        let answer = reply_with.clone();
        let server = HttpServer::tcp(move |_| answer.clone());
        let setup = setup(server.url(), "");
        let error = setup.app().hand_over(&setup.event(KEY, reply())).await.expect_err(name).to_string();
        assert!(error.contains(word) && !error.contains(API_KEY), "{name}: {error}");
    }
}

#[tokio::test]
async fn check_tells_a_good_key_from_a_bad_one() {
    let server = discourse();
    let good = setup(server.url(), "").app().check().await.expect("the key is good");
    assert!(good.contains("the key is accepted"), "{good}");
    let bad = setup(server.url(), "user = \"jane\"").app().check().await.expect_err("not the key's user");
    assert!(bad.contains("the key is not the user's"), "{bad}");
    assert!(server.requests().iter().all(|request| request.body.is_empty()));
}
