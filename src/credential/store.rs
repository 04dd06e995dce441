//! Where credentials are: what the service manager hands over, and the encrypted files that it takes them from.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::systemd_creds::{decrypt, encrypt};
use super::{Contents, CredentialName};

/// Where systemd looks for encrypted credentials.
pub const STORE: &str = "/etc/credstore.encrypted";

/// The variable in which the service manager says where the decrypted ones are (systemd.exec(5)).
const HANDED_OVER: &str = "CREDENTIALS_DIRECTORY";

impl CredentialName {
    /// The encrypted file.
    pub fn path(&self) -> PathBuf {
        Path::new(STORE).join(self.id())
    }
}

/// What the service manager handed over; `None` if that is nothing of this name.
///
/// # Errors
/// It cannot be read.
pub fn read(name: &CredentialName) -> Result<Option<Contents>, String> {
    let Some(directory) = std::env::var_os(HANDED_OVER).filter(|directory| !directory.is_empty()) else {
        return Ok(None);
    };
    // Under its bare name, if the unit was written by hand.
    for file_name in [name.id(), name.as_str().to_owned()] {
        let path = Path::new(&directory).join(file_name);
        let failed = |why: String| format!("{}: {why}", path.display());
        let mut text = Zeroizing::new(Vec::with_capacity(Contents::LONGEST + 1));
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error.to_string())),
            Ok(file) => {
                file.take(Contents::LONGEST as u64 + 1).read_to_end(&mut text).map_err(|e| failed(e.to_string()))?
            }
        };
        return Contents::parse(&text).map(Some).map_err(failed);
    }
    Ok(None)
}

/// Decrypts what is in the store; `None` if nothing of this name is. Root alone can.
///
/// # Errors
/// It cannot be decrypted, or is not a credential.
pub fn load(name: &CredentialName) -> Result<Option<Contents>, String> {
    let path = name.path();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
        Ok(_) => {}
    }
    let plain = decrypt(name, &path)?;
    Contents::parse(&plain).map(Some).map_err(|why| format!("{}: {why}", path.display()))
}

/// Encrypts it into the store. What was there is replaced at once or not at all.
///
/// # Errors
/// It cannot be encrypted or written.
pub fn save(name: &CredentialName, contents: &Contents) -> Result<(), String> {
    let encrypted = encrypt(name, contents.to_toml().as_bytes())?;
    write_durably(Path::new(STORE), 0o700, &name.id(), &encrypted)
}

/// Removes it from the store. False if it is not there.
///
/// # Errors
/// It cannot be removed.
pub fn remove(name: &CredentialName) -> Result<bool, String> {
    let path = name.path();
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true).map_err(|error| format!("{}: {error}", path.display())),
    }
}

/// The names in the store, sorted.
///
/// # Errors
/// It cannot be read.
pub fn list() -> Result<Vec<CredentialName>, String> {
    let failed = |error: io::Error| format!("{STORE}: {error}");
    let entries = match fs::read_dir(STORE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed)?.file_name().to_str().and_then(CredentialName::of_id));
    }
    names.sort();
    Ok(names)
}

/// Writes a file under another name, syncs it, and gives it its own. `mode` is for the directory, if it is made.
pub(super) fn write_durably(directory: &Path, mode: u32, name: &str, text: &[u8]) -> Result<(), String> {
    let write = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(mode).create(directory)?;
        let mut file = tempfile::Builder::new().prefix(".mailhatch-").tempfile_in(directory)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist(directory.join(name)).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| format!("{}: {error}", directory.join(name).display()))
}
