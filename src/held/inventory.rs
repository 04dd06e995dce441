//! What is kept, counted; while it is open, no other process changes what is kept.
//!
//! `.totals` holds the counts. They are raised before a copy is written and lowered after one is removed, so that a process
//! that is killed leaves them too high, never too low; where they say that there is no room, everything is counted anew. So a
//! copy is never promised that does not fit, and nobody can fill the disk between two looks.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::body::{self, BODIES};
use super::copy::HeldRecord;
use super::files::{HeldFiles, MESSAGE, RECORD, read_record_in};
use crate::age_clock::AgeClock;
use crate::directory::{Directory, Entry, Kind, TEMPORARY};
use crate::event_id::EventId;
use crate::in_flight::{InFlightLocks, Queue, Right, Turn};
use crate::state_dir::{StateError, private_directory, private_file};

/// Its name in the directory of the copies.
const TOTALS: &str = ".totals";

/// The mark of the last sweep of 0.1.0.
const OLD_MARK: &str = ".swept";

/// How long another process may be at it: a survey of a hundred thousand copies takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A survey this young need not be repeated to say that there is no room.
const SURVEY_HOLDS: Duration = Duration::from_secs(60);

/// A directory under a temporary name this old was left by a process that was killed: no message takes so long.
const ABANDONED: Duration = Duration::from_secs(3600);

/// When something is pushed out, this part of `max_size` becomes free, so that the next message does not survey again.
const SLACK: u64 = 16;

/// A disk gives whole blocks.
const BLOCK: u64 = 4096;

/// The counts.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Totals {
    /// Copies.
    pub(super) copies: u64,
    /// What they take, in octets; a shared body counts once.
    pub(super) octets: u64,
    /// What of that may be pushed out.
    evictable: u64,
    /// Seconds since 1970 by the clock of ages.
    surveyed: u64,
    /// The same, of the last sweep by age.
    swept: u64,
}

/// The directory of the copies, while nobody else changes it.
pub(super) struct Inventory<'s> {
    pub(super) base: Directory,
    pub(super) bodies: Directory,
    pub(super) totals: Totals,
    files: &'s HeldFiles,
    locks: &'s InFlightLocks,
    now: SystemTime,
    _turn: Turn,
}

/// One copy, as a survey finds it.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) id: EventId,
    pub(super) kept_at: SystemTime,
    /// `None`: it cannot be read, so it is not known to be of less worth than others.
    record: Option<HeldRecord>,
}

impl Totals {
    /// The counts that were written last; `None` if there are none, or only half of them.
    pub(super) fn read(base: &Directory) -> Result<Option<Self>, StateError> {
        let mut text = Vec::new();
        match base.file(TOTALS).and_then(|file| file.take(4096).read_to_end(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateError::file("read", &base.path_of(TOTALS), &error)),
            Ok(_) => Ok(serde_json::from_slice(&text).ok()),
        }
    }

    /// Whether the last sweep by age was so long ago.
    pub(super) fn swept_before(&self, time: Duration, now: SystemTime) -> bool {
        // One in the future is left over from a clock that began anew.
        seconds(now).abs_diff(self.swept) >= time.as_secs()
    }
}

impl Surveyed {
    /// Whether it goes where there is no room.
    pub(super) fn may_be_pushed_out(&self) -> bool {
        is_evictable(self.record.as_ref())
    }
}

/// What a copy takes beside its body.
pub(super) fn size_beside_body(record: u64) -> u64 {
    BLOCK + blocks(record)
}

/// What a file takes.
pub(super) fn blocks(octets: u64) -> u64 {
    octets.next_multiple_of(BLOCK)
}

/// Whether a copy may be pushed out, by its record; one that cannot be read says nothing, so it stays.
fn is_evictable(record: Option<&HeldRecord>) -> bool {
    record.is_some_and(|record| may_be_pushed_out(&record.verdict))
}

/// What may be pushed out when there is no room: what nobody waits for.
fn may_be_pushed_out(verdict: &str) -> bool {
    matches!(verdict, "ignored" | "rejected")
}

impl<'s> Inventory<'s> {
    /// Opens it; makes the directory if it is not there.
    pub(super) fn open(
        files: &'s HeldFiles,
        locks: &'s Arc<InFlightLocks>,
        clock: &AgeClock,
    ) -> Result<Self, StateError> {
        let Some(turn) = locks.turn(Queue::Held, PATIENCE)? else {
            let text = format!("{} is in use by another process for too long", files.base().display());
            return Err(StateError::new(text));
        };
        let base = files.open()?;
        let bodies = private_directory(&base, BODIES)?;
        let mut inventory =
            Self { base, bodies, totals: Totals::default(), files, locks, now: clock.now(), _turn: turn };
        match Totals::read(&inventory.base)? {
            Some(totals) => inventory.totals = totals,
            None => drop(inventory.survey()?),
        }
        Ok(inventory)
    }

    /// Makes room for a copy, and counts it: what may be pushed out goes, the oldest first. Nothing is counted until
    /// [`Inventory::save`].
    pub(super) fn admit(&mut self, octets: u64, verdict: &str, max_size: u64) -> Result<(), StateError> {
        let fits = |taken: u64, limit: u64| taken.saturating_add(octets) <= limit;
        let could_fit = |totals: &Totals| fits(totals.octets.saturating_sub(totals.evictable), max_size);
        if !fits(self.totals.octets, max_size) {
            let is_surveyed = seconds(self.now).abs_diff(self.totals.surveyed) < SURVEY_HOLDS.as_secs();
            let copies = match is_surveyed && !could_fit(&self.totals) {
                true => Vec::new(),
                false => self.survey()?,
            };
            for copy in copies {
                // What would not be enough is not thrown away for nothing.
                if !could_fit(&self.totals) || fits(self.totals.octets, max_size - max_size / SLACK) {
                    break;
                }
                if copy.may_be_pushed_out() {
                    self.remove_surveyed(&copy)?;
                }
            }
            if !fits(self.totals.octets, max_size) {
                self.save()?;
                return Err(self.no_room(octets, max_size));
            }
        }
        self.totals.copies += 1;
        self.totals.octets += octets;
        if may_be_pushed_out(verdict) {
            self.totals.evictable += octets;
        }
        Ok(())
    }

    /// Takes back what was counted for a copy that was not written in the end.
    pub(super) fn give_back(&mut self, octets: u64, verdict: &str) {
        self.totals.copies = self.totals.copies.saturating_sub(1);
        self.count_less(octets, verdict);
    }

    /// Counts a copy as what its new verdict makes of it.
    pub(super) fn change_verdict(&mut self, octets: u64, from: &str, to: &str) {
        match (may_be_pushed_out(from), may_be_pushed_out(to)) {
            (true, false) => self.totals.evictable = self.totals.evictable.saturating_sub(octets),
            (false, true) => self.totals.evictable += octets,
            _ => {}
        }
    }

    fn count_less(&mut self, octets: u64, verdict: &str) {
        self.totals.octets = self.totals.octets.saturating_sub(octets);
        if may_be_pushed_out(verdict) {
            self.totals.evictable = self.totals.evictable.saturating_sub(octets);
        }
    }

    /// Removes a copy, and counts it out. False if it is not there.
    pub(super) fn remove(&mut self, id: &EventId) -> Result<bool, StateError> {
        let name = id.as_str();
        let cannot = |error: io::Error| StateError::file("remove", &self.files.path_of(id), &error);
        if self.base.find(name).map_err(cannot)?.is_none() {
            return Ok(false);
        }
        // One that cannot be read can be removed all the same.
        let (mut octets, mut verdict, mut digest) = (BLOCK, String::new(), None);
        if let Ok(copy) = self.base.directory(name) {
            if let Ok(record) = read_record_in(&copy) {
                (verdict, digest) = (record.verdict, record.body);
            }
            octets += copy.find(RECORD).map_err(cannot)?.map_or(0, |entry| blocks(entry.size));
            if let Some(message) = copy.find(MESSAGE).map_err(cannot)?
                && body::forget(&self.bodies, digest.as_ref(), &message).map_err(cannot)?
            {
                octets += blocks(message.size);
            }
        }
        // Out of sight first, so that no reader sees half of it.
        let away = self.base.temporary().map_err(cannot)?;
        self.base.rename(name, away.directory(), "copy").map_err(cannot)?;
        drop(away);
        self.totals.copies = self.totals.copies.saturating_sub(1);
        self.count_less(octets, &verdict);
        Ok(true)
    }

    /// Removes a copy of a survey, unless somebody has promised or releases it just now.
    pub(super) fn remove_surveyed(&mut self, copy: &Surveyed) -> Result<bool, StateError> {
        if self.locks.is_taken(Right::Held, &copy.id)? {
            return Ok(false);
        }
        self.remove(&copy.id)
    }

    /// Counts everything anew, and removes what killed processes have left; gives the copies, the oldest first.
    ///
    /// A copy that is written just now gets its name whoever's turn it is, and one that is renamed meanwhile may be found under
    /// neither name (readdir(3)): all is looked through again. That ends, because who begins a copy needs the turn.
    pub(super) fn survey(&mut self) -> Result<Vec<Surveyed>, StateError> {
        let cannot = |error: io::Error| StateError::file("look through", self.files.base(), &error);
        body::remove_orphans(&self.bodies).map_err(cannot)?;
        self.remove_abandoned().map_err(cannot)?;
        let (totals, mut copies) = loop {
            if let Some(found) = self.look_through().map_err(cannot)? {
                break found;
            }
        };
        self.totals = totals;
        self.save()?;
        copies.sort_by(|a, b| (a.kept_at, &a.id).cmp(&(b.kept_at, &b.id)));
        Ok(copies)
    }

    fn remove_abandoned(&self) -> io::Result<()> {
        for name in self.base.names()?.iter().filter(|name| name.starts_with(TEMPORARY)) {
            if self.base.find(name)?.is_some_and(|entry| is_abandoned(&entry)) {
                // What cannot be removed is found again.
                let _ = self.base.remove_tree(name);
            }
        }
        Ok(())
    }

    /// What is there; `None` if something got another name meanwhile.
    fn look_through(&self) -> io::Result<Option<(Totals, Vec<Surveyed>)>> {
        let mut totals = Totals { swept: self.totals.swept, surveyed: seconds(self.now), ..Totals::default() };
        let (mut copies, mut bodies) = (Vec::new(), HashSet::new());
        let names: HashSet<String> = self.base.names()?.into_iter().collect();
        for name in &names {
            let is_temporary = name.starts_with(TEMPORARY);
            let id = EventId::parse(name);
            if id.is_none() && !is_temporary {
                continue;
            }
            let Some(entry) = self.base.find(name)? else { return Ok(None) };
            if is_temporary && is_abandoned(&entry) {
                continue;
            }
            // Something that is not a copy takes no room of theirs.
            if entry.kind != Kind::Directory {
                continue;
            }
            let Ok(copy) = self.base.directory(name) else { continue };
            let mut octets = BLOCK;
            let found = copy.find(RECORD)?;
            octets += found.map_or(0, |record| blocks(record.size));
            if let Some(message) = copy.find(MESSAGE)?
                && bodies.insert(message.identity)
            {
                octets += blocks(message.size);
            }
            totals.octets += octets;
            // One that is being written has its record already, and its writer has counted it: what its writer counts back if it
            // fails must be here, and what it takes can be pushed out as soon as it has its name.
            if is_temporary && found.is_none() {
                continue;
            }
            let record = read_record_in(&copy).ok();
            totals.copies += 1;
            if is_evictable(record.as_ref()) {
                totals.evictable += octets;
            }
            let Some(id) = id else { continue };
            let kept_at = found.map_or(entry.modified, |record| record.modified);
            copies.push(Surveyed { id, kept_at, record });
        }
        let is_as_before = self.base.names()?.into_iter().collect::<HashSet<_>>() == names;
        Ok(is_as_before.then_some((totals, copies)))
    }

    /// How old a copy is.
    pub(super) fn age_of(&self, copy: &Surveyed) -> Duration {
        age(copy.kept_at, self.now)
    }

    /// Notes that all that is past its time is gone.
    pub(super) fn is_swept(&mut self) {
        self.totals.swept = seconds(self.now);
        let _ = self.base.remove_file(OLD_MARK);
    }

    /// Writes the counts down.
    pub(super) fn save(&self) -> Result<(), StateError> {
        let cannot = |error: io::Error| StateError::file("write", &self.base.path_of(TOTALS), &error);
        let text = serde_json::to_vec(&self.totals).map_err(|error| cannot(error.into()))?;
        let mut file = private_file(&self.base, TOTALS)?;
        // In place: who finds half of it counts anew.
        let written = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&text))
            .and_then(|()| file.set_len(text.len() as u64));
        written.map_err(cannot)
    }

    fn no_room(&self, octets: u64, max_size: u64) -> StateError {
        let size = bytesize::ByteSize;
        let text = match octets > max_size {
            true => {
                format!("a copy of {} does not fit into held.max_size = {}: raise it", size(octets), size(max_size))
            }
            false => format!(
                "the held copies take {} of held.max_size = {}, and what is left of them may not be pushed out: release what \
                 can be handed over (mailhatch held list), or raise held.max_size",
                size(self.totals.octets),
                size(max_size)
            ),
        };
        StateError { detail: text, full: true }
    }
}

/// Whether a temporary directory was left by a process that was killed.
fn is_abandoned(entry: &Entry) -> bool {
    age(entry.modified, SystemTime::now()) > ABANDONED
}

fn age(then: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
