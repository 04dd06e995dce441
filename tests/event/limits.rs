//! What a message may be made of before it is read in part only, and is delivered all the same.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{event, message};

fn length(value: &Value) -> usize {
    value.as_array().unwrap().len()
}

#[test]
fn a_thousand_addresses_and_ids_of_a_name_are_read() {
    let list = |count: usize, show: fn(usize) -> String| (0..count).map(show).collect::<Vec<_>>();
    let fields: &[(&str, &str)] = &[
        ("from", "From"),
        ("reply_to", "Reply-To"),
        ("to", "To"),
        ("cc", "Cc"),
        ("in_reply_to", "In-Reply-To"),
        ("references", "References"),
    ];
    for (field, name) in fields {
        let entries = list(1001, |n| format!("<a{n}@h.example>"));
        let rows = [
            ("one field", format!("{name}: {}\r\n", entries.join(",\r\n "))),
            ("many fields", entries.iter().map(|entry| format!("{name}: {entry}\r\n")).collect()),
        ];
        for (how, over) in rows {
            let got = message(format!("{over}Subject: x\r\n\r\nText"));
            assert_eq!((length(&got[*field]), &got["truncated"]), (1000, &json!([field])), "{name}, {how}");
            assert_eq!((&got["subject"], &got["text"]), (&json!("x"), &json!("Text")), "{name}, {how}");
        }
        let got = message(format!("{name}: {}\r\n\r\n", entries[..1000].join(",\r\n ")));
        assert_eq!((length(&got[*field]), &got["truncated"]), (1000, &json!([])), "{name}");
    }
}

#[test]
fn ten_thousand_header_fields_are_read() {
    let filler = |count: usize| "X-A: b\r\n".repeat(count);
    let got = message(format!("{}Subject: x\r\n\r\nText", filler(9_999)));
    assert_eq!((&got["subject"], &got["truncated"]), (&json!("x"), &json!([])));
    let got = message(format!("{}Subject: x\r\n y\r\nno field\r\n\r\nText", filler(10_000)));
    assert_eq!((&got["subject"], &got["truncated"]), (&Value::Null, &json!(["header"])));
    assert_eq!(got["text"], "Text", "the body is found behind what is not read");
}

#[test]
fn a_thousand_parts_are_read() {
    let parts = |count: usize| {
        let part = "--b\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n";
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nText\r\n{}--b--\r\n", part.repeat(count))
    };
    // The multipart and the text are parts too.
    let got = message(parts(998));
    assert_eq!((length(&got["attachments"]), &got["truncated"]), (998, &json!([])));
    let got = event(parts(5_000));
    let said = &got["data"]["message"];
    assert_eq!(
        (length(&said["attachments"]), &said["truncated"], &said["text"]),
        (998, &json!(["parts"]), &json!("Text"))
    );
    let raw = STANDARD.decode(got["data"]["raw"].as_str().unwrap()).unwrap();
    assert_eq!(raw, parts(5_000).into_bytes(), "the message is there whole");
}

#[test]
fn fifty_multiparts_in_one_another_are_read() {
    let nested = |depth: usize| {
        let mut source = String::new();
        for n in 0..depth {
            write!(source, "Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n").unwrap();
        }
        source + "\r\nText"
    };
    let got = message(nested(50));
    assert_eq!((&got["text"], &got["truncated"]), (&json!("Text"), &json!([])));
    let got = message(nested(51));
    assert_eq!((&got["text"], &got["truncated"]), (&Value::Null, &json!(["parts"])));
    assert_eq!(got["attachments"][0]["content_type"], "multipart/mixed", "what is deeper is there as it came");
}

#[test]
fn encoded_multiparts_in_one_another_cost_no_more_than_the_message() {
    let mut inner = format!("--b0\r\n\r\n{}\r\n--b0--\r\n", "x".repeat(200_000));
    for n in 0..20 {
        // Quoted-printable decodes to its own size, so that only the sum is large.
        let encoded = inner.replace('=', "=3D").replace('-', "=2D");
        let kind = format!("multipart/mixed; boundary=b{n}\r\nContent-Transfer-Encoding: quoted-printable");
        inner = format!("--b{m}\r\nContent-Type: {kind}\r\n\r\n{encoded}\r\n--b{m}--\r\n", m = n + 1);
    }
    let got = message(format!("Content-Type: multipart/mixed; boundary=b20\r\n\r\n{inner}"));
    assert_eq!(got["truncated"], json!(["parts"]));
}

#[test]
fn what_is_made_to_cost_time_costs_little() {
    // Each would take minutes, were reading it not linear.
    let size = 400_000;
    let many = |piece: &str| piece.repeat(size / piece.len());
    let header = |value: String| {
        format!("Subject: {value}\r\nTo: {value}\r\nReferences: {value}\r\nContent-Type: text/plain; a={value}\r\n\r\n")
    };
    for piece in [
        "(",
        "\"",
        "<",
        "<a",
        "(\\",
        "=?",
        "=?a?q?b ",
        "=?a?b?QQ?= ",
        "=?",
        ":",
        "a:",
        "@",
        "[@",
        "a@b ",
        ";",
        "=\"",
        "\";",
        " ",
        "a ",
        "*0*='",
    ] {
        message(header(many(piece)));
    }
    let body = |encoding: &str, body: String| {
        format!("Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}")
    };
    for piece in [
        "--b\r\n",
        "--b\r\na",
        "--c\r\n",
        "--",
        "\r\n",
        "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n",
        "QQ==\r\n",
        "QQ==\r\n\r\n",
        "QUJD\r\n\r\n",
        "!\r\n",
        "= \t",
        "a=\r\n",
    ] {
        for encoding in ["8bit", "base64", "quoted-printable"] {
            message(body(encoding, many(piece)));
            message(format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{}", many(piece)));
        }
    }
}
