//! Writing so that a reader never sees half of it and a power cut does not undo it: a temporary name, fsync, rename,
//! fsync of the directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

/// One file of a directory that is written as a whole.
pub struct Part<'a> {
    /// Its name in the directory.
    pub name: &'a str,
    /// Writes its bytes.
    pub write: &'a dyn Fn(&mut dyn Write) -> io::Result<()>,
}

/// Who may do what with a directory, whatever the umask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Our group may read: 0750 and 0640.
    GroupReads,
    /// Our group may also remove what it has taken: 0770 and 0660.
    GroupTakes,
}

impl Access {
    fn modes(self) -> (u32, u32) {
        match self {
            Self::GroupReads => (0o750, 0o640),
            Self::GroupTakes => (0o770, 0o660),
        }
    }
}

/// Writes the directory `base/name` with all its files. If it is there already, it stays as it is: the same name is
/// the same content.
///
/// What root writes belongs to the owner of `base`, so that a copy released or spooled by hand does not lock the service out.
pub fn write_directory(base: &Path, name: &str, access: Access, parts: &[Part<'_>]) -> io::Result<()> {
    let (directory_mode, file_mode) = access.modes();
    let target = base.join(name);
    if target.exists() {
        // Whoever wrote it may have been killed between its rename and its fsync.
        return File::open(base)?.sync_all();
    }
    let owner = fs::metadata(base)?;
    let settle = |path: &Path, mode: u32| {
        if nix::unistd::geteuid().is_root() {
            chown(path, Some(owner.uid()), Some(owner.gid()))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    // A dot hides the temporary name from a reader that lists the directory; the prefix lets a clean-up find it.
    let temporary = tempfile::Builder::new().prefix(".tmp-").tempdir_in(base)?;
    // All is written before the first fsync: a journal then takes it in one commit, and the later fsyncs find nothing to do.
    let mut files = Vec::new();
    for part in parts {
        let path = temporary.path().join(part.name);
        let mut file = io::BufWriter::with_capacity(64 * 1024, File::create_new(&path)?);
        settle(&path, file_mode)?;
        (part.write)(&mut file)?;
        files.push(file.into_inner().map_err(io::IntoInnerError::into_error)?);
    }
    settle(temporary.path(), directory_mode)?;
    files.iter().try_for_each(File::sync_all)?;
    File::open(temporary.path())?.sync_all()?;
    match fs::rename(temporary.path(), &target) {
        Ok(()) => {
            let _renamed = temporary.keep();
        }
        // Another process wrote the same one in the meantime.
        Err(_) if target.exists() => {}
        Err(error) => return Err(error),
    }
    File::open(base)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_appears_whole_and_only_once() {
        let base = tempfile::tempdir().expect("directory");
        for text in [&b"first"[..], b"second"] {
            let write = |out: &mut dyn Write| out.write_all(text);
            let parts = [Part { name: "file", write: &write }];
            write_directory(base.path(), "id", Access::GroupReads, &parts).expect("write");
        }
        assert_eq!(fs::read(base.path().join("id/file")).expect("read"), b"first");
        assert_eq!(fs::read_dir(base.path()).expect("list").count(), 1);
    }

    #[test]
    fn modes_do_not_depend_on_the_umask() {
        let rows = [(Access::GroupReads, 0o750, 0o640), (Access::GroupTakes, 0o770, 0o660)];
        for (access, directory_mode, file_mode) in rows {
            let base = tempfile::tempdir().expect("directory");
            let write = |out: &mut dyn Write| out.write_all(b"text");
            write_directory(base.path(), "id", access, &[Part { name: "file", write: &write }]).expect("write");
            for (name, mode) in [("id", directory_mode), ("id/file", file_mode)] {
                assert_eq!(fs::metadata(base.path().join(name)).expect(name).mode() & 0o777, mode, "{access:?} {name}");
            }
        }
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let base = tempfile::tempdir().expect("directory");
        let write = |_: &mut dyn Write| Err(io::Error::other("disk full"));
        write_directory(base.path(), "id", Access::GroupReads, &[Part { name: "file", write: &write }])
            .expect_err("no write");
        assert_eq!(fs::read_dir(base.path()).expect("list").count(), 0);
    }
}
