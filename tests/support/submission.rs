//! A small SMTP client that may say who it is (XCLIENT) and what reports it wants (DSN).

use super::dialogue::{Dialogue, stuffed};

/// Who the client says it is.
#[derive(Clone, Debug)]
pub struct Client {
    pub address: &'static str,
    pub name: &'static str,
    pub helo: &'static str,
}

/// A client in the world, as most tests use it (RFC 5737).
pub const REMOTE: Client = Client { address: "203.0.113.7", name: "mail.example.org", helo: "helo.example.org" };

/// One message on its way into Postfix.
#[derive(Clone, Debug)]
pub struct Submission {
    client: Client,
    sender: String,
    mail_parameters: String,
    recipients: Vec<String>,
    rcpt_parameters: String,
    message: Vec<u8>,
}

/// A command that Postfix did not take.
#[derive(Debug)]
pub struct Refused {
    pub command: String,
    pub reply: String,
}

impl Submission {
    /// A message from the world for these recipients; its lines end with CRLF.
    pub fn new(sender: &str, recipients: &[&str], message: impl Into<Vec<u8>>) -> Self {
        Self {
            client: REMOTE,
            sender: sender.to_owned(),
            mail_parameters: String::new(),
            recipients: recipients.iter().map(|&recipient| recipient.to_owned()).collect(),
            rcpt_parameters: String::new(),
            message: message.into(),
        }
    }

    /// From another client.
    pub fn by_client(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// With parameters of MAIL FROM, such as `SMTPUTF8`.
    pub fn mail_parameters(mut self, parameters: &str) -> Self {
        self.mail_parameters = format!(" {parameters}");
        self
    }

    /// With parameters of every RCPT TO, such as `NOTIFY=SUCCESS`.
    pub fn rcpt_parameters(mut self, parameters: &str) -> Self {
        self.rcpt_parameters = format!(" {parameters}");
        self
    }

    /// Sends it; gives the queue id.
    pub fn send(&self, port: u16) -> Result<String, Refused> {
        let mut session = Session::open(port);
        session.introduce(&self.client)?;
        session.command(&format!("MAIL FROM:<{}>{}", self.sender, self.mail_parameters))?;
        for recipient in &self.recipients {
            session.command(&format!("RCPT TO:<{recipient}>{}", self.rcpt_parameters))?;
        }
        session.command("DATA")?;
        let reply = session.data(&self.message)?;
        let queue_id = reply.rsplit("queued as ").next().unwrap().trim().to_owned();
        session.command("QUIT")?;
        Ok(queue_id)
    }
}

/// A dialogue, command by command.
pub struct Session(Dialogue);

impl Session {
    /// Connects and reads the greeting.
    pub fn open(port: u16) -> Self {
        let mut session = Self(Dialogue::tcp(("127.0.0.1", port)).unwrap());
        session.reply("(connect)").unwrap();
        session
    }

    /// Says who the client is.
    pub fn introduce(&mut self, client: &Client) -> Result<(), Refused> {
        self.command("EHLO tester.example.net")?;
        let Client { address, name, helo } = client;
        let family = if address.contains(':') { "IPV6:" } else { "" };
        self.command(&format!("XCLIENT ADDR={family}{address} NAME={name}"))?;
        self.command(&format!("EHLO {helo}"))?;
        Ok(())
    }

    /// Sends a command and reads its reply.
    pub fn command(&mut self, command: &str) -> Result<String, Refused> {
        self.0.write(format!("{command}\r\n").as_bytes()).unwrap();
        self.reply(command)
    }

    /// Sends a message after DATA was taken.
    pub fn data(&mut self, message: &[u8]) -> Result<String, Refused> {
        assert!(message.ends_with(b"\r\n"), "a message ends with CRLF");
        self.0.write(&stuffed(message)).unwrap();
        self.reply("(message)")
    }

    fn reply(&mut self, command: &str) -> Result<String, Refused> {
        let reply = self.0.reply().unwrap_or_else(|error| panic!("Postfix hung up after {command}: {error}"));
        match reply.as_bytes().first() {
            Some(b'2' | b'3') => Ok(reply),
            _ => Err(Refused { command: command.to_owned(), reply }),
        }
    }
}
