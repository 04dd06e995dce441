//! The event's JSON, as a spool writes it.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailhatch::app::Event;
use mailhatch::auth::{AuthResult, Authentication, DkimOutcome};
use mailhatch::mail::{Envelope, Sender};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{KEY, Setup};
use crate::support::parts::corpus;
use crate::support::{events, needs};

fn spool(parts: &str) -> Setup {
    Setup::new(&format!("kind = \"spool\"\npath = \"DIR\"\nparts = {parts}"), "")
}

async fn written(setup: &Setup, event: &Event) -> String {
    setup.app().hand_over(event).await.expect("delivered");
    let directory = setup.directory.path().join(event.id.as_str());
    events::read(&directory);
    fs::read_to_string(directory.join("event.json")).unwrap()
}

async fn message_of(parts: &str, message: impl Into<bytes::Bytes>) -> Value {
    let setup = spool(parts);
    let text = written(&setup, &setup.event(KEY, message)).await;
    serde_json::from_str::<Value>(&text).unwrap()["data"]["message"].clone()
}

const MIXED: &str = "From: \"Doe, Jane\" <jane@example.org>\r\n\
Reply-To: r@example.org\r\n\
To: incoming+59d8@gitlab.example.com\r\n\
Cc: c@example.org, team: d@example.org;\r\n\
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
Date: Sun, 22 Nov 2026 10:00:00 +0100\r\n\
Message-ID: <m1@example.org>\r\n\
In-Reply-To: <p@h>\r\n\
References: <reply-1@h> <p@h>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=b\r\n\r\n\
--b\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
--a\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n\
--a\r\nContent-Type: text/html\r\n\r\n<p>Hi</p>\r\n\
--a--\r\n\
--b\r\nContent-Type: application/octet-stream; name=\"a.bin\"\r\nContent-Transfer-Encoding: base64\r\n\
Content-ID: <cid1>\r\nContent-Disposition: attachment; filename=\"a.bin\"\r\n\r\nAAEC/w==\r\n\
--b\r\nContent-Type: text/x-patch; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\
Content-Disposition: attachment\r\n\r\n-=E4=0D=0A+b\r\n\
--b--\r\n";

#[tokio::test]
async fn the_event_has_the_fields_of_the_contract_in_their_order() {
    let setup = spool("[\"body\", \"attachments\", \"reply\", \"raw\"]");
    let mut event = setup.event(KEY, MIXED);
    let mut known = Authentication::default();
    known.spf = AuthResult::Pass;
    known.dkim = vec![DkimOutcome { domain: "example.org".into(), result: AuthResult::Pass }];
    known.dmarc = AuthResult::Fail;
    event.authentication = Some(Arc::new(known));
    let text = written(&setup, &event).await;
    let address = format!("incoming+{KEY}@gitlab.example.com");
    let want = json!({
        "type": "mail.received",
        "timestamp": "2026-11-22T10:00:00Z",
        "id": event.id.as_str(),
        "data": {
            "mailbox": "incoming_email",
            "action": "reply",
            "key": KEY,
            "captures": {"part": "rs"},
            "matched": {"source": "envelope", "address": address},
            "envelope": {
                "sender": "jane@example.org",
                "recipient": address,
                "original_recipient": null,
                "client": {"address": "203.0.113.7", "helo": "mail.example.org", "name": null},
                "queue_id": "4Abc",
            },
            "message": {
                "message_id": "m1@example.org",
                "in_reply_to": ["p@h"],
                "references": ["reply-1@h", "p@h"],
                "date": "2026-11-22T10:00:00+01:00",
                "from": [{"name": "Doe, Jane", "address": "jane@example.org"}],
                "reply_to": [{"name": null, "address": "r@example.org"}],
                "to": [{"name": null, "address": "incoming+59d8@gitlab.example.com"}],
                "cc": [{"name": null, "address": "c@example.org"}, {"name": null, "address": "d@example.org"}],
                "subject": "Grüße",
                "text": "Grüße",
                "html": "<p>Hi</p>",
                "reply": {"text": "Grüße", "quoted": "", "signature": ""},
                "attachments": [
                    {"filename": "a.bin", "content_type": "application/octet-stream", "size": 4, "content_id": "cid1",
                     "content": "AAEC/w=="},
                    {"filename": null, "content_type": "text/x-patch", "size": 6, "content_id": null,
                     "content": STANDARD.encode(b"-\xe4\r\n+b")},
                ],
                "truncated": [],
                "undecodable": [],
            },
            "authentication": {
                "spf": "pass",
                "dkim": [{"domain": "example.org", "result": "pass"}],
                "dmarc": "fail",
                "proven": [],
            },
            "raw": STANDARD.encode(MIXED),
        },
    });
    let got: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string_pretty(&got).unwrap(), serde_json::to_string_pretty(&want).unwrap());
    // The order of the fields is kept by both sides, so equal texts are equal orders.
    assert_eq!(text, serde_json::to_string(&want).unwrap());
}

#[tokio::test]
async fn parts_decide_what_is_carried() {
    let rows: &[(&str, bool, bool, bool)] = &[
        ("[]", false, false, false),
        ("[\"body\"]", true, false, false),
        ("[\"attachments\"]", false, true, false),
        ("[\"reply\"]", false, false, true),
    ];
    for (parts, body, attachments, reply) in rows {
        let message = message_of(parts, MIXED).await;
        assert_eq!(message["text"].is_string(), *body, "{parts}");
        assert_eq!(message["html"].is_string(), *body, "{parts}");
        assert_eq!(message["attachments"].is_array(), *attachments, "{parts}");
        assert_eq!(message["reply"].is_object(), *reply, "{parts}");
        assert_eq!(message.as_object().unwrap().len(), 15, "every field is there: {parts}");
    }
}

#[tokio::test]
async fn a_reply_stands_beside_its_quotation_and_its_signature() {
    const OUTLOOK: &str = "Content-Type: text/plain\r\n\r\nSee below.\r\n\r\n\
        From: Bob <bob@example.net>\r\nSent: Monday, 5 January 2026 10:00\r\nTo: Jane\r\nSubject: The plan\r\n\r\nThe plan.\r\n";
    let blank = "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Hello\r\n--b--\r\n";
    let reply =
        |text: &str, quoted: &str, signature: &str| json!({"text": text, "quoted": quoted, "signature": signature});
    let rows: &[(&str, &str, Value)] = &[
        (
            "text",
            "Subject: a\r\n\r\nYes.\r\n\r\nOn Mon, 5 Jan 2026 at 10:00, Bob <b@example.net> wrote:\r\n> Now?\r\n\r\n-- \r\nJane\r\n",
            reply(
                "Yes.\r\n",
                "\r\nOn Mon, 5 Jan 2026 at 10:00, Bob <b@example.net> wrote:\r\n> Now?\r\n\r\n",
                "-- \r\nJane\r\n",
            ),
        ),
        (
            "HTML",
            "Content-Type: text/html\r\n\r\n<p>Yes.</p><div class=gmail_quote><div class=gmail_attr>Bob:</div>\
             <blockquote class=gmail_quote>Now?</blockquote></div>",
            reply("Yes.\n", "\nBob:\n\n> Now?\n", ""),
        ),
        ("a plain form that is blank", blank, reply("Hello\n", "", "")),
        ("no text", "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA", Value::Null),
        ("NUL", "Subject: a\r\n\r\nA\0B\r\n", reply("AB\r\n", "", "")),
    ];
    for (name, message, want) in rows {
        let got = message_of("[\"reply\"]", (*message).to_owned()).await;
        assert_eq!(&got["reply"], want, "{name}");
    }
    // Outlook marks what it forwards as what it answers: only the subject tells.
    let (_, whole) = OUTLOOK.split_once("\r\n\r\n").unwrap();
    let rows = [("RE: The plan", "See below.\r\n"), ("FW: The plan", whole), ("RE: WG: The plan", "See below.\r\n")];
    for (subject, text) in rows {
        let got = message_of("[\"reply\"]", format!("Subject: {subject}\r\n{OUTLOOK}")).await;
        assert_eq!(got["reply"]["text"], text, "{subject}");
    }
}

#[tokio::test]
async fn an_unknown_sender_is_not_the_null_sender() {
    let setup = spool("[]");
    let rows =
        [(Sender::Unknown, Value::Null), (Sender::Null, json!("")), (Sender::Unreadable("root".into()), json!("root"))];
    for (n, (sender, want)) in rows.into_iter().enumerate() {
        let mut event = setup.event(KEY, format!("Subject: {n}\r\n\r\n"));
        event.envelope = Arc::new(Envelope { sender, ..(*event.envelope).clone() });
        let json: Value = serde_json::from_str(&written(&setup, &event).await).unwrap();
        assert_eq!(json["data"]["envelope"]["sender"], want);
        assert_eq!(json["data"]["authentication"], Value::Null);
    }
}

#[tokio::test]
async fn the_whole_text_is_there_however_it_is_made_up() {
    let both = "[\"body\", \"attachments\"]";
    let rows: &[(&str, &str, Value, Value)] = &[
        ("plain", "Subject: a\r\n\r\nText", json!("Text"), Value::Null),
        ("no body", "Subject: b\r\n\r\n", json!(""), Value::Null),
        ("no header", "\r\nText", json!("Text"), Value::Null),
        ("nothing at all", "", Value::Null, Value::Null),
        ("html only", "Content-Type: text/html\r\n\r\n<p>Text</p>", json!("Text\n"), json!("<p>Text</p>")),
        (
            "a list's footer behind",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nText\r\n--b\r\n\r\nFooter\r\n--b--\r\n",
            json!("Text\nFooter"),
            Value::Null,
        ),
        ("mbox line first", "From x\r\nSubject: c\r\n\r\nText", json!("Text"), Value::Null),
    ];
    for (name, message, text, html) in rows {
        let got = message_of(both, *message).await;
        assert_eq!((&got["text"], &got["html"]), (text, html), "{name}");
        assert_eq!(got["attachments"], json!([]), "{name}");
    }
}

#[tokio::test]
async fn an_attached_message_is_one_attachment() {
    let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nText\r\n--b\r\n\
                   Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nInner\r\n--b--\r\n";
    let got = message_of("[\"attachments\"]", message).await;
    let attachments = got["attachments"].as_array().unwrap();
    assert_eq!(attachments.len(), 1);
    assert_eq!(attachments[0]["content_type"], "message/rfc822");
    let content = STANDARD.decode(attachments[0]["content"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8_lossy(&content), "Subject: inner\r\n\r\nInner");
}

#[tokio::test]
async fn an_attached_message_is_exact_however_deep_it_nests_and_however_it_is_encoded() {
    let mut inner = "Subject: inner\r\n\r\nInner".to_owned();
    for _ in 0..100 {
        inner = format!("Content-Type: message/RFC822\r\n\r\n{inner}");
    }
    for encoding in ["8bit", "base64"] {
        let body = if encoding == "base64" { STANDARD.encode(&inner) } else { inner.clone() };
        let message = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nContent-Type: message/rfc822 is a type.\r\n\
             --b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n--b--\r\n"
        );
        let got = message_of("[\"attachments\"]", message).await;
        let attachments = got["attachments"].as_array().unwrap();
        assert_eq!(attachments.len(), 1, "{encoding}");
        assert_eq!(attachments[0]["content_type"], "message/rfc822", "{encoding}");
        let content = STANDARD.decode(attachments[0]["content"].as_str().unwrap()).unwrap();
        assert!(content == inner.as_bytes(), "{encoding}");
    }
}

#[tokio::test]
async fn deep_nesting_ends_in_an_event() {
    for (name, depth) in [("usual", 3), ("silly", 1000), ("hostile", 20_000)] {
        let mut multiparts = String::new();
        let mut messages = String::new();
        for n in 0..depth {
            let _ = write!(multiparts, "Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
            messages.push_str("Content-Type: message/rfc822\r\n\r\n");
        }
        let encoded = format!(
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
            STANDARD.encode(&messages)
        );
        let digests = multiparts.replace("mixed", "digest").replace("\r\n--", "\r\n\r\n--");
        for message in [multiparts, messages, encoded, digests] {
            let got = message_of("[\"body\", \"attachments\"]", format!("{message}Subject: x\r\n\r\nText")).await;
            assert!(got["attachments"].is_array(), "{name}");
        }
    }
}

/// Whether the event of any bytes can be written and read; the mail is never at fault.
async fn is_written(setup: &Setup, message: Vec<u8>) -> bool {
    let event = setup.event(KEY, message.clone());
    let Ok(json) = serde_json::from_str::<Value>(&written(setup, &event).await) else { return false };
    // The next message may have the same id: an event that is there is not written again.
    fs::remove_dir_all(setup.directory.path().join(event.id.as_str())).unwrap();
    let raw = json["data"]["raw"].as_str().and_then(|raw| STANDARD.decode(raw).ok());
    raw == Some(message) && json["data"]["message"]["attachments"].is_array()
}

#[test]
fn any_bytes_are_an_event() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let setup = spool("[\"body\", \"attachments\", \"reply\", \"raw\"]");
    let splice = (0..MIXED.len(), 0..40_usize, proptest::collection::vec(any::<u8>(), 0..20));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) };
    proptest!(config, |(splices in proptest::collection::vec(splice, 1..6))| {
        let mut message = MIXED.as_bytes().to_vec();
        for (start, length, bytes) in splices {
            let start = start.min(message.len());
            let end = (start + length).min(message.len());
            message.splice(start..end, bytes);
        }
        prop_assert!(runtime.block_on(is_written(&setup, message)));
    });
}

#[needs(corpus)]
#[tokio::test]
async fn every_mail_of_the_corpus_is_an_event() {
    let setup = spool("[\"body\", \"attachments\", \"reply\", \"raw\"]");
    let mut folders = vec![corpus().join("mail")];
    let mut mails = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert!(is_written(&setup, fs::read(&path).unwrap()).await, "{}", path.display());
                mails += 1;
            }
        }
    }
    assert!(mails > 300, "only {mails} mails in the corpus");
}
