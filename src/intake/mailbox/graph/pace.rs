//! The limits of the service (learn.microsoft.com/graph/throttling-limits): four requests at once for an application over all
//! mailboxes, 10,000 in ten minutes for an application and a mailbox.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// At once for one application.
const AT_ONCE: usize = 4;

/// In a row without a pause; then so many a second: in ten minutes 900 + 600 × 15 = 9,900.
const BURST: u32 = 900;
const PER_SECOND: u32 = 15;

/// What the readers of one process have of an application's share.
static APPLICATIONS: LazyLock<std::sync::Mutex<HashMap<String, Arc<Semaphore>>>> = LazyLock::new(Default::default);

/// How fast one mailbox is asked.
#[derive(Debug)]
pub(super) struct Pace {
    at_once: Arc<Semaphore>,
    /// Each request takes its share of the time to come; so much is taken.
    taken_until: Mutex<Instant>,
}

impl Pace {
    /// For the mailboxes that one application reads.
    pub(super) fn new(client_id: &str) -> Self {
        let mut applications = APPLICATIONS.lock().unwrap_or_else(PoisonError::into_inner);
        let at_once = applications.entry(client_id.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)));
        Self { at_once: Arc::clone(at_once), taken_until: Mutex::new(Instant::now()) }
    }

    /// Waits until a request may be made; it may go on while the permit is held.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let at = self.next(Instant::now()).await;
        sleep_until(at).await;
        Arc::clone(&self.at_once).acquire_owned().await.ok()
    }

    /// When the next request may be made.
    async fn next(&self, now: Instant) -> Instant {
        const ONE: Duration = Duration::from_nanos(1_000_000_000 / PER_SECOND as u64);
        let full = ONE * BURST;
        let mut taken_until = self.taken_until.lock().await;
        *taken_until = (*taken_until).max(now) + ONE;
        // A burst may be taken in advance.
        taken_until.checked_sub(full).map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_ten_minutes_have_more_than_the_limit() {
        let pace = Pace::new("test");
        let mut made = Vec::new();
        for _ in 0..25_000 {
            drop(pace.permit().await);
            made.push(Instant::now());
        }
        let mut first = 0;
        for (last, at) in made.iter().enumerate() {
            while *at - made[first] >= Duration::from_secs(600) {
                first += 1;
            }
            assert!(last + 1 - first <= 10_000, "{} requests in ten minutes", last + 1 - first);
        }
        assert!(made[800] - made[0] < Duration::from_secs(1), "a burst is let through");
    }

    #[tokio::test(start_paused = true)]
    async fn an_application_has_four_requests_at_once_however_many_mailboxes_it_reads() {
        let (one, two) = (Pace::new("shared"), Pace::new("shared"));
        let held = [one.permit().await, one.permit().await, two.permit().await, two.permit().await];
        assert!(tokio::time::timeout(Duration::from_secs(5), two.permit()).await.is_err(), "a fifth one");
        drop(held);
        assert!(tokio::time::timeout(Duration::from_secs(5), two.permit()).await.is_ok());
    }
}
