//! Shows that a reader moves, for the watchdog of the service manager: each says how long it may be silent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest that a step may take which has limits of its own: a command to the server, a delivery with its deadline.
const STEP: Duration = Duration::from_secs(15 * 60);

/// When a reader is expected to move next.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now() + STEP))))
    }
}

impl Pulse {
    /// The reader moves now, and will again after a wait of this length and one step.
    pub fn expect_within(&self, wait: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + wait + STEP);
    }

    /// Nothing is expected any more.
    pub fn stop(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the reader moves.
    pub fn is_there(&self) -> bool {
        let expected = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        expected.is_none_or(|expected| Instant::now() <= expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_was_expected_and_is_silent_is_not_there() {
        let pulse = Pulse::default();
        assert!(pulse.is_there());
        *pulse.0.lock().expect("lock") = Some(Instant::now() - Duration::from_secs(1));
        assert!(!pulse.is_there());
        pulse.expect_within(Duration::ZERO);
        assert!(pulse.is_there());
        pulse.stop();
        assert!(pulse.is_there(), "one that has ended is not waited for");
    }
}
