//! `held.json`: why and when a copy was kept, and its envelope, exactly as it came in.
//!
//! The format outlives this version: fields may be added, none may change its meaning.

use std::net::IpAddr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::body_digest::BodyDigest;
use super::copy::HeldRecord;
use super::origin_file::{self, InMailboxFile};
use crate::event_id::EventId;
use crate::mail::{Address, Client, Envelope, Recipient, Sender};

#[derive(Serialize, Deserialize)]
struct HeldFile {
    id: String,
    held_at: String,
    verdict: String,
    rule: String,
    detail: String,
    size: u64,
    recipient: RecipientFile,
    envelope: EnvelopeFile,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RecipientFile {
    address: String,
    original: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct EnvelopeFile {
    sender: SenderFile,
    recipients: Vec<RecipientFile>,
    client: ClientFile,
    queue_id: Option<String>,
    /// Where it lay, if no MTA handed it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mailbox: Option<InMailboxFile>,
}

/// `"unknown"`, `"null"`, `{"address": "…"}` or `{"unreadable": "…"}`: told apart, because an unknown sender must not become
/// the null sender when the copy is released.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SenderFile {
    Unknown,
    Null,
    Address(String),
    Unreadable(String),
}

#[derive(Serialize, Deserialize)]
struct ClientFile {
    address: Option<IpAddr>,
    helo: Option<String>,
    name: Option<String>,
}

/// The text of `held.json`.
pub(super) fn write(record: &HeldRecord) -> serde_json::Result<Vec<u8>> {
    let envelope = &record.envelope;
    let mut text = serde_json::to_vec_pretty(&HeldFile {
        id: record.id.to_string(),
        held_at: humantime::format_rfc3339_micros(record.held_at).to_string(),
        verdict: record.verdict.clone(),
        rule: record.rule.clone(),
        detail: record.detail.clone(),
        size: record.size,
        recipient: recipient_file(&record.recipient),
        envelope: EnvelopeFile {
            sender: match &envelope.sender {
                Sender::Unknown => SenderFile::Unknown,
                Sender::Null => SenderFile::Null,
                Sender::Address(address) => SenderFile::Address(address.as_str().to_owned()),
                Sender::Unreadable(text) => SenderFile::Unreadable(text.clone()),
            },
            recipients: envelope.recipients.iter().map(recipient_file).collect(),
            client: ClientFile {
                address: envelope.client.address,
                helo: envelope.client.helo.clone(),
                name: envelope.client.name.clone(),
            },
            queue_id: envelope.queue_id.clone(),
            mailbox: origin_file::write(&envelope.origin),
        },
        body: record.body.map(|body| body.to_string()),
    })?;
    text.push(b'\n');
    Ok(text)
}

/// Reads `held.json`; the error says what is wrong with it.
pub(super) fn read(text: &[u8]) -> Result<HeldRecord, String> {
    let file: HeldFile = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let sender = match file.envelope.sender {
        SenderFile::Unknown => Sender::Unknown,
        SenderFile::Null => Sender::Null,
        SenderFile::Address(text) => {
            Sender::Address(Address::parse(&text).ok_or_else(|| format!("the sender {text:?} is not a valid address"))?)
        }
        SenderFile::Unreadable(text) => Sender::Unreadable(text),
    };
    let client = file.envelope.client;
    Ok(HeldRecord {
        id: EventId::parse(&file.id).ok_or_else(|| format!("the id {:?} is not a valid event id", file.id))?,
        held_at: humantime::parse_rfc3339(&file.held_at).map_err(|error| format!("held_at: {error}"))?,
        verdict: file.verdict,
        rule: file.rule,
        detail: file.detail,
        size: file.size,
        recipient: recipient(file.recipient),
        envelope: Envelope {
            sender,
            recipients: file.envelope.recipients.into_iter().map(recipient).collect(),
            client: Client { address: client.address, helo: client.helo, name: client.name },
            queue_id: file.envelope.queue_id,
            origin: origin_file::read(file.envelope.mailbox),
        },
        // What is not a digest finds no body, as none does.
        body: file.body.as_deref().and_then(BodyDigest::parse),
    })
}

/// The time as it can be written: whole microseconds, between 1970 and 9999.
pub(super) fn writable(time: SystemTime) -> SystemTime {
    let text = humantime::format_rfc3339_micros(time.max(SystemTime::UNIX_EPOCH)).to_string();
    humantime::parse_rfc3339(&text).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn recipient_file(recipient: &Recipient) -> RecipientFile {
    RecipientFile { address: recipient.address.clone(), original: recipient.original.clone() }
}

fn recipient(file: RecipientFile) -> Recipient {
    Recipient { address: file.address, original: file.original }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;
    use crate::mail::{InMailbox, Item, Origin, Provider};

    fn sender() -> impl Strategy<Value = Sender> {
        prop_oneof![
            Just(Sender::Unknown),
            Just(Sender::Null),
            any::<String>().prop_map(Sender::Unreadable),
            ("[^@<>\\pC ,;\"]{1,20}", "[a-z.]{1,20}").prop_filter_map("no address", |(local, domain)| {
                Address::parse(&format!("{local}@{domain}")).map(Sender::Address)
            }),
        ]
    }

    fn any_recipient() -> impl Strategy<Value = Recipient> {
        (any::<String>(), of(any::<String>())).prop_map(|(address, original)| Recipient { address, original })
    }

    fn origin() -> impl Strategy<Value = Origin> {
        let provider = prop_oneof![
            Just(Provider::ExchangeOnline),
            Just(Provider::Gmail),
            Just(Provider::None),
            prop::collection::vec(any::<String>(), 0..3).prop_map(|authserv_ids| Provider::Own { authserv_ids }),
        ];
        let item = prop_oneof![
            any::<(u32, u32)>().prop_map(|(validity, uid)| Item::Uid { validity, uid }),
            any::<String>().prop_map(|id| Item::Id { id }),
        ];
        let came_in = of(0..253_402_300_799_u64)
            .prop_map(|seconds| seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
        let mailbox = (any::<String>(), item, provider, came_in, any::<(bool, bool)>()).prop_map(
            |(inbox, item, provider, came_in, (first_run, notices))| {
                Origin::Mailbox(Arc::new(InMailbox { inbox, item, provider, came_in, first_run, notices }))
            },
        );
        prop_oneof![Just(Origin::Smtp), mailbox]
    }

    fn record() -> impl Strategy<Value = HeldRecord> {
        let client = (of(any::<IpAddr>()), of(any::<String>()), of(any::<String>()))
            .prop_map(|(address, helo, name)| Client { address, helo, name });
        let recipients = prop::collection::vec(any_recipient(), 0..4);
        let envelope = (sender(), recipients, client, of(any::<String>()), origin()).prop_map(
            |(sender, recipients, client, queue_id, origin)| Envelope { sender, recipients, client, queue_id, origin },
        );
        let words = (any::<String>(), any::<String>(), any::<String>());
        let body = of("[0-9a-f]{64}").prop_map(|digits| digits.and_then(|digits| BodyDigest::parse(&digits)));
        ("[0-9a-f]{32}", 0..253_402_300_799_000_000_u64, words, any::<u64>(), any_recipient(), envelope, body)
            .prop_filter_map("no id", |(id, micros, (verdict, rule, detail), size, recipient, envelope, body)| {
                let held_at = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
                let id = EventId::parse(&id)?;
                Some(HeldRecord { id, held_at, verdict, rule, detail, size, recipient, envelope, body })
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_exactly(record in record()) {
            prop_assert_eq!(read(&write(&record).expect("written")), Ok(record));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<Vec<u8>>()) {
            let _ = read(&text);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let good = r#"{"id":"00000000000000000000000000000000","held_at":"2026-11-22T10:00:00Z","verdict":"ignored","rule":"r",
            "detail":"d","size":1,"recipient":{"address":"a"},
            "envelope":{"sender":"null","recipients":[],"client":{},"queue_id":null}}"#;
        assert_eq!(read(good.as_bytes()).map(|record| record.envelope.sender), Ok(Sender::Null));
        for (name, from, to, message) in [
            ("an id that is a path", "00000000000000000000000000000000", "../x", "not a valid event id"),
            ("a sender that is not a valid address", "\"null\"", "{\"address\":\"jane\"}", "not a valid address"),
            ("a time that is none", "2026-11-22T10:00:00Z", "yesterday", "held_at"),
            ("a field that is missing", "\"rule\":\"r\",", "", "rule"),
        ] {
            let error = read(good.replace(from, to).as_bytes()).expect_err(name);
            assert!(error.contains(message), "{name}: {error}");
        }
    }
}
