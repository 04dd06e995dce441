//! Who is at an event right now: one locked byte an event in `state_dir/claims`, a file without content.
//!
//! Open file description locks (fcntl_locking(2)) end with the process however it ends, so no lock is ever stale, and
//! nothing has to be cleaned up after a crash. They are no rows in the database, because a row would outlive a SIGKILL.

mod bytes;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, off_t};

use bytes::{FIRST_TURN, byte, offset_of, offset_of_inbox, turn_of};
pub use bytes::{Queue, Right};

use crate::event_id::EventId;
use crate::state_dir::{StateDir, StateError, private_file};

/// Its name in the state directory.
const FILE: &str = "claims";

/// How long an event that has ended may still look as if it were in flight, to other processes.
const LINGER: Duration = Duration::from_millis(20);

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
    /// What is begun at the same time shares an open file: closing it ends all its locks with one system call.
    batch: Weak<Batch>,
    /// Batches of which something has ended that is still locked.
    lingering: Vec<Weak<Batch>>,
    /// Locks that are dropped now may linger.
    may_linger: bool,
    /// A lock does not conflict with another of the same open file, so what this process holds is kept here.
    taken: HashSet<off_t>,
    /// The same for shared locks, with how many hold one.
    shared: HashMap<off_t, usize>,
}

/// Whose turn it is; dropped, it is the next one's.
#[derive(Debug)]
pub struct Turn {
    _lock: TurnLock,
}

#[derive(Debug)]
enum TurnLock {
    AtOnce(#[expect(dead_code, reason = "held for its drop")] InFlightLock),
    Waited(#[expect(dead_code, reason = "closed at its drop, which ends the lock")] File),
}

/// Events that were begun at the same time.
#[derive(Debug)]
struct Batch {
    file: File,
    began: Instant,
    /// What has ended, and is locked until the whole batch has, or for [`LINGER`].
    ended: Mutex<Vec<off_t>>,
}

/// One lock; dropped, it is free again.
#[derive(Debug)]
pub struct InFlightLock {
    locks: Arc<InFlightLocks>,
    offset: off_t,
    batch: Option<Arc<Batch>>,
}

/// One share of a lock; when the last one is dropped, it is free again.
#[derive(Debug)]
pub struct SharedLock {
    locks: Arc<InFlightLocks>,
    offset: off_t,
}

impl InFlightLocks {
    /// Names them; opens nothing yet.
    pub fn new(state_dir: &StateDir) -> Self {
        Self { state_dir: state_dir.clone(), path: state_dir.path().join(FILE), state: Mutex::default() }
    }

    /// What is begun from now on is a batch of its own.
    pub fn begin_batch(&self) {
        self.state().batch = Weak::new();
    }

    /// The same as [`InFlightLocks::take`], in the batch of the moment.
    ///
    /// # Errors
    /// The same.
    pub fn take_in_batch(self: &Arc<Self>, right: Right, id: &EventId) -> Result<Option<InFlightLock>, StateError> {
        let offset = offset_of(right, id);
        let mut state = self.state();
        if state.taken.contains(&offset) || state.shared.contains_key(&offset) {
            return Ok(None);
        }
        let batch = match state.batch.upgrade() {
            Some(batch) => batch,
            None => self.open_batch(&mut state)?,
        };
        // It may be one of ours that has ended, and would be unlocked later.
        state.let_go(|batch| batch.has_ended(offset));
        if !self.lock_byte_of(&batch.file, offset, libc::F_WRLCK)? {
            return Ok(None);
        }
        state.taken.insert(offset);
        Ok(Some(InFlightLock { locks: Arc::clone(self), offset, batch: Some(batch) }))
    }

    fn open_batch(&self, state: &mut State) -> Result<Arc<Batch>, StateError> {
        // That it is the file that others lock, and no other one.
        self.file(state)?;
        let directory = self.state_dir.open()?;
        let cannot = |error: io::Error| StateError::file("open", &self.path, &error);
        let file = private_file(&directory, FILE)?;
        let metadata = file.metadata().map_err(cannot)?;
        if (metadata.dev(), metadata.ino()) != state.identity {
            return Err(StateError::new(format!("{} was replaced: it is opened again", self.path.display())));
        }
        let batch = Arc::new(Batch { file, began: Instant::now(), ended: Mutex::default() });
        state.batch = Arc::downgrade(&batch);
        Ok(batch)
    }

    /// Lets locks be dropped, all at once: those of a batch of which nothing is left cost nothing, the others may stay locked
    /// for 20 ms.
    pub fn drop_at_once<T>(&self, locks: T) {
        self.state().may_linger = true;
        drop(locks);
        self.state().may_linger = false;
    }

    /// Unlocks what has ended a while ago; how long until there is something to unlock again.
    pub fn unlock_ended(&self) -> Option<Duration> {
        let mut state = self.state();
        state.let_go(|batch| batch.began.elapsed() >= LINGER);
        (!state.lingering.is_empty()).then_some(LINGER)
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

    /// A share of it, beside others who have one. `None`: somebody has it alone.
    ///
    /// # Errors
    /// The same.
    pub fn share(self: &Arc<Self>, right: Right, id: &EventId) -> Result<Option<SharedLock>, StateError> {
        let offset = offset_of(right, id);
        let mut state = self.state();
        self.file(&mut state)?;
        if state.taken.contains(&offset) {
            return Ok(None);
        }
        let first = !state.shared.contains_key(&offset);
        if first && !self.lock_byte(&state, offset, libc::F_RDLCK)? {
            return Ok(None);
        }
        *state.shared.entry(offset).or_default() += 1;
        Ok(Some(SharedLock { locks: Arc::clone(self), offset }))
    }

    /// Whether anybody has it, or a share of it.
    ///
    /// # Errors
    /// The same.
    pub fn is_taken(&self, right: Right, id: &EventId) -> Result<bool, StateError> {
        self.is_byte_taken(offset_of(right, id))
    }

    fn is_byte_taken(&self, offset: off_t) -> Result<bool, StateError> {
        let mut state = self.state();
        if state.taken.contains(&offset) || state.shared.contains_key(&offset) {
            return Ok(true);
        }
        let mut lock = byte(offset, libc::F_WRLCK);
        fcntl(self.file(&mut state)?, FcntlArg::F_OFD_GETLK(&mut lock))
            .map_err(|error| StateError::file("look for a lock in", &self.path, &error.into()))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    /// The turn to change something, or `None` if others have it for longer than `patience`.
    ///
    /// SQLite's own waiting, for one, is sleeping and trying again, the longer slept the longer waited: with a slow disk and a dozen
    /// processes somebody is always the last. Waiting in the kernel, whoever waits is woken when the lock is free.
    ///
    /// # Errors
    /// The same; there is no thread to wait with.
    pub fn turn(self: &Arc<Self>, queue: Queue, patience: Duration) -> Result<Option<Turn>, StateError> {
        let offset = turn_of(queue);
        let mut state = self.state();
        // A claims file that was replaced costs the fairness only: it must not keep what is done from being written down.
        if state.file.is_none() {
            self.file(&mut state)?;
        }
        let lock = self.take_byte(&mut state, offset)?;
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
            let locked = fcntl(&file, FcntlArg::F_OFD_SETLKW(&byte(offset, libc::F_WRLCK)));
            let _ = sender.send(locked.map(|_| file));
        };
        std::thread::Builder::new()
            .name("turn".into())
            .spawn(waiting)
            .map_err(|error| StateError::new(format!("cannot start a thread to wait for a turn: {error}")))?;
        match receiver.recv_timeout(patience) {
            Ok(Ok(file)) => Ok(Some(Turn { _lock: TurnLock::Waited(file) })),
            Ok(Err(error)) => Err(StateError::file("lock a byte of", &self.path, &error.into())),
            Err(_) => Ok(None),
        }
    }

    fn take_byte(self: &Arc<Self>, state: &mut State, offset: off_t) -> Result<Option<InFlightLock>, StateError> {
        if state.taken.contains(&offset)
            || state.shared.contains_key(&offset)
            || !self.lock_byte(state, offset, libc::F_WRLCK)?
        {
            return Ok(None);
        }
        state.taken.insert(offset);
        Ok(Some(InFlightLock { locks: Arc::clone(self), offset, batch: None }))
    }

    /// False if another process has it.
    fn lock_byte(&self, state: &State, offset: off_t, kind: libc::c_int) -> Result<bool, StateError> {
        let Some(file) = &state.file else { return Ok(false) };
        self.lock_byte_of(file, offset, kind)
    }

    fn lock_byte_of(&self, file: &File, offset: off_t, kind: libc::c_int) -> Result<bool, StateError> {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&byte(offset, kind))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(error) => Err(StateError::file("lock a byte of", &self.path, &error.into())),
        }
    }

    /// The open file; opened anew if the one in the directory is another, because other processes lock that one.
    fn file<'s>(&self, state: &'s mut State) -> Result<&'s File, StateError> {
        let cannot = |error: io::Error| StateError::file("open", &self.path, &error);
        if state.file.is_some() {
            let now = self.state_dir.open_existing()?.map(|directory| directory.find(FILE)).transpose();
            let same = now.is_ok_and(|now| now.flatten().is_some_and(|now| now.identity == state.identity));
            // A reader's lock is held for days: should the file be replaced, two readers cost less than no mail.
            let is_in_use = state.taken.iter().any(|&offset| offset < FIRST_TURN) || !state.shared.is_empty();
            if !same && is_in_use {
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
        state.taken.remove(&self.offset);
        match self.batch.take() {
            None => state.file.iter().for_each(|file| unlock_byte(file, self.offset)),
            Some(batch) => state.end(batch, self.offset),
        }
    }
}

impl Drop for SharedLock {
    fn drop(&mut self) {
        let mut state = self.locks.state();
        match state.shared.get_mut(&self.offset) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                state.file.iter().for_each(|file| unlock_byte(file, self.offset));
                state.shared.remove(&self.offset);
            }
        }
    }
}

impl Batch {
    fn ended(&self) -> MutexGuard<'_, Vec<off_t>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_ended(&self, offset: off_t) -> bool {
        self.ended().contains(&offset)
    }
}

impl State {
    fn end(&mut self, batch: Arc<Batch>, offset: off_t) {
        // The last one closes the file, which ends all its locks.
        if Arc::strong_count(&batch) == 1 {
            return;
        }
        if !self.may_linger || batch.began.elapsed() >= LINGER {
            return unlock_byte(&batch.file, offset);
        }
        let mut ended = batch.ended();
        if ended.is_empty() {
            self.lingering.push(Arc::downgrade(&batch));
        }
        ended.push(offset);
    }

    /// Unlocks what has ended of such batches.
    fn let_go(&mut self, which: impl Fn(&Batch) -> bool) {
        self.lingering.retain(|batch| {
            let Some(batch) = batch.upgrade() else { return false };
            let is_one = which(&batch);
            if is_one {
                batch.ended().drain(..).for_each(|offset| unlock_byte(&batch.file, offset));
            }
            !is_one
        });
    }
}

fn unlock_byte(file: &File, offset: off_t) {
    // Cannot fail for a range that is locked; and if it did, the event would only be deferred.
    let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&byte(offset, libc::F_UNLCK)));
}
