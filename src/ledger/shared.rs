//! What the parts of the ledger share: where things are, the settings, and what is done but not yet written down.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::claims::Claims;
use super::deliveries::Fact;
use super::error::LedgerError;
use crate::config::{Config, HeldConfig};
use crate::event_id::EventId;

/// Shared between the callers and the ledger thread.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) paths: Paths,
    pub(super) claims: Arc<Claims>,
    pub(super) sweeping: AtomicBool,
    settings: Mutex<Settings>,
    facts: Mutex<Vec<Fact>>,
}

/// Where things are.
#[derive(Debug)]
pub(super) struct Paths {
    pub(super) state_dir: PathBuf,
    pub(super) database: PathBuf,
    pub(super) held: PathBuf,
}

/// What the configuration says of the ledger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) held: HeldConfig,
    pub(super) message_size: u64,
    pub(super) interval: Duration,
    pub(super) per_domain_per_hour: u32,
    pub(super) total_per_hour: u32,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            held: config.held,
            message_size: config.limits.message_size,
            interval: config.notice.interval,
            per_domain_per_hour: config.notice.per_domain_per_hour,
            total_per_hour: config.notice.total_per_hour,
        }
    }
}

impl Shared {
    pub(super) fn new(state_dir: &Path, settings: Settings) -> Self {
        let paths = Paths {
            state_dir: state_dir.to_owned(),
            database: state_dir.join("ledger.sqlite"),
            held: state_dir.join("held"),
        };
        Self {
            paths,
            claims: Arc::new(Claims::new(state_dir.join("claims"))),
            sweeping: AtomicBool::new(false),
            settings: Mutex::new(settings),
            facts: Mutex::default(),
        }
    }

    pub(super) fn settings(&self) -> Settings {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_settings(&self, settings: Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Keeps what is done until it is written down. It is known to this process from now on, and its claim is kept.
    pub(super) fn remember(&self, fact: Fact) {
        self.facts().push(fact);
    }

    /// What is done but not written down yet; only what does the ledger's work takes away from it.
    pub(super) fn facts(&self) -> MutexGuard<'_, Vec<Fact>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Paths {
    /// Makes the state directory if it is not there.
    pub(super) fn prepare_state_dir(&self) -> Result<(), LedgerError> {
        make_state_dir(&self.state_dir)
    }

    /// Makes the directory of the held copies if it is not there.
    pub(super) fn prepare_held(&self) -> Result<(), LedgerError> {
        let cannot = |error: io::Error| LedgerError::file("make", &self.held, &error);
        if self.held.is_dir() {
            return Ok(());
        }
        self.prepare_state_dir()?;
        make_directory(&self.held).map_err(cannot)?;
        inherit_owner(&self.held).map_err(cannot)?;
        File::open(&self.state_dir).and_then(|directory| directory.sync_all()).map_err(cannot)
    }
}

/// Makes a state directory, with those above it, if it is not there.
pub(super) fn make_state_dir(path: &Path) -> Result<(), LedgerError> {
    make_directory(path).map_err(|error| LedgerError::file("make", path, &error))
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(path)
}

/// What root makes here (`mailhatch check`) belongs to the owner of the directory, or the service could not write it.
pub(super) fn inherit_owner(path: &Path) -> io::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(path.parent().unwrap_or(path))?;
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
}

/// The key of an event in the database: the 16 octets that its id writes as hex digits.
pub(super) fn row_key(id: &EventId) -> [u8; 16] {
    let digits = id.as_str().chars().filter_map(|digit| digit.to_digit(16));
    digits.fold(0_u128, |number, digit| number << 4 | u128::from(digit)).to_be_bytes()
}

/// The id that a key stands for.
pub(super) fn id_of_key(key: [u8; 16]) -> Option<EventId> {
    EventId::parse(&format!("{:032x}", u128::from_be_bytes(key)))
}

/// Times are kept in whole seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The time of so many seconds since 1970.
pub(super) fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
