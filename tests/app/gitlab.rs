//! GitLab's contract, against a server that checks what the real one checks.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mailhatch::app::{Answer, AppError};
use ring::hmac;
use serde_json::Value;

use super::{GITLAB_SECRET, KEY, Setup, reply};
use crate::support::http_server::{HttpServer, Reply, Request};

/// `lib/gitlab/mail_room/authenticator.rb` and `lib/api/internal/mail_room.rb`, restated.
fn gitlab(request: &Request) -> Reply {
    match checked(request) {
        Some(()) => Reply::json(200, r#"{"success":true}"#),
        None => Reply::json(401, r#"{"message":"401 Unauthorized"}"#),
    }
}

fn checked(request: &Request) -> Option<()> {
    let known = ["/api/v4/internal/mail_room/incoming_email", "/gitlab/api/v4/internal/mail_room/incoming_email"];
    let good_request = request.method == "POST" && known.contains(&request.path.as_str());
    good_request.then_some(())?;
    let secret = STANDARD.decode(GITLAB_SECRET).ok().filter(|secret| secret.len() == 32)?;
    let token = request.header("gitlab-mailroom-api-request");
    let (signed, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes(), &signature).ok()?;
    let (header, claims) = signed.split_once('.')?;
    let json = |part| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let (header, claims) = (json(header)?, json(claims)?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let issued_at = claims["iat"].as_u64()?;
    let nonce = claims["nonce"].as_str()?;
    let good = header["alg"] == "HS256"
        && claims["iss"] == "gitlab-mailroom"
        && issued_at <= now
        && issued_at + 300 >= now
        && nonce.len() == 24
        && nonce.bytes().all(|b| b.is_ascii_hexdigit());
    good.then_some(())
}

#[tokio::test]
async fn a_message_is_queued_as_it_came_over_tcp_tls_and_a_unix_socket() {
    let files = tempfile::tempdir().expect("directory");
    let socket = files.path().join("gitlab.sock");
    let servers = [HttpServer::tcp(gitlab), HttpServer::tls(gitlab), HttpServer::unix(&socket, gitlab)];
    for server in servers {
        for root in ["", "/gitlab"] {
            let colon = if server.url().starts_with("http+unix") && !root.is_empty() { ":" } else { "" };
            let ca = match server.certificate() {
                "" => String::new(),
                pem => {
                    format!("ca_file = {:?}", super::write_file(files.path(), "ca", pem.as_bytes()).to_str().unwrap())
                }
            };
            let url = format!("{}{colon}{root}", server.url());
            let setup = Setup::new(&format!("kind = \"gitlab\"\nurl = \"{url}\"\nSECRET\n{ca}"), GITLAB_SECRET);
            let event = setup.event(KEY, reply());
            let answer = setup.app().hand_over(&event).await;
            assert_eq!(answer, Ok(Answer::delivered("GitLab queued it")), "{url}");
            let request = server.last_request();
            assert_eq!(request.path, format!("{root}/api/v4/internal/mail_room/incoming_email"));
            assert_eq!(request.body, reply().into_bytes(), "{url}");
            assert_eq!(request.header("content-type"), "text/plain");
            assert_eq!(request.header("idempotency-key"), event.id.as_str());
            assert_eq!(request.header("transfer-encoding"), "", "Content-Length is told");
            assert_eq!(request.header("user-agent"), concat!("mailhatch/", env!("CARGO_PKG_VERSION")));
        }
    }
}

#[tokio::test]
async fn the_connection_is_kept_and_every_token_is_new() {
    let server = HttpServer::tcp(gitlab);
    let setup = Setup::gitlab(server.url());
    let app = setup.app();
    for _ in 0..50 {
        app.hand_over(&setup.event(KEY, reply())).await.expect("delivered");
    }
    let tokens: std::collections::HashSet<_> =
        server.requests().iter().map(|request| request.header("gitlab-mailroom-api-request").to_owned()).collect();
    assert_eq!(tokens.len(), 50);
    // Not always 1: on a busy machine a connection may be idle for so long that we close it.
    assert!(server.connections() < 10, "{} connections", server.connections());
}

#[tokio::test]
async fn a_wrong_secret_is_an_alarm_that_says_what_to_look_at() {
    let server = HttpServer::tcp(gitlab);
    let other = STANDARD.encode([7; 32]);
    let setup = Setup::new(&format!("kind = \"gitlab\"\nurl = \"{}\"\nSECRET", server.url()), &other);
    let error = setup.app().hand_over(&setup.event(KEY, reply())).await.expect_err("unauthorized");
    let AppError::Unavailable { alarm, detail, .. } = error else { panic!("{error:?}") };
    assert!(alarm && detail.contains("secret_file") && detail.contains("service_desk_email"), "{detail}");
}

#[tokio::test]
async fn only_gitlabs_own_answers_acknowledge() {
    let refused = r#"{"success":false,"message":"Job exceeds the size limit"}"#;
    let rows: &[(&str, u16, &str, bool)] = &[
        ("queued", 200, r#"{"success":true}"#, true),
        ("too large: GitLab has told the sender", 400, refused, true),
        ("no success", 200, r#"{"success":false}"#, false),
        ("success as text", 200, r#"{"success":"true"}"#, false),
        ("other JSON", 200, "[true]", false),
        ("empty", 200, "", false),
        ("no content", 204, "", false),
        ("400 of a proxy", 400, "Bad Request", false),
        ("400 with success", 400, r#"{"success":true}"#, false),
        ("500 with success", 500, r#"{"success":true}"#, false),
        ("500 without success", 500, r#"{"success":false}"#, false),
        ("a webhook's refusal means nothing", 200, r#"{"result":"reject","reason":"no"}"#, false),
    ];
    for (name, status, body, taken) in rows {
        let (status, body) = (*status, (*body).to_owned());
        let server = HttpServer::tcp(move |_| Reply::json(status, &body));
        let setup = Setup::gitlab(server.url());
        let answer = setup.app().hand_over(&setup.event(KEY, reply())).await;
        assert_eq!(matches!(answer, Ok(Answer::Delivered { .. })), *taken, "{name}: {answer:?}");
        assert!(!matches!(answer, Ok(Answer::Dropped { .. } | Answer::Rejected(_))), "{name}: {answer:?}");
    }
}
