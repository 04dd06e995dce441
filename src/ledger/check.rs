//! What `mailhatch check` asks the ledger.

use std::path::PathBuf;

use rusqlite::Connection;

use super::command::Command;
use super::context::Context;
use super::database::{FILE, connect};
use super::error::{self, corrupt};
use super::transaction::Transaction;
use crate::state_dir::StateError;

/// Above this size the database is not read through: `check` answers in seconds.
const READ_THROUGH: u64 = 64 * 1024 * 1024;

/// Rows are counted up to this many.
const COUNTED: u64 = 1_000_000;

/// A ledger that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerReport {
    /// The database.
    pub path: PathBuf,
    /// Its size in octets.
    pub size: u64,
    /// Whether its structure was checked throughout; it is not where that would take long.
    pub read_through: bool,
    /// Deliveries known, begun ones included; one million stands for that many or more, here and below.
    pub deliveries: u64,
    /// First refusals known.
    pub refusals: u64,
    /// Notices sent or reserved.
    pub notices: u64,
}

/// Reads it, beside the writer.
pub(super) fn inspect(context: &Context) -> Result<LedgerReport, StateError> {
    let path = &context.database;
    let directory = context.state_dir.open()?;
    let missing = || StateError::file("find", path, &std::io::ErrorKind::NotFound.into());
    let found = directory.find(FILE).map_err(|error| StateError::file("read", path, &error))?;
    let size = found.ok_or_else(missing)?.size;
    let read_through = size <= READ_THROUGH;
    let database = |failure: rusqlite::Error| error::database(path, &failure);
    let connection = connect(&directory)?;
    let count = |table| count(&connection, table).map_err(database);
    if read_through {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(database)?;
        if found != "ok" {
            return Err(StateError::new(corrupt(path, &found)));
        }
    }
    Ok(LedgerReport {
        path: path.clone(),
        size,
        read_through,
        deliveries: count("delivery")?,
        refusals: count("refusal")?,
        notices: count("notice")?,
    })
}

fn count(connection: &Connection, table: &str) -> rusqlite::Result<u64> {
    let statement = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {COUNTED})");
    connection.query_row(&statement, [], |row| row.get::<_, u32>(0)).map(u64::from)
}

/// Shows that the ledger can be written, through the same door as every delivery.
pub(super) struct Probe;

impl Command for Probe {
    type Value = ();
    const RECORDS: bool = true;

    fn run(&mut self, transaction: &Transaction<'_>, _: &Context) -> Result<(), StateError> {
        let statement =
            "INSERT INTO chore (name, done) VALUES ('check', ?1) ON CONFLICT DO UPDATE SET done = excluded.done";
        transaction.execute(statement, [transaction.now]).map(drop)
    }
}
