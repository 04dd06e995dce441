//! What the pipeline asks of the ledger, whatever keeps it: was this done before, may I, it is done.
//!
//! A guard is opaque: whoever holds one only drops it or gives it back. An implementation must never answer yes to what it
//! could not write down.

use std::fmt;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use crate::event_id::EventId;
use crate::in_flight::InFlightLock;
use crate::state_dir::StateError;

/// The deliveries, refusals and notices of one application's mail.
pub trait DeliveryLog: fmt::Debug + Send + Sync {
    /// Claims an event. Before it says yes it has written, now or a moment ago, so that a full disk defers the message before
    /// the application has it, not after.
    ///
    /// # Errors
    /// It cannot be read or written.
    fn begin<'a>(&'a self, id: &'a EventId) -> BoxFuture<'a, Result<Begin, StateError>>;

    /// How long ago an event was delivered; `None` if it was not.
    ///
    /// # Errors
    /// It cannot be read.
    fn delivered<'a>(&'a self, id: &'a EventId) -> BoxFuture<'a, Result<Option<Duration>, StateError>>;

    /// Records that the application acknowledged the event, durably, and ends the claim.
    ///
    /// # Errors
    /// An error does not undo the delivery: the message is answered as delivered, with the error as a warning. This process
    /// remembers the event, keeps its claim so that no other hands it over again, and goes on trying to record it. That
    /// holds also if the future is dropped before it is done.
    fn finish(&self, claim: Claim) -> BoxFuture<'_, Result<Finished, Unrecorded>>;

    /// Gives a claim back: the application did not take the event. Dropping it comes to the same, but other hosts may hear of
    /// it later.
    fn release(&self, claim: Claim) -> BoxFuture<'_, ()>;

    /// How long ago the application first refused this event without a reason: zero, if it never did before.
    ///
    /// # Errors
    /// It cannot be read or written.
    fn first_refusal<'a>(&'a self, id: &'a EventId) -> BoxFuture<'a, Result<Duration, StateError>>;

    /// How long ago this event was first deferred, for whatever cause: zero, if it never was before. It is asked at each
    /// deferral, and forgotten ten days after the last time.
    ///
    /// # Errors
    /// It cannot be read or written.
    fn first_deferral<'a>(&'a self, id: &'a EventId) -> BoxFuture<'a, Result<Duration, StateError>>;

    /// Asks for the right to send the notice of one event; see [`Reservation`].
    ///
    /// # Errors
    /// It cannot be read or written.
    fn reserve_notice(&self, request: NoticeRequest) -> BoxFuture<'_, Result<Reservation, StateError>>;

    /// Records that the notice was handed to the MTA, durably.
    ///
    /// # Errors
    /// An error does not undo that; as with [`DeliveryLog::finish`], this process remembers it.
    fn confirm_notice(&self, claim: NoticeClaim) -> BoxFuture<'_, Result<(), Unrecorded>>;

    /// Gives a reservation back: the notice was not sent, and does not count. Dropping the claim comes to the same.
    ///
    /// # Errors
    /// It cannot be written.
    fn cancel_notice(&self, claim: NoticeClaim) -> BoxFuture<'_, Result<(), StateError>>;

    /// Tries once more to write down what this process could not.
    ///
    /// # Errors
    /// It cannot be written down still.
    fn settle(&self) -> BoxFuture<'_, Result<(), Unrecorded>>;
}

/// May this event be handed over?
#[derive(Debug)]
pub enum Begin {
    /// It was delivered before.
    Delivered(SystemTime),
    /// Another host delivered it.
    DeliveredElsewhere {
        /// Which host, and when.
        by: String,
    },
    /// Another process, or another task of this one, is at it.
    InFlight,
    /// Yes, and nobody else until the claim is dropped or finished.
    New(Claim),
    /// The store of all hosts does not answer, and nothing is to be handed over without it.
    SharedDown {
        /// Why.
        why: String,
    },
}

/// Whether the other hosts know of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedState {
    /// They do.
    Claimed,
    /// The shared store did not answer: another host may hand the same event over.
    Down,
}

impl SharedState {
    /// Its name in log lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Down => "down",
        }
    }
}

/// What is to be said of an event that is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Whether the other hosts know of it; `None` if there are none.
    pub shared: Option<SharedState>,
    /// What went wrong.
    pub warning: Option<String>,
}

/// What keeps everybody else away until it is dropped, or its process ends.
pub(super) trait Guard: fmt::Debug + Send + Sync {
    /// What it guards is done: dropping it does not let others do it.
    fn keep(&self) {}

    /// Lets the others do it now.
    fn give_back(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Guard for InFlightLock {}

/// The right to hand one event over. Dropped, or lost with its process, it leaves the event undelivered.
#[derive(Debug)]
pub struct Claim {
    id: EventId,
    guard: Box<dyn Guard>,
    shared: Option<SharedState>,
}

impl Claim {
    pub(super) fn new(id: EventId, guard: impl Guard + 'static) -> Self {
        Self { id, guard: Box::new(guard), shared: None }
    }

    /// The same with a guard that also keeps other hosts away, or could not.
    pub(super) fn shared(self, state: SharedState, guard: impl FnOnce(Box<dyn Guard>) -> Box<dyn Guard>) -> Self {
        Self { id: self.id, guard: guard(self.guard), shared: Some(state) }
    }

    /// The event it is for.
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// Whether the other hosts know of it; `None` if there are none.
    pub fn shared_state(&self) -> Option<SharedState> {
        self.shared
    }

    /// Gives it back, also to other hosts.
    pub(super) async fn give_back(self) {
        self.guard.give_back().await;
    }

    pub(super) fn into_parts(self) -> (EventId, Box<dyn Guard>) {
        (self.id, self.guard)
    }
}

/// A notice that somebody wants to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRequest {
    /// The event it is about and the sender who is told: one notice for both.
    pub id: EventId,
    /// The address that is written to, in the form in which all its spellings are the same. A notice that is sent counts for it alone.
    pub canonical: String,
    /// The person behind it, in the same form: where a forwarder has rewritten the address, another one. A notice to either is too
    /// soon.
    pub person: String,
    /// The domain that the limit per domain counts, in lower case.
    pub domain: String,
}

/// May this notice be sent? The first limit that says no.
#[derive(Debug)]
pub enum Reservation {
    /// Yes; it counts from now on, until it is confirmed or given back.
    Granted(NoticeClaim),
    /// The notice of this event was sent before.
    AlreadySent,
    /// Another process, or another task of this one, is sending it.
    InFlight,
    /// This sender got one within the interval.
    TooSoon {
        /// When.
        last: SystemTime,
    },
    /// The domain got as many as it may in an hour.
    DomainLimit,
    /// So many were sent as may be in an hour.
    TotalLimit,
    /// The store of all hosts does not answer, and nothing is to be sent without it.
    SharedDown {
        /// Why.
        why: String,
    },
}

/// The right to send one notice. Dropped, or lost with its process, it leaves the notice unsent and uncounted.
#[derive(Debug)]
pub struct NoticeClaim {
    request: NoticeRequest,
    guard: Box<dyn Guard>,
}

impl NoticeClaim {
    pub(super) fn new(request: NoticeRequest, guard: impl Guard + 'static) -> Self {
        Self { request, guard: Box::new(guard) }
    }

    /// The same with a guard that also keeps other hosts away.
    pub(super) fn shared(self, guard: impl FnOnce(Box<dyn Guard>) -> Box<dyn Guard>) -> Self {
        Self { request: self.request, guard: guard(self.guard) }
    }

    pub(super) fn request(&self) -> &NoticeRequest {
        &self.request
    }

    pub(super) fn id(&self) -> &EventId {
        &self.request.id
    }

    /// Gives it back to other hosts.
    pub(super) async fn give_back(&self) {
        self.guard.give_back().await;
    }

    pub(super) fn into_parts(self) -> (NoticeRequest, Box<dyn Guard>) {
        (self.request, self.guard)
    }
}

/// It is done, but the ledger could not write that down; this process remembers it and goes on trying.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "done, but not recorded yet (should this process end before it is, a second copy would be taken for a new one): {0}"
)]
pub struct Unrecorded(pub StateError);
