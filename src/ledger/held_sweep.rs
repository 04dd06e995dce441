//! Keeping the held copies within their time and size: the oldest go first.
//!
//! Nothing counts the octets between sweeps, since several processes hold at once and a counter of theirs would have to be
//! repaired after each crash. Instead a sweep follows a copy with a probability that grows with its size, such that one
//! comes on average after each 64th part of `max_size`; and once a day, for `keep`.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

use super::error::LedgerError;
use super::held::{MESSAGE, RECORD, remove};
use super::shared::{Shared, inherit_owner};
use crate::event_id::EventId;

/// Sweeps while `max_size` octets are held, on average.
const SWEEPS: u64 = 64;

/// For `keep`, even if little is held.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A directory under a temporary name this old was left by a process that was killed: no message takes so long.
const ABANDONED: Duration = Duration::from_secs(3600);

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Copies removed.
    pub removed: u64,
    /// Copies left.
    pub kept: u64,
    /// What those left take on disk, in octets.
    pub kept_size: u64,
}

/// Sweeps if it is time to, after a copy was kept. A failure to sweep is no failure to hold: the copy is safe.
pub(super) fn after_holding(shared: &Arc<Shared>, id: &EventId) {
    let limits = shared.settings().held;
    let size = copy_size(&shared.paths.held.join(id.as_str())).unwrap_or(0);
    // No guess of a sender's making: whoever could tell when a sweep comes could fill the disk in between.
    let mut random = [0; 8];
    let drawn = SystemRandom::new().fill(&mut random).map_or(0, |()| u64::from_be_bytes(random));
    let threshold = u128::from(size) * u128::from(SWEEPS) * u128::from(u64::MAX) / u128::from(limits.max_size.max(1));
    // One sweep at a time is enough for a process.
    if u128::from(drawn) <= threshold && !shared.sweeping.swap(true, Ordering::AcqRel) {
        let _ = sweep(shared, limits.keep, limits.max_size, Some(id));
        shared.sweeping.store(false, Ordering::Release);
    }
}

/// Sweeps on a thread of its own if the last sweep of any process was a day ago.
pub(super) fn in_background(shared: &Arc<Shared>) {
    let swept = fs::metadata(marker(shared)).and_then(|file| file.modified());
    let due = swept.map_or(shared.paths.held.is_dir(), |at| age(at, SystemTime::now()) >= DAY);
    if !due || shared.sweeping.swap(true, Ordering::AcqRel) {
        return;
    }
    let for_thread = Arc::clone(shared);
    let started = std::thread::Builder::new().name("held sweep".into()).spawn(move || {
        let limits = for_thread.settings().held;
        let _ = sweep(&for_thread, limits.keep, limits.max_size, None);
        for_thread.sweeping.store(false, Ordering::Release);
    });
    if started.is_err() {
        shared.sweeping.store(false, Ordering::Release);
    }
}

/// Removes what is older than `keep`, then the oldest until the rest fits. Never `spared`, the copy that was just promised to
/// be safe; and for its size never the newest copy, which may just have been promised by another process.
pub(super) fn sweep(
    shared: &Shared,
    keep: Duration,
    max_size: u64,
    spared: Option<&EventId>,
) -> Result<Purged, LedgerError> {
    let base = &shared.paths.held;
    let cannot = |error: io::Error| LedgerError::file("sweep", base, &error);
    let now = SystemTime::now();
    let mut copies = copies(shared, now).map_err(cannot)?;
    copies.sort_by(|a, b| (a.held_at, &a.path).cmp(&(b.held_at, &b.path)));
    let newest = copies.last().map(|copy| copy.path.clone());
    let spared = spared.map(|id| base.join(id.as_str()));
    let mut purged =
        Purged { removed: 0, kept: copies.len() as u64, kept_size: copies.iter().map(|copy| copy.size).sum() };
    for copy in copies {
        let too_old = age(copy.held_at, now) > keep;
        let too_much = purged.kept_size > max_size && newest.as_ref() != Some(&copy.path);
        if spared.as_ref() == Some(&copy.path) || (!too_old && !too_much) {
            continue;
        }
        // Another process may have removed it in the meantime.
        purged.removed += u64::from(remove(shared, &copy.path).map_err(cannot)?);
        purged.kept -= 1;
        purged.kept_size -= copy.size;
    }
    // Its time of change is when the last sweep was.
    if base.is_dir() {
        File::create(marker(shared)).and_then(|file| file.set_modified(now)).map_err(cannot)?;
        inherit_owner(&marker(shared)).map_err(cannot)?;
    }
    Ok(purged)
}

/// How many copies there are and what they take on disk.
pub(super) fn totals(shared: &Shared) -> Result<Purged, LedgerError> {
    let copies = copies(shared, SystemTime::UNIX_EPOCH);
    let copies = copies.map_err(|error| LedgerError::file("list", &shared.paths.held, &error))?;
    Ok(Purged { removed: 0, kept: copies.len() as u64, kept_size: copies.iter().map(|copy| copy.size).sum() })
}

struct Copy {
    path: PathBuf,
    held_at: SystemTime,
    size: u64,
}

/// All copies; directories that a killed process left behind are removed on the way.
fn copies(shared: &Shared, now: SystemTime) -> io::Result<Vec<Copy>> {
    let entries = match fs::read_dir(&shared.paths.held) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut copies = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str() else { continue };
        if EventId::parse(name).is_some() {
            // The time of the file, not the one in it: a sweep does not read a hundred thousand files.
            let written =
                fs::metadata(path.join(RECORD)).or_else(|_| fs::metadata(&path)).and_then(|file| file.modified());
            if let (Ok(held_at), Ok(size)) = (written, copy_size(&path)) {
                copies.push(Copy { path, held_at, size });
            }
        } else if name.starts_with(".tmp-")
            && entry.metadata().and_then(|file| file.modified()).is_ok_and(|at| age(at, now) > ABANDONED)
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(copies)
}

/// What a copy takes on disk.
fn copy_size(path: &Path) -> io::Result<u64> {
    // Some file systems say 0 blocks.
    let taken = |file: Metadata| (file.blocks() * 512).max(file.len());
    let files = [path.to_owned(), path.join(MESSAGE), path.join(RECORD)];
    files.iter().map(|file| fs::metadata(file).map(taken).or_else(|error| gone(error, path))).sum()
}

/// A file that is missing takes nothing, if the directory is there.
fn gone(error: io::Error, directory: &Path) -> io::Result<u64> {
    if directory.is_dir() { Ok(0) } else { Err(error) }
}

fn age(then: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

fn marker(shared: &Shared) -> PathBuf {
    shared.paths.held.join(".swept")
}
