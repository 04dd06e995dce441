//! The drop-ins by which systemd hands a credential to a service.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::CredentialName;
use super::store::write_durably;

/// Where the administrator's own parts of units are.
const UNITS: &str = "/etc/systemd/system";

/// A service that takes credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// The one that reads mailboxes: the only one that needs their passwords.
    Fetch,
    /// The one that takes mail from Postfix.
    Serve,
}

impl Unit {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Fetch, Self::Serve];

    /// As systemd knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "mailhatch-fetch.service",
            Self::Serve => "mailhatch.service",
        }
    }

    fn directory(self) -> PathBuf {
        Path::new(UNITS).join(format!("{}.d", self.name()))
    }
}

fn file_name(name: &CredentialName) -> String {
    format!("credential-{name}.conf")
}

/// Hands a credential of the store to these services, and to those that have it already.
///
/// # Errors
/// A drop-in cannot be written.
pub fn add_drop_ins(name: &CredentialName, units: &[Unit]) -> Result<(), String> {
    let text = format!(
        "# Written by \"mailhatch credential\"; \"mailhatch credential remove {name}\" removes it.\n[Service]\n\
         LoadCredentialEncrypted={}:{}\n",
        name.id(),
        name.path().display()
    );
    for unit in units {
        let directory = unit.directory();
        write_durably(&directory, 0o755, &file_name(name), text.as_bytes())?;
        // It names no secret, and systemctl cat is for everybody.
        let path = directory.join(file_name(name));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

/// The services that a credential is handed to.
pub fn drop_ins(name: &CredentialName) -> Vec<Unit> {
    Unit::ALL.into_iter().filter(|unit| unit.directory().join(file_name(name)).is_file()).collect()
}

/// Hands a credential to no service any more.
///
/// # Errors
/// A drop-in cannot be removed.
pub fn remove_drop_ins(name: &CredentialName) -> Result<(), String> {
    for unit in Unit::ALL {
        let path = unit.directory().join(file_name(name));
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(|error| format!("{}: {error}", path.display()))?,
        }
        // Only where nothing else is in it.
        let _ = fs::remove_dir(unit.directory());
    }
    Ok(())
}
