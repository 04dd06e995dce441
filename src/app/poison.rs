//! Messages that an application cannot digest, told from an application that is down.
//!
//! A message that failed three times while others passed is a poison message: the fault is in it, or in how the application
//! takes it. It waits alone, longer each time, and what it says of the application counts for nobody else.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::event_id::EventId;

/// So many failures, with others passing in between, make a message a poison message.
const FAILURES_TO_POISON: u32 = 3;

/// How long a poison message waits at first; twice as long after each further failure.
const SHORTEST_WAIT: Duration = Duration::from_secs(60);

/// The longest that it waits.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Messages that are remembered; the one that failed longest ago is forgotten first.
const MOST: usize = 1000;

/// The messages that failed last.
#[derive(Debug, Default)]
pub(super) struct FailedMessages(HashMap<EventId, Failed>);

#[derive(Debug)]
struct Failed {
    /// Failures between which others passed.
    times: u32,
    /// How many hand-overs had been answered when it failed last.
    answered: u64,
    last: Instant,
    /// A poison message is not asked about again before then.
    waits_until: Option<Instant>,
    wait: Duration,
}

impl FailedMessages {
    /// A message failed, after so many hand-overs that were answered; whether it is a poison message now.
    pub fn failed(&mut self, id: &EventId, answered: u64, retry_after: Option<Duration>) -> bool {
        let now = Instant::now();
        if self.0.len() >= MOST && !self.0.contains_key(id) {
            let oldest = self.0.iter().min_by_key(|(_, failed)| failed.last).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        let known = self.0.entry(id.clone()).or_insert_with(|| Failed {
            times: 0,
            answered,
            last: now,
            waits_until: None,
            wait: SHORTEST_WAIT / 2,
        });
        // Without another message in between, it may be the application that is down.
        if known.times == 0 || answered > known.answered {
            known.times = known.times.saturating_add(1);
        }
        (known.answered, known.last) = (answered, now);
        let is_poison = known.times >= FAILURES_TO_POISON;
        if is_poison {
            known.wait = (known.wait * 2).min(LONGEST_WAIT);
            known.waits_until = Some(now + known.wait.max(retry_after.unwrap_or_default()));
        }
        is_poison
    }

    /// A message passed.
    pub fn passed(&mut self, id: &EventId) {
        self.0.remove(id);
    }

    /// Whether it is a poison message.
    pub fn is_poison(&self, id: &EventId) -> bool {
        self.0.get(id).is_some_and(|failed| failed.times >= FAILURES_TO_POISON)
    }

    /// How long a poison message has still to wait.
    pub fn left(&self, id: &EventId) -> Option<Duration> {
        let until = self.0.get(id)?.waits_until?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn id(number: usize) -> EventId {
        EventId::parse(&format!("{number:032x}")).expect("id")
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_poison_when_it_failed_three_times_while_others_passed() {
        // For each failure: how many others had been answered, and whether it is poison then.
        let rows: &[(&str, &[(u64, bool)])] = &[
            ("others pass in between", &[(10, false), (11, false), (12, true), (12, true)]),
            ("nobody passes: the application is down", &[(10, false), (10, false), (10, false), (10, false)]),
            ("somebody passes once", &[(0, false), (0, false), (5, false), (5, false), (6, true)]),
        ];
        for (name, failures) in rows {
            let mut messages = FailedMessages::default();
            for (answered, poison) in *failures {
                assert_eq!(messages.failed(&id(1), *answered, None), *poison, "{name}");
                assert_eq!(messages.is_poison(&id(1)), *poison, "{name}");
                assert_eq!(messages.left(&id(1)).is_some(), *poison, "{name}");
            }
            messages.passed(&id(1));
            assert!(!messages.is_poison(&id(1)), "{name}: it passed");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_poison_message_waits_twice_as_long_each_time_up_to_an_hour() {
        let mut messages = FailedMessages::default();
        let mut answered = 0;
        let mut fail = |messages: &mut FailedMessages, retry_after| {
            answered += 1;
            messages.failed(&id(1), answered, retry_after);
            messages.left(&id(1)).map(|left| left.as_secs())
        };
        assert_eq!([fail(&mut messages, None), fail(&mut messages, None)], [None, None]);
        for seconds in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            assert_eq!(fail(&mut messages, None), Some(seconds));
            advance(Duration::from_secs(seconds)).await;
            assert_eq!(messages.left(&id(1)), None);
        }
        assert_eq!(fail(&mut messages, Some(Duration::from_secs(7200))), Some(7200), "its own Retry-After");
    }

    #[tokio::test(start_paused = true)]
    async fn not_more_are_remembered_than_that() {
        let mut messages = FailedMessages::default();
        for number in 0..MOST * 3 {
            messages.failed(&id(number), 0, None);
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(messages.0.len(), MOST);
        assert!(messages.0.contains_key(&id(MOST * 3 - 1)) && !messages.0.contains_key(&id(0)));
    }
}
