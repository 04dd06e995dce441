//! The outside world: sends each message until Postfix says that it has it, as every mail server does.

use std::io;
use std::time::{Duration, Instant};

use crate::mail::Mail;
use crate::support::dialogue::{Dialogue, stuffed};
use crate::support::wait::LIMIT;

/// Sends it; gives how often it took. Above one, Postfix may have it twice: the answer to the first was lost.
pub fn send(port: u16, mail: &Mail) -> usize {
    let (start, mut tries) = (Instant::now(), 1);
    while let Err(error) = try_once(port, mail) {
        assert!(start.elapsed() < LIMIT, "Postfix does not take mail any more: {error}");
        tries += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    tries
}

fn try_once(port: u16, mail: &Mail) -> io::Result<()> {
    let mut session = Session(Dialogue::tcp(("127.0.0.1", port))?);
    session.reply()?;
    session.command("EHLO tester.example.net")?;
    session.command("XCLIENT ADDR=203.0.113.7 NAME=mail.example.org")?;
    session.command("EHLO mail.example.org")?;
    session.command(&format!("MAIL FROM:<{}>", mail.sender))?;
    for recipient in &mail.recipients {
        session.command(&format!("RCPT TO:<{}>", recipient.address))?;
    }
    session.command("DATA")?;
    session.0.write(&stuffed(&mail.text))?;
    session.reply()
}

struct Session(Dialogue);

impl Session {
    fn command(&mut self, command: &str) -> io::Result<()> {
        self.0.write(format!("{command}\r\n").as_bytes())?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<()> {
        let reply = self.0.reply()?;
        // A permanent refusal would be an error of the test, and it would never end.
        assert!(!reply.starts_with('5'), "Postfix refuses the campaign's mail: {reply}");
        if reply.starts_with('4') { Err(io::Error::other(reply)) } else { Ok(()) }
    }
}
