//! The policy session: what it asks and answers, however the octets are cut.

use std::path::Path;

use mailhatch::intake::policy::{Answer, LONGEST_REQUEST, Request, Session, Step};
use proptest::prelude::*;

use super::dialog::unescaped;

/// Feeds the pieces one after the other. Gives what the session asked and said, one line each: `R: request`, `S: answer`,
/// `X: why it closed`.
fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, answers: &[Answer]) -> Vec<String> {
    let (mut session, mut log, mut said) = (Session::new(), Vec::new(), Vec::new());
    let (mut pieces, mut answers) = (pieces.into_iter(), answers.iter());
    loop {
        match session.step() {
            Step::Read => match pieces.next() {
                Some(piece) => session.push(piece),
                None => break,
            },
            Step::Ask(request) => {
                assert!(matches!(session.step(), Step::Wait), "nothing is given out before the answer");
                say(&mut log, &mut said);
                log.push(format!("R: {}", shown(&request)));
                session.answer(answers.next().copied().unwrap_or(Answer::Dunno));
            }
            Step::Write(octets) => said.extend_from_slice(&octets),
            Step::Wait => panic!("every question was answered"),
            Step::Close(reason) => {
                say(&mut log, &mut said);
                log.push(format!("X: {}", reason.name()));
                return log;
            }
        }
    }
    say(&mut log, &mut said);
    log
}

fn say(log: &mut Vec<String>, said: &mut Vec<u8>) {
    let text = String::from_utf8(std::mem::take(said)).unwrap();
    log.extend(text.split_terminator('\n').map(|line| format!("S: {line}").trim_end().to_owned()));
}

fn shown(request: &Request) -> String {
    if !request.is_about_recipient() {
        return "-".to_owned();
    }
    let to = request.recipient_address().map_or("(none)".to_owned(), |address| format!("<{address}>"));
    let Request { sender, client, instance, size, .. } = request;
    format!("to={to} from=<{sender}> client={client} instance={instance} size={size}")
}

/// A dialog in a file: `C: line` is a line of the client and `C= octets` are octets as they are (as in the LMTP dialogs);
/// `R:`, `S:` and `X:` is what [`run`] must give, in order; `A:` names the next answer.
struct Dialog {
    client: Vec<u8>,
    expected: Vec<String>,
    answers: Vec<Answer>,
}

impl Dialog {
    fn read(text: &str) -> Self {
        let mut dialog = Self { client: Vec::new(), expected: Vec::new(), answers: Vec::new() };
        let mut asked = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (kind, rest) = line.split_at(2);
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            match kind {
                "C:" => dialog.client.extend_from_slice(format!("{rest}\n").as_bytes()),
                "C=" => dialog.client.extend(unescaped(rest)),
                "A:" => {
                    dialog.answers.resize(asked, Answer::Dunno);
                    dialog.answers.push(answer(rest));
                }
                "R:" | "S:" | "X:" => {
                    asked += usize::from(kind == "R:");
                    dialog.expected.push(line.to_owned());
                }
                _ => panic!("not a line of a dialog: {line}"),
            }
        }
        dialog
    }
}

fn answer(name: &str) -> Answer {
    let answers = [Answer::Dunno, Answer::TooLarge { limit: 50 << 20 }, Answer::UnknownAddress];
    answers.into_iter().find(|answer| answer.name() == name).unwrap()
}

#[test]
fn dialogs_go_as_written_in_one_piece_and_octet_by_octet() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/intake/policy_dialogs");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let dialog = Dialog::read(&std::fs::read_to_string(&path).unwrap());
        let Dialog { client, expected, answers } = &dialog;
        let name = path.display();
        assert_eq!(&run([&client[..]], answers), expected, "{name} in one piece");
        assert_eq!(&run(client.chunks(1), answers), expected, "{name} octet by octet");
        assert_eq!(&run(client.chunks(7), answers), expected, "{name} by seven octets");
        count += 1;
    }
    assert!(count >= 7, "the dialogs are in their folder");
}

#[test]
fn short_lines_without_an_end_are_too_long_together() {
    let octets = b"x=\n".repeat(LONGEST_REQUEST / 3 + 1);
    assert_eq!(run([&octets[..]], &[]), ["X: request-too-long"]);
    assert_eq!(run([&octets[..LONGEST_REQUEST - 1]], &[]), [""; 0], "not yet");
}

/// What Postfix sends, and what nobody should.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let known = prop_oneof![
        4 => Just("request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=incoming+K@h\nsender=\n\n"),
        2 => Just("request=smtpd_access_policy\n"),
        2 => Just("protocol_state=RCPT\n"),
        2 => Just("recipient=a b@h\n"),
        2 => Just("size=99999999\n"),
        4 => Just("\n"),
        1 => Just("="),
        1 => Just("recipient"),
        1 => Just("GET / HTTP/1.1\r\n"),
    ];
    let long = (LONGEST_REQUEST - 80..LONGEST_REQUEST + 2).prop_map(|length| vec![b'='; length]);
    let noise = proptest::collection::vec(prop_oneof![Just(b'='), Just(b'\n'), any::<u8>()], 0..40);
    prop_oneof![12 => known.prop_map(|text| text.as_bytes().to_vec()), 1 => long, 2 => noise]
}

/// The protocol, as plainly as it can be written: how many requests are answered, and why it ends.
fn plainly(mut octets: &[u8]) -> (usize, Option<&'static str>) {
    let mut requests = 0;
    loop {
        let (mut position, limit) = (0, octets.len().min(LONGEST_REQUEST));
        loop {
            let Some(length) = octets[position..limit].iter().position(|&octet| octet == b'\n') else {
                return (requests, (limit == LONGEST_REQUEST).then_some("request-too-long"));
            };
            let line = &octets[position..position + length];
            position += length + 1;
            if line.is_empty() {
                break;
            }
            let name = line.split(|&octet| octet == b'=').next().unwrap();
            let good =
                name.len() < line.len() && !name.is_empty() && name.iter().all(|octet| (33..127).contains(octet));
            if !good {
                return (requests, Some("malformed-request"));
            }
        }
        requests += 1;
        octets = &octets[position..];
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_are_read_as_the_protocol_says_however_they_are_cut(
        fragments in proptest::collection::vec(fragments(), 1..30),
        cuts in proptest::collection::vec(1usize..200, 1..60),
    ) {
        let octets = fragments.concat();
        let whole = run([&octets[..]], &[]);
        let (requests, reason) = plainly(&octets);
        prop_assert_eq!(whole.iter().filter(|line| line.starts_with("R:")).count(), requests);
        prop_assert_eq!(whole.iter().filter(|line| *line == "S: action=DUNNO").count(), requests);
        prop_assert_eq!(whole.last().and_then(|line| line.strip_prefix("X: ")), reason);
        let mut rest = &octets[..];
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        prop_assert_eq!(&run(pieces, &[]), &whole);
        prop_assert_eq!(&run(octets.chunks(1), &[]), &whole);
    }
}
