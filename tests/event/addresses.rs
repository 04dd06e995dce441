//! Names, addresses, ids and subjects, in each field that has them.

use serde_json::{Value, json};

use super::message;

fn people(rows: &[(Option<&str>, Option<&str>)]) -> Value {
    rows.iter().map(|(name, address)| json!({"name": name, "address": address})).collect()
}

#[test]
fn every_field_of_addresses_is_read_alike() {
    let rows: &[(&str, &[(Option<&str>, Option<&str>)])] = &[
        ("Jane Doe <jane@example.org>", &[(Some("Jane Doe"), Some("jane@example.org"))]),
        ("\"john doe\"@firm.example", &[(None, Some("\"john doe\"@firm.example"))]),
        (
            "Bob <bob@firm.example> Bobby <bobby@firm.example>",
            &[(Some("Bob"), Some("bob@firm.example")), (Some("Bobby"), Some("bobby@firm.example"))],
        ),
        (
            "team: a@firm.example,\r\n B <b@firm.example>;, c@firm.example",
            &[(None, Some("a@firm.example")), (Some("B"), Some("b@firm.example")), (None, Some("c@firm.example"))],
        ),
        ("=?utf-8?q?J=C3=BC?=\r\n =?utf-8?q?rgen?= <j@firm.example>", &[(Some("Jürgen"), Some("j@firm.example"))]),
        ("=?iso-8859-1?Q?Stra=DFer=2C_Anna?= <a@firm.example>", &[(Some("Straßer, Anna"), Some("a@firm.example"))]),
        ("=?utf-8?q?J_=3Cj=40firm=2Eexample=3E?=", &[(Some("J <j@firm.example>"), None)]),
        ("Jürgen <j@bücher.example>", &[(Some("Jürgen"), Some("j@bücher.example"))]),
        ("J <j@xn--bcher-kva.example>", &[(Some("J"), Some("j@xn--bcher-kva.example"))]),
        ("undisclosed-recipients:;", &[]),
        ("<>", &[]),
        ("Cron Daemon", &[(Some("Cron Daemon"), None)]),
    ];
    for (field, name) in [("from", "From"), ("reply_to", "Reply-To"), ("to", "TO"), ("cc", "cc")] {
        for (value, wanted) in rows {
            let got = message(format!("{name}: {value}\r\n\r\n"));
            assert_eq!(got[field], people(wanted), "{name}: {value}");
            assert_eq!((&got["truncated"], &got["undecodable"]), (&json!([]), &json!([])), "{name}: {value}");
        }
    }
}

#[test]
fn octets_of_eight_bits_in_a_header_are_read() {
    let rows: &[(&str, &[u8], &str)] = &[
        ("utf-8", "Grüße aus Köln".as_bytes(), "Grüße aus Köln"),
        ("latin 1", b"Gr\xfc\xdfe aus K\xf6ln", "Grüße aus Köln"),
        ("shift_jis", b"\x93\xfa\x96\x7b\x8c\xea\x82\xcc\x83\x81\x81\x5b\x83\x8b", "日本語のメール"),
        ("windows-1251", b"\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0?", "Привет, как дела?"),
        ("iso-2022-jp", b"\x1b$B$[$2\x1b(B", "ほげ"),
        ("latin 1 beside an encoded word", b"=?utf-8?q?=C3=BC?= Gr\xfc\xdfe aus K\xf6ln", "ü Grüße aus Köln"),
    ];
    for (name, octets, text) in rows {
        let mut source = b"Subject: ".to_vec();
        source.extend_from_slice(octets);
        source.extend_from_slice(b"\r\nFrom: \"");
        source.extend_from_slice(octets);
        source.extend_from_slice(b"\" <jane@example.org>\r\nContent-Disposition: attachment; filename=\"");
        source.extend_from_slice(octets);
        source.extend_from_slice(b"\"\r\n\r\n");
        let got = message(source);
        assert_eq!(got["subject"], *text, "{name}");
        assert_eq!(got["from"], people(&[(Some(text), Some("jane@example.org"))]), "{name}");
        assert_eq!(got["attachments"][0]["filename"], *text, "{name}");
        assert_eq!(got["undecodable"], json!([]), "{name}");
    }
}

#[test]
fn ids_are_what_stands_in_brackets() {
    let rows: &[(&str, &[&str])] = &[
        ("<a@h> <b@h>", &["a@h", "b@h"]),
        ("<a@h>,\r\n\t<b@h>", &["a@h", "b@h"]),
        ("a@h b@h", &["a@h", "b@h"]),
        ("Your message of \"Tue, 24 Nov 2026 09:00:00\" <a@h>", &["a@h"]),
        ("Message from Jane Doe of Tuesday", &[]),
        ("=?utf-8?q?=3Ca=40h=3E?= =?utf-8?q?_=3Cb=40h=3E?=", &["a@h", "b@h"]),
        ("=?us-ascii?B?PGFAaD4=?=", &["a@h"]),
        ("", &[]),
    ];
    for (value, wanted) in rows {
        let got = message(format!("In-Reply-To: {value}\r\nReferences: {value}\r\nMessage-ID: {value}\r\n\r\n"));
        assert_eq!(got["in_reply_to"], json!(wanted), "{value}");
        assert_eq!(got["references"], json!(wanted), "{value}");
        assert_eq!(got["message_id"], wanted.first().map_or(Value::Null, |id| json!(id)), "{value}");
    }
}

#[test]
fn no_text_has_a_nul_and_attachments_keep_theirs() {
    let got = message(
        "Subject: a\0b =?utf-8?q?c=00d?=\r\nFrom: \"J\0\" <jane@example.org>\r\nMessage-ID: <a\0b@h>\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\0b\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\0\r\n\
         --b\r\nContent-Type: application/octet-stream; name=\"a\0.bin\"\r\n\r\n\0\0\r\n--b--\r\n",
    );
    assert!(!got.to_string().contains("\\u0000"), "{got}");
    assert_eq!((&got["subject"], &got["message_id"]), (&json!("ab cd"), &json!("ab@h")));
    assert_eq!(got["from"], people(&[(Some("J"), Some("jane@example.org"))]));
    assert_eq!(super::attachments(&got), ["a.bin application/octet-stream 2"]);
    assert_eq!(got["attachments"][0]["content"], "AAA=");
}
