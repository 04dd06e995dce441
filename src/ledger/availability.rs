//! Whether the shared store is asked: after failures it is left alone for a while, longer each time, and one question tries
//! whether it is back. So a store that is away costs a message nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For the first time it is left alone.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a store has been lately.
#[derive(Debug)]
pub(super) struct Availability {
    failures_to_pause: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Failures in a row.
    Asked { failures: u32 },
    /// Left alone until then; whether one tries it now.
    LeftAlone { until: Instant, pause: Duration, is_tried: bool, why: String },
}

/// The right to ask. An end without an answer is a failure.
#[derive(Debug)]
pub(super) struct Question<'a> {
    availability: &'a Availability,
    is_trial: bool,
    is_told: bool,
}

/// What a question has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// From now on it is left alone.
    WentDown,
    CameBack,
}

impl Availability {
    /// Left alone after so many failures in a row.
    pub(super) fn new(failures_to_pause: u32) -> Self {
        Self { failures_to_pause: AtomicU32::new(failures_to_pause), state: Mutex::new(State::Asked { failures: 0 }) }
    }

    /// May it be asked now?
    ///
    /// # Errors
    /// Why it is left alone.
    pub(super) fn admit(&self) -> Result<Question<'_>, String> {
        let is_trial = match &mut *self.state() {
            State::Asked { .. } => false,
            State::LeftAlone { until, is_tried, .. } if *until <= Instant::now() && !*is_tried => {
                *is_tried = true;
                true
            }
            State::LeftAlone { why, .. } => return Err(format!("it is left alone for a while: {why}")),
        };
        Ok(Question { availability: self, is_trial, is_told: false })
    }

    /// From now on it is left alone after the first failure.
    pub(super) fn give_up_early(&self) {
        self.failures_to_pause.store(1, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) -> Change {
        match std::mem::replace(&mut *self.state(), State::Asked { failures: 0 }) {
            State::Asked { .. } => Change::Nothing,
            State::LeftAlone { .. } => Change::CameBack,
        }
    }

    fn failed(&self, was_trial: bool, why: &str) -> Change {
        let mut state = self.state();
        let (pause, change) = match &mut *state {
            State::Asked { failures } if *failures + 1 < self.failures_to_pause.load(Ordering::Relaxed) => {
                *failures += 1;
                return Change::Nothing;
            }
            State::Asked { .. } => (SHORTEST_PAUSE, Change::WentDown),
            State::LeftAlone { pause, .. } if was_trial => ((*pause * 2).min(LONGEST_PAUSE), Change::Nothing),
            // A question that was under way when it went down says nothing new.
            State::LeftAlone { .. } => return Change::Nothing,
        };
        let (until, why) = (Instant::now() + pause, why.to_owned());
        *state = State::LeftAlone { until, pause, is_tried: false, why };
        change
    }
}

impl Question<'_> {
    pub(super) fn answered(mut self) -> Change {
        self.is_told = true;
        self.availability.answered()
    }

    pub(super) fn failed(mut self, why: &str) -> Change {
        self.is_told = true;
        self.availability.failed(self.is_trial, why)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if !self.is_told && self.is_trial {
            self.availability.failed(true, "the last question was given up");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(availability: &Availability) -> Change {
        availability.admit().expect("asked").failed("away")
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_left_alone_after_three_failures_and_tried_by_one() {
        let availability = Availability::new(3);
        assert_eq!([(); 3].map(|()| fail(&availability)), [Change::Nothing, Change::Nothing, Change::WentDown]);
        assert!(availability.admit().is_err());
        tokio::time::advance(SHORTEST_PAUSE).await;
        let trial = availability.admit().expect("one tries it");
        assert!(availability.admit().is_err(), "the others do not wait for it");
        assert_eq!(trial.failed("still away"), Change::Nothing);
        tokio::time::advance(SHORTEST_PAUSE).await;
        assert!(availability.admit().is_err(), "twice as long");
        tokio::time::advance(SHORTEST_PAUSE).await;
        assert_eq!(availability.admit().expect("tried").answered(), Change::CameBack);
        assert_eq!(fail(&availability), Change::Nothing, "counted anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_given_up_is_one_that_failed() {
        let availability = Availability::new(1);
        assert_eq!(fail(&availability), Change::WentDown);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            tokio::time::advance(Duration::from_secs(pause) - Duration::from_millis(1)).await;
            assert!(availability.admit().is_err(), "{pause} s are not over");
            tokio::time::advance(Duration::from_millis(1)).await;
            drop(availability.admit().expect("tried"));
        }
    }

    #[tokio::test]
    async fn an_answer_between_failures_begins_the_count_anew() {
        let availability = Availability::new(3);
        for _ in 0..3 {
            fail(&availability);
            fail(&availability);
            assert_eq!(availability.admit().expect("asked").answered(), Change::Nothing);
        }
    }
}
