//! The copies of one state directory, for the tasks of a service.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use super::claim::{ClaimedCopy, HeldClaim};
use super::copy::{HeldCopy, HeldList, HeldRecord};
use super::files::HeldFiles;
use super::inventory::Inventory;
use super::record_file;
use super::sweep::{self, Purged};
use super::writing::Keeper;
use crate::age_clock::AgeClock;
use crate::config::{Config, HeldConfig};
use crate::event_id::EventId;
use crate::in_flight::{InFlightLocks, Right};
use crate::mail::Content;
use crate::state_dir::{StateDir, StateError};

/// How long after a sweep that failed the next one is tried: it has been logged, and a person must look at it.
const AFTER_A_FAILURE: Duration = Duration::from_secs(3600);

/// The copies kept back in one state directory.
#[derive(Debug)]
pub struct HeldStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: HeldFiles,
    locks: Arc<InFlightLocks>,
    clock: Arc<AgeClock>,
    limits: Mutex<HeldLimits>,
    /// One sweep at a time is enough for a process. One that failed is not tried again before this time.
    sweeping: Mutex<Option<Instant>>,
    /// A copy has begun to wait for its application. It is here, and not in what a reload makes anew, so that no word is lost.
    waiting: Notify,
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
        Self::with_clock(Arc::new(AgeClock::new(&StateDir::new(&config.state_dir))), config)
    }

    /// The same by a clock that is there, of its state directory.
    pub fn with_clock(clock: Arc<AgeClock>, config: &Config) -> Self {
        let state_dir = clock.state_dir().clone();
        let shared = Shared {
            locks: Arc::new(InFlightLocks::new(&state_dir)),
            files: HeldFiles::new(state_dir),
            clock,
            limits: Mutex::new(HeldLimits::of(config)),
            sweeping: Mutex::default(),
            waiting: Notify::new(),
        };
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

    /// Keeps a copy back, durably, within `held.max_size`; it is not swept before its message is dropped. One that is there
    /// already stays, and its time begins anew.
    ///
    /// # Errors
    /// There is no room for it, or it cannot be written.
    pub async fn hold(&self, copy: &HeldCopy<'_>) -> Result<(), StateError> {
        let record = HeldRecord {
            id: copy.id.clone(),
            held_at: record_file::writable(SystemTime::now()),
            verdict: copy.verdict.to_owned(),
            rule: copy.rule.to_owned(),
            detail: copy.detail.to_owned(),
            envelope: copy.envelope.clone(),
            recipient: copy.recipient.clone(),
            size: copy.message.content().size(),
            body: None,
        };
        let message = copy.message.clone();
        self.blocking(move |shared| shared.keeper().keep(record, &message)).await
    }

    /// Every copy that is kept.
    ///
    /// # Errors
    /// The directory cannot be read; a copy that cannot is in the list.
    pub async fn list(&self) -> Result<HeldList, StateError> {
        self.list_if(|_| true).await
    }

    /// Only the records that are wanted stay in memory.
    async fn list_if(&self, is_wanted: impl Fn(&HeldRecord) -> bool + Send + 'static) -> Result<HeldList, StateError> {
        self.blocking(move |shared| {
            let mut list = HeldList::default();
            for record in shared.files.records()? {
                match record {
                    Ok(record) if is_wanted(&record) => list.records.push(record),
                    Ok(_) => {}
                    Err(error) => list.unreadable.push(error),
                }
            }
            list.records.sort_by(|a, b| (a.held_at, &a.id).cmp(&(b.held_at, &b.id)));
            Ok(list)
        })
        .await
    }

    /// The copies that a rule has kept back, those that were kept first at the beginning.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub async fn of_rule(&self, rule: &'static str) -> Result<Vec<HeldRecord>, StateError> {
        Ok(self.list_if(move |record| record.rule == rule).await?.records)
    }

    /// Says that a copy waits for its application.
    pub fn note_waiting(&self) {
        self.shared.waiting.notify_one();
    }

    /// Waits until that is said of one.
    pub async fn begins_to_wait(&self) {
        self.shared.waiting.notified().await;
    }

    /// How many copies are kept, and what they take on disk in octets.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub async fn totals(&self) -> Result<(u64, u64), StateError> {
        self.blocking(|shared| sweep::totals(&shared.files, &shared.locks, &shared.clock)).await
    }

    /// What is known of one copy; `None` if there is none of this id.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn show(&self, id: &EventId) -> Result<Option<HeldRecord>, StateError> {
        let id = id.clone();
        self.blocking(move |shared| shared.files.read_record(&id)).await
    }

    /// One copy with its message.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn read(&self, id: &EventId) -> Result<Option<(HeldRecord, Content)>, StateError> {
        let id = id.clone();
        self.blocking(move |shared| shared.read(&id)).await
    }

    /// One copy with its message, to be put through once more: until it is dropped, no other task or process gets it, and it
    /// is not swept.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn claim(&self, id: &EventId) -> Result<HeldClaim, StateError> {
        let id = id.clone();
        self.blocking(move |shared| {
            let Some(lock) = shared.locks.take(Right::Held, &id)? else { return Ok(HeldClaim::InUse) };
            let Some((record, content)) = shared.read(&id)? else { return Ok(HeldClaim::None) };
            let age = shared.files.age(&id, shared.clock.now())?;
            Ok(HeldClaim::Claimed(Box::new(ClaimedCopy { record, content, age, _lock: lock })))
        })
        .await
    }

    /// Gives a copy another verdict and reason; its time begins anew.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn relabel(&self, copy: &ClaimedCopy, verdict: &str, rule: &str, detail: &str) -> Result<(), StateError> {
        let (verdict, rule, detail) = (verdict.to_owned(), rule.to_owned(), detail.to_owned());
        let record = HeldRecord { verdict, rule, detail, ..copy.record.clone() };
        self.blocking(move |shared| shared.keeper().keep_anew(&record)).await
    }

    /// Removes a copy; false if there is none of this id.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn remove(&self, id: &EventId) -> Result<bool, StateError> {
        let id = id.clone();
        self.blocking(move |shared| {
            if shared.files.open_existing()?.is_none() {
                return Ok(false);
            }
            let mut inventory = Inventory::open(&shared.files, &shared.locks, &shared.clock)?;
            let removed = inventory.remove(&id)?;
            inventory.save()?;
            Ok(removed)
        })
        .await
    }

    /// Removes the copies that are older than `keep`, then the oldest `ignored` and `rejected` ones until those left take at
    /// most `max_size` octets on disk. The limits of the configuration are kept without this.
    ///
    /// # Errors
    /// The directory cannot be read, or a copy not be removed.
    pub async fn purge(&self, keep: Duration, max_size: u64) -> Result<Purged, StateError> {
        self.blocking(move |shared| sweep::sweep(&shared.files, &shared.locks, &shared.clock, keep, max_size)).await
    }

    /// Writes into the directory of the copies, and counts them. Makes what is missing.
    ///
    /// # Errors
    /// It cannot be written or read.
    pub async fn check(&self) -> Result<(u64, u64), StateError> {
        self.blocking(|shared| {
            let mut inventory = Inventory::open(&shared.files, &shared.locks, &shared.clock)?;
            inventory.survey()?;
            Ok((inventory.totals.copies, inventory.totals.octets))
        })
        .await
    }

    /// Sweeps by the limits of the configuration if the last sweep of any process was a day ago. It blocks.
    ///
    /// # Errors
    /// The directory cannot be read, or a copy not be removed.
    pub fn sweep_if_due(&self) -> Result<(), StateError> {
        let Shared { files, locks, clock, sweeping, .. } = &*self.shared;
        let Ok(mut not_before) = sweeping.try_lock() else { return Ok(()) };
        if not_before.is_some_and(|time| Instant::now() < time) {
            return Ok(());
        }
        let limits = self.shared.limits().held;
        let swept = sweep::is_due(files, clock).and_then(|is_due| match is_due {
            true => sweep::sweep(files, locks, clock, limits.keep, limits.max_size).map(drop),
            false => Ok(()),
        });
        *not_before = swept.is_err().then(|| Instant::now() + AFTER_A_FAILURE);
        swept
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

    fn keeper(&self) -> Keeper<'_> {
        let max_size = self.limits().held.max_size;
        Keeper { files: &self.files, locks: &self.locks, clock: &self.clock, max_size }
    }

    fn read(&self, id: &EventId) -> Result<Option<(HeldRecord, Content)>, StateError> {
        let Some(record) = self.files.read_record(id)? else { return Ok(None) };
        let content = self.files.read_content(id, self.limits().message_size)?;
        Ok(Some((record, content)))
    }
}
