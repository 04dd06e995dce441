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

/// Writes the directory `base/name` with all its files. If it is there already, it stays as it is: the same name is
/// the same content.
///
/// Whatever the umask: the directory's mode is 0750, the files' is 0640. What root writes belongs to the owner of `base`, so
/// that a copy released or spooled by hand does not lock the service out.
pub fn write_directory(base: &Path, name: &str, parts: &[Part<'_>]) -> io::Result<()> {
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
    for part in parts {
        let path = temporary.path().join(part.name);
        let mut file = io::BufWriter::with_capacity(64 * 1024, File::create_new(&path)?);
        settle(&path, 0o640)?;
        (part.write)(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    }
    settle(temporary.path(), 0o750)?;
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
            write_directory(base.path(), "id", &[Part { name: "file", write: &write }]).expect("write");
        }
        assert_eq!(fs::read(base.path().join("id/file")).expect("read"), b"first");
        assert_eq!(fs::read_dir(base.path()).expect("list").count(), 1);
        for (name, mode) in [("id", 0o750), ("id/file", 0o640)] {
            assert_eq!(fs::metadata(base.path().join(name)).expect(name).mode() & 0o777, mode, "{name}");
        }
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let base = tempfile::tempdir().expect("directory");
        let write = |_: &mut dyn Write| Err(io::Error::other("disk full"));
        write_directory(base.path(), "id", &[Part { name: "file", write: &write }]).expect_err("no write");
        assert_eq!(fs::read_dir(base.path()).expect("list").count(), 0);
    }
}
