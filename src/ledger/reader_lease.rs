//! Which host reads an inbox: a lease in the shared store, beside the lock that keeps the processes of one host apart.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::shared_store::{Nonce, StoreError};
use super::sharing::Sharing;
use crate::crash_point::second;

/// How long a reader that died keeps the others waiting, in seconds.
const LEASE: u32 = 30;

/// Two of them may be lost on the way.
const RENEWAL: u32 = 10;

/// Who reads an inbox.
#[derive(Debug)]
pub enum Reading {
    /// This host.
    Ours(ReaderLease),
    /// Another host.
    Elsewhere {
        /// Which.
        host: String,
    },
    /// The shared store does not say, and `shared.when_down` is to wait.
    Unknown {
        /// Why.
        why: String,
    },
}

/// The right to read an inbox, over all hosts. Dropped, it ends by itself after a while.
#[derive(Debug)]
pub struct ReaderLease {
    lost: watch::Receiver<bool>,
    renewing: Option<JoinHandle<()>>,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    sharing: Arc<Sharing>,
    inbox: String,
    nonce: Nonce,
}

impl ReaderLease {
    /// Asks for it. Without `[shared]` it is always there.
    pub(super) async fn take(sharing: Option<&Arc<Sharing>>, inbox: &str) -> Reading {
        let (loses, lost) = watch::channel(false);
        let Some(sharing) = sharing else { return Reading::Ours(Self { lost, renewing: None, held: None }) };
        let asked = async {
            let nonce = Nonce::new()?;
            let reader = sharing.ask("claim", sharing.store.read_inbox(inbox, &nonce, second() * LEASE)).await;
            Ok::<_, StoreError>((nonce, reader))
        };
        let nonce = match asked.await {
            Ok((_, Ok(Some(host)))) => return Reading::Elsewhere { host },
            Ok((_, Err(why))) | Err(why) if sharing.defers() => return Reading::Unknown { why: why.to_string() },
            Ok((nonce, Ok(None) | Err(_))) => nonce,
            Err(_) => return Reading::Ours(Self { lost, renewing: None, held: None }),
        };
        let held = Held { sharing: Arc::clone(sharing), inbox: inbox.to_owned(), nonce };
        let (renewed, name, nonce) = (Arc::clone(sharing), held.inbox.clone(), held.nonce.clone());
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(second() * RENEWAL).await;
                // A store that is away says nothing of who reads. When it is back, the first to ask has it.
                if let Ok(Some(_)) =
                    renewed.ask("renew", renewed.store.read_inbox(&name, &nonce, second() * LEASE)).await
                {
                    loses.send_replace(true);
                    return;
                }
            }
        });
        Reading::Ours(Self { lost, renewing: Some(renewing), held: Some(held) })
    }

    /// Waits until another host has it: this one was stopped, or cut off, for longer than its lease.
    pub async fn lost(&mut self) {
        if self.held.is_none() || self.lost.wait_for(|&lost| lost).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Lets the next host read.
    pub async fn give_back(mut self) {
        if let Some(renewing) = &self.renewing {
            renewing.abort();
        }
        if let Some(Held { sharing, inbox, nonce }) = self.held.take() {
            let _ = sharing.ask("release", sharing.store.leave_inbox(&inbox, &nonce)).await;
        }
    }
}

impl Drop for ReaderLease {
    fn drop(&mut self) {
        if let Some(renewing) = &self.renewing {
            renewing.abort();
        }
    }
}
