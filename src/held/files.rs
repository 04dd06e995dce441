//! Where a copy is, and how its files are read and removed.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::copy::HeldRecord;
use super::record_file;
use crate::directory::Directory;
use crate::event_id::EventId;
use crate::mail::{Content, ContentBuilder};
use crate::state_dir::{StateDir, StateError, private_directory};

/// Its name in the state directory.
const HELD: &str = "held";

/// The message as it came in, in the directory of a copy.
pub(super) const MESSAGE: &str = "message.eml";

/// Everything else about it.
pub(super) const RECORD: &str = "held.json";

/// No `held.json` of ours is larger: an envelope has at most some hundred recipients.
const LARGEST_RECORD: u64 = 4 * 1024 * 1024;

/// The directory of all copies.
#[derive(Clone, Debug)]
pub(super) struct HeldFiles {
    state_dir: StateDir,
    base: PathBuf,
}

impl HeldFiles {
    pub(super) fn new(state_dir: StateDir) -> Self {
        Self { base: state_dir.path().join(HELD), state_dir }
    }

    /// The state directory around it.
    pub(super) fn state_dir(&self) -> &StateDir {
        &self.state_dir
    }

    /// Where all copies are, for texts.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// The directory of the copies; it is made if it is not there.
    pub(super) fn open(&self) -> Result<Directory, StateError> {
        private_directory(&*self.state_dir.open()?, HELD)
    }

    /// The directory of the copies; `None` if nothing was ever held.
    pub(super) fn open_existing(&self) -> Result<Option<Directory>, StateError> {
        let cannot = |error: io::Error| StateError::file("open", &self.base, &error);
        let Some(state_dir) = self.state_dir.open_existing()? else { return Ok(None) };
        match state_dir.find(HELD).map_err(cannot)? {
            Some(_) => private_directory(&state_dir, HELD).map(Some),
            None => Ok(None),
        }
    }

    /// The directory of one copy, for texts.
    pub(super) fn path_of(&self, id: &EventId) -> PathBuf {
        self.base.join(id.as_str())
    }

    /// The records of all copies, read one after the other: there may be very many.
    pub(super) fn records(&self) -> Result<impl Iterator<Item = Result<HeldRecord, StateError>>, StateError> {
        let base = self.open_existing()?;
        let names = base.as_ref().map(Directory::names).transpose();
        let names = names.map_err(|error| StateError::file("list", &self.base, &error))?;
        let ids = names.into_iter().flatten().filter_map(|name| EventId::parse(&name));
        // One that was removed in the meantime is none.
        Ok(ids.filter_map(move |id| self.record_in(base.as_ref()?, &id).transpose()))
    }

    /// `None` if there is no copy of this id.
    pub(super) fn read_record(&self, id: &EventId) -> Result<Option<HeldRecord>, StateError> {
        let Some(base) = self.open_existing()? else { return Ok(None) };
        self.record_in(&base, id)
    }

    fn record_in(&self, base: &Directory, id: &EventId) -> Result<Option<HeldRecord>, StateError> {
        self.copy_in(base, id)?.map(|copy| read_record_in(&copy)).transpose()
    }

    /// For how long a copy has been kept.
    pub(super) fn age(&self, id: &EventId, now: SystemTime) -> Result<Duration, StateError> {
        let cannot = |error: io::Error| StateError::file("read", &self.path_of(id), &error);
        let Some(copy) = self.open_copy(id)? else { return Ok(Duration::ZERO) };
        let record = copy.find(RECORD).map_err(cannot)?;
        Ok(record.and_then(|record| now.duration_since(record.modified).ok()).unwrap_or_default())
    }

    /// As intake hands a message over: what is over `limit` stays in a file without a name.
    pub(super) fn read_content(&self, id: &EventId, limit: u64) -> Result<Content, StateError> {
        let path = self.path_of(id).join(MESSAGE);
        let cannot = |error: io::Error| StateError::file("read", &path, &error);
        let copy = self.open_copy(id)?.ok_or_else(|| cannot(io::ErrorKind::NotFound.into()))?;
        let mut content = ContentBuilder::new(limit, self.state_dir.path());
        copy.file(MESSAGE).and_then(|mut file| io::copy(&mut file, &mut content)).map_err(cannot)?;
        Ok(content.finish())
    }

    fn open_copy(&self, id: &EventId) -> Result<Option<Directory>, StateError> {
        let Some(base) = self.open_existing()? else { return Ok(None) };
        self.copy_in(&base, id)
    }

    fn copy_in(&self, base: &Directory, id: &EventId) -> Result<Option<Directory>, StateError> {
        let cannot = |error: io::Error| StateError::file("open", &self.path_of(id), &error);
        match base.find(id.as_str()).map_err(cannot)? {
            Some(_) => base.directory(id.as_str()).map(Some).map_err(cannot),
            None => Ok(None),
        }
    }
}

/// Reads the record in the directory of a copy.
pub(super) fn read_record_in(copy: &Directory) -> Result<HeldRecord, StateError> {
    let path = copy.path_of(RECORD);
    let mut text = Vec::new();
    let read = copy.file(RECORD).and_then(|file| file.take(LARGEST_RECORD).read_to_end(&mut text));
    read.map_err(|error| StateError::file("read", &path, &error))?;
    record_file::read(&text).map_err(|why| {
        StateError::new(format!(
            "cannot read {}: {why}. The message beside it, {MESSAGE}, is as it came in; held.json can be fixed by hand",
            path.display()
        ))
    })
}
