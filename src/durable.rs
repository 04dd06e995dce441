//! Writing a directory so that a reader never sees half of it and a power cut does not undo it: a temporary name, fsync,
//! rename, fsync of the directory.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::sync::{Condvar, Mutex, PoisonError};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::directory::{Directory, Entry, TemporaryDirectory};

/// One file of a directory that is written as a whole.
pub struct Part<'a> {
    /// Its name in the directory.
    pub name: &'a str,
    /// Writes its bytes.
    pub write: &'a dyn Fn(&mut dyn Write) -> io::Result<()>,
}

/// Whose a directory is, and who else may do what with it, whatever the umask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// `None`: ours.
    pub uid: Option<u32>,
    /// `None`: as it comes.
    pub gid: Option<u32>,
    /// Permissions of the directory; a file has the same without the right to execute.
    pub mode: u32,
}

impl Access {
    /// For us alone.
    pub const PRIVATE: Self = Self { uid: None, gid: None, mode: 0o700 };

    /// For whoever may write to a directory: its group may also remove what it has taken. Where root writes, it is the
    /// owner's.
    pub fn of_group(base: &Entry) -> Self {
        let uid = nix::unistd::geteuid().is_root().then_some(base.uid);
        Self { uid, gid: Some(base.gid), mode: 0o770 }
    }

    /// On the handle, so that no other file can get it; the mode last, because a new owner takes rights away.
    fn settle(self, file: &File) -> io::Result<()> {
        let metadata = file.metadata()?;
        if self.is_to_be_given(metadata.uid(), metadata.gid()) {
            fchown(file, self.uid, self.gid)?;
        }
        file.set_permissions(Permissions::from_mode(self.mode & 0o666))
    }

    fn settle_directory(self, directory: &Directory) -> io::Result<()> {
        let entry = directory.entry()?;
        if self.is_to_be_given(entry.uid, entry.gid) {
            directory.set_owner(self.uid, self.gid)?;
        }
        directory.set_mode(self.mode)
    }

    /// What is whose it should be is not given to anybody: the units forbid fchown(2) whatever it comes to (`@privileged`).
    fn is_to_be_given(self, uid: u32, gid: u32) -> bool {
        self.uid.is_some_and(|wanted| wanted != uid) || self.gid.is_some_and(|wanted| wanted != gid)
    }
}

/// Writes a directory with all its files below `staging`, to which nobody else can write. It gets its name by
/// [`TemporaryDirectory::persist`].
///
/// # Errors
/// A part cannot be written, or the disk cannot take it; nothing is left.
pub fn write_directory<'d>(
    staging: &'d Directory,
    access: Access,
    parts: &[Part<'_>],
) -> io::Result<TemporaryDirectory<'d>> {
    let temporary = staging.temporary()?;
    // All is written and settled before the first fsync: a journal then takes it in one commit, and the later fsyncs have
    // nothing to add to it.
    let mut files = Vec::new();
    for part in parts {
        let file = temporary.directory().new_file(part.name, 0o600)?;
        let mut writer = io::BufWriter::with_capacity(64 * 1024, file);
        (part.write)(&mut writer)?;
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        access.settle(&file)?;
        files.push(file);
    }
    access.settle_directory(temporary.directory())?;
    files.iter().skip(1).for_each(begin_writing);
    for file in &files {
        file.sync_all()?;
    }
    temporary.directory().sync()?;
    Ok(temporary)
}

/// Lets the kernel begin to write a file to the disk, so that its blocks are in the commit that the fsync of another one makes.
/// A hint: what is promised is promised by the fsync.
fn begin_writing(file: &File) {
    let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}

/// The fsyncs of one directory that several write into at once: one that begins after a rename covers it, whoever asks for it.
#[derive(Debug, Default)]
pub struct SharedSync {
    state: Mutex<SyncState>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    /// The directory, and how many fsyncs of it have begun, and up to which one all has come to the disk.
    directory: (u64, u64),
    begun: u64,
    done: u64,
    is_running: bool,
}

impl SharedSync {
    /// Returns when an fsync of the directory that began after this call is done.
    ///
    /// # Errors
    /// The disk cannot take it.
    pub fn sync(&self, directory: &Directory) -> io::Result<()> {
        let identity = directory.entry()?.identity;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.directory != identity {
            if state.is_running {
                // Another directory is there now; those who began before it are not disturbed.
                drop(state);
                return directory.sync();
            }
            *state = SyncState { directory: identity, ..SyncState::default() };
        }
        let needed = state.begun + 1;
        while state.directory == identity && state.done < needed {
            if state.is_running {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.begun += 1;
            state.is_running = true;
            let number = state.begun;
            drop(state);
            let synced = directory.sync();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.is_running = false;
            self.ended.notify_all();
            // An fsync that failed says so to one of them only (fsync(2)): each of the others tries its own.
            synced?;
            state.done = number;
        }
        match state.directory == identity {
            true => Ok(()),
            false => {
                drop(state);
                directory.sync()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_come_at_once_share_and_each_is_covered() {
        let base = tempfile::tempdir().expect("directory");
        let sync = SharedSync::default();
        std::thread::scope(|scope| {
            for number in 0..32 {
                let (sync, directory) = (&sync, open(&base));
                scope.spawn(move || {
                    directory.new_file(&number.to_string(), 0o600).expect("file");
                    let before = sync.state.lock().expect("state").begun;
                    sync.sync(&directory).expect("synced");
                    assert!(sync.state.lock().expect("state").done > before, "one that began after the file was there");
                });
            }
        });
        let state = sync.state.into_inner().expect("state");
        assert!(state.done == state.begun && state.begun <= 32 && !state.is_running, "{state:?}");
    }

    #[test]
    fn another_directory_has_fsyncs_of_its_own() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().expect("directory"));
        let sync = SharedSync::default();
        for base in [&one, &other, &one] {
            sync.sync(&open(base)).expect("synced");
            assert_eq!(sync.state.lock().expect("state").done, 1);
        }
    }

    fn open(base: &tempfile::TempDir) -> Directory {
        Directory::open(base.path()).expect("directory")
    }

    #[test]
    fn a_directory_appears_whole() {
        let base = tempfile::tempdir().expect("directory");
        let directory = open(&base);
        let write = |out: &mut dyn Write| out.write_all(b"text");
        let written = write_directory(&directory, Access::PRIVATE, &[Part { name: "file", write: &write }]);
        written.and_then(|temporary| temporary.persist(&directory, "id")).expect("written");
        assert_eq!(std::fs::read(base.path().join("id/file")).expect("read"), b"text");
        assert_eq!(directory.names().expect("names"), ["id"]);
    }

    #[test]
    fn modes_do_not_depend_on_the_umask() {
        let base = tempfile::tempdir().expect("directory");
        let directory = open(&base);
        let group = Access::of_group(&directory.entry().expect("entry"));
        for (name, access, directory_mode, file_mode) in
            [("private", Access::PRIVATE, 0o700, 0o600), ("group", group, 0o770, 0o660)]
        {
            let write = |out: &mut dyn Write| out.write_all(b"text");
            let written = write_directory(&directory, access, &[Part { name: "file", write: &write }]).expect(name);
            let mode = |entry: Option<Entry>| entry.map(|entry| entry.mode);
            assert_eq!(mode(written.directory().find("file").expect(name)), Some(file_mode), "{name}");
            assert_eq!(written.directory().entry().expect(name).mode, directory_mode, "{name}");
        }
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let base = tempfile::tempdir().expect("directory");
        let directory = open(&base);
        let write = |_: &mut dyn Write| Err(io::Error::other("disk full"));
        write_directory(&directory, Access::PRIVATE, &[Part { name: "file", write: &write }]).expect_err("no write");
        assert!(directory.names().expect("names").is_empty());
    }
}
