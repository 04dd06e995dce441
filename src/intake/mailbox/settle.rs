//! What is done and on disk, but not shown by the mailbox yet: shown in batches, step by step, until nothing is left to do.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::number_set::Number;
use super::source::Numbers;
use crate::ledger::MessageState;

/// So many messages are shown at once.
const BATCH: usize = 50;

/// What is done is shown after this time at the latest.
const LATEST: Duration = Duration::from_secs(1);

/// What could not be shown is tried again after this time: a person may have to make a folder.
const ANOTHER_TRY: Duration = Duration::from_secs(300);

/// Messages that the mailbox does not show yet.
#[derive(Debug, Default)]
pub struct Unshown {
    messages: BTreeMap<Number, (MessageState, Instant)>,
}

impl Unshown {
    /// A message has something left to be shown.
    pub fn add(&mut self, number: Number, state: MessageState, now: Instant) {
        self.messages.insert(number, (state, now));
    }

    /// The next batch, all in one state. With `all`, also what is not many and not old enough yet.
    pub fn batch(&self, now: Instant, all: bool) -> Option<(MessageState, Numbers)> {
        let is_due = |since: &Instant| *since <= now;
        let due = self.messages.values().filter(|(_, since)| is_due(since));
        let (mut count, mut oldest) = (0, None::<Instant>);
        for (_, since) in due {
            count += 1;
            oldest = Some(oldest.map_or(*since, |oldest| oldest.min(*since)));
        }
        let is_time = all || count >= BATCH || oldest.is_some_and(|oldest| now - oldest >= LATEST);
        if !is_time {
            return None;
        }
        let state = self.messages.values().find(|(_, since)| is_due(since)).map(|(state, _)| *state)?;
        let same = self.messages.iter().filter(|(_, (other, since))| *other == state && is_due(since));
        Some((state, same.map(|(number, _)| *number).take(BATCH).collect()))
    }

    /// When there is a batch, if nothing else happens.
    pub fn next_at(&self) -> Option<Instant> {
        self.messages.values().map(|(_, since)| *since + LATEST).min()
    }

    /// Messages are a step further.
    pub fn reached(&mut self, numbers: &Numbers, state: MessageState, now: Instant) {
        for number in numbers {
            match state {
                MessageState::Marked => drop(self.messages.remove(number)),
                state => drop(self.messages.insert(*number, (state, now))),
            }
        }
    }

    /// Messages could not be shown: later.
    pub fn postpone(&mut self, numbers: &Numbers, now: Instant) {
        for number in numbers {
            if let Some((_, since)) = self.messages.get_mut(number) {
                *since = now + ANOTHER_TRY;
            }
        }
    }

    /// Whether the mailbox shows all that is done.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: std::ops::RangeInclusive<u32>) -> Numbers {
        values.filter_map(Number::new).collect()
    }

    #[test]
    fn a_batch_is_many_or_old_or_wanted() {
        let now = Instant::now();
        let mut unshown = Unshown::default();
        for number in numbers(1..=49) {
            unshown.add(number, MessageState::Settled, now);
        }
        assert_eq!(unshown.batch(now, false), None);
        assert_eq!(unshown.next_at(), Some(now + LATEST));
        assert_eq!(unshown.batch(now + LATEST, false), Some((MessageState::Settled, numbers(1..=49))));
        assert_eq!(unshown.batch(now, true), Some((MessageState::Settled, numbers(1..=49))));
        for number in numbers(50..=60) {
            unshown.add(number, MessageState::Settled, now);
        }
        assert_eq!(unshown.batch(now, false), Some((MessageState::Settled, numbers(1..=50))));
        unshown.reached(&numbers(1..=50), MessageState::Marked, now);
        unshown.reached(&numbers(51..=60), MessageState::Flagged, now);
        assert_eq!(unshown.batch(now, true), Some((MessageState::Flagged, numbers(51..=60))));
        unshown.postpone(&numbers(51..=60), now);
        assert_eq!(unshown.batch(now, true), None, "not again at once");
        assert!(!unshown.is_empty());
        assert_eq!(unshown.batch(now + ANOTHER_TRY, true), Some((MessageState::Flagged, numbers(51..=60))));
    }
}
