//! The messages and configurations of the measurements.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::{RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use mailhatch::config::Config;
use mailhatch::mail::{Client, Envelope, Recipient, Sender};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::name_server::Zone;

const RECIPIENT: &str = "incoming+0123456789abcdef@app.example.com";

/// A message of about so many octets, as a mail program writes it.
pub fn message(number: u64, octets: usize) -> Vec<u8> {
    let mut text = format!(
        "Received: from mail.example.org (mail.example.org [203.0.113.7])\r\n\tby mx.example.com (Postfix) with ESMTPS id \
         4XyZ\r\n\tfor <{RECIPIENT}>; Sun, 22 Nov 2026 10:00:00 +0000 (UTC)\r\n\
         Received: by mail.example.org with SMTP id x; Sun, 22 Nov 2026 09:59:59 +0000\r\n\
         From: =?utf-8?q?J=C3=A4ne?= Doe <jane@example.org>\r\nTo: <{RECIPIENT}>, Max <max@example.net>\r\n\
         Subject: =?utf-8?q?Re:_A_question_about_the_b=C3=BCild?=\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{number}.bench@example.org>\r\nIn-Reply-To: <note_1@app.example.com>\r\n\
         References: <issue_1@app.example.com>\r\n <note_1@app.example.com>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    .into_bytes();
    while text.len() < octets {
        text.extend_from_slice(b"The quick brown fox jumps over the lazy dog, and the dog does not mind.\r\n");
    }
    text
}

/// The same with a DKIM signature, and the zone that proves it.
pub fn signed(octets: usize) -> (Vec<u8>, Zone) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().expect("the openssl program");
        assert!(output.status.success(), "openssl {arguments:?}");
    };
    openssl(&["genrsa", "-traditional", "-out", &path("private"), "2048"]);
    openssl(&["rsa", "-in", &path("private"), "-pubout", "-outform", "DER", "-out", &path("public")]);
    let key = PrivateKeyDer::from_pem_file(path("private")).unwrap();
    let signer = DkimSigner::from_key(RsaKey::<Sha256>::from_key_der(key).unwrap())
        .domain("example.org")
        .selector("s")
        .headers(["From", "To", "Subject", "Date", "Message-ID"]);
    let mail = message(1, octets);
    let mut signed = signer.sign(&mail).unwrap().to_header().into_bytes();
    signed.extend_from_slice(&mail);
    let public = STANDARD.encode(std::fs::read(path("public")).unwrap());
    let zone = Zone::new()
        .txt("example.org", "v=spf1 ip4:8.8.4.0/24 -all")
        .txt("s._domainkey.example.org", &format!("v=DKIM1; k=rsa; p={public}"))
        .txt("_dmarc.example.org", "v=DMARC1; p=reject");
    (signed, zone)
}

pub fn envelope() -> Envelope {
    Envelope {
        sender: Sender::from_path("jane@example.org"),
        recipients: vec![Recipient { address: RECIPIENT.to_owned(), original: None }],
        client: Client {
            address: Some([8, 8, 4, 4].into()),
            helo: Some("mail.example.org".to_owned()),
            name: Some("mail.example.org".to_owned()),
        },
        queue_id: Some("4XyZ".to_owned()),
        origin: mailhatch::mail::Origin::Smtp,
    }
}

pub fn config_text(mailboxes: usize) -> String {
    let mut text = "hostname = \"mx.example.com\"\n[auth]\nmethod = \"off\"\n\
                    [[app]]\nname = \"app\"\nkind = \"spool\"\npath = \"/nowhere\"\n"
        .to_owned();
    for number in 0..mailboxes {
        let address = match number + 1 == mailboxes {
            true => "incoming+%{key}@app.example.com".to_owned(),
            false => format!("team{number}+%{{key}}@host{}.example.com", number % 100),
        };
        let actions = "actions = \"any\"\napp = \"app\"";
        writeln!(text, "[[mailbox]]\nname = \"box{number}\"\naddress = \"{address}\"\n{actions}").unwrap();
    }
    text
}

pub fn config(mailboxes: usize) -> Config {
    Config::parse(Path::new("bench.toml"), &config_text(mailboxes)).unwrap()
}
