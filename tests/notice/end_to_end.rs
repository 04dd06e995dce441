//! The sender's proof through the whole program: what `explain` says, what the event carries, what `unproven = "hold"`
//! lets through, and what `method = "trust"` believes.

use serde_json::Value;

use crate::support::events;
use crate::support::name_server::{NameServer, Zone};
use crate::support::service::{Place, Service};
use crate::support::smtp_server::SmtpServer;

const KNOWN: &str = "incoming+key@mail.example.com";
const UNKNOWN: &str = "nobody@mail.example.com";

fn names() -> NameServer {
    let zone = Zone::new()
        .txt("example.org", "v=spf1 ip4:203.0.113.7 -all")
        .txt("all.example", "v=spf1 +all")
        .txt("_dmarc.example.org", "v=DMARC1; p=reject");
    NameServer::start(zone)
}

fn config(auth: &str, mailbox: &str, smtp: &SmtpServer) -> String {
    format!(
        "hostname = \"mx.example.com\"\nstate_dir = \"{{dir}}/state\"\n[listen]\nlmtp = [\"unix:{{dir}}/lmtp.sock\"]\n\
         [[mailbox]]\nname = \"m\"\naddress = \"incoming+%{{key}}@mail.example.com\"\nactions = \"any\"\napp = \"spool\"\n{mailbox}\n\
         [[app]]\nname = \"spool\"\nkind = \"spool\"\npath = \"{{dir}}/spool\"\n\
         [auth]\n{auth}\n[notice]\nsmtp = \"{}\"\n[log]\nto = \"stderr\"\n",
        smtp.address()
    )
}

fn message(from: &str, fields: &str) -> String {
    format!("{fields}From: Jane <{from}>\r\nMessage-ID: <1@example.org>\r\nSubject: hello\r\n\r\nhello\r\n")
}

/// One message through the service, from the client 203.0.113.7.
fn send(service: &Service, sender: &str, recipient: &str, message: &str) -> String {
    let mut lmtp = service.lmtp();
    lmtp.command("XFORWARD ADDR=203.0.113.7 NAME=mail.example.org HELO=mail.example.org", "250");
    lmtp.send(sender, &[recipient], message.as_bytes()).remove(0)
}

fn explain(place: &Place, options: &[&str], message: &str) -> Value {
    let output = place.run(&[&["explain", "--json"], options, &["-"]].concat(), message.as_bytes());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn explain_shows_what_proves_the_sender_and_whether_a_notice_would_go_out() {
    let (names, mta) = (names(), SmtpServer::start());
    let place = Place::new(&config(&format!("nameservers = [\"{}\"]", names.address()), "", &mta));
    let rows: &[(&str, &str, &str, &str, &str)] = &[
        ("proven", "jane@example.org", "203.0.113.7", "proven by spf=pass", "pass"),
        ("another client", "jane@example.org", "198.51.100.7", "spf=fail, no aligned dkim", "fail"),
        ("+all", "jane@all.example", "203.0.113.7", "spf=pass (passes everybody), no aligned dkim", "pass"),
    ];
    for (name, sender, client, why, spf) in rows {
        let options =
            [format!("--sender={sender}"), format!("--recipient={UNKNOWN}"), format!("--client-address={client}")];
        let found = explain(&place, &options.each_ref().map(String::as_str), &message("jane@example.org", ""));
        let recipient = &found["recipients"][0];
        assert_eq!(recipient["verdict"], "rejected", "{name}");
        let notice = &recipient["notice"];
        let would_send = why.starts_with("proven");
        assert_eq!(notice["would_send"], would_send, "{name}: {notice}");
        assert_eq!(notice["to"], if would_send { Value::from(*sender) } else { Value::Null }, "{name}");
        assert_eq!(notice["why"], *why, "{name}");
        let steps = recipient["trail"].as_array().unwrap();
        let step = |rule: &str| steps.iter().find(|step| step["rule"] == rule).unwrap_or(&Value::Null);
        assert_eq!(step("spf")["result"], *spf, "{name}: {steps:#?}");
        assert_eq!(step("dmarc")["step"], "auth", "{name}: {steps:#?}");
        let last = steps.last().unwrap();
        assert_eq!((&last["step"], &last["detail"]), (&Value::from("notice"), &Value::from(*why)), "{name}");
    }
    assert!(mta.taken().is_empty(), "explain writes to nobody");
    assert!(place.held().is_empty(), "and keeps nothing");
}

#[test]
fn explain_knows_an_unknown_sender_from_the_null_sender() {
    let (names, mta) = (names(), SmtpServer::start());
    let place = Place::new(&config(&format!("nameservers = [\"{}\"]", names.address()), "", &mta));
    let recipient = format!("--recipient={UNKNOWN}");
    let found = explain(&place, &[&recipient], &message("jane@example.org", ""));
    assert_eq!(found["recipients"][0]["notice"]["why"], "unknown sender");
    let found = explain(&place, &["--sender=", &recipient], &message("jane@example.org", ""));
    assert_eq!(found["recipients"][0]["verdict"], "ignored");
    assert_eq!(found["recipients"][0]["notice"]["would_send"], false);
}

#[test]
fn the_event_carries_what_is_proven() {
    let (names, mta) = (names(), SmtpServer::start());
    let service = Service::start(&config(&format!("nameservers = [\"{}\"]", names.address()), "", &mta));
    let rows: &[(&str, &str, &str, &str, &str, &[&str])] = &[
        ("both", "bounce@example.org", "jane@example.org", "pass", "pass", &["jane@example.org", "bounce@example.org"]),
        ("one address", "jane@example.org", "jane@example.org", "pass", "pass", &["jane@example.org"]),
        ("another From", "jane@example.org", "joe@elsewhere.example", "pass", "none", &["jane@example.org"]),
        ("nobody", "jane@nothing.example", "jane@example.org", "none", "fail", &[]),
        ("passes everybody", "jane@all.example", "jane@all.example", "pass", "none", &[]),
    ];
    for (number, (name, sender, from, spf, dmarc, proven)) in rows.iter().enumerate() {
        let before = service.place.spooled();
        let reply = send(&service, sender, &format!("incoming+key{number}@mail.example.com"), &message(from, ""));
        assert!(reply.starts_with("250 2.0.0 delivered"), "{name}: {reply}");
        let event = service.place.spooled().into_iter().find(|id| !before.contains(id)).expect("an event");
        let event = events::read(&service.place.path().join("spool").join(event));
        let authentication = &event["data"]["authentication"];
        assert_eq!(authentication["spf"], *spf, "{name}: {authentication}");
        assert_eq!(authentication["dmarc"], *dmarc, "{name}: {authentication}");
        assert_eq!(authentication["proven"], serde_json::json!(proven), "{name}");
    }
}

#[test]
fn a_mailbox_may_hold_what_nobody_proves() {
    let (names, mta) = (names(), SmtpServer::start());
    let config = config(&format!("nameservers = [\"{}\"]", names.address()), "unproven = \"hold\"", &mta);
    let service = Service::start(&config);
    let rows: &[(&str, &str, &str, &str)] = &[
        ("proven", "jane@example.org", "jane@example.org", "250 2.0.0 delivered"),
        (
            "the From of another domain",
            "jane@example.org",
            "joe@elsewhere.example",
            "250 2.0.0 held: unproven-sender (spf=pass",
        ),
        (
            "forged",
            "jane@nothing.example",
            "jane@example.org",
            "250 2.0.0 held: unproven-sender (spf=none, no aligned dkim",
        ),
        (
            "passes everybody",
            "jane@all.example",
            "jane@all.example",
            "250 2.0.0 held: unproven-sender (spf=pass (passes everybody)",
        ),
    ];
    for (number, (name, sender, from, expected)) in rows.iter().enumerate() {
        let reply = send(&service, sender, &format!("incoming+key{number}@mail.example.com"), &message(from, ""));
        assert!(reply.starts_with(expected), "{name}: {reply}");
    }
    assert_eq!((service.place.spooled().len(), service.place.held().len()), (1, 3));
    assert!(mta.taken().is_empty(), "what is held is no refusal");
    let found = explain(
        &service.place,
        &["--sender=jane@nothing.example", &format!("--recipient={KNOWN}"), "--client-address=203.0.113.7"],
        &message("jane@example.org", ""),
    );
    assert_eq!(found["recipients"][0]["reason"], "unproven-sender", "{found:#}");
}

#[test]
fn trusted_results_prove_the_sender_of_a_notice() {
    let mta = SmtpServer::start();
    let service = Service::start(&config("method = \"trust\"\nauthserv_ids = [\"mx.example.com\"]", "", &mta));
    let by_us = "Received: from mail.example.org (mail.example.org [203.0.113.7])\r\n\tby mx.example.com (Postfix) with ESMTP id 1;\r\n\tSun, 22 Nov 2026 10:00:00 +0000\r\n";
    let result = "Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=jane@example.org\r\n";
    let rows: &[(&str, String, &str)] = &[
        ("below the trace of another host", format!("{by_us}Received: from a by b.example; x\r\n{result}"), "withheld"),
        ("of another server", format!("{by_us}{}", result.replace("mx.example.com", "mx.example.net")), "withheld"),
        ("ours", format!("{result}{by_us}"), "sent"),
    ];
    for (name, fields, expected) in rows {
        let reply = send(&service, "jane@example.org", UNKNOWN, &message("jane@example.org", fields));
        assert!(reply.contains(&format!("notice {expected}")), "{name}: {reply}");
    }
    assert_eq!(mta.taken().len(), 1);
}

#[test]
fn a_second_try_after_a_fault_writes_once() {
    use crate::support::smtp_server::{At, Then};
    let (names, mta) = (names(), SmtpServer::start());
    let service = Service::start(&config(&format!("nameservers = [\"{}\"]", names.address()), "", &mta));
    mta.fail(Some((At::Rcpt, Then::Reply("451 4.3.0 later"))));
    let text = message("jane@example.org", "");
    let reply = send(&service, "jane@example.org", UNKNOWN, &text);
    assert!(reply.starts_with("451 4.3.0 deferred: notice ("), "{reply}");
    assert!(!reply.contains("127.0.0.1"), "what only the log gets: {reply}");
    mta.fail(None);
    for said in ["notice sent id=", "notice sent before id=", "notice sent before id="] {
        let reply = send(&service, "jane@example.org", UNKNOWN, &text);
        assert!(reply.contains("rejected: unknown-address") && reply.contains(said), "{reply}");
    }
    assert_eq!(mta.taken().len(), 1);
}
