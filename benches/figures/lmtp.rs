//! Load generators: Postfix's smtp-source, and an LMTP client of our own where smtp-source cannot say what is needed.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::place::RECIPIENT;
use crate::support::dialogue::Dialogue;
use crate::support::process::run;

/// Sends messages by Postfix's smtp-source over kept connections; gives the time it took.
pub fn smtp_source(socket: &Path, sessions: usize, octets: usize, messages: usize) -> Duration {
    let started = Instant::now();
    let mut command = Command::new("smtp-source");
    command
        .args(["-L", "-d", "-s", &sessions.to_string(), "-l", &octets.to_string(), "-m", &messages.to_string()])
        .args(["-f", "jane@example.org", "-t", RECIPIENT])
        .arg(format!("unix:{}", socket.display()));
    let output = run(&mut command);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "smtp-source to {}: {error}", socket.display());
    started.elapsed()
}

/// A client on a kept connection that sends its commands in one piece, as Postfix does.
pub struct Lmtp(Dialogue);

impl Lmtp {
    pub fn connect(socket: &Path) -> Self {
        let mut client = Self(Dialogue::unix(socket).unwrap());
        client.0.expect("220");
        client.0.command("LHLO client.example.org", "250");
        client
    }

    /// Sends one message that must be taken for every recipient; `data` ends with the dot.
    pub fn send(&mut self, xforward: Option<&str>, sender: &str, recipients: &[String], data: &[u8]) {
        let mut head = xforward.map(|values| format!("XFORWARD {values}\r\n")).unwrap_or_default();
        head.push_str(&format!("MAIL FROM:<{sender}> SIZE={}\r\n", data.len()));
        for recipient in recipients {
            head.push_str(&format!("RCPT TO:<{recipient}>\r\n"));
        }
        head.push_str("DATA\r\n");
        self.0.write(head.as_bytes()).unwrap();
        for _ in 0..recipients.len() + 1 + usize::from(xforward.is_some()) {
            self.0.expect("250");
        }
        self.0.expect("354");
        self.0.write(data).unwrap();
        for _ in recipients {
            self.0.expect("250");
        }
    }
}

/// A message of about so many octets with an id of its own, as DATA carries it.
pub fn message(number: u64, octets: usize) -> Vec<u8> {
    let mut text = format!(
        "Received: from mail.example.org (mail.example.org [203.0.113.7])\r\n\tby mx.example.com (Postfix) with ESMTPS id \
         4XyZ\r\n\tfor <{RECIPIENT}>; Sun, 22 Nov 2026 10:00:00 +0000 (UTC)\r\nFrom: Jane Doe <jane@example.org>\r\n\
         To: <{RECIPIENT}>\r\nSubject: Re: A question about the build\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{number}.bench@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    .into_bytes();
    while text.len() < octets {
        text.extend_from_slice(b"The quick brown fox jumps over the lazy dog, and the dog does not mind.\r\n");
    }
    text.extend_from_slice(b".\r\n");
    text
}

/// A message with an attachment in base64.
pub fn message_with_attachment(number: u64, octets: usize) -> Vec<u8> {
    let mut text = format!(
        "From: Jane Doe <jane@example.org>\r\nTo: <{RECIPIENT}>\r\nSubject: A file\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{number}.bench@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n--b\r\nContent-Type: application/pdf\r\n\
         Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\n"
    )
    .into_bytes();
    while text.len() < octets {
        text.extend_from_slice(b"VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgYW5kIHRoZSBk\r\n");
    }
    text.extend_from_slice(b"--b--\r\n.\r\n");
    text
}
