//! Drives an LMTP session without a socket and writes down all that it does.

use std::fmt::Write;

use mailhatch::intake::lmtp::{Refusal, Session, SessionLimits, Step, Transaction};

/// What the driver of a dialog answers.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// To `Begin`; go, if none is left.
    pub begin: Vec<Refusal>,
    /// To `Submit`, one line a recipient; `250 2.0.0 N` with the number of the recipient, if none is left.
    pub submit: Vec<String>,
    /// Whether octets over the limit cannot be kept.
    pub no_disk: bool,
}

pub const LIMITS: SessionLimits = SessionLimits { message_size: 1000, recipients: 3 };

/// Feeds the pieces one after the other. Gives what the session said and handed out, one line each: `S: reply`,
/// `M: message`, `X: why it closed`.
pub fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, answers: &Answers) -> Vec<String> {
    let mut session = Session::new("mx.example.com", LIMITS);
    let (mut log, mut replies, mut overflow) = (Vec::new(), Vec::new(), Vec::new());
    let mut begin = answers.begin.iter();
    let mut submit = answers.submit.iter();
    let mut pieces = pieces.into_iter();
    loop {
        match session.step() {
            Step::Read => match pieces.next() {
                Some(piece) => session.push(piece),
                None => break,
            },
            Step::Write(octets) => replies.extend_from_slice(&octets),
            Step::Begin { .. } => match begin.next() {
                Some(refusal) => session.refuse(*refusal),
                None => session.go(),
            },
            Step::Overflow(_) if answers.no_disk => session.discard(Refusal::NoDisk),
            Step::Overflow(octets) => overflow.extend_from_slice(&octets),
            Step::Submit(transaction) => {
                assert!(matches!(session.step(), Step::Wait), "nothing is given out before the answer");
                say(&mut log, &mut replies);
                let default = (1..=transaction.envelope.recipients.len()).map(|number| format!("250 2.0.0 {number}"));
                let lines = default.map(|line| submit.next().cloned().unwrap_or(line)).collect::<Vec<_>>();
                log.push(message(&transaction, &std::mem::take(&mut overflow)));
                session.answer(&lines);
            }
            Step::Wait => panic!("every question was answered"),
            Step::Close(reason) => {
                say(&mut log, &mut replies);
                log.push(format!("X: {}", reason.name()));
                return log;
            }
        }
    }
    say(&mut log, &mut replies);
    log
}

fn say(log: &mut Vec<String>, replies: &mut Vec<u8>) {
    let text = String::from_utf8(std::mem::take(replies)).unwrap();
    assert!(text.is_empty() || text.ends_with("\r\n"), "replies end with CRLF: {text:?}");
    log.extend(text.split_terminator("\r\n").map(|line| format!("S: {line}")));
}

fn message(transaction: &Transaction, overflow: &[u8]) -> String {
    let envelope = &transaction.envelope;
    let mut text = format!("M: from=<{}>", envelope.sender.as_text().unwrap());
    for recipient in &envelope.recipients {
        let _ = write!(text, " to=<{}>", recipient.address);
        if let Some(original) = &recipient.original {
            let _ = write!(text, " was=<{original}>");
        }
    }
    let client = &envelope.client;
    let address = client.address.map(|address| address.to_string());
    let pairs = [("addr", &address), ("helo", &client.helo), ("name", &client.name), ("id", &envelope.queue_id)];
    for (name, value) in pairs {
        if let Some(value) = value {
            let _ = write!(text, " {name}={value}");
        }
    }
    assert_eq!(transaction.rest, overflow.len() as u64);
    let _ = write!(text, " \"{}\"", transaction.content.escape_ascii());
    if !overflow.is_empty() {
        let _ = write!(text, " rest={}", overflow.len());
    }
    text
}

/// A dialog in a file.
///
/// `C: line` is a line of the client, `C= octets` are octets as they are, with Rust's escapes and `{N}` behind one octet to
/// repeat it. `S:`, `M:` and `X:` is what [`run`] must give, in order; `*` at the end stands for any rest. `B:` refuses the
/// next message, `A:` answers the next recipient, `D:` has no disk. `#` is a comment.
pub struct Dialog {
    pub client: Vec<u8>,
    pub expected: Vec<String>,
    pub answers: Answers,
}

impl Dialog {
    pub fn read(text: &str) -> Self {
        let mut dialog = Self { client: Vec::new(), expected: Vec::new(), answers: Answers::default() };
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (kind, rest) = line.split_at(2);
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            match kind {
                "C:" => dialog.client.extend_from_slice(format!("{rest}\r\n").as_bytes()),
                "C=" => dialog.client.extend(unescaped(rest)),
                "S:" | "M:" | "X:" => dialog.expected.push(line.to_owned()),
                "B:" => dialog.answers.begin.push(Refusal::NoMemory),
                "A:" => dialog.answers.submit.push(rest.to_owned()),
                "D:" => dialog.answers.no_disk = true,
                _ => panic!("no line of a dialog: {line}"),
            }
        }
        dialog
    }

    pub fn check(&self, log: &[String], how: &str) {
        for (index, expected) in self.expected.iter().enumerate() {
            let got = log.get(index).map(String::as_str).unwrap_or("(nothing more)");
            let same = match expected.strip_suffix('*') {
                Some(start) => got.starts_with(start),
                None => got == expected,
            };
            assert!(same, "{how}, line {}\n wanted: {expected}\n got:    {got}", index + 1);
        }
        assert_eq!(log.len(), self.expected.len(), "{how}: more than expected: {:?}", &log[self.expected.len()..]);
    }
}

pub fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (octet, length) = match rest.as_bytes() {
            [b'\\', b'x', ..] => (vec![u8::from_str_radix(&rest[2..4], 16).unwrap()], 4),
            [b'\\', escape, ..] => (
                vec![match escape {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b'0' => 0,
                    other => *other,
                }],
                2,
            ),
            _ => (first.to_string().into_bytes(), first.len_utf8()),
        };
        rest = &rest[length..];
        let mut times = 1;
        if let Some((number, behind)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            (times, rest) = (number.parse().unwrap(), behind);
        }
        octets.extend(octet.repeat(times));
    }
    octets
}
