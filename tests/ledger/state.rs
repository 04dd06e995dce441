//! A ledger and held copies in a state directory, as the tests and their child process open them.

use std::path::Path;

use mailhatch::config::Config;
use mailhatch::event_id::EventId;
use mailhatch::held::{HeldCopy, HeldMessage, HeldStore};
use mailhatch::ledger::{Begin, Claim, DeliveryLog, Ledger, NoticeRequest};
use mailhatch::mail::{Client, Content, Envelope, Origin, Recipient, Sender};
use mailhatch::state_dir::StateError;

/// How many events the children of a race hand over.
pub const EVENTS: u128 = 40;

/// A configuration with a state directory and some lines more.
pub fn config(state_dir: &Path, more: &str) -> Config {
    let text = format!(
        "hostname = \"mx.example.com\"\nstate_dir = \"{}\"\n[listen]\nlmtp = [\"127.0.0.1:2424\"]\n\
         [[mailbox]]\nname = \"in\"\naddress = \"in+%{{key}}@example.com\"\nactions = \"any\"\napp = \"spool\"\n\
         [[app]]\nname = \"spool\"\nkind = \"spool\"\npath = \"/var/spool/mailhatch\"\n{more}",
        state_dir.display()
    );
    Config::parse(Path::new("mailhatch.toml"), &text).expect("configuration")
}

pub fn ledger(state_dir: &Path) -> Ledger {
    Ledger::new(&config(state_dir, ""))
}

pub fn id(number: u128) -> EventId {
    EventId::parse(&format!("{number:032x}")).expect("id")
}

pub async fn claimed(ledger: &Ledger, number: u128) -> Claim {
    match ledger.begin(&id(number)).await.expect("begun") {
        Begin::New(claim) => claim,
        other => panic!("{number} is not new: {other:?}"),
    }
}

pub async fn refused(ledger: &Ledger, number: u128) -> StateError {
    match ledger.begin(&id(number)).await {
        Err(error) => error,
        Ok(other) => panic!("{number} was begun: {other:?}"),
    }
}

pub fn held(state: &Path) -> HeldStore {
    HeldStore::new(&config(state, ""))
}

pub async fn hold(state: &Path, number: u128, size: usize) -> Result<(), StateError> {
    let recipient = Recipient::new("in+key@example.com");
    let (sender, client) = (Sender::Null, Client::default());
    let envelope =
        Envelope { sender, recipients: vec![recipient.clone()], client, queue_id: None, origin: Origin::Smtp };
    let (id, message) = (id(number), HeldMessage::of(&Content::whole(vec![b'x'; size])));
    let (envelope, recipient, message) = (&envelope, &recipient, &message);
    held(state)
        .hold(&HeldCopy { id: &id, verdict: "ignored", rule: "r", detail: "d", envelope, recipient, message })
        .await
}

/// A notice to a sender of its own.
pub fn request(number: u128) -> NoticeRequest {
    NoticeRequest {
        id: id(number),
        canonical: format!("{number}@example.org"),
        person: format!("{number}@example.org"),
        domain: "example.org".into(),
    }
}
