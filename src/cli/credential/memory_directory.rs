//! A directory for plain text: fresh, for root alone, in memory, or not at all.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::statfs::{FsType, TMPFS_MAGIC, fstatfs};
use tempfile::TempDir;

/// Where systemd has a file system in memory.
const PARENT: &str = "/run";

/// statfs(2).
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Removed with all that is in it when it is dropped.
pub(super) struct MemoryDirectory(TempDir);

impl MemoryDirectory {
    /// Makes it.
    ///
    /// # Errors
    /// It cannot be made, or would be on a disk.
    pub(super) fn new() -> Result<Self, String> {
        let failed = |error: io::Error| format!("{PARENT}: {error}");
        let mut builder = tempfile::Builder::new();
        builder.prefix("mailhatch-credential-").permissions(Permissions::from_mode(0o700));
        let directory = builder.tempdir_in(PARENT).map_err(failed)?;
        let handle = File::open(directory.path()).map_err(failed)?;
        // What was made, not the name: something may be mounted on it.
        let kind = fstatfs(&handle).map_err(|error| failed(error.into()))?.filesystem_type();
        match kind == TMPFS_MAGIC || kind == RAMFS_MAGIC {
            true => Ok(Self(directory)),
            false => Err(format!(
                "{PARENT} is not in memory (neither tmpfs nor ramfs): plain text would reach a disk, so nothing is \
                 decrypted there; use \"mailhatch credential set\", which needs no file"
            )),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}
