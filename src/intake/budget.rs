//! How much of the memory messages may use at once (`limits.memory`): a message reserves its octets before it is let in,
//! and keeps them until its delivery is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A message up to this size in octets costs little beside what a connection costs anyway.
const SMALL: u64 = 64 * 1024;

/// So many times its size a larger message counts: beside its octets there is what is worked out from them, as long as it is in
/// delivery (text in UTF-8, HTML made from text, addresses, a large request on its way).
const TIMES: u64 = 3;

/// What a message of so many octets may take of the memory while it is in delivery.
pub(super) fn cost_of(octets: u64) -> u64 {
    if octets <= SMALL { octets } else { octets.saturating_mul(TIMES) }
}

/// One permit of the semaphore, in octets: its counts are of 32 bits.
const UNIT: u64 = 1024;

/// The octets all messages share.
#[derive(Clone, Debug)]
pub struct Budget {
    free: Arc<Semaphore>,
    total: Arc<AtomicU32>,
}

impl Budget {
    /// A budget of so many octets.
    pub fn new(octets: u64) -> Self {
        let total = total_units(octets);
        Self { free: Arc::new(Semaphore::new(total as usize)), total: Arc::new(AtomicU32::new(total)) }
    }

    /// Another number of octets from now on. What is reserved already stays so; a smaller budget waits until that much is
    /// given back.
    pub fn resize(&self, octets: u64) {
        let wanted = total_units(octets);
        let before = self.total.swap(wanted, Ordering::AcqRel);
        if let Some(more) = wanted.checked_sub(before).filter(|&more| more > 0) {
            self.free.add_permits(more as usize);
        } else if let Some(less) = before.checked_sub(wanted).filter(|&less| less > 0) {
            let free = self.free.clone();
            tokio::spawn(async move {
                if let Ok(permit) = free.acquire_many_owned(less).await {
                    permit.forget();
                }
            });
        }
    }

    fn total(&self) -> u32 {
        self.total.load(Ordering::Acquire)
    }

    /// All octets there are.
    pub fn octets(&self) -> u64 {
        u64::from(self.total()) * UNIT
    }

    /// Reserves octets if they are free. Who asks for more than there is at all gets all of it.
    pub fn try_reserve(&self, octets: u64) -> Option<Reservation> {
        let permit = self.free.clone().try_acquire_many_owned(units(octets).min(self.total())).ok()?;
        Some(Reservation { budget: self.clone(), permit })
    }

    /// Reserves octets, and waits for them at most so long; in the order of asking, so that a large message is not put off
    /// for ever by small ones.
    pub async fn reserve(&self, octets: u64, wait: Duration) -> Option<Reservation> {
        let acquire = self.free.clone().acquire_many_owned(units(octets).min(self.total()));
        let permit = tokio::time::timeout(wait, acquire).await.ok()?.ok()?;
        Some(Reservation { budget: self.clone(), permit })
    }

    /// Octets that nobody has reserved.
    pub fn free(&self) -> u64 {
        self.free.available_permits() as u64 * UNIT
    }
}

/// Octets reserved for one message; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// How many octets.
    pub fn octets(&self) -> u64 {
        self.permit.num_permits() as u64 * UNIT
    }

    /// Makes it at least so many octets, if they are free. Never waits: two messages that wait for each other would wait
    /// for ever.
    pub fn grow_to(&mut self, octets: u64) -> bool {
        let Some(more) = octets.checked_sub(self.octets()).filter(|&more| more > 0) else { return true };
        match self.budget.try_reserve(more) {
            Some(reservation) => {
                self.permit.merge(reservation.permit);
                true
            }
            None => false,
        }
    }

    /// Gives back what is over so many octets.
    pub fn shrink_to(&mut self, octets: u64) {
        let more = self.permit.num_permits().saturating_sub(units(octets) as usize);
        drop(self.permit.split(more));
    }
}

fn total_units(octets: u64) -> u32 {
    units(octets).min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX))
}

fn units(octets: u64) -> u32 {
    u32::try_from(octets.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_reserved_and_given_back() {
        let budget = Budget::new(10 * UNIT);
        let mut first = budget.try_reserve(4 * UNIT + 1).expect("free octets");
        assert_eq!((first.octets(), budget.free()), (5 * UNIT, 5 * UNIT));
        assert!(budget.try_reserve(6 * UNIT).is_none());
        assert!(first.grow_to(8 * UNIT));
        assert!(!first.grow_to(11 * UNIT));
        assert_eq!(first.octets(), 8 * UNIT);
        first.shrink_to(1);
        assert_eq!((first.octets(), budget.free()), (UNIT, 9 * UNIT));
        drop(first);
        assert_eq!(budget.free(), 10 * UNIT);
    }

    #[test]
    fn who_asks_for_more_than_all_gets_all() {
        let budget = Budget::new(UNIT);
        assert_eq!(budget.try_reserve(u64::MAX).map(|reservation| reservation.octets()), Some(UNIT));
    }

    #[tokio::test]
    async fn a_reservation_waits_for_another_to_end() {
        let budget = Budget::new(UNIT);
        let first = budget.try_reserve(1).expect("free octets");
        assert!(budget.reserve(1, Duration::ZERO).await.is_none());
        let second = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(1, Duration::from_secs(60)).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(second.await.expect("task"));
    }

    #[tokio::test]
    async fn a_budget_becomes_larger_and_smaller() {
        let budget = Budget::new(4 * UNIT);
        let first = budget.try_reserve(4 * UNIT).expect("free octets");
        budget.resize(10 * UNIT);
        assert_eq!(budget.free(), 6 * UNIT);
        assert_eq!(budget.try_reserve(9 * UNIT).map(|_| ()), None);
        budget.resize(2 * UNIT);
        tokio::task::yield_now().await;
        drop(first);
        let all = budget.reserve(100 * UNIT, Duration::from_secs(60)).await.expect("what there is");
        assert_eq!((all.octets(), budget.free()), (2 * UNIT, 0));
        drop(all);
        assert_eq!(budget.free(), 2 * UNIT);
    }
}
