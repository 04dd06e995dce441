//! What the MTA said about a message: who sent it, from where, to whom.

use std::net::IpAddr;

use super::{Address, Origin};

/// The envelope sender (RFC 5321 MAIL FROM).
///
/// Unknown is not the same as null: `pipe` without `--sender` says nothing of the sender, so it is neither
/// machine-made mail nor anybody to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The MTA did not tell.
    Unknown,
    /// `<>`: a bounce or another automatic message (RFC 5321 section 4.5.5).
    Null,
    /// An address that can be read.
    Address(Address),
    /// Something that is no address, such as a bare local name; kept for the log, never written to.
    Unreadable(String),
}

impl Sender {
    /// Reads what stands between the angle brackets of MAIL FROM, or the value of `--sender`.
    pub fn from_path(path: &str) -> Self {
        let inner = path.strip_prefix('<').and_then(|p| p.strip_suffix('>')).unwrap_or(path);
        if inner.is_empty() {
            return Sender::Null;
        }
        match Address::parse(inner) {
            Some(address) => Sender::Address(address),
            None => Sender::Unreadable(inner.to_owned()),
        }
    }

    /// The text for logs and events: `None` if unknown, empty for the null sender.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Sender::Unknown => None,
            Sender::Null => Some(""),
            Sender::Address(address) => Some(address.as_str()),
            Sender::Unreadable(text) => Some(text),
        }
    }

    /// The address, where it is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Sender::Address(address) => Some(address),
            _ => None,
        }
    }
}

/// The SMTP client that handed the message to our MTA, as XFORWARD or pipe(8) arguments tell it. Every part may be
/// unknown; the address of the LMTP peer itself never stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its IP address.
    pub address: Option<IpAddr>,
    /// What it said in HELO or EHLO.
    pub helo: Option<String>,
    /// Its name from reverse DNS, verified by the MTA.
    pub name: Option<String>,
}

/// One envelope recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// RCPT TO, or `--recipient`, without angle brackets.
    pub address: String,
    /// Its form before aliases were followed (ORCPT, or `--original-recipient`).
    pub original: Option<String>,
}

impl Recipient {
    /// A recipient whose original form is not known.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), original: None }
    }
}

/// Everything the MTA said about one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub sender: Sender,
    /// RCPT TO, in the order given.
    pub recipients: Vec<Recipient>,
    /// The client of our MTA.
    pub client: Client,
    /// The MTA's queue id (XFORWARD IDENT, `--queue-id`).
    pub queue_id: Option<String>,
    /// How the message came to us.
    pub origin: Origin,
}

#[cfg(test)]
mod tests {
    use super::Sender;

    #[test]
    fn a_path_tells_the_null_sender_from_a_bare_name() {
        assert_eq!(Sender::from_path("<>"), Sender::Null);
        assert_eq!(Sender::from_path(""), Sender::Null);
        assert_eq!(Sender::from_path("MAILER-DAEMON"), Sender::Unreadable("MAILER-DAEMON".into()));
        assert_eq!(Sender::from_path("<jane@example.org>").as_text(), Some("jane@example.org"));
        assert_eq!(Sender::Unknown.as_text(), None);
    }
}
