//! What the ledger thread does when nobody asks anything: it deletes what is past its time, in small steps.
//!
//! A `pipe` process lives for milliseconds, so a pass is not bound to one process: it is noted as done when it is through,
//! and until then every process does a step of it while it waits for its application, or after its answer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior};

use super::held_sweep;
use super::open::{Database, PATIENCE};
use super::shared::{Shared, seconds};
use super::worker::{Failure, Work};

/// Longer than the MTA keeps a message (Postfix: 5 days): after that no second try of it can come.
const KEEP: Duration = Duration::from_secs(10 * 24 * 3600);

/// A row is dated by the beginning of its delivery, which may take this long.
const LONGEST_DELIVERY: i64 = 3600;

/// How often.
const PERIOD: Duration = Duration::from_secs(3600);

/// After another process held the write lock.
const ANOTHER_TRY: Duration = Duration::from_secs(1);

/// Rows of one table in one step: a few milliseconds of the write lock.
const STEP: usize = 500;

/// When to do what.
#[derive(Debug, Default)]
pub(super) struct Chores {
    next_look: Option<Instant>,
}

impl Chores {
    /// How long the thread may wait for a question before a chore is due; `retry` is for what is to be tried again.
    pub(super) fn pause(&self, retry: Option<Duration>) -> Duration {
        let due = self.next_look.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        retry.unwrap_or(due)
    }

    /// One step, if the last pass is long enough ago. An error is left to the next question to report.
    pub(super) fn step(&mut self, shared: &Arc<Shared>, database: &mut Option<Database>) {
        let progress = match database {
            Some(open) => expire_if_due(open, shared),
            None => Ok(Progress::Through),
        };
        let pause = match progress {
            Ok(Progress::More) => Duration::ZERO,
            Ok(Progress::NotNow) => ANOTHER_TRY,
            Ok(Progress::Through) => {
                held_sweep::in_background(shared);
                PERIOD
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => ANOTHER_TRY,
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

fn expire_if_due(database: &mut Database, shared: &Shared) -> rusqlite::Result<Progress> {
    let now = seconds(SystemTime::now());
    let done: Option<i64> = database
        .connection
        .query_row("SELECT done FROM chore WHERE name = 'expiry'", [], |row| row.get(0))
        .optional()?;
    if done.is_some_and(|done| done.abs_diff(now) < PERIOD.as_secs()) {
        return Ok(Progress::Through);
    }
    database.set_durable(false)?;
    // A chore never waits for another process: a message might wait behind it.
    let Ok(Some(_turn)) = shared.claims.turn(Duration::ZERO) else { return Ok(Progress::NotNow) };
    database.connection.busy_timeout(Duration::ZERO)?;
    let through = expire_in_transaction(&mut database.connection, shared, now);
    database.connection.busy_timeout(PATIENCE)?;
    Ok(if through? { Progress::Through } else { Progress::More })
}

fn expire_in_transaction(connection: &mut Connection, shared: &Shared, now: i64) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let through = expire(&transaction, shared, now)?;
    transaction.commit()?;
    Ok(through)
}

/// Deletes a step's worth of what is past its time. True if that was all.
fn expire(transaction: &Connection, shared: &Shared, now: i64) -> rusqlite::Result<bool> {
    let before = |keep: Duration| now.saturating_sub(i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
    let tables = [
        (
            "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE begun < ?1 LIMIT ?2)",
            before(KEEP).saturating_sub(LONGEST_DELIVERY),
        ),
        ("DELETE FROM refusal WHERE id IN (SELECT id FROM refusal WHERE first < ?1 LIMIT ?2)", before(KEEP)),
        (
            // A second try of the message must find the notice that was sent for the first one.
            "DELETE FROM notice WHERE id IN (SELECT id FROM notice WHERE time < ?1 AND sent = 1 LIMIT ?2)",
            before(KEEP.max(shared.settings().interval)),
        ),
    ];
    let mut through = true;
    for (statement, before) in tables {
        through &= transaction.prepare_cached(statement)?.execute((before, STEP as i64))? < STEP;
    }
    if through {
        transaction.execute(
            "INSERT INTO chore (name, done) VALUES ('expiry', ?1) ON CONFLICT DO UPDATE SET done = excluded.done",
            [now],
        )?;
    }
    Ok(through)
}

/// One step on demand; the value is true if that was all.
pub(super) struct Expiry;

impl Work for Expiry {
    type Value = bool;

    fn run(&mut self, transaction: &Connection, shared: &Shared, now: i64) -> Result<bool, Failure> {
        Ok(expire(transaction, shared, now)?)
    }
}
