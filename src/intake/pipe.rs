//! The pipe(8) command's side of Postfix: standard input to a message, outcomes to output and exit status.
//!
//! Postfix bounces a mail whose command ends in any status but 0, 71 and 75 (pipe_command(3)), so nothing here ends in another.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::disposition::EX_TEMPFAIL;
use crate::mail::{Content, ContentBuilder};
use crate::outcome::Outcome;
use crate::verdict::{Status, Verdict};

/// Reads a message to its end. What is over `limit` octets goes to an unlinked file in `overflow_directory`.
///
/// Line ends become CRLF if the first line ends with LF alone: the event's id and DKIM's body hash must not depend on
/// whether master.cf says `eol=\r\n`. An empty input is an error: Postfix never hands over an empty message.
///
/// # Errors
/// The input breaks off or is empty, or what is over `limit` cannot be kept.
pub fn read_message(input: &mut dyn Read, limit: u64, overflow_directory: &Path) -> io::Result<Content> {
    let mut message = ContentBuilder::new(limit, overflow_directory);
    let mut buffer = vec![0; 64 * 1024];
    let mut line_ends = None;
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let chunk = &buffer[..length];
        if line_ends.is_none() {
            line_ends = first_line_end(message.last(), chunk);
        }
        match line_ends {
            Some(LineEnd::Lf) => push_with_crlf(&mut message, chunk)?,
            Some(LineEnd::Crlf) | None => message.push(chunk)?,
        }
    }
    let content = message.finish();
    match content.size() {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "standard input is empty")),
        _ => Ok(content),
    }
}

#[derive(Clone, Copy)]
enum LineEnd {
    Crlf,
    Lf,
}

fn first_line_end(before: Option<u8>, chunk: &[u8]) -> Option<LineEnd> {
    let newline = chunk.iter().position(|&b| b == b'\n')?;
    let previous = if newline == 0 { before } else { Some(chunk[newline - 1]) };
    Some(if previous == Some(b'\r') { LineEnd::Crlf } else { LineEnd::Lf })
}

fn push_with_crlf(message: &mut ContentBuilder, octets: &[u8]) -> io::Result<()> {
    for line in octets.split_inclusive(|&b| b == b'\n') {
        match line {
            [text @ .., b'\n'] => {
                message.push(text.strip_suffix(b"\r").unwrap_or(text))?;
                message.push(b"\r\n")?;
            }
            text => message.push(text)?,
        }
    }
    Ok(())
}

/// Writes one line a recipient and gives the exit status.
///
/// A deferred recipient comes first, because Postfix reads the enhanced status code at the beginning of the output, and one
/// that is deferred defers the run: the others are duplicates on the next try.
pub fn answer(outcomes: &[Outcome], output: &mut dyn Write) -> u8 {
    let is_deferred = |outcome: &&Outcome| matches!(outcome.verdict, Verdict::Deferred(_));
    let (deferred, done): (Vec<_>, Vec<_>) = outcomes.iter().partition(is_deferred);
    for outcome in deferred.iter().chain(&done) {
        // A closed standard output must not change the exit status.
        let _ = writeln!(output, "{}", outcome.pipe_line());
    }
    let _ = output.flush();
    if outcomes.is_empty() {
        EX_TEMPFAIL
    } else {
        outcomes.iter().map(Outcome::exit_status).max().unwrap_or(EX_TEMPFAIL)
    }
}

/// Says why the mail is not taken yet, when there is no outcome to say it; gives the exit status.
pub fn defer(status: Status, public: &str, output: &mut dyn Write) -> u8 {
    let _ = writeln!(output, "{}", crate::disposition::reply_line(&format!("{status} deferred: {public}")));
    let _ = output.flush();
    EX_TEMPFAIL
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], limit: u64) -> io::Result<Content> {
        read_message(&mut &bytes[..], limit, &std::env::temp_dir())
    }

    fn whole(content: &Content) -> Vec<u8> {
        let mut out = Vec::new();
        content.write_to(&mut out).expect("write");
        out
    }

    /// Gives one octet a read, as a slow writer would.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let [first, rest @ ..] = self.0 else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn line_ends_become_crlf_and_stay_crlf() {
        let rows: &[(&str, &[u8], &[u8])] = &[
            ("lf", b"A: 1\n\nx\n", b"A: 1\r\n\r\nx\r\n"),
            ("crlf", b"A: 1\r\n\r\nx\r\n", b"A: 1\r\n\r\nx\r\n"),
            ("a bare lf in a crlf message stays", b"A: 1\r\n\r\nx\ny\r\n", b"A: 1\r\n\r\nx\ny\r\n"),
            ("no line end", b"hello", b"hello"),
        ];
        for (name, bytes, expected) in rows {
            assert_eq!(whole(&read(bytes, 1000).expect(name)), *expected, "{name}");
            let trickled = read_message(&mut Trickle(bytes), 1000, &std::env::temp_dir()).expect(name);
            assert_eq!(whole(&trickled), *expected, "{name}, octet by octet");
        }
    }

    #[test]
    fn a_too_large_message_is_taken_whole() {
        let content = read(b"0123456789", 4).expect("read");
        assert!(content.is_too_large());
        assert_eq!(whole(&content), b"0123456789");
        assert!(!read(b"0123", 4).expect("read").is_too_large());
    }

    #[test]
    fn an_empty_input_is_no_message() {
        assert!(read(b"", 1000).is_err());
    }
}
