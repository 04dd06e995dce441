//! What was done: deliveries, first refusals, notices sent, held messages. Shared by `serve` and any number of `pipe`
//! processes at once.
//!
//! It is opened at the first question and again after a failure: a ledger that cannot be read or written defers mail; it
//! never loses or doubles one. It decides nothing about mail: it answers what was done before, and writes down what is.
//!
//! | file in `state_dir` | holds |
//! |---|---|
//! | `ledger.sqlite` (and `-wal`, `-shm`) | deliveries, first refusals, notices |
//! | `claims` | no bytes: its byte ranges are locked by the processes that are handing an event over |
//! | `held/ID/` | one copy: `message.eml` as it came in, `held.json` with why, when and the envelope |

mod check;
mod chores;
mod claims;
mod deliveries;
mod error;
mod held;
mod held_json;
mod held_sweep;
mod notices;
mod open;
mod shared;
mod worker;

use std::sync::Arc;
use std::time::SystemTime;

pub use check::LedgerReport;
pub use error::{LedgerError, Unrecorded};
pub use held::{HeldCopy, HeldList, HeldRecord};
pub use held_sweep::Purged;
pub use notices::{NoticeClaim, NoticeRequest, Reservation};

use crate::config::Config;
use crate::event_id::EventId;
use claims::ByteLock;
use shared::{Settings, Shared};
use worker::Worker;

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
    lock: ByteLock,
}

impl Claim {
    /// The event it is for.
    pub fn id(&self) -> &EventId {
        &self.id
    }
}

/// The ledger of one state directory.
#[derive(Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
}

impl Ledger {
    /// Names the ledger; opens nothing yet.
    pub fn new(config: &Config) -> Self {
        let shared = Arc::new(Shared::new(&config.state_dir, Settings::of(config)));
        Self { worker: Arc::new(Worker::new(Arc::clone(&shared))), shared }
    }

    /// Makes the state directory if it is not there, so that a large message has a place before the first question.
    pub fn prepare(&self) -> Result<(), LedgerError> {
        self.shared.paths.prepare_state_dir()
    }

    /// The ledger of a configuration that was read again: this one with the new limits, if the state directory is the same.
    /// What this process has not been able to write down yet stays known.
    pub fn reloaded(&self, config: &Config) -> Self {
        if self.shared.paths.state_dir != config.state_dir {
            return Self::new(config);
        }
        self.shared.set_settings(Settings::of(config));
        Self { shared: Arc::clone(&self.shared), worker: Arc::clone(&self.worker) }
    }

    /// Before the first question: each is answered in the thread that asks. For a process with one event, for which a thread
    /// costs more than it saves; it does a chore of the ledger by calling [`Ledger::tidy`].
    pub fn work_in_place(&self) {
        self.worker.work_in_place();
    }

    /// Deletes a little of what is past its time, if it is due and no thread does so.
    pub fn tidy(&self) {
        self.worker.tidy();
    }

    /// Claims an event. Before it says yes it has written to the ledger, so that a full disk defers the message before the
    /// application has it, not after.
    pub async fn begin(&self, id: &EventId) -> Result<Begin, LedgerError> {
        self.worker.ask(deliveries::Beginning::new(id)).await
    }

    /// Records that the application acknowledged the event, durably, and ends the claim.
    ///
    /// An error does not undo the delivery: the message is answered as delivered, with the error as a warning. This process
    /// remembers the event, keeps its claim so that no other hands it over again, and goes on trying to record it. That
    /// holds also if the future is dropped before it is done.
    pub async fn finish(&self, claim: Claim) -> Result<(), Unrecorded> {
        self.shared.remember(deliveries::Fact::delivered(claim));
        self.worker.ask(deliveries::Recording).await.map_err(Unrecorded)
    }

    /// When the application first refused this event without a reason: now, if it never did before.
    pub async fn first_refusal(&self, id: &EventId) -> Result<SystemTime, LedgerError> {
        self.worker.ask(deliveries::FirstRefusal::new(id)).await
    }

    /// Asks for the right to send the notice of one event; see [`Reservation`].
    pub async fn reserve_notice(&self, request: NoticeRequest) -> Result<Reservation, LedgerError> {
        self.worker.ask(notices::Reserving::new(request)).await
    }

    /// Records that the notice was handed to the MTA, durably. An error does not undo that; as with [`Ledger::finish`],
    /// this process remembers it.
    pub async fn confirm_notice(&self, claim: NoticeClaim) -> Result<(), Unrecorded> {
        self.shared.remember(deliveries::Fact::notice_sent(claim));
        self.worker.ask(deliveries::Recording).await.map_err(Unrecorded)
    }

    /// Gives a reservation back: the notice was not sent, and does not count. Dropping the claim comes to the same.
    pub async fn cancel_notice(&self, claim: NoticeClaim) -> Result<(), LedgerError> {
        self.worker.ask(notices::Cancelling::new(claim)).await
    }

    /// Whether all that this process knows is written down.
    pub fn is_settled(&self) -> bool {
        self.shared.facts().is_empty()
    }

    /// Tries once more to write down what this process could not; for the end of a process.
    pub async fn settle(&self) -> Result<(), Unrecorded> {
        if self.is_settled() { Ok(()) } else { self.worker.ask(deliveries::Recording).await.map_err(Unrecorded) }
    }

    /// Deletes what is past its time, all of it. The ledger does this itself once an hour, in small steps.
    pub async fn expire(&self) -> Result<(), LedgerError> {
        while !self.worker.ask(chores::Expiry).await? {}
        Ok(())
    }
}
