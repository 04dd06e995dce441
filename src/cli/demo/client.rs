//! Enough of an LMTP client (RFC 2033) to send one message to one recipient.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection to an LMTP service.
pub(in crate::cli) struct LmtpClient {
    stream: BufReader<UnixStream>,
}

impl LmtpClient {
    /// Connects and greets.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(90)))?;
        let mut client = Self { stream: BufReader::new(stream) };
        client.expect("220")?;
        client.command("LHLO demo.example.com", "250")?;
        Ok(client)
    }

    /// Sends one message; gives the reply for its recipient, whatever it is.
    pub fn send(&mut self, sender: &str, recipient: &str, message: &str) -> io::Result<String> {
        self.command(&format!("MAIL FROM:<{sender}>"), "250")?;
        self.command(&format!("RCPT TO:<{recipient}>"), "250")?;
        self.command("DATA", "354")?;
        let mut data = String::with_capacity(message.len() + 16);
        for line in message.lines() {
            // RFC 5321 section 4.5.2.
            if line.starts_with('.') {
                data.push('.');
            }
            data.push_str(line);
            data.push_str("\r\n");
        }
        data.push_str(".\r\n");
        self.stream.get_mut().write_all(data.as_bytes())?;
        self.reply()
    }

    /// Ends the session.
    pub fn quit(mut self) -> io::Result<()> {
        self.command("QUIT", "221").map(drop)
    }

    fn command(&mut self, command: &str, expected: &str) -> io::Result<String> {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        self.expect(expected)
    }

    fn expect(&mut self, code: &str) -> io::Result<String> {
        let reply = self.reply()?;
        if reply.starts_with(code) { Ok(reply) } else { Err(io::Error::other(format!("unexpected reply: {reply}"))) }
    }

    /// The last line of a reply.
    fn reply(&mut self) -> io::Result<String> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.trim_end().to_owned());
            }
        }
    }
}
