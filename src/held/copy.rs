//! What is kept, and what is known of it.

use std::time::SystemTime;

use super::body_digest::BodyDigest;
use super::message::HeldMessage;
use crate::event_id::EventId;
use crate::mail::{Envelope, Recipient};
use crate::state_dir::StateError;

/// A copy to be kept back.
#[derive(Debug)]
pub struct HeldCopy<'a> {
    /// Its name: the event's id.
    pub id: &'a EventId,
    /// `ignored`, `rejected` or `held`.
    pub verdict: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// What the rule saw.
    pub detail: &'a str,
    /// What the MTA said.
    pub envelope: &'a Envelope,
    /// For whom.
    pub recipient: &'a Recipient,
    /// What came in.
    pub message: &'a HeldMessage,
}

/// What is known of a copy that was kept back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRecord {
    /// Its name: the event's id.
    pub id: EventId,
    /// Since when.
    pub held_at: SystemTime,
    /// `ignored`, `rejected` or `held`.
    pub verdict: String,
    /// The rule.
    pub rule: String,
    /// What the rule saw.
    pub detail: String,
    /// What the MTA said.
    pub envelope: Envelope,
    /// For whom: one of the envelope's recipients.
    pub recipient: Recipient,
    /// Of the message, in octets.
    pub size: u64,
    /// By which other copies find the body; a copy of 0.1.0 has none.
    pub(super) body: Option<BodyDigest>,
}

/// All copies.
#[derive(Debug, Default)]
pub struct HeldList {
    /// The oldest first.
    pub records: Vec<HeldRecord>,
    /// Those that cannot be read, and why.
    pub unreadable: Vec<StateError>,
}
