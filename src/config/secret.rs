//! A secret: read from a file that others cannot read, wiped from memory, never printed.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

/// The bytes of a secret file.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Longest secret file that is read, in octets.
    const LONGEST: u64 = 4096;

    /// Wraps bytes that are a secret.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads a secret file; one trailing line end is not part of the secret. The error says what to do.
    ///
    /// # Errors
    /// It cannot be read, is open to others, or is too large for a secret.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let file = std::fs::File::open(path).map_err(|error| format!("{shown}: {error}"))?;
        let metadata = file.metadata().map_err(|error| format!("{shown}: {error}"))?;
        let mode = metadata.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(format!("{shown} is open to others (mode {:04o}): run chmod o= {shown}", mode & 0o7777));
        }
        if metadata.len() > Self::LONGEST {
            return Err(format!("{shown} is larger than {} octets: it is not a secret file", Self::LONGEST));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        file.take(Self::LONGEST).read_to_end(&mut bytes).map_err(|error| format!("{shown}: {error}"))?;
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        Ok(Self(bytes))
    }

    /// The bytes, for signing with.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_open_to_others_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "hush\n").expect("write");
        for (mode, good) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).expect("chmod");
            assert_eq!(Secret::read(file.path()).is_ok(), good, "{mode:o}");
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new(b"hush".to_vec())), "Secret(…)");
    }
}
