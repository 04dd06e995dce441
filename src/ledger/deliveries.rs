//! Deliveries begun and done, and since when an event waits.

use std::time::Duration;

use super::command::Command;
use super::context::Context;
use super::delivery_log::{Begin, Claim};
use super::row::{row_key, time};
use super::transaction::Transaction;
use crate::event_id::EventId;
use crate::in_flight::{InFlightLock, Right};
use crate::state_dir::StateError;

/// Claims an event.
///
/// The row that it writes shows that the ledger can be written, before the application is asked: where that was shown a moment
/// ago it only reads. The row needs no fsync, because nothing is lost with it: if it is gone after a power cut, so is the
/// claim, and the event is begun again.
pub(super) struct BeginDelivery {
    id: EventId,
    lock: Option<InFlightLock>,
}

impl BeginDelivery {
    pub(super) fn new(id: &EventId) -> Self {
        Self { id: id.clone(), lock: None }
    }
}

impl Command for BeginDelivery {
    type Value = Begin;
    const PROBES: bool = true;

    fn prepare(&mut self, context: &Context) -> Result<Option<Begin>, StateError> {
        if let Some(at) = context.facts().iter().find_map(|fact| fact.delivery_of(&self.id)) {
            return Ok(Some(Begin::Delivered(time(at))));
        }
        self.lock = context.in_flight.take_in_batch(Right::HandOver, &self.id)?;
        Ok(self.lock.is_none().then_some(Begin::InFlight))
    }

    fn run(&mut self, transaction: &Transaction<'_>, _: &Context) -> Result<Begin, StateError> {
        let key = row_key(&self.id);
        let delivered: Option<Option<i64>> =
            transaction.first("SELECT delivered FROM delivery WHERE id = ?1", [key], |row| row.get(0))?;
        if let Some(Some(at)) = delivered {
            return Ok(Begin::Delivered(time(at)));
        }
        if !transaction.is_writable {
            // The time of the last beginning: the row outlives the delivery by the whole time of the expiry.
            transaction.execute(
                "INSERT INTO delivery (id, begun) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET begun = excluded.begun",
                (key, transaction.now),
            )?;
        }
        match self.lock.take() {
            Some(lock) => Ok(Begin::New(Claim::new(self.id.clone(), lock))),
            None => Ok(Begin::InFlight),
        }
    }
}

/// Reads how long ago an event was delivered.
pub(super) struct Delivered {
    id: EventId,
}

impl Delivered {
    pub(super) fn new(id: &EventId) -> Self {
        Self { id: id.clone() }
    }
}

impl Command for Delivered {
    type Value = Option<Duration>;

    fn run(&mut self, transaction: &Transaction<'_>, context: &Context) -> Result<Option<Duration>, StateError> {
        let unrecorded = context.facts().iter().find_map(|fact| fact.delivery_of(&self.id));
        let recorded: Option<Option<i64>> = match unrecorded {
            Some(at) => Some(Some(at)),
            None => transaction
                .first("SELECT delivered FROM delivery WHERE id = ?1", [row_key(&self.id)], |row| row.get(0))?,
        };
        Ok(recorded.flatten().map(|at| age(at, transaction)))
    }
}

/// Writes down that an event was delivered. The row of the beginning may be there.
pub(super) fn record(transaction: &Transaction<'_>, id: &EventId, at: i64) -> Result<(), StateError> {
    let statement = "INSERT INTO delivery (id, begun, delivered) VALUES (?1, ?2, ?2)
                     ON CONFLICT DO UPDATE SET delivered = excluded.delivered, begun = max(begun, excluded.begun)";
    transaction.execute(statement, (row_key(id), at)).map(drop)
}

/// Reads how long ago an application first refused an event, or writes that it does so now. It needs no fsync: lost in a
/// power cut, the time only begins later.
pub(super) struct FirstRefusal {
    id: EventId,
}

impl FirstRefusal {
    pub(super) fn new(id: &EventId) -> Self {
        Self { id: id.clone() }
    }
}

impl Command for FirstRefusal {
    type Value = Duration;

    fn run(&mut self, transaction: &Transaction<'_>, _: &Context) -> Result<Duration, StateError> {
        let key = row_key(&self.id);
        // A time in the future is left over from a clock that was wrong.
        transaction.execute(
            "INSERT INTO refusal (id, first) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET first = excluded.first WHERE first > excluded.first",
            (key, transaction.now),
        )?;
        transaction
            .only("SELECT first FROM refusal WHERE id = ?1", [key], |row| row.get(0))
            .map(|at| age(at, transaction))
    }
}

/// The same for the first deferral, whatever its cause.
pub(super) struct FirstDeferral {
    id: EventId,
}

impl FirstDeferral {
    pub(super) fn new(id: &EventId) -> Self {
        Self { id: id.clone() }
    }
}

impl Command for FirstDeferral {
    type Value = Duration;

    fn run(&mut self, transaction: &Transaction<'_>, _: &Context) -> Result<Duration, StateError> {
        let key = row_key(&self.id);
        transaction.execute(
            "INSERT INTO deferral (id, first, last) VALUES (?1, ?2, ?2)
             ON CONFLICT DO UPDATE SET last = excluded.last, first = min(first, excluded.first)",
            (key, transaction.now),
        )?;
        transaction
            .only("SELECT first FROM deferral WHERE id = ?1", [key], |row| row.get(0))
            .map(|at| age(at, transaction))
    }
}

fn age(at: i64, transaction: &Transaction<'_>) -> Duration {
    Duration::from_secs(u64::try_from(transaction.now.saturating_sub(at)).unwrap_or(0))
}
