//! Where a copy is, and how its files are read and removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::copy::HeldRecord;
use super::record_file;
use crate::event_id::EventId;
use crate::mail::{Content, ContentBuilder};
use crate::state_dir::{StateDir, StateError};

/// The message as it came in, in the directory of a copy.
pub(super) const MESSAGE: &str = "message.eml";

/// Everything else about it.
pub(super) const RECORD: &str = "held.json";

/// The directory of all copies.
#[derive(Clone, Debug)]
pub(super) struct HeldFiles {
    state_dir: StateDir,
    base: PathBuf,
}

impl HeldFiles {
    pub(super) fn new(state_dir: StateDir) -> Self {
        Self { base: state_dir.path().join("held"), state_dir }
    }

    /// The state directory around it.
    pub(super) fn state_dir(&self) -> &StateDir {
        &self.state_dir
    }

    /// Where all copies are.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// Makes the directory of the copies if it is not there.
    pub(super) fn prepare(&self) -> Result<(), StateError> {
        self.state_dir.prepare_directory("held")
    }

    /// The directory of one copy.
    pub(super) fn directory(&self, id: &EventId) -> PathBuf {
        self.base.join(id.as_str())
    }

    /// The ids of all copies; none if nothing was ever held.
    pub(super) fn ids(&self) -> Result<Vec<EventId>, StateError> {
        let cannot = |error: io::Error| StateError::file("list", &self.base, &error);
        let entries = match fs::read_dir(&self.base) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(cannot)?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            ids.extend(entry.map_err(cannot)?.file_name().to_str().and_then(EventId::parse));
        }
        Ok(ids)
    }

    /// `None` if there is no copy of this id.
    pub(super) fn read_record(&self, id: &EventId) -> Result<Option<HeldRecord>, StateError> {
        let path = self.directory(id).join(RECORD);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.directory(id).exists() => return Ok(None),
            text => text.map_err(|error| StateError::file("read", &path, &error))?,
        };
        let record = record_file::read(&text).map_err(|why| {
            StateError::new(format!(
                "cannot read {}: {why}. The message beside it, {MESSAGE}, is as it came in; held.json can be fixed by hand",
                path.display()
            ))
        })?;
        Ok(Some(record))
    }

    /// As intake hands a message over: what is over `limit` stays in a file without a name.
    pub(super) fn read_content(&self, id: &EventId, limit: u64) -> Result<Content, StateError> {
        let path = self.directory(id).join(MESSAGE);
        let mut content = ContentBuilder::new(limit, self.state_dir.path());
        let read = File::open(&path).and_then(|mut file| io::copy(&mut file, &mut content));
        read.map_err(|error| StateError::file("read", &path, &error))?;
        Ok(content.finish())
    }

    /// Moves a copy out of sight first, so that no reader sees half of it. False if it is not there.
    pub(super) fn remove(&self, path: &Path) -> io::Result<bool> {
        if !path.is_dir() {
            return Ok(false);
        }
        let away = tempfile::Builder::new().prefix(".tmp-").tempdir_in(&self.base)?;
        match fs::rename(path, away.path().join("copy")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            renamed => renamed?,
        }
        away.close()?;
        Ok(true)
    }
}
