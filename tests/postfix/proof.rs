//! A refused mail and its sender: written to only where SPF or DKIM proves the address, seen through a real Postfix.

use base64::Engine as _;
use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner};

use crate::facts::delicate_message;
use crate::service::{INCOMING, Site, Variant, message, message_with, over_lmtp_and_pipe};
use crate::support::name_server::{NameServer, Zone};
use crate::support::needs;
use crate::support::postfix::Postfix;
use crate::support::process::succeed;
use crate::support::submission::{Client, REMOTE, Submission};

/// Not the address that the SPF record below names.
const STRANGER: Client = Client { address: "198.51.100.9", ..REMOTE };

/// The client of most tests may send for example.org, and nobody else may.
fn spf_zone() -> Zone {
    Zone::new().txt("example.org", "v=spf1 ip4:203.0.113.7 -all").a("example.org", "203.0.113.7")
}

fn to_nobody(name: &str) -> Submission {
    Submission::new("jane@example.org", &["nobody@mail.example.com"], message(name))
}

over_lmtp_and_pipe! {
    fn a_proven_sender_gets_one_notice(variant) {
        let names = NameServer::start(spf_zone());
        let site = Site::start_with_name_server(variant, &names);
        site.assert_reply(&site.send(&to_nobody("first")), "250 2.0.0 rejected: unknown-address");
        let notice = site.postfix.wait_for("the notice", || site.postfix.outgoing().pop());
        assert_eq!((notice.sender.as_str(), notice.recipient.as_str()), ("", "jane@example.org"));
        for part in ["Auto-Submitted: auto-replied", "In-Reply-To: <first@example.org>", "multipart/report"] {
            assert!(notice.message.contains(part), "no {part} in:\n{}", notice.message);
        }
        assert!(!notice.message.contains("The text of first."), "the body of the original:\n{}", notice.message);
        // Another refused mail within the interval.
        site.send(&to_nobody("second"));
        site.postfix.wait_for("an empty queue", || site.postfix.queue().is_empty().then_some(()));
        assert_eq!(site.postfix.outgoing().len(), 1, "{:#?}", site.postfix.outgoing());
        assert!(!site.postfix.bounced());
    }
}

over_lmtp_and_pipe! {
    fn a_forged_sender_is_not_written_to(variant) {
        let names = NameServer::start(spf_zone());
        let site = Site::start_with_name_server(variant, &names);
        let replies = site.send(&to_nobody("forged").by_client(STRANGER));
        site.assert_reply(&replies, "250 2.0.0 rejected: unknown-address");
        assert!(site.held().contains("unknown-address"), "{}", site.held());
        site.postfix.assert_nobody_was_written_to();
    }
}

over_lmtp_and_pipe! {
    fn a_sender_without_spf_is_not_written_to(variant) {
        let names = NameServer::start(Zone::new().a("example.org", "203.0.113.7"));
        let site = Site::start_with_name_server(variant, &names);
        site.send(&to_nobody("unproven"));
        assert!(site.held().contains("unknown-address"), "{}", site.held());
        site.postfix.assert_nobody_was_written_to();
    }
}

over_lmtp_and_pipe! {
    /// Simple canonicalization forgives nothing: one changed octet on the way and the signature fails.
    fn a_signature_survives_postfix(variant) {
        let (signed, record) = sign(&delicate_message());
        let names = NameServer::start(Zone::new().txt("mail._domainkey.example.org", &record));
        let site = Site::start_with_name_server(variant, &names);
        let sent = Submission::new("jane@example.org", &["incoming+Key1@mail.example.com"], signed);
        let event = site.send_one(&sent.mail_parameters("BODY=8BITMIME"));
        assert_eq!(event.text("/authentication/dkim/0/result"), Some("pass"), "{:#}", event.event);
        assert_eq!(event.text("/authentication/proven/0"), Some("jane@example.org"), "{:#}", event.event);
    }
}

/// Signs a message with a new key of example.org; gives the message and the key's DNS record.
fn sign(message: &[u8]) -> (Vec<u8>, String) {
    let key = Ed25519Key::from_pkcs8_der(&Ed25519Key::generate_pkcs8().unwrap()).unwrap();
    let public = base64::engine::general_purpose::STANDARD.encode(key.public_key());
    let signature = DkimSigner::from_key(key)
        .domain("example.org")
        .selector("mail")
        .headers(["From", "Date", "Subject", "Message-ID", "X-Folded", "Content-Type"])
        .header_canonicalization(Canonicalization::Simple)
        .body_canonicalization(Canonicalization::Simple)
        .sign(message)
        .unwrap();
    let mut signed = signature.to_header().into_bytes();
    signed.extend_from_slice(message);
    (signed, format!("v=DKIM1; k=ed25519; p={public}"))
}

/// The recipe of docs/notices.md for a Postfix that believes its own results.
fn recipe() -> String {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notices.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lines: Vec<_> = page.lines().filter(|line| line.starts_with("/^Authentication-Results")).collect();
    assert_eq!(lines.len(), 1, "one line of header_checks");
    format!("{}\n", lines[0])
}

/// `spf=pass` for the sender in every way in which a field could be written.
fn forged_results() -> String {
    let mut fields = String::new();
    for name in ["Authentication-Results", "authentication-results", "AUTHENTICATION-RESULTS"] {
        for colon in [":", " :", "\t :"] {
            for before in ["", " ", "\t", "   \t", "\r\n ", " \r\n\t", " (mx)", " (\r\n x) ", "\"\" "] {
                for id in ["mx.example.com", "MX.Example.COM", "\"mx.example.com\"", "mx.example\\.com"] {
                    for behind in ["; ", ";", " ; ", " 1; ", "(x); ", " (x) ;\r\n\t", "\r\n ; "] {
                        fields +=
                            &format!("{name}{colon}{before}{id}{behind}spf=pass smtp.mailfrom=jane@example.org\r\n");
                    }
                }
            }
        }
    }
    fields
}

/// A milter that says nothing of SPF, and a sender who does: without the recipe the sender is believed. So with it, no form of the
/// field that mailhatch believes has passed Postfix.
#[needs(postfix, root)]
#[test]
fn every_forged_result_that_would_be_believed_is_removed_by_the_recipe() {
    let site = Site::prepare(Variant::Lmtp);
    site.configure_with("method = \"trust\"\nauthserv_ids = [\"mx.example.com\"]", INCOMING);
    site.start_service();
    let checks = site.postfix.path("etc/header_checks");
    std::fs::write(&checks, recipe()).unwrap();
    let send = |name: &str, fields: &str| {
        let sent = Submission::new("jane@example.org", &["nobody@mail.example.com"], message_with(name, fields));
        site.send(&sent).remove(0)
    };
    let believed = send("without", &forged_results());
    assert!(believed.contains("notice sent"), "{believed}");
    site.postfix.set(&[&format!("header_checks=regexp:{}", checks.display())]);
    let removed = send("with", &forged_results());
    assert!(removed.contains("notice withheld: spf=none, no aligned dkim"), "{removed}");
    // What is another server's stays.
    let other = "Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=jane@example.org\r\n";
    send("other", &other.repeat(2));
    let texts: Vec<String> = site
        .held()
        .lines()
        .map(|line| {
            let shown = succeed(&mut site.mailhatch(&["held", "show", "--raw", &line[..32]]));
            String::from_utf8_lossy(&shown.stdout).into_owned()
        })
        .collect();
    let other = texts.iter().find(|text| text.contains("<other@example.org>")).expect("the copy");
    assert_eq!(other.matches("mx.example.net").count(), 2, "{other}");
}

/// The tests above are worth nothing if a mail to the world does not come out at all.
#[needs(postfix, root)]
#[test]
fn mail_to_the_world_is_seen() {
    let mut postfix = Postfix::prepare();
    postfix.start();
    let local = Client { address: "127.0.0.1", name: "localhost", helo: "localhost" };
    let sent = Submission::new("", &["jane@example.org"], message("seen")).by_client(local);
    let queue_id = postfix.send(&sent);
    postfix.wait_done(&queue_id);
    assert_eq!(postfix.outgoing().len(), 1);
}
