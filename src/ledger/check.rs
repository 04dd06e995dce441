//! What `mailhatch check` asks the ledger.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use rusqlite::Connection;

use super::error::{LedgerError, corrupt};
use super::open::connect;
use super::shared::{Shared, seconds};
use super::worker::{Failure, Work};
use super::{Ledger, held, held_sweep};

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
    /// Copies kept back.
    pub held: u64,
    /// What they take on disk, in octets.
    pub held_size: u64,
}

impl Ledger {
    /// Writes to the ledger and to the directory of the held copies, durably, and reads both. Makes what is missing.
    pub async fn check(&self) -> Result<LedgerReport, LedgerError> {
        self.worker.ask(Probe).await?;
        self.blocking(|shared| {
            let (report, why) = inspect(shared)?;
            why.map_or(Ok(report), |why| Err(LedgerError::new(corrupt(&shared.paths.database, &why))))
        })
        .await
    }
}

fn inspect(shared: &Shared) -> Result<(LedgerReport, Option<String>), LedgerError> {
    let path = &shared.paths.database;
    let size = fs::metadata(path).map_err(|error| LedgerError::file("read", path, &error))?.len();
    let read_through = size <= READ_THROUGH;
    let database = |error: rusqlite::Error| LedgerError::database(path, &error);
    let connection = connect(path).map_err(database)?;
    let count = |table| count(&connection, table).map_err(database);
    let verdict: String = match read_through {
        true => connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(database)?,
        false => "ok".to_owned(),
    };
    shared.paths.prepare_held()?;
    let cannot = |error| LedgerError::file("write to", &shared.paths.held, &error);
    tempfile::tempfile_in(&shared.paths.held).and_then(|file| file.sync_all()).map_err(cannot)?;
    held::ids(shared)?;
    let copies = held_sweep::totals(shared)?;
    let report = LedgerReport {
        path: path.clone(),
        size,
        read_through,
        deliveries: count("delivery")?,
        refusals: count("refusal")?,
        notices: count("notice")?,
        held: copies.kept,
        held_size: copies.kept_size,
    };
    Ok((report, (verdict != "ok").then_some(verdict)))
}

fn count(connection: &Connection, table: &str) -> rusqlite::Result<u64> {
    let statement = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {COUNTED})");
    connection.query_row(&statement, [], |row| row.get::<_, u32>(0)).map(u64::from)
}

/// Shows that the ledger can be written, through the same door as every delivery.
struct Probe;

impl Work for Probe {
    type Value = ();
    const RECORDS: bool = true;

    fn run(&mut self, transaction: &Connection, _: &Shared, _: i64) -> Result<(), Failure> {
        let now = seconds(SystemTime::now());
        transaction.execute(
            "INSERT INTO chore (name, done) VALUES ('check', ?1) ON CONFLICT DO UPDATE SET done = excluded.done",
            [now],
        )?;
        Ok(())
    }
}
