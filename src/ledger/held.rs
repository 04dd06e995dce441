//! The copies kept back. The directory is the truth: no database is asked, so that mail can be held while it is out of order.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::error::LedgerError;
use super::held_sweep::{self, Purged};
use super::shared::Shared;
use super::{Ledger, held_json};
use crate::durable::{self, Access, Part};
use crate::event_id::EventId;
use crate::mail::{Content, ContentBuilder, Envelope, Message, Recipient};

/// The message as it came in, in the directory of a copy.
pub(super) const MESSAGE: &str = "message.eml";

/// Everything else about it.
pub(super) const RECORD: &str = "held.json";

/// A copy to be kept back.
#[derive(Debug)]
pub struct HeldCopy<'a> {
    /// Its name: the event's id.
    pub id: &'a EventId,
    /// `ignored`, `rejected` or `held`.
    pub verdict: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// What the rule saw.
    pub detail: &'a str,
    /// What the MTA said.
    pub envelope: &'a Envelope,
    /// For whom.
    pub recipient: &'a Recipient,
    /// What came in.
    pub message: &'a Message,
}

/// What is known of a copy that was kept back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRecord {
    /// Its name: the event's id.
    pub id: EventId,
    /// Since when.
    pub held_at: SystemTime,
    /// `ignored`, `rejected` or `held`.
    pub verdict: String,
    /// The rule.
    pub rule: String,
    /// What the rule saw.
    pub detail: String,
    /// What the MTA said.
    pub envelope: Envelope,
    /// For whom: one of the envelope's recipients.
    pub recipient: Recipient,
    /// Of the message, in octets.
    pub size: u64,
}

/// All copies.
#[derive(Debug, Default)]
pub struct HeldList {
    /// The oldest first.
    pub records: Vec<HeldRecord>,
    /// Those that cannot be read, and why.
    pub unreadable: Vec<LedgerError>,
}

impl Ledger {
    /// Keeps a copy back, durably. A copy that is there already is left as it is.
    pub async fn hold(&self, copy: &HeldCopy<'_>) -> Result<(), LedgerError> {
        let record = HeldRecord {
            id: copy.id.clone(),
            held_at: held_json::writable(SystemTime::now()),
            verdict: copy.verdict.to_owned(),
            rule: copy.rule.to_owned(),
            detail: copy.detail.to_owned(),
            envelope: copy.envelope.clone(),
            recipient: copy.recipient.clone(),
            size: copy.message.size(),
        };
        let content = copy.message.content().clone();
        self.blocking(move |shared| write(shared, &record, &content)).await
    }

    /// Every copy that is kept.
    pub async fn held_list(&self) -> Result<HeldList, LedgerError> {
        self.blocking(|shared| {
            let mut list = HeldList::default();
            for id in ids(shared)? {
                match read_record(shared, &id) {
                    Ok(Some(record)) => list.records.push(record),
                    // It was removed in the meantime.
                    Ok(None) => {}
                    Err(error) => list.unreadable.push(error),
                }
            }
            list.records.sort_by(|a, b| (a.held_at, &a.id).cmp(&(b.held_at, &b.id)));
            Ok(list)
        })
        .await
    }

    /// How many copies are kept, and what they take on disk in octets.
    pub async fn held_totals(&self) -> Result<(u64, u64), LedgerError> {
        self.blocking(|shared| held_sweep::totals(shared).map(|copies| (copies.kept, copies.kept_size))).await
    }

    /// What is known of one copy; `None` if there is none of this id.
    pub async fn held_show(&self, id: &EventId) -> Result<Option<HeldRecord>, LedgerError> {
        let id = id.clone();
        self.blocking(move |shared| read_record(shared, &id)).await
    }

    /// One copy with its message, to be put through once more.
    pub async fn held_read(&self, id: &EventId) -> Result<Option<(HeldRecord, Content)>, LedgerError> {
        let id = id.clone();
        self.blocking(move |shared| {
            let Some(record) = read_record(shared, &id)? else { return Ok(None) };
            let path = directory(shared, &id).join(MESSAGE);
            let content = read_content(shared, &path);
            Ok(Some((record, content.map_err(|error| LedgerError::file("read", &path, &error))?)))
        })
        .await
    }

    /// Removes a copy; false if there is none of this id.
    pub async fn held_remove(&self, id: &EventId) -> Result<bool, LedgerError> {
        let id = id.clone();
        self.blocking(move |shared| {
            let path = directory(shared, &id);
            remove(shared, &path).map_err(|error| LedgerError::file("remove", &path, &error))
        })
        .await
    }

    /// Removes the copies that are older than `keep`, then the oldest ones until those left take at most `max_size` octets
    /// on disk. The limits of the configuration are kept without this: after a share of the copies, and once a day.
    pub async fn held_purge(&self, keep: Duration, max_size: u64) -> Result<Purged, LedgerError> {
        self.blocking(move |shared| held_sweep::sweep(shared, keep, max_size, None)).await
    }

    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Shared>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.unwrap_or_else(|error| Err(LedgerError::new(format!("work on held messages ended: {error}"))))
    }
}

fn write(shared: &Arc<Shared>, record: &HeldRecord, content: &Content) -> Result<(), LedgerError> {
    let base = &shared.paths.held;
    let cannot = |error: io::Error| LedgerError::file("keep a copy in", base, &error);
    shared.paths.prepare_held()?;
    let text = held_json::write(record).map_err(|error| cannot(error.into()))?;
    let write_message = |out: &mut dyn Write| content.write_to(out);
    let write_record = |out: &mut dyn Write| out.write_all(&text);
    let parts = [Part { name: MESSAGE, write: &write_message }, Part { name: RECORD, write: &write_record }];
    durable::write_directory(base, record.id.as_str(), Access::GroupReads, &parts).map_err(cannot)?;
    // A copy that was there already must not be swept as an old one right after it was promised to be safe.
    let _ =
        File::open(base.join(record.id.as_str()).join(RECORD)).and_then(|file| file.set_modified(SystemTime::now()));
    held_sweep::after_holding(shared, &record.id);
    Ok(())
}

fn directory(shared: &Shared, id: &EventId) -> PathBuf {
    shared.paths.held.join(id.as_str())
}

/// The ids of all copies; none if nothing was ever held.
pub(super) fn ids(shared: &Shared) -> Result<Vec<EventId>, LedgerError> {
    let cannot = |error: io::Error| LedgerError::file("list", &shared.paths.held, &error);
    let entries = match fs::read_dir(&shared.paths.held) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(cannot)?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        ids.extend(entry.map_err(cannot)?.file_name().to_str().and_then(EventId::parse));
    }
    Ok(ids)
}

fn read_record(shared: &Shared, id: &EventId) -> Result<Option<HeldRecord>, LedgerError> {
    let path = directory(shared, id).join(RECORD);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !directory(shared, id).exists() => return Ok(None),
        text => text.map_err(|error| LedgerError::file("read", &path, &error))?,
    };
    let record = held_json::read(&text).map_err(|why| {
        LedgerError::new(format!(
            "cannot read {}: {why}. The message beside it, {MESSAGE}, is as it came in; held.json can be mended by hand",
            path.display()
        ))
    })?;
    Ok(Some(record))
}

/// As intake hands a message over: what is over the size limit stays in a file without a name.
fn read_content(shared: &Shared, path: &Path) -> io::Result<Content> {
    let mut content = ContentBuilder::new(shared.settings().message_size, &shared.paths.state_dir);
    io::copy(&mut File::open(path)?, &mut content)?;
    Ok(content.finish())
}

/// Moves a copy out of sight first, so that no reader sees half of it. False if it is not there.
pub(super) fn remove(shared: &Shared, path: &Path) -> io::Result<bool> {
    if !path.is_dir() {
        return Ok(false);
    }
    let away = tempfile::Builder::new().prefix(".tmp-").tempdir_in(&shared.paths.held)?;
    match fs::rename(path, away.path().join("copy")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        renamed => renamed?,
    }
    away.close()?;
    Ok(true)
}
