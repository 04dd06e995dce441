//! The claims of this host that are kept alive: one task (`lease.rs`) renews them all, and ends when there is none.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use super::shared_store::Nonce;
use crate::event_id::EventId;

/// What is renewed.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    claims: HashMap<Nonce, EventId>,
    task: Option<JoinHandle<()>>,
}

impl Renewals {
    /// Keeps a claim alive from now on; `start` is for when no task does so.
    pub(super) fn add(&self, nonce: &Nonce, id: &EventId, start: impl FnOnce() -> JoinHandle<()>) {
        let mut state = self.state();
        state.claims.insert(nonce.clone(), id.clone());
        if state.task.as_ref().is_none_or(JoinHandle::is_finished) {
            state.task = Some(start());
        }
    }

    /// It is not renewed any more.
    pub(super) fn remove(&self, nonce: &Nonce) {
        self.state().claims.remove(nonce);
    }

    /// All of them; the task ends where there is none.
    pub(super) fn claims(&self) -> Vec<(Nonce, EventId)> {
        let mut state = self.state();
        if state.claims.is_empty() {
            state.task = None;
        }
        state.claims.iter().map(|(nonce, id)| (nonce.clone(), id.clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
