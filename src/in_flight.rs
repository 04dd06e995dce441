//! Who is at an event right now: one locked byte an event in `state_dir/claims`, a file without content.
//!
//! Open file description locks (fcntl_locking(2)) end with the process however it ends, so no lock is ever stale, and
//! nothing has to be cleaned up after a crash. They are no rows in the database, because a row would outlive a SIGKILL.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, off_t};

use crate::event_id::EventId;
use crate::state_dir::{StateDir, StateError, private_file};

/// Its name in the state directory.
const FILE: &str = "claims";

/// What is locked: handing the event over, or sending its notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Handing it over.
    HandOver,
    /// Sending the notice about it.
    Notice,
}

/// The in-flight locks of one state directory.
#[derive(Debug)]
pub struct InFlightLocks {
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
pub struct Turn {
    _lock: TurnLock,
}

#[derive(Debug)]
enum TurnLock {
    AtOnce(#[expect(dead_code, reason = "held for its drop")] InFlightLock),
    Waited(#[expect(dead_code, reason = "closed at its drop, which ends the lock")] File),
}

/// One lock; dropped, it is free again.
#[derive(Debug)]
pub struct InFlightLock {
    locks: Arc<InFlightLocks>,
    offset: off_t,
}

impl InFlightLocks {
    /// Names them; opens nothing yet.
    pub fn new(state_dir: &StateDir) -> Self {
        Self { state_dir: state_dir.clone(), path: state_dir.path().join(FILE), state: Mutex::default() }
    }

    /// `None`: another process, or another task of this one, has it.
    ///
    /// # Errors
    /// The file cannot be opened or locked, or was replaced while something of it is locked.
    pub fn take(self: &Arc<Self>, right: Right, id: &EventId) -> Result<Option<InFlightLock>, StateError> {
        let mut state = self.state();
        self.file(&mut state)?;
        self.take_byte(&mut state, offset_of(right, id))
    }

    /// The right to read an inbox, for as long as its reader lives.
    ///
    /// # Errors
    /// The same.
    pub fn take_inbox(self: &Arc<Self>, name: &str) -> Result<Option<InFlightLock>, StateError> {
        let mut state = self.state();
        self.file(&mut state)?;
        self.take_byte(&mut state, offset_of_inbox(name))
    }

    /// Whether anybody reads an inbox.
    ///
    /// # Errors
    /// The same.
    pub fn is_inbox_taken(&self, name: &str) -> Result<bool, StateError> {
        self.is_byte_taken(offset_of_inbox(name))
    }

    /// Whether anybody has it.
    ///
    /// # Errors
    /// The same.
    pub fn is_taken(&self, right: Right, id: &EventId) -> Result<bool, StateError> {
        self.is_byte_taken(offset_of(right, id))
    }

    fn is_byte_taken(&self, offset: off_t) -> Result<bool, StateError> {
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
    ///
    /// # Errors
    /// The same; there is no thread to wait with.
    pub fn turn(self: &Arc<Self>, patience: Duration) -> Result<Option<Turn>, StateError> {
        let mut state = self.state();
        // A claims file that was replaced costs the fairness only: it must not keep what is done from being written down.
        if state.file.is_none() {
            self.file(&mut state)?;
        }
        let lock = self.take_byte(&mut state, TURN)?;
        drop(state);
        if let Some(lock) = lock {
            return Ok(Some(Turn { _lock: TurnLock::AtOnce(lock) }));
        }
        if patience.is_zero() {
            return Ok(None);
        }
        // This kind of waiting has no end of its own, so a thread does it. Its lock is one of a file opened for it alone: if
        // it comes too late, nobody receives the file, and closing it ends the lock.
        let file = private_file(&*self.state_dir.open()?, FILE)?;
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
            Ok(Ok(file)) => Ok(Some(Turn { _lock: TurnLock::Waited(file) })),
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
            let now = self.state_dir.open_existing()?.map(|directory| directory.find(FILE)).transpose();
            let same = now.is_ok_and(|now| now.flatten().is_some_and(|now| now.identity == state.identity));
            // A reader's lock is held for days: should the file be replaced, two readers cost less than no mail.
            if !same && state.taken.iter().any(|&offset| offset < TURN) {
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
            let file = private_file(&*self.state_dir.open()?, FILE)?;
            let ours = file.metadata().map_err(cannot)?;
            (state.file, state.identity) = (Some(file), (ours.dev(), ours.ino()));
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
const INBOX: off_t = 3 << ID_BITS;

fn offset_of(right: Right, id: &EventId) -> off_t {
    let digits = id.as_str().chars().filter_map(|digit| digit.to_digit(16));
    let right = match right {
        Right::HandOver => 0,
        Right::Notice => 1 << ID_BITS,
    };
    byte_of(digits.fold(0_u64, |number, digit| number << 4 | u64::from(digit))) | right
}

fn offset_of_inbox(name: &str) -> off_t {
    let hash = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    byte_of(hash.as_ref().iter().fold(0_u64, |number, octet| number << 8 | u64::from(*octet))) | INBOX
}

fn byte_of(number: u64) -> off_t {
    (number & ((1 << ID_BITS) - 1)) as off_t
}
