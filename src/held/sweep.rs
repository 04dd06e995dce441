//! Keeping the held copies within their time and size: the oldest go first.
//!
//! Nothing counts the octets between sweeps, since several processes hold at once and a counter of theirs would have to be
//! repaired after each crash. Instead a sweep follows a copy with a probability that grows with its size, such that one
//! comes on average after each 64th part of `max_size`; and once a day, for `keep`.

use std::io;
use std::time::{Duration, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

use super::files::{HeldFiles, MESSAGE, RECORD, remove};
use crate::directory::{Directory, TEMPORARY};
use crate::event_id::EventId;
use crate::state_dir::{StateError, private_file};

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

/// Its time of change is when the last sweep was.
const MARKER: &str = ".swept";

/// Whether a sweep follows the copy that was just kept.
pub(super) fn follows_a_copy(base: &Directory, id: &EventId, max_size: u64) -> bool {
    let size = copy_size(base, id.as_str()).unwrap_or(0);
    // No guess of a sender's making: whoever could tell when a sweep comes could fill the disk in between.
    let mut random = [0; 8];
    let drawn = SystemRandom::new().fill(&mut random).map_or(0, |()| u64::from_be_bytes(random));
    let threshold = u128::from(size) * u128::from(SWEEPS) * u128::from(u64::MAX) / u128::from(max_size.max(1));
    u128::from(drawn) <= threshold
}

/// Whether the last sweep of any process was a day ago.
pub(super) fn is_due(files: &HeldFiles) -> bool {
    let Ok(Some(base)) = files.open_existing() else { return false };
    match base.find(MARKER) {
        Ok(Some(marker)) => age(marker.modified, SystemTime::now()) >= DAY,
        _ => true,
    }
}

/// Removes what is older than `keep`, then the oldest until the rest fits. Never `spared`, the copy that was just promised to
/// be safe; and for its size never the newest copy, which may just have been promised by another process.
pub(super) fn sweep(
    files: &HeldFiles,
    keep: Duration,
    max_size: u64,
    spared: Option<&EventId>,
) -> Result<Purged, StateError> {
    let cannot = |error: io::Error| StateError::file("sweep", files.base(), &error);
    let Some(base) = files.open_existing()? else { return Ok(Purged::default()) };
    let now = SystemTime::now();
    let mut copies = copies(&base, now).map_err(cannot)?;
    copies.sort_by(|a, b| (a.held_at, &a.name).cmp(&(b.held_at, &b.name)));
    let newest = copies.last().map(|copy| copy.name.clone());
    let mut purged =
        Purged { removed: 0, kept: copies.len() as u64, kept_size: copies.iter().map(|copy| copy.size).sum() };
    for copy in copies {
        let too_old = age(copy.held_at, now) > keep;
        let too_much = purged.kept_size > max_size && newest.as_ref() != Some(&copy.name);
        if spared.is_some_and(|id| id.as_str() == copy.name) || (!too_old && !too_much) {
            continue;
        }
        // Another process may have removed it in the meantime.
        purged.removed += u64::from(remove(&base, &copy.name).map_err(cannot)?);
        purged.kept -= 1;
        purged.kept_size -= copy.size;
    }
    private_file(&base, MARKER)?.set_modified(now).map_err(cannot)?;
    Ok(purged)
}

/// How many copies there are and what they take on disk.
pub(super) fn totals(files: &HeldFiles) -> Result<Purged, StateError> {
    let Some(base) = files.open_existing()? else { return Ok(Purged::default()) };
    let copies = copies(&base, SystemTime::UNIX_EPOCH);
    let copies = copies.map_err(|error| StateError::file("list", files.base(), &error))?;
    Ok(Purged { removed: 0, kept: copies.len() as u64, kept_size: copies.iter().map(|copy| copy.size).sum() })
}

struct Copy {
    name: String,
    held_at: SystemTime,
    size: u64,
}

/// All copies; directories that a killed process left behind are removed on the way.
fn copies(base: &Directory, now: SystemTime) -> io::Result<Vec<Copy>> {
    let mut copies = Vec::new();
    for name in base.names()? {
        let Some(entry) = base.find(&name)? else { continue };
        if EventId::parse(&name).is_some() {
            let Ok(copy) = base.directory(&name) else { continue };
            // The time of the file, not the one in it: a sweep does not read a hundred thousand files.
            let held_at = copy.find(RECORD)?.map_or(entry.modified, |record| record.modified);
            copies.push(Copy { size: copy_size(base, &name)?, name, held_at });
        } else if name.starts_with(TEMPORARY) && age(entry.modified, now) > ABANDONED {
            let _ = base.remove_tree(&name);
        }
    }
    Ok(copies)
}

/// What a copy takes on disk: the directory and its two files, in whole blocks.
fn copy_size(base: &Directory, name: &str) -> io::Result<u64> {
    const BLOCK: u64 = 4096;
    let copy = match base.directory(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        copy => copy?,
    };
    let size =
        |file: &str| -> io::Result<u64> { Ok(copy.find(file)?.map_or(0, |entry| entry.size.next_multiple_of(BLOCK))) };
    Ok(BLOCK + size(MESSAGE)? + size(RECORD)?)
}

fn age(then: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}
