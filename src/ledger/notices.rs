//! Notices sent, and the limits on them, counted over all processes.
//!
//! A reservation counts while its owner lives (its claim is an in-flight lock), a sent notice as long as its window lasts; a
//! notice that was not sent in the end does not count.

use super::command::Command;
use super::context::Context;
use super::delivery_log::{NoticeClaim, NoticeRequest, Reservation};
use super::row::{id_of_key, row_key, time};
use super::transaction::Transaction;
use crate::event_id::EventId;
use crate::in_flight::{InFlightLock, Right};
use crate::state_dir::StateError;

/// Asks all limits and reserves, in one transaction.
pub(super) struct ReserveNotice {
    request: NoticeRequest,
    lock: Option<InFlightLock>,
}

impl ReserveNotice {
    pub(super) fn new(request: NoticeRequest) -> Self {
        Self { request, lock: None }
    }

    fn refusal(&self, transaction: &Transaction<'_>, context: &Context) -> Result<Option<Reservation>, StateError> {
        let (limits, now) = (context.limits(), transaction.now);
        let interval = i64::try_from(limits.interval.as_secs()).unwrap_or(i64::MAX);
        // Windows look both ways: rows far in the future are left over from a clock that was wrong.
        let (from, to) = (now.saturating_sub(interval), now.saturating_add(interval));
        let question = "SELECT max(time) FROM notice WHERE address IN (?1, ?2) AND time > ?3 AND time < ?4";
        let addresses = (&self.request.canonical, &self.request.person);
        let last: Option<i64> = transaction.only(question, (addresses.0, addresses.1, from, to), |row| row.get(0))?;
        if let Some(last) = last {
            return Ok(Some(Reservation::TooSoon { last: time(last) }));
        }
        let (from, to) = (now.saturating_sub(HOUR), now.saturating_add(HOUR));
        let question = "SELECT count(*) FROM notice WHERE domain = ?1 AND time > ?2 AND time < ?3";
        let of_domain: u32 = transaction.only(question, (&self.request.domain, from, to), |row| row.get(0))?;
        if of_domain >= limits.per_domain_per_hour {
            return Ok(Some(Reservation::DomainLimit));
        }
        let question = "SELECT count(*) FROM notice WHERE time > ?1 AND time < ?2";
        let total: u32 = transaction.only(question, (from, to), |row| row.get(0))?;
        Ok((total >= limits.total_per_hour).then_some(Reservation::TotalLimit))
    }
}

const HOUR: i64 = 3600;

impl Command for ReserveNotice {
    type Value = Reservation;

    fn prepare(&mut self, context: &Context) -> Result<Option<Reservation>, StateError> {
        if context.facts().iter().any(|fact| fact.is_notice_of(&self.request.id)) {
            return Ok(Some(Reservation::AlreadySent));
        }
        self.lock = context.in_flight.take(Right::Notice, &self.request.id)?;
        Ok(self.lock.is_none().then_some(Reservation::InFlight))
    }

    fn run(&mut self, transaction: &Transaction<'_>, context: &Context) -> Result<Reservation, StateError> {
        let key = row_key(&self.request.id);
        let sent: Option<bool> = transaction.first("SELECT sent FROM notice WHERE id = ?1", [key], |row| row.get(0))?;
        if sent == Some(true) {
            return Ok(Reservation::AlreadySent);
        }
        forget_the_dead(transaction, context, key)?;
        if let Some(refusal) = self.refusal(transaction, context)? {
            return Ok(refusal);
        }
        transaction.execute(
            "INSERT INTO notice (id, time, sent, address, domain) VALUES (?1, ?2, 0, ?3, ?4)",
            (key, transaction.now, &self.request.canonical, &self.request.domain),
        )?;
        match self.lock.take() {
            Some(lock) => Ok(Reservation::Granted(NoticeClaim::new(self.request.clone(), lock))),
            None => Ok(Reservation::InFlight),
        }
    }
}

/// Deletes the reservations whose owner is gone, and an earlier one of `own`, whose lock is ours now.
fn forget_the_dead(transaction: &Transaction<'_>, context: &Context, own: [u8; 16]) -> Result<(), StateError> {
    let reserved: Vec<[u8; 16]> = transaction.all("SELECT id FROM notice WHERE sent = 0", [], |row| row.get(0))?;
    for key in reserved {
        let alive = match id_of_key(key) {
            Some(id) if key != own => context.in_flight.is_taken(Right::Notice, &id)?,
            _ => false,
        };
        if !alive {
            delete(transaction, key)?;
        }
    }
    Ok(())
}

/// Gives a reservation back.
pub(super) struct CancelNotice {
    claim: NoticeClaim,
}

impl CancelNotice {
    pub(super) fn new(claim: NoticeClaim) -> Self {
        Self { claim }
    }
}

impl Command for CancelNotice {
    type Value = ();

    fn run(&mut self, transaction: &Transaction<'_>, _: &Context) -> Result<(), StateError> {
        delete(transaction, row_key(self.claim.id()))
    }
}

fn delete(transaction: &Transaction<'_>, key: [u8; 16]) -> Result<(), StateError> {
    transaction.execute("DELETE FROM notice WHERE id = ?1 AND sent = 0", [key]).map(drop)
}

/// Writes down that a notice was sent. Its reservation is there, unless the ledger was replaced in the meantime.
pub(super) fn record(
    transaction: &Transaction<'_>,
    id: &EventId,
    at: i64,
    canonical: &str,
    domain: &str,
) -> Result<(), StateError> {
    let statement = "INSERT INTO notice (id, time, sent, address, domain) VALUES (?1, ?2, 1, ?3, ?4)
                     ON CONFLICT DO UPDATE SET time = excluded.time, sent = 1";
    transaction.execute(statement, (row_key(id), at, canonical, domain)).map(drop)
}
