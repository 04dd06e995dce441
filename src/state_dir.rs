//! The directory of all that outlives a process: the ledger, the in-flight locks, the held copies.
//!
//! It knows where things are and whom they belong to, not what is in them.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// `state_dir` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

/// Something in the state directory cannot be read or written. Always temporary.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct StateError {
    /// What is wrong and what to do.
    pub detail: String,
    /// The disk is full.
    pub full: bool,
}

impl StateDir {
    /// Names it; looks at nothing.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, with the directories above it, if it is not there.
    ///
    /// # Errors
    /// It can be neither found nor made.
    pub fn prepare(&self) -> Result<(), StateError> {
        make_directory(&self.path).map_err(|error| StateError::file("make", &self.path, &error))
    }

    /// Makes a directory in it if it is not there.
    ///
    /// # Errors
    /// It can be neither found nor made.
    pub fn prepare_directory(&self, name: &str) -> Result<(), StateError> {
        let path = self.path.join(name);
        let cannot = |error: io::Error| StateError::file("make", &path, &error);
        if path.is_dir() {
            return Ok(());
        }
        self.prepare()?;
        make_directory(&path).map_err(cannot)?;
        inherit_owner(&path).map_err(cannot)?;
        File::open(&self.path).and_then(|directory| directory.sync_all()).map_err(cannot)
    }
}

impl StateError {
    /// An error that no file shows.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), full: false }
    }

    /// A file or a directory; `doing` completes "cannot …".
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let advice = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": free space there",
            io::ErrorKind::PermissionDenied => ": it must belong to the user that mailhatch runs as",
            io::ErrorKind::ReadOnlyFilesystem => {
                ": mount it writable (under systemd, StateDirectory= or ReadWritePaths= must name it)"
            }
            io::ErrorKind::NotADirectory => ": state_dir must be a directory",
            _ => "",
        };
        Self { detail: format!("cannot {doing} {}: {error}{advice}", path.display()), full }
    }
}

/// What root makes (`mailhatch check`) belongs to the owner of the directory it is in, or the service could not write it.
///
/// # Errors
/// The owner cannot be read or changed.
pub fn inherit_owner(path: &Path) -> io::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(path.parent().unwrap_or(path))?;
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(path)
}
