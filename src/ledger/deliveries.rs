//! Deliveries begun and done, and when an application first refused an event.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension};

use super::claims::{ByteLock, Right};
use super::error::LedgerError;
use super::notices::NoticeClaim;
use super::shared::{Shared, row_key, seconds, time};
use super::worker::{Failure, Work};
use super::{Begin, Claim};
use crate::event_id::EventId;

/// Something that is done and must be written down; it keeps its claim until it is.
#[derive(Debug)]
pub(super) struct Fact {
    id: EventId,
    at: i64,
    /// For a notice: the canonical address and the domain that it went to.
    notice: Option<(String, String)>,
    _lock: ByteLock,
}

impl Fact {
    /// The application has acknowledged the event.
    pub(super) fn delivered(claim: Claim) -> Self {
        Self { id: claim.id, at: seconds(SystemTime::now()), notice: None, _lock: claim.lock }
    }

    /// The MTA has taken the notice.
    pub(super) fn notice_sent(claim: NoticeClaim) -> Self {
        let NoticeClaim { request, lock } = claim;
        let notice = Some((request.canonical, request.domain));
        Self { id: request.id, at: seconds(SystemTime::now()), notice, _lock: lock }
    }

    /// When the event was delivered, if this says so.
    fn delivery_of(&self, id: &EventId) -> Option<i64> {
        (self.notice.is_none() && self.id == *id).then_some(self.at)
    }

    /// Whether this says that the event's notice was sent.
    pub(super) fn is_notice_of(&self, id: &EventId) -> bool {
        self.notice.is_some() && self.id == *id
    }

    /// What goes into the database.
    pub(super) fn row(&self) -> Row {
        Row { key: row_key(&self.id), at: self.at, notice: self.notice.clone() }
    }
}

/// A fact without its claim.
pub(super) struct Row {
    key: [u8; 16],
    at: i64,
    notice: Option<(String, String)>,
}

impl Row {
    pub(super) fn write(&self, transaction: &Connection) -> rusqlite::Result<()> {
        // The row of the beginning is there, unless the ledger was replaced in the meantime.
        match &self.notice {
            None => transaction
                .prepare_cached(
                    "INSERT INTO delivery (id, begun, delivered) VALUES (?1, ?2, ?2)
                     ON CONFLICT DO UPDATE SET delivered = excluded.delivered",
                )?
                .execute((self.key, self.at))?,
            Some((address, domain)) => transaction
                .prepare_cached(
                    "INSERT INTO notice (id, time, sent, address, domain) VALUES (?1, ?2, 1, ?3, ?4)
                     ON CONFLICT DO UPDATE SET time = excluded.time, sent = 1",
                )?
                .execute((self.key, self.at, address, domain))?,
        };
        Ok(())
    }
}

/// Writes the facts down. The thread does so in every transaction, so there is nothing to do but to wait for one; none is
/// needed if they have all been taken away, which happens after their commit.
pub(super) struct Recording;

impl Work for Recording {
    type Value = ();
    const RECORDS: bool = true;

    fn prepare(&mut self, shared: &Shared) -> Result<Option<()>, LedgerError> {
        Ok(shared.facts().is_empty().then_some(()))
    }

    fn run(&mut self, _: &Connection, _: &Shared, _: i64) -> Result<(), Failure> {
        Ok(())
    }
}

/// Claims an event.
///
/// The row that it writes shows that the ledger can be written; it needs no fsync, because nothing is lost with it: if it is
/// gone after a power cut, so is the claim, and the event is begun again.
pub(super) struct Beginning {
    id: EventId,
    lock: Option<ByteLock>,
}

impl Beginning {
    pub(super) fn new(id: &EventId) -> Self {
        Self { id: id.clone(), lock: None }
    }
}

impl Work for Beginning {
    type Value = Begin;

    fn prepare(&mut self, shared: &Shared) -> Result<Option<Begin>, LedgerError> {
        if let Some(at) = shared.facts().iter().find_map(|fact| fact.delivery_of(&self.id)) {
            return Ok(Some(Begin::Delivered(time(at))));
        }
        self.lock = shared.claims.take(Right::HandOver, &self.id)?;
        Ok(self.lock.is_none().then_some(Begin::InFlight))
    }

    fn run(&mut self, transaction: &Connection, _: &Shared, now: i64) -> Result<Begin, Failure> {
        let delivered: Option<Option<i64>> = transaction
            .prepare_cached("SELECT delivered FROM delivery WHERE id = ?1")?
            .query_row([row_key(&self.id)], |row| row.get(0))
            .optional()?;
        if let Some(Some(at)) = delivered {
            return Ok(Begin::Delivered(time(at)));
        }
        // The time of the last beginning: the row outlives the delivery by the whole time of the expiry.
        transaction
            .prepare_cached(
                "INSERT INTO delivery (id, begun) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET begun = excluded.begun",
            )?
            .execute((row_key(&self.id), now))?;
        match self.lock.take() {
            Some(lock) => Ok(Begin::New(Claim { id: self.id.clone(), lock })),
            None => Ok(Begin::InFlight),
        }
    }
}

/// Reads when an event was first refused, or writes that it is now. It needs no fsync: lost in a power cut, the time only
/// begins later.
pub(super) struct FirstRefusal {
    id: EventId,
}

impl FirstRefusal {
    pub(super) fn new(id: &EventId) -> Self {
        Self { id: id.clone() }
    }
}

impl Work for FirstRefusal {
    type Value = SystemTime;

    fn run(&mut self, transaction: &Connection, _: &Shared, now: i64) -> Result<SystemTime, Failure> {
        // A time in the future is left over from a clock that was wrong.
        transaction
            .prepare_cached(
                "INSERT INTO refusal (id, first) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET first = excluded.first WHERE first > excluded.first",
            )?
            .execute((row_key(&self.id), now))?;
        let first = transaction
            .prepare_cached("SELECT first FROM refusal WHERE id = ?1")?
            .query_row([row_key(&self.id)], |row| row.get(0))?;
        Ok(time(first))
    }
}
