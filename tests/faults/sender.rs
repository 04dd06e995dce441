//! The outside world: sends each message until Postfix says that it has it, as every mail server does.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::mail::Mail;

/// Nothing stops Postfix for so long.
const LIMIT: Duration = Duration::from_secs(120);

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
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)?;
    let mut session = Session(BufReader::new(stream));
    session.reply()?;
    session.command("EHLO tester.example.net")?;
    session.command("XCLIENT ADDR=203.0.113.7 NAME=mail.example.org")?;
    session.command("EHLO mail.example.org")?;
    session.command(&format!("MAIL FROM:<{}>", mail.sender))?;
    for recipient in &mail.recipients {
        session.command(&format!("RCPT TO:<{}>", recipient.address))?;
    }
    session.command("DATA")?;
    let mut data = Vec::with_capacity(mail.text.len() + 100);
    for line in mail.text.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b".") {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    data.extend_from_slice(b".\r\n");
    session.write(&data)
}

struct Session(BufReader<TcpStream>);

impl Session {
    fn command(&mut self, command: &str) -> io::Result<()> {
        self.write(format!("{command}\r\n").as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<()> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                // A permanent refusal would be an error of the test, and it would never end.
                assert!(!line.starts_with('5'), "Postfix refuses the campaign's mail: {line}");
                return if line.starts_with('4') { Err(io::Error::other(line)) } else { Ok(()) };
            }
        }
    }
}
