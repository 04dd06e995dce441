//! An open directory. What is in it is reached through its handle, one name at a time; no link is followed, and what is not a
//! file or a directory is refused.
//!
//! So it does not matter who else may write to it, or to what is above it: nobody can send an open, a chmod or a removal of
//! ours somewhere else. `O_NOFOLLOW` at each step does what `openat2(2)` with `RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH` does for
//! names without a slash, and works on every kernel.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::libc::{S_IFDIR, S_IFMT, S_IFREG};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};
use ring::rand::{SecureRandom, SystemRandom};

/// What begins the name of something that is not finished. The dot hides it from a reader that lists the directory.
pub const TEMPORARY: &str = ".tmp-";

/// Trees of ours are two directories deep; a deeper one was not made by us.
const DEEPEST: usize = 8;

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    handle: File,
    /// Where it was when it was opened, for texts.
    path: PathBuf,
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The permissions, such as 0o640.
    pub mode: u32,
    /// In octets.
    pub size: u64,
    /// How many names it has.
    pub links: u64,
    /// When it was changed, by the clock of then.
    pub modified: SystemTime,
    /// Device and inode.
    pub identity: (u64, u64),
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A link, a socket, a device, a pipe.
    Other,
}

/// A directory under a temporary name: removed with all that is in it when it is dropped, unless it has got its name.
#[derive(Debug)]
pub struct TemporaryDirectory<'d> {
    parent: &'d Directory,
    name: Option<String>,
    directory: Directory,
}

impl Directory {
    /// Opens a directory by its path. Links on the way are followed: the path is the administrator's.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let handle = nix::fcntl::open(path, flags, Mode::empty())?;
        Ok(Self { handle: File::from(handle), path: path.to_owned() })
    }

    /// Where it was when it was opened, for texts.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where something in it is, for texts.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What the handle stands for.
    ///
    /// # Errors
    /// The file system does not answer.
    pub fn entry(&self) -> io::Result<Entry> {
        let metadata = self.handle.metadata()?;
        Ok(Entry {
            kind: Kind::Directory,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & 0o7777,
            size: metadata.len(),
            links: metadata.nlink(),
            modified: metadata.modified()?,
            identity: (metadata.dev(), metadata.ino()),
        })
    }

    /// What stands under a name; `None` if nothing does.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn find(&self, name: &str) -> io::Result<Option<Entry>> {
        match fstatat(&self.handle, single(name)?, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
            #[allow(clippy::useless_conversion, reason = "a count of links is 32 bits wide on other processors")]
            Ok(stat) => Ok(Some(Entry {
                kind: match stat.st_mode & S_IFMT {
                    S_IFREG => Kind::File,
                    S_IFDIR => Kind::Directory,
                    _ => Kind::Other,
                },
                uid: stat.st_uid,
                gid: stat.st_gid,
                mode: stat.st_mode & 0o7777,
                size: u64::try_from(stat.st_size).unwrap_or(0),
                links: u64::from(stat.st_nlink),
                modified: time(stat.st_mtime, stat.st_mtime_nsec),
                identity: (stat.st_dev, stat.st_ino),
            })),
        }
    }

    /// The names in it, in no order.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut listed = Dir::openat(&self.handle, ".", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut names = Vec::new();
        for entry in listed.iter() {
            // A name that is not UTF-8 is not one of ours.
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    /// Opens a directory in it.
    ///
    /// # Errors
    /// There is none of this name; a link to one is none.
    pub fn directory(&self, name: &str) -> io::Result<Self> {
        let handle = self.open_at(name, OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)?;
        Ok(Self { handle: File::from(handle), path: self.path_of(name) })
    }

    /// Opens a directory in it; makes it with this mode if it is not there.
    ///
    /// # Errors
    /// It can be neither opened nor made.
    pub fn directory_or_new(&self, name: &str, mode: u32) -> io::Result<Self> {
        match mkdirat(&self.handle, single(name)?, Mode::from_bits_truncate(mode & 0o700)) {
            Err(Errno::EEXIST) => self.directory(name),
            made => {
                made?;
                let directory = self.directory(name)?;
                // Where the umask has taken a right away. Else its set-group-id bit stays, which it has from this directory.
                if directory.entry()?.mode & 0o777 != mode {
                    directory.set_mode(mode)?;
                }
                self.sync()?;
                Ok(directory)
            }
        }
    }

    /// Makes a directory of our own under a name that nobody can guess.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn temporary(&self) -> io::Result<TemporaryDirectory<'_>> {
        let name = temporary_name()?;
        mkdirat(&self.handle, name.as_str(), Mode::S_IRWXU)?;
        let directory = self.directory(&name)?;
        Ok(TemporaryDirectory { parent: self, name: Some(name), directory })
    }

    /// Opens a file in it for reading.
    ///
    /// # Errors
    /// It is not there, is not a file, or cannot be read.
    pub fn file(&self, name: &str) -> io::Result<File> {
        self.regular(name, OFlag::O_RDONLY, 0)
    }

    /// Opens a file in it for reading and writing; makes it with this mode if it is not there.
    ///
    /// # Errors
    /// It is not a file, or can be neither opened nor made.
    pub fn file_or_new(&self, name: &str, mode: u32) -> io::Result<File> {
        self.regular(name, OFlag::O_RDWR | OFlag::O_CREAT, mode)
    }

    /// Makes a file that is not there, with this mode whatever the umask.
    ///
    /// # Errors
    /// There is something of this name, or it cannot be made.
    pub fn new_file(&self, name: &str, mode: u32) -> io::Result<File> {
        let file = self.regular(name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL, mode)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Gives something another name, perhaps in another directory; what had that name is replaced.
    ///
    /// # Errors
    /// It is not there, or the names cannot be changed.
    pub fn rename(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        Ok(renameat(&self.handle, single(name)?, &to.handle, single(new_name)?)?)
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    /// The name is taken, the file has as many as it can have, or the file system knows no such thing.
    pub fn link(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        // Without AT_SYMLINK_FOLLOW a link is linked itself, not what it points to.
        Ok(linkat(&self.handle, single(name)?, &to.handle, single(new_name)?, AtFlags::empty())?)
    }

    /// Removes a file, or a link.
    ///
    /// # Errors
    /// It is not there, or cannot be removed.
    pub fn remove_file(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.handle, single(name)?, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes a directory with all that is in it, or a file.
    ///
    /// # Errors
    /// It is not there, cannot be removed, or holds more directories within each other than we make.
    pub fn remove_tree(&self, name: &str) -> io::Result<()> {
        self.remove_tree_to(name, DEEPEST)
    }

    fn remove_tree_to(&self, name: &str, depth: usize) -> io::Result<()> {
        match unlinkat(&self.handle, single(name)?, UnlinkatFlags::NoRemoveDir) {
            // Linux says EISDIR, POSIX EPERM.
            Err(Errno::EISDIR | Errno::EPERM) => {}
            done => return Ok(done?),
        }
        let Some(depth) = depth.checked_sub(1) else { return Err(Errno::ELOOP.into()) };
        let directory = self.directory(name)?;
        for inside in directory.names()? {
            directory.remove_tree_to(&inside, depth)?;
        }
        Ok(unlinkat(&self.handle, name, UnlinkatFlags::RemoveDir)?)
    }

    /// Sets the permissions of the directory itself.
    ///
    /// # Errors
    /// It is not ours.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.handle.set_permissions(Permissions::from_mode(mode))
    }

    /// Sets the permissions of a file in it without opening it; a link is refused.
    ///
    /// # Errors
    /// It is not there, or not ours.
    pub fn set_mode_of(&self, name: &str, mode: u32) -> io::Result<()> {
        let mode = Mode::from_bits_truncate(mode);
        Ok(fchmodat(&self.handle, single(name)?, mode, FchmodatFlags::NoFollowSymlink)?)
    }

    /// Gives the directory itself to another owner or group.
    ///
    /// # Errors
    /// We may not.
    pub fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        std::os::unix::fs::fchown(&self.handle, uid, gid)
    }

    /// Waits until the names in it would survive a power cut.
    ///
    /// # Errors
    /// The disk cannot take them.
    pub fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn regular(&self, name: &str, flags: OFlag, mode: u32) -> io::Result<File> {
        // Not waiting for somebody at the other end of a pipe.
        let file = File::from(self.open_at(name, flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, mode)?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")),
        }
    }

    fn open_at(&self, name: &str, flags: OFlag, mode: u32) -> io::Result<OwnedFd> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.handle, single(name)?, flags, Mode::from_bits_truncate(mode)).map_err(|error| match error {
            Errno::ELOOP => io::Error::other("it is a symbolic link, which is not followed here"),
            other => other.into(),
        })
    }
}

impl TemporaryDirectory<'_> {
    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Gives it its name, which nothing else must have.
    ///
    /// # Errors
    /// The name is taken by a directory that is not empty; then this one is removed.
    pub fn persist(mut self, to: &Directory, name: &str) -> io::Result<()> {
        let Some(temporary) = self.name.as_deref() else { return Ok(()) };
        self.parent.rename(temporary, to, name)?;
        self.name = None;
        Ok(())
    }
}

impl Drop for TemporaryDirectory<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // What is left is removed by the next sweep.
            let _ = self.parent.remove_tree(name);
        }
    }
}

/// A name that nobody can guess.
///
/// # Errors
/// The system gives no random numbers.
pub fn temporary_name() -> io::Result<String> {
    let mut random = [0; 8];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(format!("{TEMPORARY}{:016x}", u64::from_ne_bytes(random)))
}

/// A name that leads nowhere else.
fn single(name: &str) -> io::Result<&str> {
    match name {
        "" | "." | ".." => Err(Errno::EINVAL.into()),
        name if name.contains(['/', '\0']) => Err(Errno::EINVAL.into()),
        name => Ok(name),
    }
}

fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let nanoseconds = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) + nanoseconds
}

#[cfg(test)]
mod tests;
