//! A secret: read from a file that others cannot read or from a credential, wiped from memory, never printed.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::ConfigError;
use super::file::ConfigFile;
use super::located::Located;
use crate::credential::{Contents, CredentialName, Field, Opened};

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

/// The two keys, one of which names the one secret of an application.
#[derive(Clone, Debug, Deserialize)]
pub struct SecretKeys {
    /// A file that holds nothing else.
    pub secret_file: Option<Located<PathBuf>>,
    /// A credential.
    pub credential: Option<Located<CredentialName>>,
}

impl SecretKeys {
    /// The one that is given; `at` is what needs it.
    ///
    /// # Errors
    /// Neither or both are given.
    pub fn choose<T>(self, config: &ConfigFile, at: &Located<T>) -> Result<SecretSource, ConfigError> {
        SecretSource::choose(config, at, "secret_file", self.secret_file, self.credential)
    }
}

/// Where a secret is. It is looked up each time: it may have changed.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretSource {
    place: SecretPlace,
    /// The key that names it, or would.
    file_key: &'static str,
    opened: Opened,
}

#[derive(Clone, Debug, PartialEq)]
enum SecretPlace {
    File(Located<PathBuf>),
    Credential(Located<CredentialName>),
}

impl SecretSource {
    /// The one of two keys that is given; `at` is what needs it.
    ///
    /// # Errors
    /// Neither or both are given.
    pub fn choose<T>(
        config: &ConfigFile,
        at: &Located<T>,
        file_key: &'static str,
        file: Option<Located<PathBuf>>,
        credential: Option<Located<CredentialName>>,
    ) -> Result<Self, ConfigError> {
        let place = match (file, credential) {
            (Some(file), None) => SecretPlace::File(file),
            (None, Some(name)) => SecretPlace::Credential(name),
            (Some(_), Some(name)) => {
                return Err(config.error_at(&name, format!("{file_key} and credential: one of them is enough")));
            }
            (None, None) => return Err(config.error_at(at, format!("missing field `{file_key}` or `credential`"))),
        };
        Ok(Self { place, file_key, opened: config.opened.clone() })
    }

    /// Reads a secret that a credential has in `field`, and a file as its only one.
    ///
    /// # Errors
    /// What to do about it.
    pub fn read(&self, field: Field) -> Result<Secret, String> {
        match &self.place {
            SecretPlace::File(path) => Secret::read(&path.value),
            SecretPlace::Credential(name) => {
                let contents = self.opened.read(&name.value)?;
                take(&contents, field).ok_or_else(|| {
                    let (name, field) = (&name.value, field.name());
                    format!("the credential \"{name}\" has no {field}: mailhatch credential edit {name}")
                })
            }
        }
    }

    /// The same where a credential need not have the field.
    ///
    /// # Errors
    /// What to do about it.
    pub fn read_optional(&self, field: Field) -> Result<Option<Secret>, String> {
        match &self.place {
            SecretPlace::File(path) => Secret::read(&path.value).map(Some),
            SecretPlace::Credential(name) => Ok(take(&*self.opened.read(&name.value)?, field)),
        }
    }

    /// Reads the one secret of an application: a credential has it as its password, or else as its client_secret.
    ///
    /// # Errors
    /// What to do about it.
    pub fn read_only_one(&self) -> Result<Secret, String> {
        self.read(Field::Password).or_else(|why| self.read(Field::ClientSecret).map_err(|_| why))
    }

    /// The user that a credential has beside the secret.
    ///
    /// # Errors
    /// What to do about it.
    pub fn user(&self) -> Result<Option<String>, String> {
        match &self.place {
            SecretPlace::File(_) => Ok(None),
            SecretPlace::Credential(name) => {
                self.opened.read(&name.value).map(|contents| contents.get(Field::User).map(str::to_owned))
            }
        }
    }

    /// An error that shows where the secret is named.
    pub fn error(&self, config: &ConfigFile, message: impl Into<String>) -> ConfigError {
        match &self.place {
            SecretPlace::File(path) => config.error_at(path, message),
            SecretPlace::Credential(name) => config.error_at(name, message),
        }
    }

    /// Whether it is in a file of its own.
    pub fn is_file(&self) -> bool {
        matches!(self.place, SecretPlace::File(_))
    }

    /// The key that names it.
    pub fn key(&self) -> &'static str {
        match self.place {
            SecretPlace::File(_) => self.file_key,
            SecretPlace::Credential(_) => "credential",
        }
    }

    /// The file or the credential, for people.
    pub fn place(&self) -> String {
        match &self.place {
            SecretPlace::File(path) => path.value.display().to_string(),
            SecretPlace::Credential(name) => format!("credential \"{}\"", name.value),
        }
    }
}

fn take(contents: &Contents, field: Field) -> Option<Secret> {
    contents.get(field).map(|value| Secret::new(value.as_bytes().to_vec()))
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
