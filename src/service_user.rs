//! The user that the service runs as: the owner of the state directory. Every command that root starts goes on as that user
//! before it opens anything there, so that what has been planted there gets nothing from root.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setgroups, setuid};

/// Who a process goes on as.
#[derive(Debug, PartialEq, Eq)]
pub enum Identity {
    /// It was not root to begin with.
    Unprivileged,
    /// It began as root and is now this user.
    Became(String),
    /// It is root still, because its state directory belongs to root or is not there.
    Root,
}

/// Becomes the owner of the state directory, with that user's groups, where it began as root. `serve` does it after its sockets
/// are bound and the secrets are read, every other command at its beginning.
///
/// # Errors
/// The kernel does not let it; then nothing in the directory may be opened.
pub fn become_owner(state_dir: &Path) -> io::Result<Identity> {
    if !geteuid().is_root() {
        return Ok(Identity::Unprivileged);
    }
    let owner = match std::fs::metadata(state_dir) {
        Ok(state_dir) if state_dir.uid() != 0 => state_dir,
        // A directory of root's has no secrets from root, and one that is not there has none at all.
        Ok(_) => return Ok(Identity::Root),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Identity::Root),
        Err(error) => return Err(error),
    };
    let uid = Uid::from_raw(owner.uid());
    // libc does this for all threads at once, unlike the bare system calls.
    match User::from_uid(uid)? {
        Some(user) => {
            initgroups(&std::ffi::CString::new(user.name.as_str())?, user.gid)?;
            setgid(user.gid)?;
            setuid(uid)?;
            Ok(Identity::Became(user.name))
        }
        None => {
            setgroups(&[])?;
            setgid(Gid::from_raw(owner.gid()))?;
            setuid(uid)?;
            Ok(Identity::Became(format!("user {uid}")))
        }
    }
}
