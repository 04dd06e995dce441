//! A claim in the shared store, for as long as an event or a notice is being handed over. It is kept alive while its owner
//! lives; after that it ends by itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::runtime::Handle;

use super::delivery_log::{Guard, NoticeRequest};
use super::shared_store::Nonce;
use super::sharing::Sharing;
use crate::crash_point::second;
use crate::event_id::EventId;

/// However long the lease is, it is renewed this often, in seconds: a fact that the disk does not take keeps it.
const RENEWAL: u32 = 30;

/// What is claimed in the store.
#[derive(Clone, Debug)]
pub(super) enum Leased {
    /// The right to hand an event over.
    Event(EventId),
    /// The right to send a notice.
    Notice(NoticeRequest),
}

/// A claim in the store. Dropped, it is given back if nothing was done under it.
pub(super) struct Lease {
    claim: Arc<StoreClaim>,
    /// What this host itself has locked.
    _local: Option<Box<dyn Guard>>,
    runtime: Handle,
}

#[derive(Debug)]
struct StoreClaim {
    sharing: Arc<Sharing>,
    leased: Leased,
    nonce: Nonce,
    /// It is not to be given back any more.
    is_over: AtomicBool,
}

impl Lease {
    /// Before the store is asked: an answer that comes too late leaves a claim there, which must be given back.
    pub(super) fn new(sharing: &Arc<Sharing>, leased: Leased, nonce: Nonce) -> Self {
        let claim = StoreClaim { sharing: Arc::clone(sharing), leased, nonce, is_over: AtomicBool::new(false) };
        Self { claim: Arc::new(claim), _local: None, runtime: Handle::current() }
    }

    /// Together with what this host has locked.
    pub(super) fn with(mut self, local: Box<dyn Guard>) -> Self {
        self._local = Some(local);
        self
    }

    /// Keeps it alive from now on.
    ///
    /// One that is lost all the same (this process was stopped) changes nothing: the answer will be recorded.
    pub(super) fn renewed(self) -> Self {
        if let Leased::Event(id) = &self.claim.leased {
            let sharing = &self.claim.sharing;
            sharing.renewals.add(&self.claim.nonce, id, || self.runtime.spawn(renew(Arc::clone(sharing))));
        }
        self
    }

    pub(super) fn nonce(&self) -> &Nonce {
        &self.claim.nonce
    }
}

/// Renews each claim before half of its lease is over.
async fn renew(sharing: Arc<Sharing>) {
    let lease = sharing.lease;
    loop {
        tokio::time::sleep((second() * RENEWAL).min(lease / 2)).await;
        let claims = sharing.renewals.claims();
        if claims.is_empty() {
            return;
        }
        join_all(claims.iter().map(async |(nonce, id)| {
            if let Ok(false) = sharing.ask("renew", sharing.store.renew(id, nonce, lease)).await {
                sharing.renewals.remove(nonce);
            }
        }))
        .await;
    }
}

impl StoreClaim {
    fn stop_renewing(&self) {
        self.sharing.renewals.remove(&self.nonce);
    }

    /// Gives it back, once.
    async fn give_back(&self) {
        if self.is_over.swap(true, Ordering::Relaxed) {
            return;
        }
        let store = &self.sharing.store;
        // If that fails, it ends by itself.
        let _ = match &self.leased {
            Leased::Event(id) => self.sharing.ask("release", store.release(id, &self.nonce)).await,
            Leased::Notice(request) => self.sharing.ask("cancel", store.cancel(request, &self.nonce)).await,
        };
    }
}

impl Guard for Lease {
    fn keep(&self) {
        self.claim.is_over.store(true, Ordering::Relaxed);
    }

    fn give_back(&self) -> BoxFuture<'_, ()> {
        self.claim.stop_renewing();
        self.claim.give_back().boxed()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.claim.stop_renewing();
        if !self.claim.is_over.load(Ordering::Relaxed) {
            let claim = Arc::clone(&self.claim);
            self.runtime.spawn(async move { claim.give_back().await });
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("claim", &self.claim).finish_non_exhaustive()
    }
}
