//! Keeping one copy: counted, written under another name, on the disk, and only then there.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body;
use super::body_digest::BodyDigest;
use super::copy::HeldRecord;
use super::files::{HeldFiles, MESSAGE, RECORD, read_record_in};
use super::inventory::{Inventory, blocks, size_beside_body};
use super::message::HeldMessage;
use super::record_file;
use crate::age_clock::AgeClock;
use crate::crash_point::crash_point;
use crate::directory::{Directory, TemporaryDirectory, temporary_name};
use crate::in_flight::{InFlightLock, InFlightLocks, Right};
use crate::mail::Content;
use crate::state_dir::{PRIVATE_FILE, StateError};

/// How long somebody else may be writing the same body before we write one of our own.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is needed to keep a copy.
pub(super) struct Keeper<'s> {
    pub(super) files: &'s HeldFiles,
    pub(super) locks: &'s Arc<InFlightLocks>,
    pub(super) clock: &'s AgeClock,
    pub(super) max_size: u64,
}

/// A copy that is counted, and partly written.
struct Staged<'d> {
    directory: TemporaryDirectory<'d>,
    record: File,
    /// Where the body is to be written; `None` if the copy has one that was there.
    body: Option<File>,
    /// What was counted.
    octets: u64,
    /// Nobody else writes this body meanwhile.
    _writing: Option<InFlightLock>,
}

impl Keeper<'_> {
    /// Keeps a copy. One that is there already is kept as it is, with what is said of it now.
    pub(super) fn keep(&self, mut record: HeldRecord, message: &HeldMessage) -> Result<(), StateError> {
        // Before it is looked for: what is found then stays. Nobody's share, if it is just being released: then it is handed
        // over, or stays.
        if let Some(lock) = self.locks.share(Right::Held, &record.id)? {
            message.protect(lock);
        }
        let base = self.files.open()?;
        if self.keep_what_is_there(&base, &record)? {
            return Ok(());
        }
        let cannot = |error: io::Error| StateError::file("keep a copy in", self.files.base(), &error);
        let content = message.content();
        let digest = message.digest().map_err(cannot)?;
        record.body = Some(digest);
        let staged = self.stage(&base, &record, content, &digest)?;
        let (octets, name) = (staged.octets, record.id.as_str());
        match self.finish(&base, staged, content, &digest, name) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.give_back(octets, &record.verdict);
                // Another task or process has kept the same one meanwhile.
                if self.keep_what_is_there(&base, &record)? { Ok(()) } else { Err(cannot(error)) }
            }
        }
    }

    /// Says something else of a copy that is there; nothing if it is not.
    pub(super) fn keep_anew(&self, record: &HeldRecord) -> Result<(), StateError> {
        self.keep_what_is_there(&self.files.open()?, record).map(drop)
    }

    fn inventory(&self) -> Result<Inventory<'_>, StateError> {
        Inventory::open(self.files, self.locks, self.clock)
    }

    /// Counts the copy, and begins it. What it takes on the disk is seen by a survey from now on.
    fn stage<'d>(
        &self,
        base: &'d Directory,
        record: &HeldRecord,
        content: &Content,
        digest: &BodyDigest,
    ) -> Result<Staged<'d>, StateError> {
        let cannot = |error: io::Error| StateError::file("keep a copy in", self.files.base(), &error);
        let text = record_file::write(record).map_err(|error| cannot(error.into()))?;
        let (mut inventory, is_known, writing) = self.wait_for_the_body(digest, content)?;
        let beside = size_beside_body(text.len() as u64);
        let mut octets = if is_known { beside } else { beside + blocks(content.size()) };
        inventory.admit(octets, &record.verdict, self.max_size)?;
        let directory = base.temporary().map_err(cannot)?;
        let copy = directory.directory();
        let is_shared = is_known && body::share(&inventory.bodies, digest, copy);
        if is_known && !is_shared {
            // It can have no more names.
            inventory.give_back(octets, &record.verdict);
            octets = beside + blocks(content.size());
            inventory.admit(octets, &record.verdict, self.max_size)?;
        }
        let mut record = copy.new_file(RECORD, PRIVATE_FILE).map_err(cannot)?;
        record.write_all(&text).map_err(cannot)?;
        let body = match is_shared {
            true => None,
            false => {
                let file = copy.new_file(MESSAGE, PRIVATE_FILE).map_err(cannot)?;
                file.set_len(content.size()).map_err(cannot)?;
                Some(file)
            }
        };
        inventory.save()?;
        crash_point("copy-counted");
        Ok(Staged { directory, record, body, octets, _writing: writing })
    }

    /// Whether the body is there already. If somebody is writing it just now, that is waited for; if nobody does, it is ours to
    /// write.
    fn wait_for_the_body(
        &self,
        digest: &BodyDigest,
        content: &Content,
    ) -> Result<(Inventory<'_>, bool, Option<InFlightLock>), StateError> {
        let limit = Instant::now() + PATIENCE;
        loop {
            let inventory = self.inventory()?;
            // Before it is looked for: whoever wrote it until now has published it by then.
            let writing = match digest.as_id() {
                Some(id) => self.locks.take(Right::Held, &id)?,
                None => None,
            };
            let is_known = body::is_known(&inventory.bodies, digest, content.size());
            if is_known.map_err(|error| StateError::file("look into", inventory.bodies.path(), &error))? {
                return Ok((inventory, true, None));
            }
            if writing.is_some() || Instant::now() >= limit {
                return Ok((inventory, false, writing));
            }
            drop(inventory);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Brings it to the disk, and gives it its name.
    fn finish(
        &self,
        base: &Directory,
        staged: Staged<'_>,
        content: &Content,
        digest: &BodyDigest,
        name: &str,
    ) -> io::Result<()> {
        let Staged { directory, record, body, _writing, .. } = staged;
        let copy = directory.directory();
        if let Some(file) = body {
            let mut writer = BufWriter::with_capacity(64 * 1024, file);
            content.write_to(&mut writer)?;
            writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            crash_point("body-written");
            // On the disk before anybody can share it.
            let bodies = base.directory(body::BODIES)?;
            body::publish(copy, &bodies, digest);
        }
        record.set_modified(self.clock.now())?;
        record.sync_all()?;
        copy.sync()?;
        crash_point("copy-written");
        directory.persist(base, name)?;
        crash_point("copy-named");
        base.sync()
    }

    fn give_back(&self, octets: u64, verdict: &str) {
        // A count that is too high is put right by the next survey.
        if let Ok(mut inventory) = self.inventory() {
            inventory.give_back(octets, verdict);
            let _ = inventory.save();
        }
    }

    /// Lets a copy that is there begin its time anew, and say what is said of it now. False if there is none.
    fn keep_what_is_there(&self, base: &Directory, record: &HeldRecord) -> Result<bool, StateError> {
        let cannot = |error: io::Error| StateError::file("keep", &self.files.path_of(&record.id), &error);
        let name = record.id.as_str();
        if base.find(name).map_err(cannot)?.is_none() {
            return Ok(false);
        }
        let copy = base.directory(name).map_err(cannot)?;
        let found = read_record_in(&copy).ok();
        match found {
            Some(found) if found.verdict == record.verdict && found.rule == record.rule => {}
            found => self.say_anew(&copy, found, record)?,
        }
        let touched =
            copy.file(RECORD).and_then(|file| file.set_modified(self.clock.now()).and_then(|()| file.sync_all()));
        touched.map_err(cannot)?;
        // Whoever wrote it may have been killed between its rename and its fsync.
        base.sync().map_err(cannot)?;
        Ok(true)
    }

    /// Another verdict about the same event, or a record that cannot be read: the last one counts, and decides what may be
    /// pushed out.
    fn say_anew(&self, copy: &Directory, found: Option<HeldRecord>, record: &HeldRecord) -> Result<(), StateError> {
        let cannot = |error: io::Error| StateError::file("keep", &self.files.path_of(&record.id), &error);
        let (held_at, body, before) = match found {
            Some(found) => (found.held_at, found.body, found.verdict),
            None => (record.held_at, None, String::new()),
        };
        let text = record_file::write(&HeldRecord { held_at, body, ..record.clone() });
        let text = text.map_err(|error| cannot(error.into()))?;
        let temporary = temporary_name().map_err(cannot)?;
        let mut file = copy.new_file(&temporary, PRIVATE_FILE).map_err(cannot)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(cannot)?;
        let octets = copy.find(MESSAGE).map_err(cannot)?.map_or(0, |entry| blocks(entry.size));
        let mut inventory = self.inventory()?;
        copy.rename(&temporary, copy, RECORD).and_then(|()| copy.sync()).map_err(cannot)?;
        inventory.change_verdict(size_beside_body(text.len() as u64) + octets, &before, &record.verdict);
        inventory.save()
    }
}
