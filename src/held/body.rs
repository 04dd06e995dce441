//! Bodies that several copies share: a message to fifty recipients is stored once.
//!
//! `.bodies/DIGEST` is one more name (a hard link) of the `message.eml` of each copy that has this body. The copies do not need
//! it: it only lets the next one find the body that is there. A file system without hard links, or a body with as many names
//! as it can have, costs a second body, nothing else.

use std::io;

use super::body_digest::BodyDigest;
use super::files::MESSAGE;
use crate::directory::{Directory, Entry, Kind};

/// Where the names of the bodies are.
pub(super) const BODIES: &str = ".bodies";

/// Whether a body of this digest and size is there.
pub(super) fn is_known(bodies: &Directory, digest: &BodyDigest, size: u64) -> io::Result<bool> {
    Ok(bodies.find(&digest.to_string())?.is_some_and(|entry| entry.kind == Kind::File && entry.size == size))
}

/// Gives the body that is there one more name, in the directory of a copy. False if it can have no more, or the file system
/// knows no such thing.
pub(super) fn share(bodies: &Directory, digest: &BodyDigest, copy: &Directory) -> bool {
    bodies.link(&digest.to_string(), copy, MESSAGE).is_ok()
}

/// Lets later copies find the body of this one, which must be on the disk.
pub(super) fn publish(copy: &Directory, bodies: &Directory, digest: &BodyDigest) {
    let name = digest.to_string();
    if copy.link(MESSAGE, bodies, &name).is_err() {
        // One that has as many names as it can have, or another process was faster: ours is the better one now.
        let _ = bodies.remove_file(&name).and_then(|()| copy.link(MESSAGE, bodies, &name));
    }
}

/// Forgets a body that no copy has any more but the one of this entry; true if that is so, and its room becomes free.
pub(super) fn forget(bodies: &Directory, digest: Option<&BodyDigest>, message: &Entry) -> io::Result<bool> {
    let Some(digest) = digest else { return Ok(message.links <= 1) };
    let name = digest.to_string();
    let is_published = bodies.find(&name)?.is_some_and(|entry| entry.identity == message.identity);
    let is_last = message.links <= if is_published { 2 } else { 1 };
    if is_last && is_published {
        bodies.remove_file(&name)?;
    }
    Ok(is_last)
}

/// Removes the names of bodies that no copy has any more: a process was killed before it could.
pub(super) fn remove_orphans(bodies: &Directory) -> io::Result<()> {
    for name in bodies.names()? {
        if bodies.find(&name)?.is_some_and(|entry| entry.kind != Kind::File || entry.links == 1) {
            bodies.remove_tree(&name)?;
        }
    }
    Ok(())
}
