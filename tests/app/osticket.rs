//! osTicket, against a server that is as strict as its published code (`TicketApiController`, of October 2023).

use mailhatch::app::{Answer, AppError};

use super::{KEY, Setup, reply};
use crate::support::http_server::{HttpServer, Reply, Request};

const API_KEY: &str = "0123456789ABCDEF0123456789ABCDEF";

fn setup(url: &str) -> Setup {
    let settings = format!("kind = \"osticket\"\nurl = \"{url}\"\nSECRET\n");
    Setup::with_address("help+%{key}@example.com", &settings, API_KEY)
}

/// What `Http::response` sends, whatever it is.
fn response(status: u16, text: &str) -> Reply {
    Reply::new(status, "text/html; charset=UTF-8", text).with_header("Connection", "Close")
}

fn osticket() -> HttpServer {
    HttpServer::tcp(|request: &Request| {
        let format = match request.path.strip_prefix("/support/api/tickets.") {
            Some(format @ ("xml" | "json" | "email")) if request.method == "POST" => format,
            _ => return response(400, "URL not supported"),
        };
        if request.header("x-api-key") != API_KEY {
            return response(401, "Valid API key required");
        }
        let text = String::from_utf8_lossy(&request.body);
        match format {
            "email" if text.contains("From: banned@") => response(403, "Ticket denied: banned@example.org\n\nBanned"),
            "email" if text.contains("From: ") => response(201, "457912"),
            _ => response(400, "Unable to parse"),
        }
    })
}

#[tokio::test]
async fn a_mail_is_a_ticket() {
    let server = osticket();
    let setup = setup(&format!("{}/support", server.url()));
    let event = setup.event(KEY, [reply().as_bytes(), b"\0\xe9"].concat());
    let answer = setup.app().hand_over(&event).await;
    assert_eq!(answer, Ok(Answer::delivered("osTicket made or found the ticket 457912")));
    let request = server.last_request();
    assert_eq!(request.header("idempotency-key"), event.id.as_str());
    assert_eq!(request.body, [reply().as_bytes(), b"\0\xe9"].concat());
}

#[tokio::test]
async fn what_is_denied_is_set_aside() {
    let server = osticket();
    let setup = setup(&format!("{}/support", server.url()));
    let answer = setup.app().hand_over(&setup.event(KEY, "From: banned@example.org\r\n\r\nx")).await;
    let why = "osTicket denied it: Ticket denied: banned@example.org Banned";
    assert_eq!(answer, Ok(Answer::dropped(why)));
}

#[tokio::test]
async fn every_other_answer_leaves_the_mail_with_postfix() {
    let rows: &[(&str, Reply, Option<bool>, &str)] = &[
        ("no number", response(201, "created"), Some(true), "HTML page"),
        ("nothing", response(201, ""), Some(true), "look at url"),
        ("a page with a number", response(201, "<p>457912</p>"), Some(true), "HTML page"),
        ("200", response(200, "457912"), Some(true), "HTML page"),
        ("another server's 403", response(403, "<html>403 Forbidden</html>"), Some(true), "secret_file"),
        ("400", response(400, "Unable to create new ticket: validation errors"), None, "answered 400"),
        ("401", response(401, "Valid API key required"), Some(true), "another address than this host's IP"),
        ("500", response(500, "unknown error"), Some(false), "look at its log"),
    ];
    for (name, reply_with, alarm, word) in rows {
        let answer = reply_with.clone();
        let server = HttpServer::tcp(move |_| answer.clone());
        let setup = setup(server.url());
        let error = setup.app().hand_over(&setup.event(KEY, reply())).await.expect_err(name);
        let text = error.to_string();
        assert!(text.contains(word) && !text.contains(API_KEY), "{name}: {text}");
        match error {
            AppError::Unavailable { alarm: got, .. } => assert_eq!(Some(got), *alarm, "{name}"),
            AppError::Refused { .. } => assert_eq!(*alarm, None, "{name}"),
        }
    }
}

#[tokio::test]
async fn check_tells_a_good_key_from_a_bad_one() {
    let server = osticket();
    let good = setup(&format!("{}/support", server.url())).app().check().await.expect("the key is good");
    assert!(good.contains("the key is accepted from this host"), "{good}");
    let settings = format!("kind = \"osticket\"\nurl = \"{}/support\"\nSECRET\n", server.url());
    let other = Setup::with_address("help+%{key}@example.com", &settings, "ANOTHER");
    let bad = other.app().check().await.expect_err("another key");
    assert!(bad.contains("another address than this host's IP"), "{bad}");
    assert!(server.requests().iter().all(|request| request.body.is_empty() && request.path.ends_with(".json")));
}
