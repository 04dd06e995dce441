//! What the ledger asks of a store that several hosts share: has another host this event, is another host at it?
//!
//! The store never decides that something was delivered: each host's own database stays its truth. What a store forgets can
//! double a hand-over, with the same id; it can lose no message. Every question has a deadline of the caller's.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use super::delivery_log::NoticeRequest;
use crate::event_id::EventId;

/// A store that several hosts share.
pub(super) trait Store: fmt::Debug + Send + Sync {
    /// Claims an event for `lease`.
    fn claim<'a>(&'a self, id: &'a EventId, nonce: &'a Nonce, lease: Duration) -> Answer<'a, Claimed>;

    /// Keeps a claim for another `lease`; false if it is not ours any more.
    fn renew<'a>(&'a self, id: &'a EventId, nonce: &'a Nonce, lease: Duration) -> Answer<'a, bool>;

    /// Gives a claim back, if it is ours still.
    fn release<'a>(&'a self, id: &'a EventId, nonce: &'a Nonce) -> Answer<'a, ()>;

    /// Writes down what was done, whoever has a claim on it, in this order. It is enough replicas' only where it says yes.
    fn record<'a>(&'a self, records: &'a [SharedRecord]) -> Answer<'a, Recorded>;

    /// Asks the limits of all hosts together and reserves a notice for `lease`.
    fn reserve<'a>(
        &'a self,
        request: &'a NoticeRequest,
        nonce: &'a Nonce,
        limits: NoticeLimits,
        lease: Duration,
    ) -> Answer<'a, Reserved>;

    /// Gives a reservation back, if it is ours still.
    fn cancel<'a>(&'a self, request: &'a NoticeRequest, nonce: &'a Nonce) -> Answer<'a, ()>;

    /// Claims the right to read an inbox for `lease`, or keeps it; the host that has it, if it is not this one.
    fn read_inbox<'a>(&'a self, inbox: &'a str, nonce: &'a Nonce, lease: Duration) -> Answer<'a, Option<String>>;

    /// Gives that right back, if it is ours still.
    fn leave_inbox<'a>(&'a self, inbox: &'a str, nonce: &'a Nonce) -> Answer<'a, ()>;

    /// Whether it answers and would take a claim.
    fn probe(&self) -> Answer<'_, ()>;

    /// What `mailhatch check` says of it, a line each.
    fn check(&self) -> BoxFuture<'_, Vec<StoreFinding>>;
}

/// The answer of a store.
pub(super) type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Tells one claim from every other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Nonce(String);

impl Nonce {
    /// A new one: what this process has drawn once, and a number. It is not a secret.
    pub(super) fn new() -> Result<Self, StoreError> {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let process = match PROCESS.get() {
            Some(process) => *process,
            None => {
                let mut octets = [0; 8];
                let random = ring::rand::SystemRandom::new();
                ring::rand::SecureRandom::fill(&random, &mut octets)
                    .map_err(|_| StoreError::new("the system gives no random numbers"))?;
                *PROCESS.get_or_init(|| u64::from_be_bytes(octets))
            }
        };
        Ok(Self(format!("{process:016x}{:x}", COUNT.fetch_add(1, Ordering::Relaxed))))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// May this event be handed over, as far as all hosts know?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    /// Yes, until the lease ends.
    Ours,
    /// A host has delivered it.
    Delivered(DeliveredBy),
    /// A host is at it.
    InFlight,
}

/// Which host delivered an event, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeliveredBy {
    pub(super) host: String,
    pub(super) at: SystemTime,
}

impl fmt::Display for DeliveredBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "delivered by {} at {}", self.host, humantime::format_rfc3339_seconds(self.at))
    }
}

/// May this notice be sent, as far as all hosts know?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    Granted,
    AlreadySent,
    InFlight,
    /// When the last one was sent to this sender.
    TooSoon(SystemTime),
    DomainLimit,
    TotalLimit,
}

/// How many notices may be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoticeLimits {
    pub(super) per_domain_per_hour: u32,
    pub(super) total_per_hour: u32,
}

/// Something that is done, for the other hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SharedRecord {
    pub(super) id: EventId,
    /// How long ago it was done: the clocks of two hosts may differ, their speed does not.
    pub(super) age: Duration,
    pub(super) what: SharedWhat,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SharedWhat {
    Delivered,
    NoticeSent {
        /// As [`NoticeRequest`] has it.
        canonical: String,
        domain: String,
        interval: Duration,
    },
}

/// What the store says to records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Events that another host had delivered too, and which.
    pub(super) doubled: Vec<(EventId, DeliveredBy)>,
    /// Whether as many replicas as wanted have it.
    pub(super) is_replicated: bool,
}

/// Why a store gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct StoreError(String);

impl StoreError {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// One thing that `mailhatch check` finds of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFinding {
    /// How it is.
    pub level: StoreLevel,
    /// What was found, and what to do.
    pub text: String,
}

/// How a part of a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreLevel {
    /// As it should be.
    Good,
    /// It works, but something can be lost.
    Warning,
    /// Hosts would not know of each other.
    Failed,
}
