//! What the writer does when nobody asks anything: it deletes what is past its time, in small steps.
//!
//! A `pipe` process lives for milliseconds, so a pass is not bound to one process: it is noted as done when it is through,
//! and until then every process does a step of it while it waits for its application, or after its answer.

use std::time::{Duration, Instant};

use rusqlite::TransactionBehavior;

use super::command::Command;
use super::context::Context;
use super::database::{Database, PATIENCE};
use super::error;
use super::transaction::Transaction;
use crate::in_flight::Queue;
use crate::state_dir::StateError;

/// Longer than the MTA keeps a message (Postfix: 5 days): after that no second try of it can come.
const KEEP: Duration = Duration::from_secs(10 * 24 * 3600);

/// A row is dated by the beginning of its delivery, which may take this long.
const LONGEST_DELIVERY: i64 = 3600;

/// How often. A pass reads the whole table of deliveries.
const PERIOD: Duration = Duration::from_secs(24 * 3600);

/// After another process had the write lock.
const ANOTHER_TRY: Duration = Duration::from_secs(1);

/// Rows of one table in one step, looked at or deleted: a few milliseconds of the write lock.
const STEP: usize = 500;

/// Behind the key of every delivery, which has 16 octets.
const END: [u8; 17] = [0xff; 17];

/// When to do what.
#[derive(Debug, Default)]
pub(super) struct Maintenance {
    next_look: Option<Instant>,
}

impl Maintenance {
    /// How long the writer may wait for a question before maintenance is due; `retry` is for what is to be tried again.
    pub(super) fn pause(&self, retry: Option<Duration>) -> Duration {
        let due = self.next_look.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        retry.unwrap_or(due)
    }

    /// One step, if the last pass is long enough ago. An error is left to the next question to report.
    pub(super) fn step(&mut self, context: &Context, database: &mut Option<Database>) {
        let progress = match database {
            Some(open) => expire_if_due(open, context),
            None => Ok(Progress::Through),
        };
        let pause = match progress {
            Ok(Progress::More) => Duration::ZERO,
            Ok(Progress::NotNow) => ANOTHER_TRY,
            Ok(Progress::Through) => PERIOD,
            Err(_) => {
                *database = None;
                PERIOD
            }
        };
        self.next_look = Some(Instant::now() + pause);
    }
}

enum Progress {
    Through,
    More,
    NotNow,
}

fn expire_if_due(database: &mut Database, context: &Context) -> Result<Progress, StateError> {
    let path = context.database.as_path();
    let failed = |failure: rusqlite::Error| error::database(path, &failure);
    let now = context.now();
    if was_done_within_the_period(&Transaction::new(&database.connection, path, now))? {
        return Ok(Progress::Through);
    }
    database.set_durable(false).map_err(failed)?;
    // Maintenance never waits for another process: a message might wait behind it.
    let Ok(Some(_turn)) = context.in_flight.turn(Queue::Ledger, Duration::ZERO) else { return Ok(Progress::NotNow) };
    database.connection.busy_timeout(Duration::ZERO).map_err(failed)?;
    let next = match database.connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(begun) => {
            let next = go_on(&Transaction::new(&begun, path, now), context)?;
            begun.commit().map_err(failed)?;
            Some(next)
        }
        Err(busy) if busy.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => None,
        Err(failure) => return Err(failed(failure)),
    };
    database.connection.busy_timeout(PATIENCE).map_err(failed)?;
    Ok(match next {
        None => Progress::NotNow,
        Some(None) => Progress::Through,
        Some(Some(_)) => Progress::More,
    })
}

fn was_done_within_the_period(transaction: &Transaction<'_>) -> Result<bool, StateError> {
    let question = "SELECT done FROM chore WHERE name = 'expiry'";
    let done: Option<i64> = transaction.first(question, [], |row| row.get(0))?;
    Ok(done.is_some_and(|done| done.abs_diff(transaction.now) < PERIOD.as_secs()))
}

/// One step of the pass that is under way; where the next one begins, or `None` if the pass is through.
fn go_on(transaction: &Transaction<'_>, context: &Context) -> Result<Option<Place>, StateError> {
    let place: Option<Option<Vec<u8>>> =
        transaction.first("SELECT place FROM chore WHERE name = 'expiry'", [], |row| row.get(0))?;
    let next = expire(transaction, context, &Place(place.flatten().unwrap_or_default()))?;
    match &next {
        Some(Place(place)) => transaction.execute(
            "INSERT INTO chore (name, done, place) VALUES ('expiry', 0, ?1) ON CONFLICT DO UPDATE SET place = excluded.place",
            [place],
        )?,
        None => transaction.execute(
            "INSERT INTO chore (name, done) VALUES ('expiry', ?1) ON CONFLICT DO UPDATE SET done = excluded.done, place = NULL",
            [transaction.now],
        )?,
    };
    Ok(next)
}

/// The key up to which a pass has looked at the deliveries; empty at its beginning.
#[derive(Debug, Default)]
pub(super) struct Place(Vec<u8>);

/// Deletes what is past its time from some rows behind a place; where to go on, or `None` if that was all.
fn expire(transaction: &Transaction<'_>, context: &Context, place: &Place) -> Result<Option<Place>, StateError> {
    let before = |keep: Duration| transaction.now.saturating_sub(i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
    let next: Option<Vec<u8>> = transaction.first(
        "SELECT id FROM delivery WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2",
        (&place.0, STEP as i64),
        |row| row.get(0),
    )?;
    transaction.execute(
        "DELETE FROM delivery WHERE id > ?1 AND id <= ?2 AND begun < ?3",
        (&place.0, next.as_deref().unwrap_or(&END), before(KEEP).saturating_sub(LONGEST_DELIVERY)),
    )?;
    let tables = [
        ("DELETE FROM refusal WHERE id IN (SELECT id FROM refusal WHERE first < ?1 LIMIT ?2)", before(KEEP)),
        ("DELETE FROM deferral WHERE id IN (SELECT id FROM deferral WHERE last < ?1 LIMIT ?2)", before(KEEP)),
        (
            "DELETE FROM unshared WHERE (at, id, kind) IN (SELECT at, id, kind FROM unshared WHERE at < ?1 LIMIT ?2)",
            before(KEEP),
        ),
        (
            // A second try of the message must find the notice that was sent for the first one.
            "DELETE FROM notice WHERE id IN (SELECT id FROM notice WHERE time < ?1 AND sent = 1 LIMIT ?2)",
            before(KEEP.max(context.limits().interval)),
        ),
    ];
    let mut through = true;
    for (statement, before) in tables {
        through &= transaction.execute(statement, (before, STEP as i64))? < STEP;
    }
    Ok(match next {
        Some(next) => Some(Place(next)),
        None if through => None,
        None => Some(Place(END.to_vec())),
    })
}

/// One step on demand, behind a place; the value is where the next one begins, or `None` if that was all.
#[derive(Debug, Default)]
pub(super) struct Expire(pub(super) Place);

impl Command for Expire {
    type Value = Option<Place>;

    fn run(&mut self, transaction: &Transaction<'_>, context: &Context) -> Result<Option<Place>, StateError> {
        expire(transaction, context, &self.0)
    }
}
