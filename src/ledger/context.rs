//! What the callers and the writer share: where things are, the limits, the in-flight locks, and what is done but not yet
//! written down.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::database;
use super::facts::Fact;
use super::row::{UnsharedKey, seconds};
use crate::age_clock::AgeClock;
use crate::config::Config;
use crate::in_flight::InFlightLocks;
use crate::state_dir::StateDir;

/// Shared between the callers and the writer.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) state_dir: StateDir,
    /// The file of the database, for texts.
    pub(super) database: PathBuf,
    pub(super) in_flight: Arc<InFlightLocks>,
    pub(super) clock: Arc<AgeClock>,
    limits: Mutex<LedgerLimits>,
    facts: Mutex<Vec<Fact>>,
    /// Whether other hosts are to be told what is done.
    is_shared: AtomicBool,
    /// What they have been told since the last transaction.
    told: Mutex<Vec<UnsharedKey>>,
}

/// What the configuration says of notices.
#[derive(Clone, Copy, Debug)]
pub(super) struct LedgerLimits {
    pub(super) interval: Duration,
    pub(super) per_domain_per_hour: u32,
    pub(super) total_per_hour: u32,
}

impl LedgerLimits {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            interval: config.notice.interval,
            per_domain_per_hour: config.notice.per_domain_per_hour,
            total_per_hour: config.notice.total_per_hour,
        }
    }
}

impl Context {
    pub(super) fn new(clock: Arc<AgeClock>, limits: LedgerLimits) -> Self {
        let state_dir = clock.state_dir().clone();
        Self {
            database: state_dir.path().join(database::FILE),
            in_flight: Arc::new(InFlightLocks::new(&state_dir)),
            state_dir,
            clock,
            limits: Mutex::new(limits),
            facts: Mutex::default(),
            is_shared: AtomicBool::new(false),
            told: Mutex::default(),
        }
    }

    /// The time of what happens now, in seconds since 1970 by the clock of ages.
    pub(super) fn now(&self) -> i64 {
        seconds(self.clock.now())
    }

    pub(super) fn limits(&self) -> LedgerLimits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_limits(&self, limits: LedgerLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    pub(super) fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Relaxed)
    }

    pub(super) fn set_shared(&self, is_shared: bool) {
        self.is_shared.store(is_shared, Ordering::Relaxed);
    }

    /// The other hosts know: the next transaction deletes the rows.
    pub(super) fn forget_unshared(&self, keys: impl IntoIterator<Item = UnsharedKey>) {
        self.told().extend(keys);
    }

    /// What the other hosts have been told; only the writer takes away from it.
    pub(super) fn told(&self) -> MutexGuard<'_, Vec<UnsharedKey>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what is done until it is written down. It is known to this process from now on, and its guard is kept.
    pub(super) fn remember(&self, fact: Fact) {
        self.facts().push(fact);
    }

    /// What is done but not written down yet; only the writer takes away from it.
    pub(super) fn facts(&self) -> MutexGuard<'_, Vec<Fact>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
