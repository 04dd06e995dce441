//! The LMTP session: what it says and hands out, however the octets are cut.

use std::path::Path;

use mailhatch::intake::lmtp::{Session, Step};
use proptest::prelude::*;

use super::dialog::{Answers, Dialog, LIMITS, run};

fn dialogs() -> Vec<(String, Dialog)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/intake/dialogs");
    let mut dialogs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, Dialog::read(&std::fs::read_to_string(path).unwrap()))
        })
        .collect();
    dialogs.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(dialogs.len() >= 10, "the dialogs are in their folder");
    dialogs
}

#[test]
fn dialogs_go_as_written_in_one_piece_and_octet_by_octet() {
    for (name, dialog) in dialogs() {
        dialog.check(&run([&dialog.client[..]], &dialog.answers), &format!("{name} in one piece"));
        dialog.check(&run(dialog.client.chunks(1), &dialog.answers), &format!("{name} octet by octet"));
        dialog.check(&run(dialog.client.chunks(7), &dialog.answers), &format!("{name} by seven octets"));
    }
}

#[test]
fn a_line_of_a_megabyte_is_content_like_any_other() {
    let mut session =
        Session::new("mx.example.com", mailhatch::intake::lmtp::SessionLimits { message_size: 4 << 20, ..LIMITS });
    let mut octets = b"LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n".to_vec();
    let content = [&vec![b'.'; 1 << 20][..], b"\r\n", &vec![0; 1 << 20][..], b"\n"].concat();
    octets.push(b'.');
    octets.extend_from_slice(&content);
    octets.extend_from_slice(b"\r\n.\r\n");
    let mut pieces = octets.chunks(4096);
    let got = loop {
        match session.step() {
            Step::Read => session.push(pieces.next().unwrap()),
            Step::Write(_) => {}
            Step::Begin { .. } => session.go(),
            Step::Submit(transaction) => break transaction.content,
            other => panic!("{other:?}"),
        }
    };
    assert!(got[..content.len()] == content && got[content.len()..] == *b"\r\n");
}

#[test]
fn answers_that_are_missing_are_deferrals_and_a_line_cannot_hold_two() {
    let mut session = Session::new("mx.example.com", LIMITS);
    session.push(b"LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n");
    let mut said = Vec::new();
    loop {
        match session.step() {
            Step::Read => break,
            Step::Write(octets) => said.extend_from_slice(&octets),
            Step::Begin { .. } => session.go(),
            Step::Submit(_) => session.answer(["250 2.0.0 one\r\n250 2.0.0 forged"]),
            other => panic!("{other:?}"),
        }
    }
    let said = String::from_utf8(said).unwrap();
    let lines: Vec<_> = said.lines().rev().take(2).collect();
    assert_eq!(lines[1], "250 2.0.0 one??250 2.0.0 forged");
    assert!(lines[0].starts_with("451 4.3.0 "), "{}", lines[0]);
}

/// What clients say, and what they should not.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let known = prop_oneof![
        4 => Just("LHLO c\r\nMAIL FROM:<a@b.example> SIZE=20\r\nRCPT TO:<x+K@h>\r\nDATA\r\n"),
        2 => Just("LHLO c\r\n"),
        2 => Just("XFORWARD NAME=n ADDR=203.0.113.7 IDENT=Q\r\n"),
        2 => Just("MAIL FROM:<>\r\n"),
        2 => Just("RCPT TO:<a@b> ORCPT=rfc822;a+2Bb@c\r\n"),
        2 => Just("DATA\r\n"),
        1 => Just("RSET\n"),
        1 => Just("QUIT\r\n"),
        1 => Just("GET / HTTP/1.1\r\n"),
        4 => Just("Subject: x\r\n\r\ntext\r\n"),
        4 => Just("\r\n.\r\n"),
        2 => Just("..\r\n"),
        2 => Just(".\r"),
        2 => Just("\n"),
        1 => Just("\n.\n"),
    ];
    let long = (8180usize..8200, any::<bool>()).prop_map(|(length, end)| {
        let mut line = vec![b'N'; length];
        line.extend_from_slice(if end { b"\r\n" } else { b"" });
        line
    });
    let noise = proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()], 0..40);
    prop_oneof![12 => known.prop_map(|text| text.as_bytes().to_vec()), 1 => long, 3 => noise]
}

/// RFC 5321 section 4.5.2, as plainly as it can be written.
fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, &octet) in content.iter().enumerate() {
        if octet == b'.' && (index == 0 || content[..index].ends_with(b"\r\n")) {
            out.push(b'.');
        }
        out.push(octet);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_gives_the_same_replies_and_the_same_messages(
        fragments in proptest::collection::vec(fragments(), 1..30),
        cuts in proptest::collection::vec(1usize..200, 1..60),
        no_disk: bool,
    ) {
        let octets = fragments.concat();
        let answers = Answers { no_disk, ..Answers::default() };
        let whole = run([&octets[..]], &answers);
        let mut rest = &octets[..];
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        prop_assert_eq!(&run(pieces, &answers), &whole);
        prop_assert_eq!(&run(octets.chunks(1), &answers), &whole);
    }

    #[test]
    fn stuffing_and_unstuffing_give_the_content_back(
        mut content in proptest::collection::vec(
            prop_oneof![3 => Just(b'.'), 3 => Just(b'\r'), 3 => Just(b'\n'), 1 => any::<u8>()], 0..300),
        piece in 1usize..20,
    ) {
        if !content.is_empty() {
            content.extend_from_slice(b"\r\n");
        }
        let mut octets = b"LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n".to_vec();
        octets.extend(stuffed(&content));
        octets.extend_from_slice(b".\r\n");
        let log = run(octets.chunks(piece), &Answers::default());
        let message = log.iter().find(|line| line.starts_with("M:"));
        let wanted = format!("M: from=<> to=<a@b> \"{}\"", content.escape_ascii());
        prop_assert_eq!(message, Some(&wanted));
    }
}
