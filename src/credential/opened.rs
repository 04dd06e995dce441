//! Credentials that root has opened before it became somebody who cannot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Contents, CredentialName, load, read};

/// What was opened; all clones share it.
#[derive(Clone, Debug, Default)]
pub struct Opened(Arc<Mutex<BTreeMap<CredentialName, Arc<Contents>>>>);

/// Two of them differ in no way that matters: what a credential holds is looked at when it is used.
impl PartialEq for Opened {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Opened {
    /// Opens what the service manager did not hand over, as far as this process can. What cannot be opened is said by
    /// [`Opened::read`], where it is needed.
    pub fn open<'n>(&self, names: impl Iterator<Item = &'n CredentialName>) {
        for name in names {
            if let Ok(None) = read(name)
                && let Ok(Some(contents)) = load(name)
            {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Arc::new(contents));
            }
        }
    }

    /// What a credential holds now: what the service manager hands over, else what was opened.
    ///
    /// # Errors
    /// What to do about it.
    pub fn read(&self, name: &CredentialName) -> Result<Arc<Contents>, String> {
        if let Some(contents) = read(name)? {
            return Ok(Arc::new(contents));
        }
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        opened.ok_or_else(|| {
            format!(
                "the credential \"{name}\" was not handed over: make it with \"mailhatch credential set {name}\", start the \
                 service by systemd, with LoadCredentialEncrypted={}, or run this command as root",
                name.id()
            )
        })
    }
}
