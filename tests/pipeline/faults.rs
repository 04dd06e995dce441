//! Every fault of an application, by LMTP and by pipe, for `gitlab` and `webhook`: the mail is deferred, never bounced and
//! never taken for delivered, and arrives once when the fault is gone.

use std::collections::HashSet;

use super::*;
use crate::support::config::{REPLY_KEY, http_app, secret_of};
use crate::support::http_server::{Fault, HttpServer, Reply, Request};
use crate::support::wait::wait_for;

const JANE: &str = "jane@example.org";

/// How a message comes in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Lmtp,
    Pipe,
}

/// mailhatch with one application.
struct Site {
    kind: &'static str,
    limits: &'static str,
    service: Option<Service>,
    place: Option<Place>,
}

impl Site {
    /// `limits` are lines of `[limits]`, `app` of `[[app]]`.
    fn start(way: Way, kind: &'static str, url: &str, limits: &'static str, app: &str) -> Self {
        let place = Place::new("");
        place.write_secret("secret", secret_of(kind));
        let mut site = Self { kind, limits, service: None, place: Some(place) };
        site.configure(url, app);
        if way == Way::Lmtp {
            site.service = site.place.take().map(|place| Service::start_in(place, &[]));
        }
        site
    }

    fn place(&self) -> &Place {
        self.service.as_ref().map(|service| &service.place).or(self.place.as_ref()).unwrap()
    }

    fn configure(&self, url: &str, app: &str) {
        let Self { kind, limits, .. } = self;
        self.place().configure(&format!("{BASE}[limits]\n{limits}\n{}", http_app(kind, url, app)));
    }

    /// Another configuration for the process that runs.
    fn reconfigure(&self, url: &str, app: &str) {
        self.configure(url, app);
        if let Some(service) = &self.service {
            service.reload();
        }
    }

    /// What Postfix hears, without the code of LMTP; that the code and the exit status fit is asserted.
    fn send(&self, message: &[u8]) -> String {
        let (good, text) = match &self.service {
            Some(service) => {
                let reply = service.lmtp().send(JANE, &[REPLY_ADDRESS], message).remove(0);
                let (code, text) = reply.split_at(4);
                assert!(["250 ", "451 "].contains(&code), "{reply}");
                (code == "250 ", text.to_owned())
            }
            None => {
                let arguments = ["pipe", &format!("--sender={JANE}"), &format!("--recipient={REPLY_ADDRESS}")];
                let output = self.place().run(&arguments, message);
                let text = String::from_utf8(output.stdout).unwrap();
                let status = output.status.code();
                assert!([Some(0), Some(75)].contains(&status), "{status:?}: {text}");
                (status == Some(0), text.lines().next().unwrap_or_default().to_owned())
            }
        };
        assert!(text.starts_with(if good { "2.0.0 " } else { "4." }), "{text}");
        text
    }

    /// Sends it as Postfix does, again and again, until the refusal is no longer deferred.
    fn send_until_not_deferred(&self, message: &[u8]) -> String {
        self.send_while(message, "4.3.0 deferred: app-refusal (")
    }

    /// Sends it again and again, as long as the answer begins so.
    fn send_while(&self, message: &[u8], deferral: &str) -> String {
        wait_for("an end of the deferrals", || {
            let text = self.send(message);
            (!text.starts_with(deferral)).then_some(text)
        })
    }
}

/// An application as it should be.
fn good(kind: &str) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let body = if kind == "gitlab" { r#"{"success":true}"# } else { "{}" };
    move |_| Reply::json(200, body)
}

fn keys(server: &HttpServer) -> Vec<String> {
    server.requests().iter().map(|request| request.header("idempotency-key").to_owned()).collect()
}

/// What an administrator does against a fault, or the application itself.
enum Cure {
    /// The application works again.
    ItWorks,
    /// Another URL, or trust in its certificate.
    Reconfigured,
}

fn ailing(kind: &'static str, fault: Fault) -> (HttpServer, Cure) {
    match fault {
        Fault::ConnectionRefused | Fault::DnsFailure => (fault.start(), Cure::Reconfigured),
        Fault::UntrustedCertificate => (HttpServer::tls(good(kind)), Cure::Reconfigured),
        _ => {
            let server = HttpServer::tcp(good(kind));
            server.fault(Some(fault));
            (server, Cure::ItWorks)
        }
    }
}

/// Sends one message into the fault, takes the fault away, and sends it twice more.
fn assert_nothing_is_lost(way: Way, kind: &'static str, fault: Fault) {
    let name = format!("{kind} by {way:?}: {fault:?}");
    let mail = message("", "patient");
    let (server, cure) = ailing(kind, fault);
    let app = if fault == Fault::Hang { "timeout = \"200ms\"" } else { "" };
    let site = Site::start(way, kind, server.url(), "", app);
    let text = site.send(&mail);
    let expected = match fault {
        Fault::Status(400 | 413 | 422) => "4.3.0 deferred: app-refusal (",
        _ => "4.",
    };
    assert!(text.starts_with(expected) && text.contains(" deferred: app"), "{name}: {text}");
    assert!(site.place().held().is_empty(), "{name}: nothing is held yet");
    let tried = keys(&server);
    let healthy = match (cure, fault) {
        (Cure::ItWorks, _) => {
            server.fault(None);
            if fault == Fault::Hang {
                // So short a time is for the fault alone.
                site.reconfigure(server.url(), "");
            }
            server
        }
        (Cure::Reconfigured, Fault::UntrustedCertificate) => {
            std::fs::write(site.place().path().join("ca.pem"), server.certificate()).unwrap();
            site.reconfigure(server.url(), "ca_file = \"{dir}/ca.pem\"");
            server
        }
        (Cure::Reconfigured, _) => {
            let healthy = HttpServer::tcp(good(kind));
            site.reconfigure(healthy.url(), "");
            healthy
        }
    };
    let text = site.send(&mail);
    assert!(text.starts_with("2.0.0 delivered: incoming_email reply 59d8..."), "{name}: {text}");
    let all = keys(&healthy);
    assert_eq!(all.len(), tried.len() + 1, "{name}: asked once more");
    assert!(!all[0].is_empty() && all.iter().all(|key| *key == all[0]), "{name}: one key for all tries: {all:?}");
    let text = site.send(&mail);
    assert!(text.starts_with("2.0.0 duplicate: incoming_email reply 59d8..."), "{name}: {text}");
    assert_eq!(keys(&healthy).len(), all.len(), "{name}: not asked for a duplicate");
}

fn assert_every_fault_defers(way: Way, kind: &'static str) {
    for fault in Fault::ALL {
        // A webhook has no form of its own for an acknowledgement: JSON of any kind is one (DESIGN section 2.5).
        if (kind, fault) != ("webhook", Fault::OtherJson) {
            assert_nothing_is_lost(way, kind, fault);
        }
    }
}

#[test]
fn every_fault_of_gitlab_defers_by_lmtp() {
    assert_every_fault_defers(Way::Lmtp, "gitlab");
}

#[test]
fn every_fault_of_gitlab_defers_by_pipe() {
    assert_every_fault_defers(Way::Pipe, "gitlab");
}

#[test]
fn every_fault_of_a_webhook_defers_by_lmtp() {
    assert_every_fault_defers(Way::Lmtp, "webhook");
}

#[test]
fn every_fault_of_a_webhook_defers_by_pipe() {
    assert_every_fault_defers(Way::Pipe, "webhook");
}

/// Runs over both ways and both kinds.
fn everywhere(test: impl Fn(Way, &'static str)) {
    for way in [Way::Lmtp, Way::Pipe] {
        for kind in ["gitlab", "webhook"] {
            eprintln!("{kind} by {way:?}");
            test(way, kind);
        }
    }
}

/// 400, 413, 422 without a reason: deferred for a while, then held; and a held one can be released to the application.
#[test]
fn a_refusal_that_stays_is_rejected_where_the_application_says_so_in_no_other_way() {
    let rows: &[(&str, &str, &str)] = &[
        ("webhook", "refusals = \"reject\"", "The application behind this address does not take this message."),
        ("redmine", "", "The tracker does not take this message: it does not know the sender or the project"),
    ];
    for (kind, more, reason) in rows {
        for way in [Way::Lmtp, Way::Pipe] {
            let server = HttpServer::tcp(|_| Reply::new(422, "text/html", ""));
            let site = Site::start(way, kind, server.url(), "", &format!("refused_after = \"1s\"\n{more}"));
            let mail = message("", "patient");
            assert!(site.send(&mail).starts_with("4.3.0 deferred: app-refusal ("), "{kind} by {way:?}");
            let text = site.send_until_not_deferred(&mail);
            assert!(text.starts_with(&format!("2.0.0 rejected: app-refused ({reason}")), "{kind} by {way:?}: {text}");
            assert!(text.contains("notice withheld: notices are off"), "{text}");
            assert_eq!(site.place().held().len(), 1, "{kind} by {way:?}");
        }
    }
}

#[test]
fn a_refusal_that_stays_unexplained_is_held_in_the_end() {
    everywhere(|way, kind| {
        for status in [400, 413, 422] {
            let server = HttpServer::tcp(good(kind));
            server.fault(Some(Fault::Status(status)));
            let mail = message("", "refused");
            let site = Site::start(way, kind, server.url(), "unexplained_refusals = \"1h\"", "");
            let text = site.send(&mail);
            assert!(text.starts_with("4.3.0 deferred: app-refusal ("), "{status}: {text}");
            let site = Site { limits: "unexplained_refusals = \"1s\"", ..site };
            site.reconfigure(server.url(), "");
            // A second after the first; each try before that is deferred.
            let text = site.send_until_not_deferred(&mail);
            assert!(text.starts_with("2.0.0 held: unexplained-refusal ("), "{status}: {text}");
            let id = site.place().held().remove(0);
            assert!(keys(&server).iter().all(|key| *key == id), "{status}");
            let asked = server.requests().len();
            server.fault(None);
            let released = site.place().run(&["held", "release", &id], b"");
            assert_eq!(released.status.code(), Some(0), "{status}: {released:?}");
            assert!(site.place().held().is_empty(), "{status}");
            assert_eq!(keys(&server)[asked..], [id], "{status}: delivered once, under the same key");
        }
    });
}

/// What Postfix still has at the end of its queue lifetime it returns to a sender that may be forged: before that the message
/// is held, and handed over by itself when the application is back.
#[test]
fn an_outage_longer_than_the_patience_holds_and_hands_over_later() {
    everywhere(|way, kind| {
        let server = HttpServer::tcp(good(kind));
        server.fault(Some(Fault::Status(503)));
        let site = Site::start(way, kind, server.url(), "patience = \"1s\"", "");
        let mails: Vec<_> = (0..3).map(|number| message(&format!("X-Number: {number}\r\n"), "patient")).collect();
        assert!(site.send(&mails[0]).starts_with("4.3.2 deferred: app ("));
        for mail in &mails {
            let text = site.send_while(mail, "4.3.2 deferred: app (");
            assert!(
                text.starts_with("2.0.0 held: patience (the application does not take messages at the moment, for 1s)"),
                "{text}"
            );
        }
        assert_eq!(site.place().held().len(), 3);
        let released = site.place().run(&["held", "release", "--waiting"], b"");
        assert_eq!(released.status.code(), Some(1), "{released:?}");
        assert_eq!(site.place().held().len(), 3, "a failure loses nothing");

        let asked = server.requests().len();
        server.fault(None);
        if way == Way::Pipe {
            let released = site.place().run(&["held", "release", "--waiting"], b"");
            assert_eq!(released.status.code(), Some(0), "{released:?}");
        }
        wait_for("the copies to be handed over", || site.place().held().is_empty().then_some(()));
        let handed_over: HashSet<_> = keys(&server).split_off(asked).into_iter().collect();
        assert_eq!(handed_over.len(), 3);
        for mail in &mails {
            assert!(site.send(mail).starts_with("2.0.0 duplicate"), "it is delivered, and known to be");
        }
    });
}

/// What cannot be read in time cannot be routed; it is held all the same before Postfix returns it.
#[test]
fn a_message_whose_reading_never_ends_in_time_is_held_too() {
    let server = HttpServer::tcp(good("webhook"));
    let mut site = Site::start(Way::Lmtp, "webhook", server.url(), "patience = \"1s\"\ndeadline = \"1ms\"", "");
    let mail = [message("", "large"), b"one more line\r\n".repeat(500_000)].concat();
    assert!(site.send(&mail).starts_with("4.4.7 deferred: deadline (not done within the deadline)"));
    let text = site.send_while(&mail, "4.4.7 deferred: deadline (");
    assert!(text.starts_with("2.0.0 held: patience (not done within the deadline, for 1s)"), "{text}");
    assert_eq!(keys(&server).len(), 0);
    site.limits = "";
    site.reconfigure(server.url(), "");
    wait_for("the copy to be handed over", || site.place().held().is_empty().then_some(()));
    assert_eq!(keys(&server).len(), 1);
}

/// A copy that the application refuses for good when it is back stays held with the new reason, and is not tried for ever.
#[test]
fn a_copy_that_waited_may_still_be_rejected() {
    let server = HttpServer::tcp(|_| Reply::json(200, r#"{"result":"reject","reason":"closed"}"#));
    server.fault(Some(Fault::Status(503)));
    let site = Site::start(Way::Pipe, "webhook", server.url(), "patience = \"1s\"", "");
    let text = site.send_while(&message("", "late"), "4.3.2 deferred: app (");
    assert!(text.starts_with("2.0.0 held: patience ("), "{text}");
    server.fault(None);
    let released = site.place().run(&["held", "release", "--waiting"], b"");
    assert_eq!(released.status.code(), Some(0), "{released:?}");
    let list = String::from_utf8(site.place().run(&["held", "list"], b"").stdout).unwrap();
    assert!(list.contains("rejected: app-reject"), "{list}");
    let asked = server.requests().len();
    site.place().run(&["held", "release", "--waiting"], b"");
    assert_eq!(server.requests().len(), asked, "it is not asked again");
}

/// An application may repeat the key in what it says; a reply can travel to a stranger, and a log is read by many.
#[test]
fn a_key_in_the_application_s_answer_is_not_shown() {
    for way in [Way::Lmtp, Way::Pipe] {
        let answer = format!("{{\"message\":\"unknown key {REPLY_KEY}\"}}");
        let server = HttpServer::tcp(move |_| Reply::json(400, &answer));
        let site = Site::start(way, "webhook", server.url(), "unexplained_refusals = \"1s\"", "");
        let text = site.send_until_not_deferred(&message("", "refused"));
        assert!(
            text.starts_with("2.0.0 held: unexplained-refusal (the application does not take this message, for 1s)"),
            "{text}"
        );
        let Some(service) = &site.service else { continue };
        let log = service.log();
        assert!(!log.contains(REPLY_KEY), "{log}");
        assert!(log.contains("unknown key 59d8…"), "what it said is in the log all the same: {log}");
        let id = site.place().held().remove(0);
        let why = std::fs::read_to_string(site.place().path().join(format!("state/held/{id}/held.json"))).unwrap();
        assert!(why.contains("answered 400"), "{why}");
    }
}

/// The deadline of the message, not the application's own time limit.
#[test]
fn an_application_that_hangs_longer_than_the_deadline_defers() {
    everywhere(|way, kind| {
        let server = HttpServer::tcp(good(kind));
        server.fault(Some(Fault::Hang));
        // Time enough for a busy machine to ask the application before it has passed.
        let site = Site::start(way, kind, server.url(), "deadline = \"4s\"", "timeout = \"60s\"");
        let text = site.send(&message("", "late"));
        assert!(text.starts_with("4.4.7 deferred: deadline (not done within the deadline)"), "{text}");
        server.fault(None);
        let text = site.send(&message("", "late"));
        assert!(text.starts_with("2.0.0 delivered"), "{text}");
        let all = keys(&server);
        assert!(all.len() == 2 && all[0] == all[1], "{all:?}");
    });
}

/// The worst moment to break off: the application has taken the message, and its answer does not arrive.
#[test]
fn an_application_that_breaks_off_after_taking_it_is_asked_again_with_the_same_key() {
    everywhere(|way, kind| {
        for fault in [Fault::ShortAnswer, Fault::ClosedWithoutAnswer, Fault::Garbage] {
            let server = HttpServer::tcp(good(kind));
            server.fault(Some(fault));
            let site = Site::start(way, kind, server.url(), "", "");
            for _ in 0..3 {
                let text = site.send(&message("", "again"));
                assert!(text.starts_with("4.") && text.contains(" deferred: app ("), "{fault:?}: {text}");
            }
            server.fault(None);
            assert!(site.send(&message("", "again")).starts_with("2.0.0 delivered"), "{fault:?}");
            let all = keys(&server);
            assert_eq!(all.len(), 4, "{fault:?}: one request a try, none repeated behind our back");
            assert!(all.iter().all(|key| *key == all[0]), "{fault:?}: {all:?}");
        }
    });
}

/// The fault that only pipe has: Postfix never hands over an empty message, so somebody between has lost it.
#[test]
fn an_empty_standard_input_defers_and_asks_nobody() {
    for kind in ["gitlab", "webhook"] {
        let server = HttpServer::tcp(good(kind));
        let site = Site::start(Way::Pipe, kind, server.url(), "", "");
        let text = site.send(b"");
        assert!(text.starts_with("4.3.0 deferred: "), "{text}");
        assert!(server.requests().is_empty());
        assert!(site.send(&message("", "full")).starts_with("2.0.0 delivered"));
        assert_eq!(server.requests().len(), 1);
    }
}
