//! The administrator's own words.

use super::{Desk, Mail};
use crate::support::needs;
use crate::support::notice_reader::ReadNotice;

/// The subject and the text of a notice, with these files in the directory.
fn words(files: &[(&str, &[u8])], mail: &Mail) -> (String, String) {
    let place = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(place.path().join(name), content).unwrap();
    }
    let setting = format!("templates = \"{}\"", place.path().display());
    let desk = Desk::open(place, &setting, "");
    let read = ReadNotice::of(&desk.notice(mail));
    read.assert_sound();
    (read.field("subject").to_owned(), read.text(0).to_owned())
}

fn from_germany() -> Mail {
    Mail::new("jane@example.org", "Accept-Language: de-AT, en;q=0.5\r\n")
}

#[needs(python3)]
#[test]
fn the_most_fitting_file_is_taken() {
    const OURS: &str = "Auto: your message was not delivered";
    let all: &[(&str, &[u8])] = &[
        ("unknown-address.de.txt", b"Subject: rule de\n\nx"),
        ("unknown-address.txt", b"Subject: rule\n\nx"),
        ("default.de.txt", b"Subject: default de\n\nx"),
        ("default.txt", b"Subject: default\n\nx"),
    ];
    let rows: &[(&str, usize, &str, &str)] = &[
        ("rule and language", 0, "rule de", "rule"),
        ("rule", 1, "rule", "rule"),
        ("language", 2, "default de", "default"),
        ("default", 3, "default", "default"),
        ("none", 4, OURS, OURS),
    ];
    for (name, first, german, other) in rows {
        assert_eq!(words(&all[*first..], &from_germany()).0, *german, "{name}");
        assert_eq!(words(&all[*first..], &Mail::jane()).0, *other, "{name}");
    }
    assert_eq!(words(all, &from_germany().rejected("too-large", "r")).0, "default de");
}

#[needs(python3)]
#[test]
fn files_of_all_sorts() {
    let bom = b"\xef\xbb\xbfSubject: Auto: nicht zugestellt\r\n\r\nGr\xc3\xbc\xc3\x9fe an {recipient}.\r\n{reason}\r\n{advice}\r\n";
    let rows: &[(&str, &[u8], &str, &str)] = &[
        ("a byte order mark and CRLF", bom, "Auto: nicht zugestellt", "Grüße an nobody@mail.example.com."),
        (
            "without a subject",
            b"Only {postmaster}.\n",
            "Auto: your message was not delivered",
            "Only postmaster@mx.example.com.",
        ),
        (
            "a long subject with umlauts",
            "Subject: äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü\n\nx".as_bytes(),
            "äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü",
            "x",
        ),
        ("an unknown placeholder", b"Subject: s\n\n{moo} {", "s", "{moo} {"),
        ("empty", b"", "Auto: your message was not delivered", "was not delivered. The reason:"),
        (
            "no UTF-8",
            b"Subject: \xff\n\n\xff",
            "Auto: your message was not delivered",
            "was not delivered. The reason:",
        ),
    ];
    for (name, content, subject, text) in rows {
        let (found_subject, found_text) = words(&[("default.txt", content)], &Mail::jane());
        assert_eq!(found_subject, *subject, "{name}");
        assert!(found_text.contains(text), "{name}: {found_text}");
    }
}

#[needs(python3)]
#[test]
fn a_broken_file_gives_way_to_the_next() {
    let files: &[(&str, &[u8])] = &[("unknown-address.txt", b"\xff"), ("default.txt", b"Subject: default\n\nx")];
    assert_eq!(words(files, &Mail::jane()).0, "default");
}

#[test]
fn check_names_what_is_wrong_with_the_files() {
    let place = tempfile::tempdir().unwrap();
    let setting = format!("templates = \"{}\"", place.path().display());
    let files: &[(&str, &[u8], Option<&str>)] = &[
        ("default.txt", b"Subject: s\n\nx", None),
        ("too-large.de.txt", b"x", None),
        ("app-reject.txt", b"Subject: only\n\n", Some("app-reject.txt has no text")),
        ("default.fr.txt", b"\xff", Some("default.fr.txt cannot be read")),
        ("unknown_address.txt", b"x", Some("unknown_address.txt is never used")),
        ("too-large.html", b"x", Some("too-large.html is never used")),
    ];
    for (name, content, _) in files {
        std::fs::write(place.path().join(name), content).unwrap();
    }
    let desk = Desk::with(&setting, "");
    let faults = desk.notifier.template_faults().unwrap();
    let expected: Vec<_> = files.iter().filter_map(|(_, _, fault)| *fault).collect();
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for fault in expected {
        assert!(faults.iter().any(|found| found.starts_with(fault)), "{fault}: {faults:#?}");
    }
    assert_eq!(Desk::new().notifier.template_faults(), None);
    let missing = Desk::with("templates = \"/nonexistent/templates\"", "").notifier.template_faults().unwrap();
    assert!(missing.len() == 1 && missing[0].starts_with("/nonexistent/templates (notice.templates)"), "{missing:?}");
}

#[needs(python3)]
#[test]
fn a_language_is_no_path() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("t")).unwrap();
    std::fs::write(place.path().join("secret.txt"), "Subject: secret\n\nsecret").unwrap();
    for value in ["../../secret", "x/../../secret", "/etc/passwd", "..", "", "de\0"] {
        let setting = format!("templates = \"{}\"", place.path().join("t").display());
        let desk = Desk::with(&setting, "");
        let mail = Mail::new("jane@example.org", &format!("Accept-Language: {value}\r\n"));
        let read = ReadNotice::of(&desk.notice(&mail));
        assert_eq!(read.field("subject"), "Auto: your message was not delivered", "{value}");
    }
}

#[needs(python3)]
#[test]
fn a_missing_directory_is_no_reason_to_be_silent() {
    let desk = Desk::with("templates = \"/nonexistent/templates\"", "");
    ReadNotice::of(&desk.notice(&Mail::jane())).assert_sound();
}
