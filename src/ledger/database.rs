//! Opening the database, and making it the first time.
//!
//! A new one is made under another name and linked in when it is whole, so that any process sees either none or a whole
//! one; a file that is there but is no ledger is an error, never a reason to make a new one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{self, corrupt};
use super::schema::{self, VERSION};
use crate::directory::{Directory, temporary_name};
use crate::state_dir::{PRIVATE_FILE, StateDir, StateError, close_file_to_others};

/// How long another process may hold the write lock. A transaction takes milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Pages of the log after which it is copied into the database, at the cost of two fsyncs. A `pipe` that finds nobody else at
/// the ledger reads the log through, checksums included: 256 KB of it, some 15 mails.
const SHORT_LOG: u32 = 64;

/// The same in a process that stays: it reads the log once, and each page that changes again meanwhile is copied once.
const LONG_LOG: u32 = 1000;

/// A process that has committed so often is one that stays.
const STAYS: u32 = 64;

/// The database in the state directory, and the files that SQLite makes beside it.
pub(super) const FILE: &str = "ledger.sqlite";
const LOG: &str = "ledger.sqlite-wal";
const SHARED_MEMORY: &str = "ledger.sqlite-shm";

/// An open database, and which file it is.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    file: (u64, u64),
    durable: Option<bool>,
    commits: u32,
}

impl Database {
    /// Opens the database; makes it if there is none.
    pub(super) fn open(state_dir: &StateDir) -> Result<Self, StateError> {
        let directory = state_dir.open()?;
        let path = directory.path_of(FILE);
        if identity(&directory).is_none() {
            create(&directory)?;
        }
        let Some(file) = identity(&directory) else {
            return Err(StateError::file("find", &path, &std::io::ErrorKind::NotFound.into()));
        };
        let failed = |failure: rusqlite::Error| error::database(&path, &failure);
        let mut connection = connect(&directory)?;
        match schema::version(&connection).map_err(failed)? {
            VERSION => {}
            1..VERSION => schema::upgrade(&mut connection).map_err(failed)?,
            0 => return Err(StateError::new(corrupt(&path, "it has no tables"))),
            newer => {
                return Err(StateError::new(format!(
                    "ledger {} has schema version {newer}, and this mailhatch knows only {VERSION}: a newer mailhatch has used \
                     it; install that one again",
                    path.display()
                )));
            }
        }
        Ok(Self { connection, file, durable: None, commits: 0 })
    }

    /// Fails if the file was removed or replaced since: what is written to it now, no other process would see.
    pub(super) fn verify(&self, state_dir: &StateDir) -> Result<(), StateError> {
        if state_dir.open_existing()?.and_then(|directory| identity(&directory)) == Some(self.file) {
            return Ok(());
        }
        Err(StateError::new(format!(
            "ledger {} was removed or replaced while it was open: it is opened again at the next message",
            state_dir.path().join(FILE).display()
        )))
    }

    /// Lets the log grow longer once there have been many commits.
    pub(super) fn count_commit(&mut self) -> rusqlite::Result<()> {
        self.commits = self.commits.saturating_add(1);
        if self.commits == STAYS {
            self.connection.pragma_update(None, "wal_autocheckpoint", LONG_LOG)?;
        }
        Ok(())
    }

    /// Whether the next commits survive a power cut. Those that need not (`NORMAL`) survive the end of the process, even a
    /// SIGKILL, all the same: only the fsync is saved.
    pub(super) fn set_durable(&mut self, durable: bool) -> rusqlite::Result<()> {
        if self.durable != Some(durable) {
            self.connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
            self.durable = Some(durable);
        }
        Ok(())
    }
}

/// A connection to a database that is there.
///
/// SQLite opens paths. The directory is one that nobody else can write to (`StateDir`), its path is resolved to one without
/// links, and SQLite is told to follow none; its three files are ours alone before it looks at them.
pub(super) fn connect(directory: &Directory) -> Result<Connection, StateError> {
    for name in [FILE, LOG, SHARED_MEMORY] {
        close_file_to_others(directory, name)?;
    }
    let path = directory.path_of(FILE);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let opened = Connection::open_with_flags(without_links(directory)?.join(FILE), flags).and_then(|connection| {
        connection.busy_timeout(PATIENCE)?;
        // Each `pipe` process is often the last one to close the ledger: it need not pay two fsyncs to tidy up after itself.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
        connection.pragma_update(None, "wal_autocheckpoint", SHORT_LOG)?;
        Ok(connection)
    });
    opened.map_err(|failure| error::database(&path, &failure))
}

/// The directory's path without links, as long as it is still this directory's.
fn without_links(directory: &Directory) -> Result<PathBuf, StateError> {
    let cannot = |error: std::io::Error| StateError::file("find", directory.path(), &error);
    let path = directory.path().canonicalize().map_err(cannot)?;
    let there = fs::symlink_metadata(&path).map_err(cannot)?;
    if directory.entry().map_err(cannot)?.identity == (there.dev(), there.ino()) {
        return Ok(path);
    }
    Err(StateError::new(format!("{} was replaced while it was open: it is opened again", directory.path().display())))
}

fn create(directory: &Directory) -> Result<(), StateError> {
    let path = directory.path_of(FILE);
    let cannot = |error: std::io::Error| StateError::file("make", &path, &error);
    // SQLite would replay the log of the old file into the new one.
    if directory.find(LOG).map_err(cannot)?.is_some() {
        if identity(directory).is_some() {
            return Ok(());
        }
        return Err(StateError::new(format!(
            "ledger {} is missing, but its log {} is there: put the ledger back, or move the log away to begin a new one",
            path.display(),
            directory.path_of(LOG).display()
        )));
    }
    let temporary = temporary_name().map_err(cannot)?;
    let file = directory.new_file(&temporary, PRIVATE_FILE).map_err(cannot)?;
    let made = fill(&without_links(directory)?.join(&temporary))
        .map_err(|failure| error::database(&directory.path_of(&temporary), &failure))
        .and_then(|()| file.sync_all().map_err(cannot));
    // Closed before it has its name: closing it later would drop the locks of a connection opened in the meantime (fcntl(2)).
    drop(file);
    let named = made.and_then(|()| match directory.link(&temporary, directory, FILE) {
        // Another process was faster.
        Err(_) if identity(directory).is_some() => Ok(()),
        linked => linked.map_err(cannot),
    });
    let removed = directory.remove_file(&temporary);
    named?;
    removed.and_then(|()| directory.sync()).map_err(cannot)
}

fn fill(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    schema::create(&connection)?;
    // It stays in the file. With it, readers and the writer of several processes do not wait for each other.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
        let text = "this file system has no shared memory for several processes; state_dir must be on a local disk";
        return Err(rusqlite::Error::SqliteFailure(code, Some(text.to_owned())));
    }
    connection.close().map_err(|(_, error)| error)
}

/// Device and inode.
fn identity(directory: &Directory) -> Option<(u64, u64)> {
    directory.find(FILE).ok().flatten().map(|entry| entry.identity)
}
