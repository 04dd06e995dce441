//! What one message may cost of DNS, whatever its sender publishes: so many questions, so large an answer, so much kept. Through the
//! running service, with a name server that answers anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use crate::support::name_server::{NameServer, Zone};
use crate::support::service::Service;
use crate::support::signer::{Key, Tags, sign};
use crate::support::smtp_server::SmtpServer;

fn start(names: &NameServer, mta: &SmtpServer) -> Service {
    Service::start(&format!(
        "hostname = \"mx.example.com\"\nstate_dir = \"{{dir}}/state\"\n[listen]\nlmtp = [\"unix:{{dir}}/lmtp.sock\"]\n\
         [[mailbox]]\nname = \"m\"\naddress = \"incoming+%{{key}}@mail.example.com\"\nactions = \"any\"\napp = \"spool\"\n\
         [[app]]\nname = \"spool\"\nkind = \"spool\"\npath = \"{{dir}}/spool\"\n\
         [auth]\nnameservers = [\"{}\"]\n[notice]\nsmtp = \"{}\"\n[log]\nto = \"stderr\"\n",
        names.address(),
        mta.address(),
    ))
}

/// What became of the notice for one refused message.
fn send(service: &Service, sender: &str, message: &str) -> String {
    let mut lmtp = service.lmtp();
    lmtp.command("XFORWARD ADDR=203.0.113.7 NAME=mail.example.org HELO=mail.example.org", "250");
    let reply = lmtp.send(sender, &["nobody@mail.example.com"], message.as_bytes()).remove(0);
    assert!(reply.starts_with("250 2.0.0 rejected: unknown-address"), "{reply}");
    reply.split_once(", notice ").unwrap().1.rsplit_once(" id=").unwrap().0.to_owned()
}

/// A signature that only lacks its key, as far as anybody can see who has not asked for it.
fn signature(domain: &str, selector: &str, from: &str) -> String {
    let hash = digest::digest(&digest::SHA256, format!("Hello, {from}.\r\n").as_bytes());
    let hash = STANDARD.encode(hash);
    format!("DKIM-Signature: v=1; a=rsa-sha256; d={domain}; s={selector}; h=from; bh={hash}; b=YQ==\r\n")
}

fn message(from: &str, fields: &str) -> String {
    format!(
        "{fields}From: {from}\r\nTo: nobody@mail.example.com\r\nMessage-ID: <{from}>\r\nSubject: s\r\n\r\nHello, {from}.\r\n"
    )
}

/// Ten mail exchangers of ten hosts each, a macro with the client's address in everything else, eight signatures, and a From domain
/// of many labels: as many questions as a sender can cause.
#[test]
fn a_message_costs_at_most_sixty_questions() {
    let mut zone = Zone::new();
    let mut terms = String::new();
    for number in 0..9 {
        terms += &format!(" mx:mx{number}.%{{i}}.greedy.example");
        for host in 0..10 {
            zone = zone.mx(
                &format!("mx{number}.203.0.113.7.greedy.example"),
                host,
                &format!("h{host}.m{number}.greedy.example"),
            );
            zone = zone.a(&format!("h{host}.m{number}.greedy.example"), "192.0.2.1");
        }
    }
    zone = zone
        .txt("greedy.example", &format!("v=spf1{terms} ip4:203.0.113.7 -all"))
        .txt("hidden.example", "v=spf1 ip4:203.0.113.7 exists:a.%{i}.x.example exists:b.%{i}.x.example exists:c.%{i}.x.example exists:d.%{i}.x.example mx:%{i}.y.example -all")
        .a("a.203.0.113.7.x.example", "192.0.2.1");
    let names = NameServer::start(zone);
    let mta = SmtpServer::start();
    let service = start(&names, &mta);
    let from = "x@1.2.3.4.5.6.7.8.9.10.11.12.example, y@a.b.c.d.e.f.g.h.i.j.k.example";
    let signatures: String = (0..20).map(|n| signature(&format!("d{n}.example"), "s", from)).collect();
    for (sender, fewest) in [("jane@greedy.example", 40), ("jane@hidden.example", 12)] {
        let before = names.questions().len();
        let notice = send(&service, sender, &message(from, &signatures));
        assert!(notice.starts_with("withheld: "), "{sender}: {notice}");
        let asked = names.questions().len() - before;
        assert!((fewest..=60).contains(&asked), "{sender}: {asked} questions");
    }
}

#[test]
fn an_answer_of_over_16_kib_proves_nothing() {
    let key = Key::ed25519();
    let padding = "x".repeat(17_000);
    let zone = Zone::new()
        .txt("large.example", "v=spf1 ip4:203.0.113.7 -all")
        .txt("large.example", &padding)
        .txt("s._domainkey.key.example", &key.record())
        .txt("s._domainkey.key.example", &padding)
        .txt("small.example", "v=spf1 ip4:203.0.113.7 -all")
        .txt("small.example", &padding[..15_000]);
    let names = NameServer::start(zone);
    let mta = SmtpServer::start();
    let service = start(&names, &mta);
    let tags = Tags { signed: "from:to".to_owned(), ..Tags::ed25519("key.example") };
    let signed = sign(&key, &tags, &message("jane@key.example", ""));
    let rows = [
        ("jane@large.example", message("jane@large.example", ""), "withheld: spf=permerror"),
        ("jane@key.example", signed, "withheld: spf=none, no aligned dkim"),
        ("jane@small.example", message("jane@small.example", ""), "sent"),
    ];
    for (sender, message, expected) in rows {
        let notice = send(&service, sender, &message);
        assert!(notice.starts_with(expected), "{sender}: {notice}");
    }
}

/// Shown on 0.1.0: 1,200 small mails made the cache 2.6 GiB. Each question is for a name of its own, and each answer is as large as
/// DNS can carry.
#[test]
fn answers_that_are_kept_are_bounded_in_octets() {
    const MESSAGES: usize = 200;
    let large = "x".repeat(60_000);
    let middle: Vec<String> = (0..400).map(|n| format!("{n:04}{}", "y".repeat(30))).collect();
    let mut zone = Zone::new().txt("*.large.example", &large);
    for text in &middle {
        zone = zone.txt("*.middle.example", text);
    }
    let names = NameServer::start(zone);
    let mta = SmtpServer::start();
    let service = start(&names, &mta);
    let next = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let number @ ..MESSAGES = next.fetch_add(1, Ordering::Relaxed) {
                    let from = format!("x{number}@nothing.example");
                    let signed = |n: usize| {
                        let domain = if n.is_multiple_of(2) { "large.example" } else { "middle.example" };
                        signature(domain, &format!("s{n}.{number}"), &from)
                    };
                    let signatures: String = (0..8).map(signed).collect();
                    let notice = send(&service, "jane@nothing.example", &message(&from, &signatures));
                    assert!(notice.starts_with("withheld: spf=none"), "{notice}");
                }
            });
        }
    });
    let asked = names.questions().iter().filter(|(name, _)| name.contains("._domainkey.")).count();
    assert!(asked >= MESSAGES * 8, "{asked} questions for keys");
    let peak = service.peak_memory() / (1024 * 1024);
    println!("{MESSAGES} messages, {asked} answers: {peak} MiB at most");
    assert!(peak < 100, "{peak} MiB");
}
