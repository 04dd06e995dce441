//! The directory of all that outlives a process: the ledger, the in-flight locks, the held copies.
//!
//! It knows where things are and whom they belong to, not what is in them. This is the one gate to it: what is opened here is
//! a directory of ours that nobody else can write to, or nothing.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::{Uid, User, geteuid};

use crate::directory::{Directory, Entry};

/// The permissions of a file in it: nobody else can open it, and so lock it.
pub const PRIVATE_FILE: u32 = 0o600;

/// The permissions of a directory in it.
pub const PRIVATE_DIRECTORY: u32 = 0o700;

/// What anybody but the owner may do.
const OTHERS: u32 = 0o077;

/// Writing by anybody but the owner.
const OTHERS_WRITE: u32 = 0o022;

/// `state_dir` of the configuration. Its clones share one handle.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    open: Arc<Mutex<Option<Arc<Directory>>>>,
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
        Self { path: path.to_owned(), open: Arc::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, with the directories above it, if it is not there.
    ///
    /// # Errors
    /// It can be neither opened nor made, or others can write to it.
    pub fn prepare(&self) -> Result<(), StateError> {
        self.open().map(drop)
    }

    /// Opens it; makes it, with the directories above it, if it is not there.
    ///
    /// # Errors
    /// It can be neither opened nor made, or others can write to it.
    pub fn open(&self) -> Result<Arc<Directory>, StateError> {
        match self.open_existing()? {
            Some(directory) => Ok(directory),
            None => {
                let made = DirBuilder::new().recursive(true).mode(0o750).create(&self.path);
                made.map_err(|error| StateError::file("make", &self.path, &error))?;
                let missing = || StateError::file("find", &self.path, &io::ErrorKind::NotFound.into());
                self.open_existing()?.ok_or_else(missing)
            }
        }
    }

    /// Opens it; `None` if it is not there.
    ///
    /// # Errors
    /// It cannot be opened, or others can write to it.
    pub fn open_existing(&self) -> Result<Option<Arc<Directory>>, StateError> {
        let cannot = |error: io::Error| StateError::file("open", &self.path, &error);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *open = None;
                return Ok(None);
            }
            now => now.map_err(cannot)?,
        };
        if let Some(directory) = &*open {
            // Removed and made again, it is another one.
            if directory.entry().map_err(cannot)?.identity == (now.dev(), now.ino()) {
                return Ok(Some(Arc::clone(directory)));
            }
        }
        let directory = Directory::open(&self.path).map_err(cannot)?;
        close_to_others(&directory)?;
        Ok(Some(Arc::clone(open.insert(Arc::new(directory)))))
    }
}

/// Refuses a directory of somebody else, and takes the right to write from everybody but us.
fn close_to_others(directory: &Directory) -> Result<(), StateError> {
    let path = directory.path();
    let entry = directory.entry().map_err(|error| StateError::file("open", path, &error))?;
    let (owner, us) = (Uid::from_raw(entry.uid), geteuid());
    if owner != us {
        return Err(StateError::new(format!(
            "{} belongs to {}, and this process runs as {}: run it as the owner, or give the directory to this user (chown)",
            path.display(),
            name_of(owner),
            name_of(us)
        )));
    }
    if entry.mode & OTHERS_WRITE != 0 {
        let closed = directory.set_mode(entry.mode & !OTHERS_WRITE);
        closed.map_err(|error| StateError::file("take the right to write from others to", path, &error))?;
    }
    Ok(())
}

/// Opens a directory of ours in another one of ours; makes it if it is not there. What an earlier version left open to the
/// group is closed.
///
/// # Errors
/// It is a link or something else, belongs to somebody else, or cannot be made.
pub fn private_directory(parent: &Directory, name: &str) -> Result<Directory, StateError> {
    let path = parent.path_of(name);
    let cannot = |error: io::Error| StateError::file("open", &path, &error);
    let directory = parent.directory_or_new(name, PRIVATE_DIRECTORY).map_err(cannot)?;
    let entry = directory.entry().map_err(cannot)?;
    refuse_a_stranger(&path, &entry)?;
    if entry.mode & OTHERS != 0 {
        directory.set_mode(PRIVATE_DIRECTORY).map_err(cannot)?;
    }
    Ok(directory)
}

/// Opens a file of ours for reading and writing; makes it if it is not there. What an earlier version left open to the group
/// is closed.
///
/// # Errors
/// It is a link or something else, belongs to somebody else, or cannot be made.
pub fn private_file(parent: &Directory, name: &str) -> Result<File, StateError> {
    let path = parent.path_of(name);
    let cannot = |error: io::Error| StateError::file("open", &path, &error);
    let file = parent.file_or_new(name, PRIVATE_FILE).map_err(cannot)?;
    close_file_to_others(parent, name)?;
    Ok(file)
}

/// Takes every right from others to a file of ours, without opening it.
///
/// # Errors
/// It is a link or something else, or belongs to somebody else.
pub fn close_file_to_others(parent: &Directory, name: &str) -> Result<(), StateError> {
    let path = parent.path_of(name);
    let cannot = |error: io::Error| StateError::file("close to others", &path, &error);
    let Some(entry) = parent.find(name).map_err(cannot)? else { return Ok(()) };
    if entry.kind != crate::directory::Kind::File {
        return Err(StateError::new(format!(
            "{} is not a file: somebody has put something else there; remove it",
            path.display()
        )));
    }
    refuse_a_stranger(&path, &entry)?;
    if entry.mode & OTHERS != 0 {
        parent.set_mode_of(name, PRIVATE_FILE).map_err(cannot)?;
    }
    Ok(())
}

fn refuse_a_stranger(path: &Path, entry: &Entry) -> Result<(), StateError> {
    let (owner, us) = (Uid::from_raw(entry.uid), geteuid());
    if owner == us {
        return Ok(());
    }
    Err(StateError::new(format!(
        "{} belongs to {}, not to {}: give it to the user that mailhatch runs as (chown)",
        path.display(),
        name_of(owner),
        name_of(us)
    )))
}

/// A user as people know it.
pub fn name_of(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name)
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
