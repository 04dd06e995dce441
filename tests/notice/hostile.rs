//! Whatever a stranger writes, the notice stays one sound report to one address.

use super::{Desk, Mail};
use crate::support::needs;
use crate::support::notice_reader::ReadNotice;

/// A notice for a message of these bytes.
fn notice(message: impl Into<Vec<u8>>) -> (ReadNotice, String) {
    let desk = Desk::new();
    let bytes = desk.notice(&Mail::jane().message(message));
    assert_eq!(desk.mta.only().rcpt, ["<jane@example.org> NOTIFY=NEVER"]);
    let read = ReadNotice::of(&bytes);
    read.assert_sound();
    (read, String::from_utf8_lossy(&bytes).into_owned())
}

#[needs(python3)]
#[test]
fn headers_that_break_out_do_not() {
    let long = "x".repeat(100_000);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("line end in the id", b"Message-ID: <a\r\n b@x>\r\n\r\nTHE BODY\r\n".to_vec()),
        ("carriage return in the id", b"Message-ID: <a\rBcc: v@x>\r\n\r\nTHE BODY\r\n".to_vec()),
        ("NUL in the id", b"Message-ID: <a\0b@x>\r\nSubject: \0\r\n\r\nTHE BODY\r\n".to_vec()),
        ("octets that are no UTF-8", b"Subject: \xff\xfe\r\nMessage-ID: <\xff@x>\r\n\r\nTHE BODY\r\n".to_vec()),
        ("8-bit subject", "Subject: Grüße\r\n\r\nTHE BODY\r\n".as_bytes().to_vec()),
        ("encoded line end in the subject", b"Subject: =?utf-8?q?a=0D=0ABcc:_v@x?=\r\n\r\nTHE BODY\r\n".to_vec()),
        ("a long subject", format!("Subject: {long}\r\n\r\nTHE BODY\r\n").into_bytes()),
        ("a long id", format!("Message-ID: <{long}@x>\r\n\r\nTHE BODY\r\n").into_bytes()),
        ("many ids", format!("References: {}\r\n\r\nTHE BODY\r\n", "<a@b>\r\n ".repeat(5000)).into_bytes()),
        ("a header of 100 KB", format!("{}\r\nTHE BODY\r\n", "X-A: b\r\n".repeat(12_500)).into_bytes()),
        ("LF alone", b"Subject: a\nX-B: c\n\nTHE BODY\n".to_vec()),
        ("CR alone", b"Subject: a\rX-B: c\r\rTHE BODY\r".to_vec()),
        ("no header", b"\r\nTHE BODY\r\n".to_vec()),
        ("no header and no empty line", b"THE BODY\r\nTHE BODY\r\n".to_vec()),
        ("no end of the header", b"Subject: x\r\nTHE BODY without a blank line\r\n".to_vec()),
        ("lines that are no field", b"Subject: x\r\nTHE BODY\r\n THE BODY\r\nX-B: c\r\n\r\nTHE BODY\r\n".to_vec()),
        ("our boundary in the header", b"Subject: x\r\nX-A: \r\n --=_\r\n\r\nTHE BODY\r\n".to_vec()),
        ("a dot alone", b"Subject: x\r\n .\r\nX-A: .\r\n\r\nTHE BODY\r\n".to_vec()),
        ("empty", b"".to_vec()),
    ];
    for (name, message) in rows {
        eprintln!("row: {name}");
        let (read, text) = notice(message);
        assert!(read.fields("bcc").is_empty(), "{name}");
        assert!(!text.contains("THE BODY") && !read.text(2).contains("THE BODY"), "{name}: {text}");
        assert!(text.len() < 100_000, "{name}: {} octets", text.len());
        assert_eq!(read.field("to").trim_matches(['<', '>']), "jane@example.org", "{name}");
    }
}

#[needs(python3)]
#[test]
fn recipients_and_reasons_that_break_out_do_not() {
    let long = format!("{}@mail.example.com", "x".repeat(5000));
    let long_8bit = "ключ".repeat(400);
    let rows: Vec<(&str, &str, Option<&str>, &str)> = vec![
        ("line end in the original recipient", "a@mail.example.com", Some("x\r\nAction: delivered\r\n\r\n@y"), "r"),
        ("NUL in the original recipient", "a@mail.example.com", Some("x\0@y"), "r"),
        ("a long recipient", &long, Some("y@mail.example.com"), "r"),
        ("line ends in the reason", "a@mail.example.com", None, "no\r\n.\r\nMAIL FROM:<x@y>\r\n--=_\r\n\r\nBcc: v@x"),
        ("NUL and control characters in the reason", "a@mail.example.com", None, "a\0b\x07\x1b[31mc"),
        ("a long reason", "a@mail.example.com", None, &long),
        ("8-bit", "schlüssel@mail.example.com", Some("ключ@mail.example.com"), "Größe überschritten"),
        ("a long 8-bit recipient", &long_8bit, None, "r"),
    ];
    for (name, address, original, reason) in rows {
        eprintln!("row: {name}");
        let desk = Desk::new();
        let mail = Mail::jane().to(address, original).rejected("app-reject", reason);
        let read = ReadNotice::of(&desk.notice(&mail));
        read.assert_sound();
        assert_eq!(read.status(1, "action"), Some("failed"), "{name}");
        assert!(read.fields("bcc").is_empty(), "{name}");
        assert_eq!(desk.mta.taken().len(), 1, "{name}");
    }
}

#[needs(python3)]
#[test]
fn a_placeholder_in_a_value_stays_what_it_is() {
    let desk = Desk::new();
    let mail =
        Mail::jane().to("a+{reason}{postmaster}@mail.example.com", None).rejected("app-reject", "no {recipient}");
    let read = ReadNotice::of(&desk.notice(&mail));
    assert!(read.text(0).contains("a+{reason}{postmaster}@mail.example.com"), "{}", read.text(0));
    assert!(read.text(0).contains("no {recipient}"), "{}", read.text(0));
}

mod any_message {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

        #[needs(python3)]
        #[test]
        fn gets_a_sound_report(message in proptest::collection::vec(any::<u8>(), 0..600)) {
            // A message that happens to look machine-made gets none, and needs none.
            let desk = Desk::new();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let header = b"Subject: x\r\n".to_vec();
            let mail = Mail::jane().message([header, message].concat());
            runtime.block_on(desk.reject(&mail)).unwrap();
            for taken in desk.mta.taken() {
                ReadNotice::of(&taken.message).assert_sound();
            }
        }
    }
}
