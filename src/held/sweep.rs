//! Keeping the copies within their time, and within their size where nothing new makes room for itself.

use std::sync::Arc;
use std::time::Duration;

use super::files::HeldFiles;
use super::inventory::{Inventory, Totals};
use crate::age_clock::AgeClock;
use crate::in_flight::InFlightLocks;
use crate::state_dir::StateError;

/// Copies removed before others get their turn.
const STEP: usize = 100;

/// How often copies are looked through for their age.
const DAY: Duration = Duration::from_secs(24 * 3600);

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

/// Removes what is older than `keep`, by the clock of ages, then of what may be pushed out the oldest until the rest fits into
/// `max_size`.
pub(super) fn sweep(
    files: &HeldFiles,
    locks: &Arc<InFlightLocks>,
    clock: &AgeClock,
    keep: Duration,
    max_size: u64,
) -> Result<Purged, StateError> {
    if files.open_existing()?.is_none() {
        return Ok(Purged::default());
    }
    let mut purged = Purged::default();
    loop {
        let mut inventory = Inventory::open(files, locks, clock)?;
        let mut step = 0;
        for copy in inventory.survey()? {
            if step == STEP {
                break;
            }
            let goes =
                inventory.age_of(&copy) > keep || (inventory.totals.octets > max_size && copy.may_be_pushed_out());
            if goes && inventory.remove_surveyed(&copy)? {
                step += 1;
            }
        }
        purged.removed += step as u64;
        if step < STEP {
            inventory.is_swept();
        }
        inventory.save()?;
        (purged.kept, purged.kept_size) = (inventory.totals.copies, inventory.totals.octets);
        if step < STEP {
            return Ok(purged);
        }
    }
}

/// Whether the last sweep of any process was a day ago.
pub(super) fn is_due(files: &HeldFiles, clock: &AgeClock) -> Result<bool, StateError> {
    let Some(base) = files.open_existing()? else { return Ok(false) };
    Ok(Totals::read(&base)?.is_none_or(|totals| totals.swept_before(DAY, clock.now())))
}

/// How many copies there are and what they take on disk.
pub(super) fn totals(
    files: &HeldFiles,
    locks: &Arc<InFlightLocks>,
    clock: &AgeClock,
) -> Result<(u64, u64), StateError> {
    let Some(base) = files.open_existing()? else { return Ok((0, 0)) };
    let totals = match Totals::read(&base)? {
        Some(totals) => totals,
        None => Inventory::open(files, locks, clock)?.totals,
    };
    Ok((totals.copies, totals.octets))
}
