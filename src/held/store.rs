//! The copies of one state directory, for the tasks of a service.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::copy::{HeldCopy, HeldList, HeldRecord};
use super::files::{HeldFiles, MESSAGE, RECORD};
use super::record_file;
use super::sweep::{self, Purged};
use crate::config::{Config, HeldConfig};
use crate::durable::{self, Access, Part};
use crate::event_id::EventId;
use crate::mail::Content;
use crate::state_dir::{StateDir, StateError};

/// The copies kept back in one state directory.
#[derive(Debug)]
pub struct HeldStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: HeldFiles,
    limits: Mutex<HeldLimits>,
    /// One sweep at a time is enough for a process.
    sweeping: AtomicBool,
}

/// What the configuration says of them.
#[derive(Clone, Copy, Debug)]
struct HeldLimits {
    held: HeldConfig,
    message_size: u64,
}

impl HeldLimits {
    fn of(config: &Config) -> Self {
        Self { held: config.held, message_size: config.limits.message_size }
    }
}

impl HeldStore {
    /// Names it; looks at nothing yet.
    pub fn new(config: &Config) -> Self {
        let files = HeldFiles::new(StateDir::new(&config.state_dir));
        let shared = Shared { files, limits: Mutex::new(HeldLimits::of(config)), sweeping: AtomicBool::new(false) };
        Self { shared: Arc::new(shared) }
    }

    /// The store of a configuration that was read again: this one with the new limits, if the state directory is the same.
    pub fn reloaded(&self, config: &Config) -> Self {
        if self.shared.files.state_dir().path() != config.state_dir {
            return Self::new(config);
        }
        *self.shared.limits.lock().unwrap_or_else(PoisonError::into_inner) = HeldLimits::of(config);
        Self { shared: Arc::clone(&self.shared) }
    }

    /// Keeps a copy back, durably. A copy that is there already is left as it is.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn hold(&self, copy: &HeldCopy<'_>) -> Result<(), StateError> {
        let record = HeldRecord {
            id: copy.id.clone(),
            held_at: record_file::writable(SystemTime::now()),
            verdict: copy.verdict.to_owned(),
            rule: copy.rule.to_owned(),
            detail: copy.detail.to_owned(),
            envelope: copy.envelope.clone(),
            recipient: copy.recipient.clone(),
            size: copy.message.size(),
        };
        let content = copy.message.content().clone();
        self.blocking(move |shared| shared.write(&record, &content)).await
    }

    /// Every copy that is kept.
    ///
    /// # Errors
    /// The directory cannot be read; a copy that cannot is in the list.
    pub async fn list(&self) -> Result<HeldList, StateError> {
        self.blocking(|shared| {
            let mut list = HeldList::default();
            for id in shared.files.ids()? {
                match shared.files.read_record(&id) {
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
    ///
    /// # Errors
    /// The directory cannot be read.
    pub async fn totals(&self) -> Result<(u64, u64), StateError> {
        self.blocking(|shared| sweep::totals(&shared.files).map(|copies| (copies.kept, copies.kept_size))).await
    }

    /// What is known of one copy; `None` if there is none of this id.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn show(&self, id: &EventId) -> Result<Option<HeldRecord>, StateError> {
        let id = id.clone();
        self.blocking(move |shared| shared.files.read_record(&id)).await
    }

    /// One copy with its message, to be put through once more.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn read(&self, id: &EventId) -> Result<Option<(HeldRecord, Content)>, StateError> {
        let id = id.clone();
        self.blocking(move |shared| {
            let Some(record) = shared.files.read_record(&id)? else { return Ok(None) };
            let content = shared.files.read_content(&id, shared.limits().message_size)?;
            Ok(Some((record, content)))
        })
        .await
    }

    /// Gives a copy another verdict and reason; nothing if there is none of this id.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn relabel(&self, id: &EventId, verdict: &str, rule: &str, detail: &str) -> Result<(), StateError> {
        let (id, verdict, rule, detail) = (id.clone(), verdict.to_owned(), rule.to_owned(), detail.to_owned());
        self.blocking(move |shared| match shared.files.read_record(&id)? {
            Some(record) => shared.files.replace_record(&HeldRecord { verdict, rule, detail, ..record }),
            None => Ok(()),
        })
        .await
    }

    /// Removes a copy; false if there is none of this id.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn remove(&self, id: &EventId) -> Result<bool, StateError> {
        let id = id.clone();
        self.blocking(move |shared| shared.files.remove(&id)).await
    }

    /// Removes the copies that are older than `keep`, then the oldest ones until those left take at most `max_size` octets
    /// on disk. The limits of the configuration are kept without this: after a share of the copies, and once a day.
    ///
    /// # Errors
    /// The directory cannot be read, or a copy not be removed.
    pub async fn purge(&self, keep: Duration, max_size: u64) -> Result<Purged, StateError> {
        self.blocking(move |shared| sweep::sweep(&shared.files, keep, max_size, None)).await
    }

    /// Writes into the directory of the copies, durably, and counts them. Makes what is missing.
    ///
    /// # Errors
    /// It cannot be written or read.
    pub async fn check(&self) -> Result<(u64, u64), StateError> {
        self.blocking(|shared| {
            let files = &shared.files;
            let base = files.open()?;
            let write = |out: &mut dyn Write| out.write_all(b"mailhatch check");
            durable::write_directory(&base, Access::PRIVATE, &[Part { name: "check", write: &write }])
                .map_err(|error| StateError::file("write to", files.base(), &error))?;
            sweep::totals(files).map(|copies| (copies.kept, copies.kept_size))
        })
        .await
    }

    /// Sweeps on a thread of its own if the last sweep of any process was a day ago.
    pub fn sweep_if_due(&self) {
        if !sweep::is_due(&self.shared.files) || !self.shared.begin_sweep() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let sweeping = std::thread::Builder::new().name("held sweep".into()).spawn(move || shared.sweep(None));
        if sweeping.is_err() {
            self.shared.sweeping.store(false, Ordering::Release);
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.unwrap_or_else(|error| Err(StateError::new(format!("work on held messages ended: {error}"))))
    }
}

impl Shared {
    fn limits(&self) -> HeldLimits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, record: &HeldRecord, content: &Content) -> Result<(), StateError> {
        let base = self.files.open()?;
        let cannot = |error: io::Error| StateError::file("keep a copy in", self.files.base(), &error);
        let text = record_file::write(record).map_err(|error| cannot(error.into()))?;
        let write_message = |out: &mut dyn Write| content.write_to(out);
        let write_record = |out: &mut dyn Write| out.write_all(&text);
        let parts = [Part { name: MESSAGE, write: &write_message }, Part { name: RECORD, write: &write_record }];
        let name = record.id.as_str();
        if base.find(name).map_err(cannot)?.is_none() {
            let written = durable::write_directory(&base, Access::PRIVATE, &parts).map_err(cannot)?;
            match written.persist(&base, name) {
                // Another process wrote the same one in the meantime.
                Err(_) if base.find(name).map_err(cannot)?.is_some() => {}
                renamed => renamed.map_err(cannot)?,
            }
        }
        // Whoever wrote it may have been killed between its rename and its fsync.
        base.sync().map_err(cannot)?;
        // A copy that was there already must not be swept as an old one right after it was promised to be safe.
        let copy = base.directory(name).and_then(|copy| copy.file(RECORD));
        let _ = copy.and_then(|record| record.set_modified(SystemTime::now()));
        let sweep_follows = sweep::follows_a_copy(&base, &record.id, self.limits().held.max_size);
        if sweep_follows && self.begin_sweep() {
            self.sweep(Some(&record.id));
        }
        Ok(())
    }

    /// Whether no other task of this process sweeps; one that says yes must [`Shared::sweep`].
    fn begin_sweep(&self) -> bool {
        !self.sweeping.swap(true, Ordering::AcqRel)
    }

    /// A failure to sweep is no failure to hold: the copy is safe.
    fn sweep(&self, spared: Option<&EventId>) {
        let limits = self.limits().held;
        let _ = sweep::sweep(&self.files, limits.keep, limits.max_size, spared);
        self.sweeping.store(false, Ordering::Release);
    }
}
