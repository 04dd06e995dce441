//! The tables, and how those of an earlier version become those of this one.
//!
//! A released step never changes: a new version adds one behind it.

use rusqlite::{Connection, TransactionBehavior};

/// The first version.
///
/// `delivery` may grow to millions of rows: the key is the table itself.
const FIRST: &str = "
    CREATE TABLE delivery (id BLOB PRIMARY KEY, begun INTEGER NOT NULL, delivered INTEGER) STRICT, WITHOUT ROWID;
    CREATE INDEX delivery_begun ON delivery (begun);
    CREATE TABLE refusal (id BLOB PRIMARY KEY, first INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX refusal_first ON refusal (first);
    CREATE TABLE notice (id BLOB PRIMARY KEY, time INTEGER NOT NULL, sent INTEGER NOT NULL, address TEXT NOT NULL,
                         domain TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX notice_time ON notice (time);
    CREATE INDEX notice_address ON notice (address, time);
    CREATE INDEX notice_domain ON notice (domain, time);
    CREATE INDEX notice_reserved ON notice (sent) WHERE sent = 0;
    CREATE TABLE chore (name TEXT PRIMARY KEY, done INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// `deferral`: since when a message waits, and when it was last tried. It is forgotten by `last`: a message that is still
/// tried must not become young again.
///
/// `inbox_item` has the numbers of a mailbox that has ids, `inbox_list` how far its list was read.
///
/// `inbox_message` holds what is not below `low` and is not done: it is as large as the backlog.
///
/// `delivery_begun` goes: those begun in the same second stand in it in the order of their ids, so that with thousands a second a
/// mail cost a page of it beside that of the table. The expiry walks the table, and `chore` keeps how far it is.
///
/// `unshared`: what is done and other hosts may not know yet. The oldest is told first, and what is new is the end of the
/// table: mostly it has one page, which each delivery writes to twice.
const SECOND: &str = "
    DROP INDEX delivery_begun;
    ALTER TABLE chore ADD COLUMN place BLOB;
    CREATE TABLE deferral (id BLOB PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX deferral_last ON deferral (last);
    CREATE TABLE inbox (name TEXT PRIMARY KEY, uidvalidity INTEGER NOT NULL, start INTEGER NOT NULL, low INTEGER NOT NULL,
                        began INTEGER NOT NULL, newest INTEGER, since TEXT, reader TEXT)
                        STRICT, WITHOUT ROWID;
    CREATE TABLE inbox_message (inbox TEXT NOT NULL, uidvalidity INTEGER NOT NULL, uid INTEGER NOT NULL,
                                state TEXT NOT NULL, attempts INTEGER NOT NULL, next_try INTEGER, first INTEGER,
                                cause TEXT, PRIMARY KEY (inbox, uidvalidity, uid)) STRICT, WITHOUT ROWID;
    CREATE TABLE unshared (at INTEGER NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (at, id, kind))
                          STRICT, WITHOUT ROWID;
    CREATE TABLE inbox_item (inbox TEXT NOT NULL, uidvalidity INTEGER NOT NULL, number INTEGER NOT NULL,
                             item TEXT NOT NULL, received INTEGER, seen INTEGER NOT NULL,
                             PRIMARY KEY (inbox, uidvalidity, number), UNIQUE (inbox, uidvalidity, item))
                             STRICT, WITHOUT ROWID;
    CREATE TABLE inbox_list (inbox TEXT PRIMARY KEY, uidvalidity INTEGER NOT NULL, link TEXT, complete INTEGER NOT NULL,
                             next INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 2;
";

/// One step a version; each sets its number.
const STEPS: [&str; 2] = [FIRST, SECOND];

/// The version of the tables that this program works with.
pub(super) const VERSION: usize = STEPS.len();

/// The version of an open database, kept in `PRAGMA user_version`; 0 is one without tables.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Makes the tables of a new database.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    STEPS.iter().try_for_each(|step| connection.execute_batch(step))
}

/// Brings the tables of an earlier version up to this one, at once for all processes. What an older mailhatch that has it
/// open still asks stays as it is.
pub(super) fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let from = version(&transaction)?;
    for step in STEPS.iter().skip(from) {
        transaction.execute_batch(step)?;
    }
    transaction.commit()
}
