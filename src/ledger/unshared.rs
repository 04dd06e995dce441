//! What is done and the other hosts may not know yet. A row is written with what it is about, in one transaction, and goes
//! when the shared store has it: whatever happens in between, somebody tells the others later.

use std::time::Duration;

use super::command::Command;
use super::context::Context;
use super::facts::{Done, What};
use super::row::{UnsharedKey, id_of_key, row_key};
use super::shared_store::{SharedRecord, SharedWhat};
use super::transaction::Transaction;
use crate::state_dir::StateError;

/// Told at once at most.
pub(super) const BATCH: usize = 500;

/// A row this young is being told by whoever wrote it.
const FRESH: i64 = 2;

/// Further in the future than this, a time is left over from a clock that was wrong.
const AHEAD: i64 = 60;

const DELIVERED: &str = "delivered";
const NOTICE: &str = "notice";

/// The row of what was done at a time.
pub(super) fn key_of(record: &SharedRecord, at: i64) -> UnsharedKey {
    let kind = match record.what {
        SharedWhat::Delivered => DELIVERED,
        SharedWhat::NoticeSent { .. } => NOTICE,
    };
    UnsharedKey { at, id: row_key(&record.id), kind }
}

/// Notes that the other hosts are to be told.
pub(super) fn note(transaction: &Transaction<'_>, done: &Done) -> Result<(), StateError> {
    let kind = match done.what {
        What::Delivered => DELIVERED,
        What::NoticeSent { .. } => NOTICE,
    };
    let statement = "INSERT INTO unshared (at, id, kind) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    transaction.execute(statement, (done.at, row_key(&done.id), kind)).map(drop)
}

/// The other hosts know it.
pub(super) fn forget(transaction: &Transaction<'_>, told: &[UnsharedKey]) -> Result<(), StateError> {
    let statement = "DELETE FROM unshared WHERE at = ?1 AND id = ?2 AND kind = ?3";
    told.iter().try_for_each(|key| transaction.execute(statement, (key.at, key.id, key.kind)).map(drop))
}

/// What waits to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// The oldest of it, each with its row.
    pub(super) records: Vec<(UnsharedKey, SharedRecord)>,
    /// How many there are, up to [`COUNTED`].
    pub(super) count: u64,
}

const COUNTED: u32 = 1_000_000;

/// Reads the oldest.
pub(super) struct OldestUnshared;

impl Command for OldestUnshared {
    type Value = Waiting;

    fn run(&mut self, transaction: &Transaction<'_>, context: &Context) -> Result<Waiting, StateError> {
        let now = transaction.now;
        let interval = context.limits().interval;
        let question =
            "SELECT u.id, u.kind, u.at, n.address, n.domain FROM unshared u LEFT JOIN notice n ON n.id = u.id
                        WHERE u.at <= ?1 OR u.at > ?2 ORDER BY u.at LIMIT ?3";
        let values = (now.saturating_sub(FRESH), now.saturating_add(AHEAD), BATCH as i64);
        let rows = transaction.all(question, values, |row| {
            let (id, kind, at): ([u8; 16], String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (canonical, domain): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
            let what = match (kind.as_str(), canonical, domain) {
                (NOTICE, Some(canonical), Some(domain)) => SharedWhat::NoticeSent { canonical, domain, interval },
                (NOTICE, ..) => return Ok(None),
                _ => SharedWhat::Delivered,
            };
            let age = Duration::from_secs(u64::try_from(now.saturating_sub(at)).unwrap_or(0));
            let record = id_of_key(id).map(|id| SharedRecord { id, age, what });
            Ok(record.map(|record| (key_of(&record, at), record)))
        })?;
        // A fresh row is not waiting; in an idle moment there is none.
        let question = "SELECT count(*) FROM (SELECT 1 FROM unshared WHERE at <= ?1 OR at > ?2 LIMIT ?3)";
        let values = (now.saturating_sub(FRESH), now.saturating_add(AHEAD), COUNTED);
        let count: u32 = transaction.only(question, values, |row| row.get(0))?;
        Ok(Waiting { records: rows.into_iter().flatten().collect(), count: u64::from(count) })
    }
}
