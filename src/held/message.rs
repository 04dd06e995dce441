//! The copies of one message: one for each recipient, and one body.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::body_digest::BodyDigest;
use crate::in_flight::SharedLock;
use crate::mail::Content;

/// A message of which copies may be kept. None of them is swept until this is dropped, which is when the message is answered.
#[derive(Clone, Debug)]
pub struct HeldMessage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    content: Content,
    digest: OnceLock<BodyDigest>,
    promised: Mutex<Vec<SharedLock>>,
}

impl HeldMessage {
    /// None of it is kept yet.
    pub fn of(content: &Content) -> Self {
        let shared = Shared { content: content.clone(), digest: OnceLock::new(), promised: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn content(&self) -> &Content {
        &self.shared.content
    }

    /// The digest of its body, worked out once.
    pub(super) fn digest(&self) -> io::Result<BodyDigest> {
        match self.shared.digest.get() {
            Some(digest) => Ok(*digest),
            None => {
                let digest = BodyDigest::of(self.content())?;
                Ok(*self.shared.digest.get_or_init(|| digest))
            }
        }
    }

    /// Keeps a copy from being swept.
    pub(super) fn protect(&self, lock: SharedLock) {
        self.shared.promised.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
    }
}
