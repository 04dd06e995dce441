//! Opening the database, and making it the first time.
//!
//! A new one is made under another name and linked in when it is whole, so that any process sees either none or a whole
//! one; a file that is there but is no ledger is an error, never a reason to make a new one.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{self, beside, corrupt};
use super::schema::{self, VERSION};
use crate::state_dir::{StateDir, StateError, inherit_owner};

/// How long another process may hold the write lock. A transaction takes milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Pages of the log after which it is copied into the database, at the cost of two fsyncs. A `pipe` that finds nobody else at
/// the ledger reads the log through, checksums included: 256 KB of it, some 15 mails.
const SHORT_LOG: u32 = 64;

/// The same in a process that stays: it reads the log once, and each page that changes again meanwhile is copied once.
const LONG_LOG: u32 = 1000;

/// A process that has committed so often is one that stays.
const STAYS: u32 = 64;

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
    pub(super) fn open(state_dir: &StateDir, path: &Path) -> Result<Self, StateError> {
        if identity(path).is_none() {
            state_dir.prepare()?;
            create(path)?;
        }
        let Some(file) = identity(path) else {
            return Err(StateError::file("find", path, &std::io::ErrorKind::NotFound.into()));
        };
        let failed = |failure: rusqlite::Error| error::database(path, &failure);
        let mut connection = connect(path).map_err(failed)?;
        match schema::version(&connection).map_err(failed)? {
            VERSION => {}
            1..VERSION => schema::upgrade(&mut connection).map_err(failed)?,
            0 => return Err(StateError::new(corrupt(path, "it has no tables"))),
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
    pub(super) fn verify(&self, path: &Path) -> Result<(), StateError> {
        if identity(path) == Some(self.file) {
            return Ok(());
        }
        Err(StateError::new(format!(
            "ledger {} was removed or replaced while it was open: it is opened again at the next message",
            path.display()
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
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // Each `pipe` process is often the last one to close the ledger: it need not pay two fsyncs to tidy up after itself.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
    connection.pragma_update(None, "wal_autocheckpoint", SHORT_LOG)?;
    Ok(connection)
}

fn create(path: &Path) -> Result<(), StateError> {
    let cannot = |error: std::io::Error| StateError::file("make", path, &error);
    // SQLite would replay the log of the old file into the new one.
    let log = beside(path, "-wal");
    if log.exists() {
        if identity(path).is_some() {
            return Ok(());
        }
        return Err(StateError::new(format!(
            "ledger {} is missing, but its log {} is there: put the ledger back, or move the log away to begin a new one",
            path.display(),
            log.display()
        )));
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new().prefix(".tmp-ledger-").tempfile_in(directory).map_err(cannot)?;
    fill(temporary.path()).map_err(|error| error::database(temporary.path(), &error))?;
    temporary.as_file().set_permissions(fs::Permissions::from_mode(0o640)).map_err(cannot)?;
    inherit_owner(temporary.path()).map_err(cannot)?;
    temporary.as_file().sync_all().map_err(cannot)?;
    // Closed before it has its name: closing it later would drop the locks of a connection opened in the meantime (fcntl(2)).
    match temporary.into_temp_path().persist_noclobber(path) {
        Ok(()) => File::open(directory).and_then(|directory| directory.sync_all()).map_err(cannot),
        // Another process was faster.
        Err(_) if identity(path).is_some() => Ok(()),
        Err(error) => Err(cannot(error.error)),
    }
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
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
