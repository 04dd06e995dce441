//! The id of an event: the same on every try of the same message for the same key.

use std::fmt;

use ring::digest;

use crate::mail::Message;

/// The id of an event: 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(String);

impl EventId {
    /// A hash of mailbox, key, Message-ID, Date, From, Subject and body; not of trace fields, which
    /// differ between two copies of one message.
    pub fn of(mailbox: &str, key: &str, message: &Message) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        // Each part is preceded by its length, so that no two lists of parts give the same bytes.
        let mut part = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(b"mailhatch event 1");
        part(mailbox.as_bytes());
        part(key.as_bytes());
        for name in ["Message-ID", "Date", "From", "Subject"] {
            let values: Vec<_> = message.all(name).map(|field| field.text()).collect();
            part(&(values.len() as u64).to_be_bytes());
            values.iter().for_each(|value| part(value.as_bytes()));
        }
        // Without a field there is no trace that could differ, and perhaps no body that could tell.
        part(if message.fields().len() == 0 { message.bytes() } else { message.body() });
        part(&message.size().saturating_sub(message.bytes().len() as u64).to_be_bytes());
        let digest = hash.finish();
        Self(digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads an id, such as the name of a held message.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(text.to_owned()))
    }

    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
