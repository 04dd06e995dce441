//! Every fault of an application, and what it is taken for.

use mailhatch::app::{AppError, Apps};
use mailhatch::verdict::Status;

use super::{Setup, reply};
use crate::support::http_server::{Fault, HttpServer, Reply};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Acknowledged: only what an application may mean so.
    Delivered,
    Refused,
    /// Not now; `true` if somebody must act.
    Unavailable(Status, bool),
}
use Taken::{Delivered, Refused, Unavailable};

async fn ask(setup: &Setup) -> (Taken, String) {
    match setup.app().hand_over(&setup.event(super::KEY, reply())).await {
        Ok(_) => (Delivered, String::new()),
        Err(AppError::Refused { detail, .. }) => (Refused, detail),
        Err(AppError::Unavailable { status, alarm, detail, public, .. }) => {
            assert!(!public.contains("127.0.0.1") && !public.contains("localhost"), "{public}");
            (Unavailable(status, alarm), detail)
        }
    }
}

#[tokio::test]
async fn no_fault_of_an_application_is_taken_for_an_acknowledgement() {
    const CONFIGURATION: Taken = Unavailable(Status::CONFIGURATION, true);
    const LATER: Taken = Unavailable(Status::NOT_ACCEPTING, false);
    let rows: &[(Fault, Taken, &str)] = &[
        (Fault::Status(302), CONFIGURATION, "points to /elsewhere"),
        (Fault::Status(400), Refused, "answered 400"),
        (Fault::Status(401), CONFIGURATION, "secret_file"),
        (Fault::Status(403), CONFIGURATION, "secret_file"),
        (Fault::Status(404), CONFIGURATION, "look at url"),
        (Fault::Status(408), LATER, "try again later"),
        (Fault::Status(413), Refused, "answered 413"),
        (Fault::Status(422), Refused, "answered 422"),
        (Fault::Status(429), LATER, "try again later"),
        (Fault::Status(500), LATER, "look at its log"),
        (Fault::Status(502), LATER, "look at its log"),
        (Fault::Status(503), LATER, "look at its log"),
        (Fault::Status(504), LATER, "look at its log"),
        (Fault::ConnectionRefused, Unavailable(Status::NO_ANSWER, false), "refused"),
        (Fault::DnsFailure, Unavailable(Status::DIRECTORY, false), "name cannot be resolved"),
        (Fault::UntrustedCertificate, Unavailable(Status::SECURITY, true), "ca_file"),
        (Fault::Hang, Unavailable(Status::NO_ANSWER, false), "no whole answer within"),
        (Fault::LoginPage, CONFIGURATION, "HTML page"),
        (Fault::OtherJson, CONFIGURATION, "does not acknowledge"),
        (Fault::ShortAnswer, Unavailable(Status::BAD_CONNECTION, false), "the connection ended"),
        (Fault::ClosedWithoutAnswer, Unavailable(Status::BAD_CONNECTION, false), "the connection ended"),
        (Fault::Garbage, Unavailable(Status::PROTOCOL, true), "does not speak HTTP"),
    ];
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), Fault::ALL);
    for (fault, taken, word) in rows {
        let server = fault.start();
        let timeout = if *fault == Fault::Hang { "timeout = \"200ms\"\n" } else { "" };
        for kind in ["gitlab", "webhook"] {
            let secret = if kind == "gitlab" { super::GITLAB_SECRET } else { super::WEBHOOK_SECRET };
            let setup =
                Setup::new(&format!("kind = \"{kind}\"\nurl = \"{}\"\nSECRET\n{timeout}", server.url()), secret);
            let (got, detail) = ask(&setup).await;
            // JSON of another kind is an acknowledgement for a webhook: it has no form of its own for one.
            let taken = if (kind, *fault) == ("webhook", Fault::OtherJson) { Delivered } else { *taken };
            assert_eq!(got, taken, "{kind} {fault:?}: {detail}");
            assert!(taken == Delivered || detail.contains(word), "{kind} {fault:?}: {detail}");
            assert!(taken == Delivered || detail.starts_with("app at "), "{kind} {fault:?}: {detail}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_no_acknowledgement() {
    let long = "x".repeat(1024 * 1024 + 1);
    let server = HttpServer::tcp(move |_| Reply::new(200, "text/plain", &long));
    let setup = Setup::webhook(server.url(), "");
    assert_eq!(ask(&setup).await.0, Unavailable(Status::CONFIGURATION, true));
}

#[tokio::test]
async fn a_socket_that_is_not_there_says_so() {
    let setup = Setup::gitlab("http+unix:///nonexistent/gitlab.sock");
    let (taken, detail) = ask(&setup).await;
    assert_eq!(taken, Unavailable(Status::NO_ANSWER, false));
    assert!(detail.contains("unix:/nonexistent/gitlab.sock") && detail.contains("No such file"), "{detail}");
}

#[tokio::test]
async fn retry_after_is_passed_on_and_honoured() {
    let server = HttpServer::tcp(|_| Reply::new(503, "text/plain", "maintenance").with_header("Retry-After", "3600"));
    let setup = Setup::webhook(server.url(), "");
    let app = setup.app();
    for _ in 0..3 {
        let error = app.hand_over(&setup.event(super::KEY, reply())).await.expect_err("unavailable");
        let AppError::Unavailable { retry_after, detail, .. } = error else { panic!("{error:?}") };
        assert!(retry_after.is_some() && detail.contains("Retry-After: 3600 s"), "{detail}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_reload_forgets_nothing_of_an_application_that_is_the_same() {
    let server = HttpServer::tcp(|_| Reply::new(503, "text/plain", "maintenance").with_header("Retry-After", "3600"));
    let setup = Setup::webhook(server.url(), "");
    let apps = Apps::new(&setup.config).expect("applications");
    let other = Setup::webhook(&format!("{}/elsewhere", server.url()), "");
    let rows: &[(&str, &Setup, usize)] = &[("first", &setup, 1), ("the same", &setup, 1), ("another", &other, 2)];
    for (name, setup, asked) in rows {
        let apps = apps.reloaded(&setup.config).expect("applications");
        let app = apps.get("app").expect("app");
        app.hand_over(&setup.event(super::KEY, reply())).await.expect_err("unavailable");
        assert_eq!(server.requests().len(), *asked, "{name}");
    }
}

#[tokio::test]
async fn a_certificate_that_ca_file_names_is_trusted() {
    let server = HttpServer::tls(|_| Reply::json(200, r#"{"success":true}"#));
    let files = tempfile::tempdir().expect("directory");
    let file = super::write_file(files.path(), "ca.pem", server.certificate().as_bytes());
    let setup = Setup::new(
        &format!("kind = \"gitlab\"\nurl = \"{}\"\nSECRET\nca_file = {:?}", server.url(), file.display().to_string()),
        super::GITLAB_SECRET,
    );
    assert_eq!(ask(&setup).await.0, Delivered);
}

#[test]
fn mistakes_in_an_app_show_their_line() {
    let rows: &[(&str, &str, &str, usize, &str)] = &[
        ("no url", "kind = \"gitlab\"\nurl = \"gitlab\"\nSECRET", super::GITLAB_SECRET, 8, "is not a valid URL"),
        ("query", "kind = \"gitlab\"\nurl = \"http://h/?x\"\nSECRET", super::GITLAB_SECRET, 8, "behind a ?"),
        ("short secret", "kind = \"gitlab\"\nurl = \"http://h\"\nSECRET", "AAAA", 9, "3 bytes"),
        ("gitlab secret", "kind = \"webhook\"\nurl = \"http://h\"\nSECRET", super::GITLAB_SECRET, 9, "whsec_"),
        (
            "no certificates",
            "kind = \"webhook\"\nurl = \"https://h\"\nSECRET\nca_file = \"DIR/secret\"",
            super::WEBHOOK_SECRET,
            10,
            "no certificate",
        ),
        (
            "no secret file",
            "kind = \"webhook\"\nurl = \"https://h\"\nsecret_file = \"DIR/nothing\"",
            super::WEBHOOK_SECRET,
            9,
            "No such file",
        ),
    ];
    for (name, settings, secret, line, word) in rows {
        let error = Setup::new(settings, secret).error();
        assert_eq!(error.line(), Some(*line), "{name}: {error}");
        assert!(error.to_string().contains(word), "{name}: {error}");
    }
}
