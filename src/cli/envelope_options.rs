//! What `pipe` is told of a message by master.cf, and `explain` by its caller. An option that is not given is unknown, which is
//! not the same as empty.

use std::ffi::OsString;

use clap::Args;

use crate::mail::{Client, Envelope, Origin, Recipient, Sender};

/// What pipe(8) knows of a message.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct EnvelopeOptions {
    /// Envelope sender; empty for the null sender.
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<OsString>,
    /// Envelope recipient; may be given more than once.
    #[arg(long = "recipient", value_name = "ADDRESS")]
    pub recipients: Vec<OsString>,
    /// The recipient before aliases were followed.
    #[arg(long = "original-recipient", value_name = "ADDRESS")]
    pub original_recipients: Vec<OsString>,
    /// IP address of the SMTP client.
    #[arg(long, value_name = "IP")]
    pub client_address: Option<OsString>,
    /// What the SMTP client said in HELO.
    #[arg(long, value_name = "NAME")]
    pub client_helo: Option<OsString>,
    /// Host name of the SMTP client.
    #[arg(long, value_name = "NAME")]
    pub client_name: Option<OsString>,
    /// Postfix's queue id.
    #[arg(long, value_name = "ID")]
    pub queue_id: Option<OsString>,
}

impl EnvelopeOptions {
    /// The envelope they tell of. Octets that are no UTF-8 become U+FFFD: they must not cost the message.
    pub fn into_envelope(self) -> Envelope {
        let text = |value: OsString| value.to_string_lossy().into_owned();
        // An empty one keeps its place: the next one is of the next recipient.
        let mut originals = self.original_recipients.into_iter().map(text);
        let recipients = self.recipients.into_iter().map(text).map(|address| {
            let address = address.strip_prefix('<').and_then(|a| a.strip_suffix('>')).unwrap_or(&address).to_owned();
            Recipient { address, original: originals.next().filter(|original| !original.is_empty()) }
        });
        // Postfix writes "unknown" for what it could not find out.
        let known = |value: Option<OsString>| value.map(text).filter(|value| !value.is_empty() && value != "unknown");
        Envelope {
            recipients: recipients.collect(),
            sender: self.sender.map_or(Sender::Unknown, |sender| read_sender(&text(sender))),
            client: Client {
                address: self.client_address.and_then(|value| text(value).trim_start_matches("IPv6:").parse().ok()),
                helo: known(self.client_helo),
                name: known(self.client_name),
            },
            queue_id: known(self.queue_id),
            origin: Origin::Smtp,
        }
    }
}

/// Without `null_sender=` in master.cf, Postfix writes the null sender as a bare MAILER-DAEMON; a real address always has
/// its domain (pipe(8)).
fn read_sender(text: &str) -> Sender {
    if text.eq_ignore_ascii_case("MAILER-DAEMON") { Sender::Null } else { Sender::from_path(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_original_recipient_belongs_to_the_recipient_in_its_place() {
        let texts = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        let rows: &[(&str, &[&str], [Option<&str>; 2])] = &[
            ("both", &["a@x", "b@x"], [Some("a@x"), Some("b@x")]),
            ("the first is empty", &["", "b@x"], [None, Some("b@x")]),
            ("one", &["a@x"], [Some("a@x"), None]),
            ("none", &[], [None, None]),
        ];
        for (name, originals, want) in rows {
            let arguments = EnvelopeOptions {
                recipients: texts(&["1@x", "2@x"]),
                original_recipients: texts(originals),
                ..EnvelopeOptions::default()
            };
            let envelope = arguments.into_envelope();
            let found: Vec<_> = envelope.recipients.iter().map(|recipient| recipient.original.as_deref()).collect();
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn arguments_tell_unknown_from_empty() {
        let rows: &[(&str, Option<&str>, Sender)] = &[
            ("not given", None, Sender::Unknown),
            ("null_sender=", Some(""), Sender::Null),
            ("without null_sender=", Some("MAILER-DAEMON"), Sender::Null),
            ("a user of that name", Some("mailer-daemon@example.org"), Sender::from_path("mailer-daemon@example.org")),
        ];
        for (name, sender, expected) in rows {
            let arguments = EnvelopeOptions { sender: sender.map(OsString::from), ..EnvelopeOptions::default() };
            assert_eq!(arguments.into_envelope().sender, *expected, "{name}");
        }
    }
}
