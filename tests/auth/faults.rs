//! DNS that does not work, and the resolver's life.

use std::net::UdpSocket;
use std::time::Duration;

use mailhatch::auth::{AuthResult, Authenticator, TimeLimits};

use super::{PATIENT, authenticator, config, envelope, message, proven};
use crate::support::name_server::{Fault, NameServer, Zone};
use crate::support::signer::{Key, Tags, sign};

const MAIL: &str = "From: a@good.org\r\nSubject: s\r\n\r\nHello.\r\n";

/// A time limit that is over at once where nobody answers.
const HASTY: TimeLimits =
    TimeLimits { question: Duration::from_millis(50), retries: 0, message: Duration::from_millis(300) };

#[tokio::test]
async fn a_name_server_that_is_silent_gives_temperror_and_proves_nothing() {
    // A socket that nobody reads.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = config(&format!("nameservers = [\"{}\"]", silent.local_addr().unwrap()));
    let text = sign(&Key::ed25519(), &Tags::ed25519("good.org"), MAIL);
    let found = Authenticator::with_limits(&nobody, HASTY)
        .examine(&envelope("a@good.org", "203.0.113.7"), &message(text))
        .await;
    assert_eq!(found.spf, AuthResult::TempError);
    assert_eq!(found.dkim[0].result, AuthResult::TempError);
    assert_eq!(found.dmarc, AuthResult::TempError);
    assert_eq!(proven(&found), "nobody / nobody");
    assert_eq!(found.summary, "spf=temperror, no aligned dkim");
}

#[tokio::test]
async fn all_questions_about_a_message_together_are_bounded() {
    // Every question may take an hour; only the limit for the message ends it.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = config(&format!("nameservers = [\"{}\"]", silent.local_addr().unwrap()));
    let limits = TimeLimits { question: Duration::from_secs(3600), ..HASTY };
    let text = sign(&Key::ed25519(), &Tags::ed25519("good.org"), MAIL);
    let found = Authenticator::with_limits(&nobody, limits)
        .examine(&envelope("a@good.org", "203.0.113.7"), &message(text))
        .await;
    let results = (found.spf, found.dkim[0].result, found.dmarc);
    assert_eq!(results, (AuthResult::TempError, AuthResult::TempError, AuthResult::TempError));
}

#[tokio::test]
async fn one_name_that_is_silent_costs_only_what_hangs_on_it() {
    let key = Key::ed25519();
    let zone = Zone::new()
        .fault("good.org", Fault::Silence)
        .txt("s._domainkey.good.org", &key.record())
        .txt("_dmarc.good.org", "v=DMARC1; p=reject");
    let server = NameServer::start(zone);
    let limits = TimeLimits { question: Duration::from_secs(1), ..PATIENT };
    let authenticator =
        Authenticator::with_limits(&config(&format!("nameservers = [\"{}\"]", server.address())), limits);
    let text = sign(&key, &Tags::ed25519("good.org"), MAIL);
    let found = authenticator.examine(&envelope("a@good.org", "203.0.113.7"), &message(text)).await;
    assert_eq!((found.spf, found.dmarc), (AuthResult::TempError, AuthResult::Pass));
    assert_eq!(proven(&found), "nobody / dkim=pass d=good.org");
}

#[tokio::test]
async fn answers_are_kept_and_a_large_one_comes_over_tcp() {
    // A record of its own length: over what one UDP answer carries.
    let padding: String = (0..200).map(|n| format!(" ip4:198.51.100.{n}")).collect();
    let record = format!("v=spf1{padding} ip4:203.0.113.7 -all");
    let server = NameServer::start(Zone::new().txt("good.org", &record));
    let authenticator = authenticator(&server);
    let first = authenticator.examine(&envelope("a@good.org", "203.0.113.7"), &message(MAIL)).await;
    assert_eq!(first.summary, "spf=pass");
    let asked = server.questions().len();
    let second = authenticator.examine(&envelope("a@good.org", "203.0.113.7"), &message(MAIL)).await;
    assert_eq!(second.summary, "spf=pass");
    assert_eq!(server.questions().len(), asked, "everything was in the cache");
}

#[tokio::test]
async fn without_a_client_and_a_signature_spf_and_dkim_ask_nobody() {
    let server = NameServer::start(Zone::new());
    let authenticator = authenticator(&server);
    authenticator.examine(&envelope("a@good.org", ""), &message(MAIL)).await;
    let names: Vec<String> = server.questions().into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().all(|name| name.starts_with("_dmarc.")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_on_several_threads_at_once() {
    let zone = Zone::new().txt("good.org", "v=spf1 ip4:203.0.113.7 -all");
    let server = NameServer::start(zone);
    let authenticator = std::sync::Arc::new(authenticator(&server));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let authenticator = std::sync::Arc::clone(&authenticator);
            tokio::spawn(async move {
                authenticator.examine(&envelope("a@good.org", "203.0.113.7"), &message(MAIL)).await.summary
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "spf=pass");
    }
}

#[tokio::test]
async fn off_proves_nothing_and_asks_nobody() {
    let found = Authenticator::new(&config("method = \"off\""))
        .unwrap()
        .examine(&envelope("a@good.org", "203.0.113.7"), &message(MAIL))
        .await;
    assert_eq!((found.summary.as_str(), proven(&found).as_str()), ("authentication is off", "nobody / nobody"));
}

#[tokio::test]
async fn the_check_command_learns_which_name_servers_answer() {
    let server = NameServer::start(Zone::new());
    let answers = async |authenticator: Authenticator| {
        authenticator.check().await.unwrap().into_iter().map(|(_, answer)| answer.is_ok()).collect::<Vec<_>>()
    };
    assert_eq!(answers(authenticator(&server)).await, [true]);
    server.set_zone(Zone::new().fault("mx.example.com", Fault::Refused));
    assert_eq!(answers(authenticator(&server)).await, [false]);
    server.set_zone(Zone::new());
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let two = config(&format!("nameservers = [\"{}\", \"{}\"]", silent.local_addr().unwrap(), server.address()));
    assert_eq!(answers(Authenticator::with_limits(&two, HASTY)).await, [false, true], "each by itself");
}
