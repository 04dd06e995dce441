//! Request Tracker: what it is sent, and what its answers mean. The real one is asked in tests/apps.

use mailhatch::app::{Answer, AppError};
use mailhatch::verdict::Status;

use super::Setup;
use super::forms::{fields, parts};
use crate::support::http_server::{HttpServer, Reply};

fn settings(url: &str, more: &str) -> String {
    format!("kind = \"request-tracker\"\nurl = \"{url}\"\n{more}")
}

fn setup(url: &str, more: &str) -> Setup {
    Setup::with_address("rt+%{key}@example.com", &settings(url, more), "")
}

#[tokio::test]
async fn the_mail_is_a_part_with_queue_and_action_beside_it() {
    let server = HttpServer::tcp(|_| Reply::new(200, "text/plain; charset=utf-8", "ok\n"));
    let fields_line = "fields = { queue = \"Q-%{key}\", action = \"comment\" }";
    let rows: &[(&str, &str, &[(&str, &str)])] = &[
        ("by default", "", &[("queue", "General"), ("action", "correspond")]),
        ("as configured", fields_line, &[("action", "comment"), ("queue", "Q-General")]),
    ];
    for (name, more, wanted) in rows {
        let setup = setup(&format!("{}/rt", server.url()), more);
        let event = setup.event("General", b"Subject: \xe9\0\r\n\r\nx".to_vec());
        let answer = setup.app().hand_over(&event).await;
        assert_eq!(answer, Ok(Answer::delivered("Request Tracker took it")), "{name}");
        let request = server.last_request();
        assert_eq!(request.path, "/rt/REST/1.0/NoAuth/mail-gateway");
        assert_eq!(request.header("idempotency-key"), event.id.as_str());
        let parts = parts(&request);
        assert_eq!(fields(&parts, "message"), *wanted, "{name}");
        let message = parts.last().unwrap();
        assert_eq!((message.name.as_str(), message.has_filename), ("message", false));
        assert_eq!(message.content_type.as_deref(), Some("application/octet-stream"));
        assert_eq!(message.body, b"Subject: \xe9\0\r\n\r\nx");
    }
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let taken = || Ok(Answer::delivered("Request Tracker took it"));
    let rows: &[(&str, u16, &str, Result<Answer, (Status, bool)>)] = &[
        ("ok", 200, "ok\n", taken()),
        ("ok and more", 200, "ok\nTicket: 7\n", taken()),
        ("a word that begins so", 200, "okay", Err((Status::CONFIGURATION, true))),
        ("temporary", 200, "temporary failure - no such queue\n", Err((Status::CONFIGURATION, true))),
        ("nothing", 200, "", Err((Status::CONFIGURATION, true))),
        ("another status", 201, "ok", Err((Status::CONFIGURATION, true))),
        ("a fault", 500, "ok", Err((Status::NOT_ACCEPTING, false))),
        ("forbidden", 403, "not ok", Err((Status::CONFIGURATION, true))),
    ];
    for (name, status, body, wanted) in rows {
        let (status, body) = (*status, (*body).to_owned());
        let server = HttpServer::tcp(move |_| Reply::new(status, "text/plain; charset=utf-8", &body));
        let setup = setup(server.url(), "");
        let got = match setup.app().hand_over(&setup.event("General", super::reply())).await {
            Ok(answer) => Ok(answer),
            Err(AppError::Unavailable { status, alarm, .. }) => Err((status, alarm)),
            Err(other) => panic!("{name}: {other:?}"),
        };
        assert_eq!(got, *wanted, "{name}");
    }
}

#[tokio::test]
async fn not_ok_sets_the_mail_aside_with_a_warning() {
    let server = HttpServer::tcp(|_| Reply::new(200, "text/plain", "not ok - operation unsuccessful\n"));
    let setup = setup(server.url(), "");
    let answer = setup.app().hand_over(&setup.event("General", super::reply())).await;
    let Ok(Answer::Dropped { why, warning: Some(warning) }) = answer else { panic!("{answer:?}") };
    assert!(why.contains("not ok - operation unsuccessful"), "{why}");
    assert!(warning.contains("faults of its own: look at its log"), "{warning}");
}

#[test]
fn it_has_no_password_and_all_the_time_there_is() {
    let error = setup("http://h", "secret_file = \"/x\"").error().to_string();
    assert!(error.contains("unknown field `secret_file`"), "{error}");
    let error = setup("http://h", "fields = { message = \"x\" }").error().to_string();
    assert!(error.contains("mailhatch fills it in"), "{error}");
    let text = format!(
        "[[mailbox]]\nname = \"m\"\naddress = \"m@h\"\nkey = \"General\"\napp = \"app\"\n[[app]]\nname = \"app\"\n{}",
        settings("http://h", "")
    );
    let config = mailhatch::config::Config::parse("m.toml".as_ref(), &text).unwrap();
    let app = mailhatch::app::Apps::new(&config).unwrap().get("app").unwrap().clone();
    assert!(format!("{app:?}").contains("timeout: 55s"), "{app:?}");
}

#[tokio::test]
async fn check_hands_nothing_over_and_names_queue_and_action() {
    let rows: &[(&str, Result<&str, &str>)] = &[
        (
            "not ok - operation unsuccessful\n",
            Ok("incoming_email: queue (comes from the message, not tried), action=correspond"),
        ),
        ("temporary failure - operation unsuccessful\n", Err("does not know the queue or the action in fields")),
    ];
    for (body, wanted) in rows {
        let text = (*body).to_owned();
        let server = HttpServer::tcp(move |_| Reply::new(200, "text/plain", &text));
        let checked = setup(server.url(), "").app().check().await;
        match (&checked, wanted) {
            (Ok(text), Ok(word)) | (Err(text), Err(word)) => assert!(text.contains(word), "{body}: {text}"),
            _ => panic!("{body}: {checked:?}"),
        }
        assert!(parts(&server.last_request()).iter().all(|part| part.name != "message" || part.body.is_empty()));
    }
}
