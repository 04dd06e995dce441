//! Keeping the held copies within their time and size: the oldest go first.
//!
//! Nothing counts the octets between sweeps, since several processes hold at once and a counter of theirs would have to be
//! repaired after each crash. Instead a sweep follows a copy with a probability that grows with its size, such that one
//! comes on average after each 64th part of `max_size`; and once a day, for `keep`.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

use super::files::{HeldFiles, MESSAGE, RECORD};
use crate::event_id::EventId;
use crate::state_dir::{StateError, inherit_owner};

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

/// Whether a sweep follows the copy that was just kept.
pub(super) fn follows_a_copy(files: &HeldFiles, id: &EventId, max_size: u64) -> bool {
    let size = copy_size(&files.directory(id)).unwrap_or(0);
    // No guess of a sender's making: whoever could tell when a sweep comes could fill the disk in between.
    let mut random = [0; 8];
    let drawn = SystemRandom::new().fill(&mut random).map_or(0, |()| u64::from_be_bytes(random));
    let threshold = u128::from(size) * u128::from(SWEEPS) * u128::from(u64::MAX) / u128::from(max_size.max(1));
    u128::from(drawn) <= threshold
}

/// Whether the last sweep of any process was a day ago.
pub(super) fn is_due(files: &HeldFiles) -> bool {
    let swept = fs::metadata(marker(files)).and_then(|file| file.modified());
    swept.map_or(files.base().is_dir(), |at| age(at, SystemTime::now()) >= DAY)
}

/// Removes what is older than `keep`, then the oldest until the rest fits. Never `spared`, the copy that was just promised to
/// be safe; and for its size never the newest copy, which may just have been promised by another process.
pub(super) fn sweep(
    files: &HeldFiles,
    keep: Duration,
    max_size: u64,
    spared: Option<&EventId>,
) -> Result<Purged, StateError> {
    let base = files.base();
    let cannot = |error: io::Error| StateError::file("sweep", base, &error);
    let now = SystemTime::now();
    let mut copies = copies(files, now).map_err(cannot)?;
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
        purged.removed += u64::from(files.remove(&copy.path).map_err(cannot)?);
        purged.kept -= 1;
        purged.kept_size -= copy.size;
    }
    // Its time of change is when the last sweep was.
    if base.is_dir() {
        File::create(marker(files)).and_then(|file| file.set_modified(now)).map_err(cannot)?;
        inherit_owner(&marker(files)).map_err(cannot)?;
    }
    Ok(purged)
}

/// How many copies there are and what they take on disk.
pub(super) fn totals(files: &HeldFiles) -> Result<Purged, StateError> {
    let copies = copies(files, SystemTime::UNIX_EPOCH);
    let copies = copies.map_err(|error| StateError::file("list", files.base(), &error))?;
    Ok(Purged { removed: 0, kept: copies.len() as u64, kept_size: copies.iter().map(|copy| copy.size).sum() })
}

struct Copy {
    path: PathBuf,
    held_at: SystemTime,
    size: u64,
}

/// All copies; directories that a killed process left behind are removed on the way.
fn copies(files: &HeldFiles, now: SystemTime) -> io::Result<Vec<Copy>> {
    let entries = match fs::read_dir(files.base()) {
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

fn marker(files: &HeldFiles) -> PathBuf {
    files.base().join(".swept")
}
