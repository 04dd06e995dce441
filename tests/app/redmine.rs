//! Redmine: what it is sent, and what its answers mean. The real one is asked in tests/apps.

use mailhatch::app::{AfterRefusals, Answer, AppError};

use super::forms::{fields, parts};
use super::{KEY, Setup};
use crate::support::http_server::{HttpServer, Reply};

const SECRET: &str = "0123456789abcdef";

fn setup(url: &str, address: &str, more: &str) -> Setup {
    Setup::with_address(address, &format!("kind = \"redmine\"\nurl = \"{url}\"\nSECRET\n{more}"), SECRET)
}

#[tokio::test]
async fn the_mail_is_a_part_in_which_every_octet_passes() {
    let server = HttpServer::tcp(|_| Reply::new(201, "text/html", ""));
    let setup = setup(&format!("{}/redmine/", server.url()), "support+%{key}@example.com", "");
    let mail: Vec<u8> = b"Subject: x\r\n\r\n".iter().copied().chain((0..=255).cycle().take(200_000)).collect();
    let event = setup.event("proj", mail.clone());
    let answer = setup.app().hand_over(&event).await;
    assert_eq!(answer, Ok(Answer::delivered("Redmine took it")));
    let request = server.last_request();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/redmine/mail_handler"));
    assert_eq!(request.header("idempotency-key"), event.id.as_str());
    let parts = parts(&request);
    assert_eq!(fields(&parts, "email"), [("key", SECRET), ("issue[project]", "proj")]);
    let email = parts.last().unwrap();
    assert_eq!(email.name, "email");
    assert!(!email.has_filename, "with one, Redmine answers 422");
    assert_eq!(email.content_type.as_deref(), Some("text/plain; charset=ISO-8859-1"));
    assert!(email.body == mail, "not a byte is changed");
}

#[tokio::test]
async fn the_fields_are_those_of_the_configuration() {
    let (pattern, plain) = ("support+%{key}@example.com", "support@example.com");
    let rows: &[(&str, &str, &str, &[(&str, &str)])] = &[
        ("the project is the key", pattern, "", &[("issue[project]", KEY)]),
        ("an address without a key names no project", plain, "", &[]),
        ("none, if so said", pattern, "fields = {}\n", &[]),
        (
            "in the order of their names",
            pattern,
            "fields = { \"issue[tracker]\" = \"Bug %{key}\", \"issue[project]\" = \"%{key}\", to = \"%{recipient}!\" }\n",
            &[
                ("issue[project]", KEY),
                ("issue[tracker]", &format!("Bug {KEY}")),
                ("to", &format!("support+{KEY}@example.com!")),
            ],
        ),
    ];
    for (name, address, more, wanted) in rows {
        let server = HttpServer::tcp(|_| Reply::new(201, "text/html", ""));
        let setup = setup(server.url(), address, more);
        setup.app().hand_over(&setup.event(KEY, super::reply())).await.expect(name);
        let parts = parts(&server.last_request());
        assert_eq!(fields(&parts, "email")[1..], **wanted, "{name}");
    }
}

#[test]
fn wrong_fields_are_an_error() {
    let rows: &[(&str, &str, &str)] = &[
        ("the key", "fields = { key = \"x\" }", "mailhatch fills it in"),
        ("the mail", "fields = { email = \"x\" }", "mailhatch fills it in"),
        ("a name with a quote", "fields = { 'a\"b' = \"x\" }", "not a valid name"),
        ("a placeholder without an end", "fields = { a = \"%{key\" }", "has no end"),
        ("an unknown placeholder", "fields = { a = \"%{project}\" }", "%{project} is not known"),
        ("no text", "fields = { a = 1 }", "expected a string"),
        ("no table", "fields = \"a=b\"", "expected a map"),
    ];
    for (name, more, word) in rows {
        let error = setup("http://h", "support+%{key}@example.com", more).error();
        assert!(error.to_string().contains(word), "{name}: {error}");
        assert_eq!(error.line(), Some(10), "{name}");
    }
}

#[test]
fn a_named_group_of_the_mailbox_is_a_placeholder() {
    let directory = tempfile::tempdir().unwrap();
    let secret = super::write_file(directory.path(), "secret", SECRET.as_bytes());
    let text = |field: &str| {
        format!(
            "[[mailbox]]\nname = \"m\"\naddress = \"m+%{{key}}@h\"\napp = \"app\"\n[[mailbox.action]]\nname = \"a\"\n\
             pattern = \"(?<project>[a-z]+)-(?<tracker>[a-z]+)\"\n[[app]]\nname = \"app\"\nkind = \"redmine\"\n\
             url = \"http://h\"\nsecret_file = {:?}\nfields = {{ a = \"%{{{field}}}\" }}\n",
            secret.display().to_string()
        )
    };
    let read = |field: &str| {
        let config = mailhatch::config::Config::parse("m.toml".as_ref(), &text(field)).unwrap();
        mailhatch::app::Apps::new(&config).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(read("tracker"), Ok(()));
    assert!(read("status").unwrap_err().contains("%{status} is not known"));
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    #[derive(Debug, PartialEq)]
    enum Meaning {
        Delivered,
        Refused,
        Unavailable { alarm: bool },
    }
    use Meaning::{Delivered, Refused, Unavailable};
    let rows: &[(&str, Reply, Meaning, &str)] = &[
        ("201", Reply::new(201, "text/html", ""), Delivered, ""),
        ("200 is not what Redmine says", Reply::new(200, "text/plain", ""), Unavailable { alarm: true }, "look at url"),
        ("201 with a page", Reply::new(201, "text/html", "<p>"), Unavailable { alarm: true }, "HTML page"),
        ("422", Reply::new(422, "text/html", ""), Refused, "Redmine does not say why"),
        ("403", Reply::new(403, "text/plain", "no"), Unavailable { alarm: true }, "web service for incoming emails"),
        ("404", Reply::new(404, "text/html", "<p>"), Unavailable { alarm: true }, "look at url"),
        ("500", Reply::new(500, "text/html", "<p>"), Unavailable { alarm: false }, "look at its log"),
    ];
    for (name, reply, meaning, word) in rows {
        let answer = reply.clone();
        let server = HttpServer::tcp(move |_| answer.clone());
        let setup = setup(server.url(), "support+%{key}@example.com", "");
        let (got, detail) = match setup.app().hand_over(&setup.event(KEY, super::reply())).await {
            Ok(Answer::Delivered { warning: None, .. }) => (Delivered, String::new()),
            Err(AppError::Refused { detail, .. }) => (Refused, detail),
            Err(AppError::Unavailable { alarm, detail, .. }) => (Unavailable { alarm }, detail),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(got, *meaning, "{name}: {detail}");
        assert!(detail.contains(word), "{name}: {detail}");
        assert!(!detail.contains(SECRET), "{name}: {detail}");
    }
}

#[test]
fn what_is_refused_for_a_quarter_of_an_hour_is_rejected() {
    let minutes = |minutes: u64| Some(std::time::Duration::from_secs(minutes * 60));
    let rows: &[(&str, &str, Option<std::time::Duration>, bool)] = &[
        ("the default", "", minutes(15), true),
        ("held instead", "refusals = \"hold\"", minutes(15), false),
        ("later", "refused_after = \"2h\"", minutes(120), true),
    ];
    for (name, more, after, rejects) in rows {
        let refusals = setup("http://h", "support+%{key}@example.com", more).app().refusals();
        assert_eq!(refusals.after, *after, "{name}");
        let is_rejected =
            matches!(refusals.then, AfterRefusals::Reject(reason) if reason.starts_with("The tracker does not"));
        assert_eq!(is_rejected, *rejects, "{name}");
    }
    let webhook = |more: &str| Setup::webhook("http://h", more).app().refusals();
    assert_eq!((webhook("").after, webhook("").then), (None, AfterRefusals::Hold));
    assert!(matches!(webhook("refusals = \"reject\"").then, AfterRefusals::Reject(_)));
}

#[tokio::test]
async fn check_hands_nothing_over() {
    let rows: &[(u16, Result<&str, &str>)] =
        &[(422, Ok("the key is accepted")), (403, Err("web service for incoming emails")), (201, Err("look at url"))];
    for (status, wanted) in rows {
        let status = *status;
        let server = HttpServer::tcp(move |_| Reply::new(status, "text/plain", ""));
        let checked = setup(server.url(), "support+%{key}@example.com", "").app().check().await;
        match (&checked, wanted) {
            (Ok(text), Ok(word)) | (Err(text), Err(word)) => assert!(text.contains(word), "{status}: {text}"),
            _ => panic!("{status}: {checked:?}"),
        }
        let parts = parts(&server.last_request());
        assert_eq!(
            parts.iter().map(|part| (&*part.name, &*part.body)).collect::<Vec<_>>(),
            [("key", SECRET.as_bytes()), ("email", b"".as_slice())]
        );
    }
}
