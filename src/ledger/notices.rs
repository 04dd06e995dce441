//! Notices sent, and the limits on them, counted over all processes.
//!
//! A reservation counts while its owner lives (its claim is a lock, see `claims`), a sent notice as long as its window
//! lasts; a notice that was not sent in the end does not count.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension};

use super::claims::{ByteLock, Right};
use super::error::LedgerError;
use super::shared::{Shared, id_of_key, row_key, time};
use super::worker::{Failure, Work};
use crate::event_id::EventId;

/// A notice that somebody wants to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRequest {
    /// The event it is about: one notice an event.
    pub id: EventId,
    /// For whom, in the form in which all spellings of one sender are the same.
    pub canonical: String,
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
}

/// The right to send one notice. Dropped, or lost with its process, it leaves the notice unsent and uncounted.
#[derive(Debug)]
pub struct NoticeClaim {
    pub(super) request: NoticeRequest,
    pub(super) lock: ByteLock,
}

/// Asks all limits and reserves, in one transaction.
pub(super) struct Reserving {
    request: NoticeRequest,
    lock: Option<ByteLock>,
}

impl Reserving {
    pub(super) fn new(request: NoticeRequest) -> Self {
        Self { request, lock: None }
    }

    fn refusal(&self, transaction: &Connection, shared: &Shared, now: i64) -> rusqlite::Result<Option<Reservation>> {
        let settings = shared.settings();
        let interval = i64::try_from(settings.interval.as_secs()).unwrap_or(i64::MAX);
        // Windows look both ways: rows far in the future are left over from a clock that was wrong.
        let (from, to) = (now.saturating_sub(interval), now.saturating_add(interval));
        let last: Option<i64> = transaction
            .prepare_cached("SELECT max(time) FROM notice WHERE address = ?1 AND time > ?2 AND time < ?3")?
            .query_row((&self.request.canonical, from, to), |row| row.get(0))?;
        if let Some(last) = last {
            return Ok(Some(Reservation::TooSoon { last: time(last) }));
        }
        let (from, to) = (now.saturating_sub(HOUR), now.saturating_add(HOUR));
        let of_domain: u32 = transaction
            .prepare_cached("SELECT count(*) FROM notice WHERE domain = ?1 AND time > ?2 AND time < ?3")?
            .query_row((&self.request.domain, from, to), |row| row.get(0))?;
        if of_domain >= settings.per_domain_per_hour {
            return Ok(Some(Reservation::DomainLimit));
        }
        let total: u32 = transaction
            .prepare_cached("SELECT count(*) FROM notice WHERE time > ?1 AND time < ?2")?
            .query_row((from, to), |row| row.get(0))?;
        Ok((total >= settings.total_per_hour).then_some(Reservation::TotalLimit))
    }
}

const HOUR: i64 = 3600;

impl Work for Reserving {
    type Value = Reservation;

    fn prepare(&mut self, shared: &Shared) -> Result<Option<Reservation>, LedgerError> {
        if shared.facts().iter().any(|fact| fact.is_notice_of(&self.request.id)) {
            return Ok(Some(Reservation::AlreadySent));
        }
        self.lock = shared.claims.take(Right::Notice, &self.request.id)?;
        Ok(self.lock.is_none().then_some(Reservation::InFlight))
    }

    fn run(&mut self, transaction: &Connection, shared: &Shared, now: i64) -> Result<Reservation, Failure> {
        let key = row_key(&self.request.id);
        let sent: Option<bool> = transaction
            .prepare_cached("SELECT sent FROM notice WHERE id = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        if sent == Some(true) {
            return Ok(Reservation::AlreadySent);
        }
        forget_the_dead(transaction, shared, key)?;
        if let Some(refusal) = self.refusal(transaction, shared, now)? {
            return Ok(refusal);
        }
        transaction
            .prepare_cached("INSERT INTO notice (id, time, sent, address, domain) VALUES (?1, ?2, 0, ?3, ?4)")?
            .execute((key, now, &self.request.canonical, &self.request.domain))?;
        match self.lock.take() {
            Some(lock) => Ok(Reservation::Granted(NoticeClaim { request: self.request.clone(), lock })),
            None => Ok(Reservation::InFlight),
        }
    }
}

/// Deletes the reservations whose owner is gone, and an earlier one of `own`, whose claim is ours now.
fn forget_the_dead(transaction: &Connection, shared: &Shared, own: [u8; 16]) -> Result<(), Failure> {
    let mut reserved = transaction.prepare_cached("SELECT id FROM notice WHERE sent = 0")?;
    let keys = reserved.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<[u8; 16]>>>()?;
    for key in keys {
        let alive = match id_of_key(key) {
            Some(id) if key != own => shared.claims.is_taken(Right::Notice, &id)?,
            _ => false,
        };
        if !alive {
            delete(transaction, key)?;
        }
    }
    Ok(())
}

/// Gives a reservation back.
pub(super) struct Cancelling {
    claim: NoticeClaim,
}

impl Cancelling {
    pub(super) fn new(claim: NoticeClaim) -> Self {
        Self { claim }
    }
}

impl Work for Cancelling {
    type Value = ();

    fn run(&mut self, transaction: &Connection, _: &Shared, _: i64) -> Result<(), Failure> {
        Ok(delete(transaction, row_key(&self.claim.request.id))?)
    }
}

fn delete(transaction: &Connection, key: [u8; 16]) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM notice WHERE id = ?1 AND sent = 0")?.execute([key])?;
    Ok(())
}
