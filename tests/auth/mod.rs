//! The sender's proof, against a real name server on loopback.

mod dkim;
mod faults;
mod opendkim;
mod proof;
mod rfc7208;
mod trust;

use std::path::Path;
use std::time::Duration;

use mailhatch::auth::{Authentication, Authenticator, ProvenEnvelopeSender, TimeLimits};
use mailhatch::config::Config;
use mailhatch::mail::{Client, Content, Envelope, Message, Recipient, Sender};

use crate::support::name_server::NameServer;

/// A configuration whose `[auth]` section is `auth`.
fn config(auth: &str) -> Config {
    let text = format!(
        "hostname = \"mx.example.com\"\n[[mailbox]]\nname = \"m\"\naddress = \"incoming+%{{key}}@example.com\"\nactions = \"any\"\n\
         app = \"a\"\n[[app]]\nname = \"a\"\nkind = \"spool\"\npath = \"/nonexistent\"\n[auth]\n{auth}\n"
    );
    Config::parse(Path::new("test.toml"), &text).unwrap_or_else(|error| panic!("{error}"))
}

/// Far beyond what loopback needs: no test may hang on them.
const PATIENT: TimeLimits =
    TimeLimits { question: Duration::from_secs(10), retries: 0, message: Duration::from_secs(60) };

/// An authenticator that asks `server`.
fn authenticator(server: &NameServer) -> Authenticator {
    Authenticator::with_limits(&config(&format!("nameservers = [\"{}\"]", server.address())), PATIENT)
}

/// An envelope; an empty client is an unknown one.
fn envelope(sender: &str, client: &str) -> Envelope {
    Envelope {
        sender: Sender::from_path(sender),
        recipients: vec![Recipient::new("incoming+k@example.com")],
        client: Client { address: client.parse().ok(), helo: Some("helo.example.org".to_owned()), name: None },
        queue_id: None,
        origin: mailhatch::mail::Origin::Smtp,
    }
}

fn message(text: impl Into<String>) -> Message {
    Message::parse(Content::whole(text.into()))
}

/// The proof of the envelope sender for the usual recipient.
fn sender_proof(found: &Authentication) -> Option<ProvenEnvelopeSender> {
    found.envelope_sender(&Recipient::new("incoming+k@example.com")).ok()
}

/// The addresses that are proven, as `envelope by, from by`.
fn proven(found: &Authentication) -> String {
    let sender = sender_proof(found).map_or("nobody".to_owned(), |proof| proof.by().to_owned());
    let from = found.from.as_ref().map_or("nobody", |proof| proof.by());
    format!("{sender} / {from}")
}
