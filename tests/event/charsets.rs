//! The same words in each charset, wherever text can stand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding;
use serde_json::json;

use super::{message, text};

/// A label as mail has it, words, and the octets where no library makes them.
const CHARSETS: &[(&str, &str, Option<&[u8]>)] = &[
    ("utf-8", "Grüße, 日本語", None),
    ("iso-8859-1", "Grüße aus Köln", None),
    ("ISO-8859-15", "10 € für Köln", None),
    ("windows-1252", "“Grüße” – 10 €", None),
    ("iso-8859-2", "Příliš žluťoučký", None),
    ("koi8-r", "Привет, как дела?", None),
    ("windows-1251", "Привет, как дела?", None),
    ("iso-8859-7", "Καλημέρα", None),
    ("windows-1255", "שלום", None),
    ("windows-1256", "مرحبا", None),
    ("tis-620", "สวัสดี", None),
    ("shift_jis", "日本語のメール、ソ", None),
    ("euc-jp", "日本語のメール", None),
    ("iso-2022-jp", "日本語 mail", None),
    ("gb2312", "打印机坏了", None),
    ("gb18030", "打印机坏了€", None),
    ("big5", "印表機壞了", None),
    ("ks_c_5601-1987", "안녕하세요", None),
    ("iso-2022-kr", "프린터", Some(b"\x1b$)C\x0eGA80EM\x0f")),
    ("hz-gb-2312", "打印 ok", Some(b"~{4rS!~} ok")),
    ("utf-7", "Grüße", Some(b"Gr+APwA3w-e")),
    ("ibm850", "Grüße", Some(b"Gr\x81\xe1e")),
];

fn octets(label: &str, words: &str, given: Option<&[u8]>) -> Vec<u8> {
    given.map_or_else(
        || {
            let (octets, _, is_lossy) = Encoding::for_label(label.as_bytes()).unwrap().encode(words);
            assert!(!is_lossy, "{label}");
            octets.into_owned()
        },
        <[u8]>::to_vec,
    )
}

fn printable(octets: &[u8], sign: char) -> String {
    octets.iter().map(|octet| format!("{sign}{octet:02X}")).collect()
}

#[test]
fn a_body_is_read_in_each_charset() {
    for (label, words, given) in CHARSETS {
        let octets = octets(label, words, *given);
        let rows = [
            ("8bit", octets.clone()),
            ("base64", STANDARD.encode(&octets).into_bytes()),
            ("quoted-printable", printable(&octets, '=').into_bytes()),
        ];
        for (encoding, encoded) in rows {
            for kind in ["plain", "html"] {
                let mut source = format!(
                    "Content-Type: text/{kind}; charset=\"{label}\"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
                )
                .into_bytes();
                source.extend(encoded.clone());
                let got = message(source);
                assert_eq!(text(&got, "text").as_deref(), Some(*words), "{label}, {encoding}, {kind}");
                assert_eq!(got["undecodable"], json!([]), "{label}, {encoding}, {kind}");
            }
        }
    }
}

#[test]
fn a_header_is_read_in_each_charset() {
    for (label, words, given) in CHARSETS {
        let octets = octets(label, words, *given);
        let cut = octets.len() / 2;
        let (first, second) = octets.split_at(cut);
        let rows = [
            ("b", format!("=?{label}?B?{}?=", STANDARD.encode(&octets))),
            ("q", format!("=?{label}?Q?{}?=", printable(&octets, '='))),
            (
                "b, cut anywhere",
                format!("=?{label}?b?{}?=\r\n =?{label}?b?{}?=", STANDARD.encode(first), STANDARD.encode(second)),
            ),
            (
                "q, cut anywhere",
                format!("=?{label}?q?{}?= =?{label}?q?{}?=", printable(first, '='), printable(second, '=')),
            ),
            ("with a language", format!("=?{label}*x-any?Q?{}?=", printable(&octets, '='))),
        ];
        for (name, word) in rows {
            let got = message(format!(
                "Subject: {word}\r\nTo: {word} <a@example.org>\r\nContent-Disposition: attachment; filename=\"{word}\"\r\n\r\n"
            ));
            assert_eq!(got["subject"], *words, "{label}, {name}");
            assert_eq!(got["to"], json!([{"name": words, "address": "a@example.org"}]), "{label}, {name}");
            assert_eq!(got["attachments"][0]["filename"], *words, "{label}, {name}");
            assert_eq!(got["undecodable"], json!([]), "{label}, {name}");
        }
    }
}

#[test]
fn a_parameter_is_read_in_each_charset() {
    for (label, words, given) in CHARSETS {
        let octets = octets(label, words, *given);
        let (first, second) = octets.split_at(octets.len() / 2);
        let (whole, first, second) = (printable(&octets, '%'), printable(first, '%'), printable(second, '%'));
        let rows = [
            ("whole", format!("NAME*={label}''{whole}")),
            ("with a language", format!("NAME*={label}'de'{whole}")),
            ("in two pieces", format!("NAME*0*={label}''{first};\r\n NAME*1*={second}")),
            ("in two pieces, the second first", format!("NAME*1*={second}; NAME*0*={label}''{first}")),
            ("with a plain one before", format!("NAME=\"?\"; NAME*={label}''{whole}")),
        ];
        for (name, parameter) in rows {
            for (field, parameter) in [
                ("Content-Disposition: attachment; ", parameter.replace("NAME", "filename")),
                ("Content-Type: application/octet-stream; ", parameter.replace("NAME", "name")),
            ] {
                let got = message(format!("{field}{parameter}\r\n\r\n"));
                assert_eq!(got["attachments"][0]["filename"], *words, "{label}, {name}, {field}");
                assert_eq!(got["undecodable"], json!([]), "{label}, {name}, {field}");
            }
        }
    }
}

#[test]
fn a_charset_that_is_wrong_or_missing_is_found() {
    let rows: &[(&str, &str, &[u8], &str)] = &[
        ("utf-8 undeclared", "", "Grüße".as_bytes(), "Grüße"),
        ("utf-8 called ascii", "; charset=us-ascii", "Grüße".as_bytes(), "Grüße"),
        ("utf-8 called japanese", "; charset=iso-2022-jp", "ほげ".as_bytes(), "ほげ"),
        ("utf-8 called korean", "; charset=iso-2022-kr", "프린터".as_bytes(), "프린터"),
        ("utf-8 called nothing known", "; charset=x-unknown", "Grüße".as_bytes(), "Grüße"),
        ("utf-8 called unknown-8bit", "; charset=unknown-8bit", "Grüße".as_bytes(), "Grüße"),
        ("latin 1 undeclared", "", b"Gr\xfc\xdfe aus K\xf6ln", "Grüße aus Köln"),
        ("latin 1 called ascii", "; charset=ascii", b"Gr\xfc\xdfe aus K\xf6ln", "Grüße aus Köln"),
        ("latin 1 called utf-8", "; charset=utf-8", b"Gr\xfc\xdfe aus K\xf6ln", "Grüße aus Köln"),
        ("latin 1 called something", "; charset=_iso-8859-1$ESC", b"Gr\xfc\xdfe aus K\xf6ln", "Grüße aus Köln"),
        ("windows called latin 1", "; charset=iso-8859-1", b"\x93Gr\xfc\xdfe\x94", "“Grüße”"),
        ("a byte order mark", "; charset=utf-8", b"\xef\xbb\xbfGr\xc3\xbc", "Grü"),
        ("utf-16 with a byte order mark", "; charset=utf-16", b"\xff\xfeG\0r\0\xfc\0", "Grü"),
        ("the charset in quotes and blanks", "; charset=\" iso-8859-1 \"", b"Gr\xfc", "Grü"),
        ("the charset with a comment", "; charset=iso-8859-1 (Latin)", b"Gr\xfc", "Grü"),
        ("the charset in pieces", "; charset*0=iso-; charset*1=8859-1", b"Gr\xfc", "Grü"),
    ];
    for (name, charset, octets, words) in rows {
        let mut source = format!("Content-Type: text/plain{charset}\r\n\r\n").into_bytes();
        source.extend_from_slice(octets);
        let got = message(source);
        assert_eq!((&got["text"], &got["undecodable"]), (&json!(words), &json!([])), "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let got = message(
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_=C3=A4=C3=B6_=C3?=\r\nFrom: =?utf-8?q?Gr=C3=BC=C3=9Fe=C3=A4=C3=B6=C3?= <a@h.example>\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=iso-2022-cn\r\n\r\n\x1b$)G\x0e4rS!\x0f.\r\n\
         --b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         <p>Gr=C3=BC=C3=9Fe =C3=A4=C3=B6 =C3 x\r\n\
         --b\r\nContent-Disposition: attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe%C3%A4%C3%B6%C3\r\n\r\n--b--\r\n",
    );
    assert_eq!(got["undecodable"], json!(["from", "subject", "text", "html", "attachments"]));
    let encoded = message("Content-Transfer-Encoding: x-any\r\n\r\nwords\r\n");
    assert_eq!((&encoded["undecodable"], &encoded["text"]), (&json!(["text"]), &json!("words\r\n")));
}
