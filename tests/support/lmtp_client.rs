//! An LMTP client that sends exactly the octets it is given.

use std::path::Path;

use super::dialogue::Dialogue;
pub use super::dialogue::stuffed;

/// A connection on which LHLO is said.
pub struct Lmtp(Dialogue);

impl Lmtp {
    /// Connects, reads the greeting and says LHLO.
    #[track_caller]
    pub fn connect(socket: &Path) -> Self {
        let mut client = Self(Dialogue::unix(socket).unwrap());
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client.command("LHLO client.example.com", "250");
        client
    }

    /// Sends one command; its reply must start with `code`.
    #[track_caller]
    pub fn command(&mut self, command: &str, code: &str) -> String {
        self.write(format!("{command}\r\n"));
        let reply = self.reply();
        assert!(reply.starts_with(code), "{command}: {reply}");
        reply
    }

    /// Sends one message; gives one reply a recipient. The message's line ends are sent as they are.
    #[track_caller]
    pub fn send(&mut self, sender: &str, recipients: &[&str], message: &[u8]) -> Vec<String> {
        self.begin(sender, recipients);
        self.write(stuffed(message));
        recipients.iter().map(|_| self.reply()).collect()
    }

    /// Everything up to the 354.
    #[track_caller]
    pub fn begin(&mut self, sender: &str, recipients: &[&str]) {
        self.command(&format!("MAIL FROM:<{sender}>"), "250");
        for recipient in recipients {
            self.command(&format!("RCPT TO:<{recipient}>"), "250");
        }
        self.command("DATA", "354");
    }

    #[track_caller]
    pub fn write(&mut self, octets: impl AsRef<[u8]>) {
        self.0.write(octets.as_ref()).unwrap();
    }

    /// The last line of a reply.
    #[track_caller]
    pub fn reply(&mut self) -> String {
        let reply = self.0.reply().unwrap_or_else(|error| panic!("a reply: {error}"));
        reply.rsplit("\r\n").next().unwrap_or_default().to_owned()
    }

    /// One line; `None` where the service hung up.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        self.0.line()
    }

    /// Everything until the service hangs up.
    #[track_caller]
    pub fn rest(self) -> String {
        self.0.rest()
    }
}
