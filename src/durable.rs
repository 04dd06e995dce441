//! Writing so that a reader never sees half of it and a power cut does not undo it: a temporary name, fsync, rename,
//! fsync of the directory.

use std::fs::{self, File};
use std::io::{self, Write};
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
pub fn write_directory(base: &Path, name: &str, parts: &[Part<'_>]) -> io::Result<()> {
    let target = base.join(name);
    if target.exists() {
        return Ok(());
    }
    // A dot hides the temporary name from a reader that lists the directory; the prefix lets a clean-up find it.
    let temporary = tempfile::Builder::new().prefix(".tmp-").tempdir_in(base)?;
    for part in parts {
        let mut file = io::BufWriter::with_capacity(64 * 1024, File::create_new(temporary.path().join(part.name))?);
        (part.write)(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    }
    File::open(temporary.path())?.sync_all()?;
    match fs::rename(temporary.path(), &target) {
        Ok(()) => {
            let _renamed = temporary.keep();
        }
        // Another process wrote the same one in the meantime.
        Err(_) if target.exists() => return Ok(()),
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
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let base = tempfile::tempdir().expect("directory");
        let write = |_: &mut dyn Write| Err(io::Error::other("disk full"));
        write_directory(base.path(), "id", &[Part { name: "file", write: &write }]).expect_err("no write");
        assert_eq!(fs::read_dir(base.path()).expect("list").count(), 0);
    }
}
