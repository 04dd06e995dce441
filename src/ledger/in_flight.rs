//! Who is at an event right now: one locked byte an event in a file without content.
//!
//! Open file description locks (fcntl_locking(2)) end with the process however it ends, so no lock is ever stale, and
//! nothing has to be cleaned up after a crash. They are no rows in the database, because a row would outlive a SIGKILL.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, off_t};

use super::delivery_log::Guard;
use super::row::row_key;
use crate::event_id::EventId;
use crate::state_dir::{StateDir, StateError, inherit_owner};

/// What is locked: handing the event over, or sending its notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    HandOver,
    Notice,
}

/// The in-flight locks of one state directory.
#[derive(Debug)]
pub(super) struct InFlightLocks {
    state_dir: StateDir,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    /// Device and inode of it.
    identity: (u64, u64),
    /// A lock does not conflict with another of the same open file, so what this process holds is kept here.
    taken: HashSet<off_t>,
}

/// Whose turn it is to write to the database; dropped, it is the next one's.
#[derive(Debug)]
pub(super) enum Turn {
    AtOnce(#[expect(dead_code, reason = "held for its drop")] InFlightLock),
    Waited(#[expect(dead_code, reason = "closed at its drop, which ends the lock")] File),
}

/// One lock; dropped, it is free again.
#[derive(Debug)]
pub(super) struct InFlightLock {
    locks: Arc<InFlightLocks>,
    offset: off_t,
}

impl Guard for InFlightLock {}

impl InFlightLocks {
    pub(super) fn new(state_dir: &StateDir) -> Self {
        Self { state_dir: state_dir.clone(), path: state_dir.path().join("claims"), state: Mutex::default() }
    }

    /// `None`: another process, or another task of this one, has it.
    pub(super) fn take(self: &Arc<Self>, right: Right, id: &EventId) -> Result<Option<InFlightLock>, StateError> {
        let mut state = self.state();
        self.file(&mut state)?;
        self.take_byte(&mut state, offset_of(right, id))
    }

    /// Whether anybody has it.
    pub(super) fn is_taken(&self, right: Right, id: &EventId) -> Result<bool, StateError> {
        let offset = offset_of(right, id);
        let mut state = self.state();
        if state.taken.contains(&offset) {
            return Ok(true);
        }
        let mut lock = byte(offset, libc::F_WRLCK);
        fcntl(self.file(&mut state)?, FcntlArg::F_OFD_GETLK(&mut lock))
            .map_err(|error| StateError::file("look for a lock in", &self.path, &error.into()))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    /// The turn to write, or `None` if others have it for longer than `patience`.
    ///
    /// SQLite's own waiting is sleeping and trying again, the longer slept the longer waited: with a slow disk and a dozen
    /// processes somebody is always the last. Waiting in the kernel, whoever waits is woken when the lock is free.
    pub(super) fn turn(self: &Arc<Self>, patience: Duration) -> Result<Option<Turn>, StateError> {
        let mut state = self.state();
        // A claims file that was replaced costs the fairness only: it must not keep what is done from being written down.
        if state.file.is_none() {
            self.file(&mut state)?;
        }
        let lock = self.take_byte(&mut state, TURN)?;
        drop(state);
        if let Some(lock) = lock {
            return Ok(Some(Turn::AtOnce(lock)));
        }
        if patience.is_zero() {
            return Ok(None);
        }
        // This kind of waiting has no end of its own, so a thread does it. Its lock is one of a file opened for it alone: if
        // it comes too late, nobody receives the file, and closing it ends the lock.
        let file = OpenOptions::new().write(true).open(&self.path);
        let file = file.map_err(|error| StateError::file("open", &self.path, &error))?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let waiting = move || {
            let locked = fcntl(&file, FcntlArg::F_OFD_SETLKW(&byte(TURN, libc::F_WRLCK)));
            let _ = sender.send(locked.map(|_| file));
        };
        std::thread::Builder::new()
            .name("ledger turn".into())
            .spawn(waiting)
            .map_err(|error| StateError::new(format!("cannot start a thread to wait for the ledger: {error}")))?;
        match receiver.recv_timeout(patience) {
            Ok(Ok(file)) => Ok(Some(Turn::Waited(file))),
            Ok(Err(error)) => Err(StateError::file("lock a byte of", &self.path, &error.into())),
            Err(_) => Ok(None),
        }
    }

    fn take_byte(self: &Arc<Self>, state: &mut State, offset: off_t) -> Result<Option<InFlightLock>, StateError> {
        let State { file: Some(file), taken, .. } = state else { return Ok(None) };
        if taken.contains(&offset) {
            return Ok(None);
        }
        match fcntl(file, FcntlArg::F_OFD_SETLK(&byte(offset, libc::F_WRLCK))) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(None),
            Err(error) => return Err(StateError::file("lock a byte of", &self.path, &error.into())),
        }
        taken.insert(offset);
        Ok(Some(InFlightLock { locks: Arc::clone(self), offset }))
    }

    /// The open file; opened anew if the one in the directory is another, because other processes lock that one.
    fn file<'s>(&self, state: &'s mut State) -> Result<&'s File, StateError> {
        let cannot = |error: io::Error| StateError::file("open", &self.path, &error);
        if state.file.is_some() {
            let same = std::fs::metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == state.identity);
            if !same && state.taken.iter().any(|&offset| offset != TURN) {
                return Err(StateError::new(format!(
                    "{} was removed or replaced while messages were being handed over: nothing new is begun until they are done",
                    self.path.display()
                )));
            }
            if !same {
                state.file = None;
            }
        }
        if state.file.is_none() {
            self.state_dir.prepare()?;
            let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o640).open(&self.path);
            let file = file.map_err(cannot)?;
            let ours = file.metadata().map_err(cannot)?;
            (state.file, state.identity) = (Some(file), (ours.dev(), ours.ino()));
            inherit_owner(&self.path).map_err(cannot)?;
        }
        state.file.as_ref().ok_or_else(|| StateError::new("the claims file is not open"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlightLock {
    fn drop(&mut self) {
        let mut state = self.locks.state();
        if let Some(file) = &state.file {
            // Cannot fail for a range that is locked; and if it did, the event would only be deferred.
            let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&byte(self.offset, libc::F_UNLCK)));
        }
        state.taken.remove(&self.offset);
    }
}

fn byte(offset: off_t, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: offset,
        l_len: 1,
        l_pid: 0,
    }
}

/// Two bits say what the byte is for, the others are of the id. Two events on one byte would only wait for each other.
const ID_BITS: u32 = off_t::BITS - 3;

const TURN: off_t = 2 << ID_BITS;

fn offset_of(right: Right, id: &EventId) -> off_t {
    let number = row_key(id).iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte)) & ((1 << ID_BITS) - 1);
    let right = match right {
        Right::HandOver => 0,
        Right::Notice => 1 << ID_BITS,
    };
    number as off_t | right
}
