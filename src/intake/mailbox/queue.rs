//! Which message is next, and when: pure, so that every order of events can be tried.
//!
//! A mailbox is a queue without a lifetime: nothing gives up. What fails waits, the longer the more often it failed, and
//! blocks nobody. What is in the ledger is the truth; this is what a reader knows of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use super::number_set::{Number, NumberSet};

/// The wait after the first failure; it doubles with each further one.
const SHORTEST_WAIT: Duration = Duration::from_secs(60);

/// The longest wait that we choose ourselves.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);

/// The longest wait that an application can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// How much a wait is spread, so that what failed together is not tried again together.
const SPREAD: f64 = 0.2;

/// So many deferrals by the application in a row, and no more bodies are fetched until it may be asked again.
const APP_DEFERRALS: u32 = 3;

/// How long the application is left alone then, if it does not say so itself: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The messages of one inbox that are not done.
#[derive(Debug, Default)]
pub struct Queue {
    /// Never begun, and due: all that a backlog takes.
    new: NumberSet,
    /// Begun before: under way, or waiting.
    pending: BTreeMap<Number, Pending>,
    /// The same by when they are due; those under way are not in it.
    due: BTreeSet<(Instant, Number)>,
    /// Done, though not below every one that is not.
    done: NumberSet,
    /// Every number below is done.
    low: Option<Number>,
    /// The highest number that was ever seen.
    highest: Option<Number>,
    /// Up to this number it is known why a search did not find a message.
    explained: Option<Number>,
    app: AppPause,
}

/// One message that was begun and is not done.
#[derive(Clone, Debug, PartialEq)]
struct Pending {
    attempts: u32,
    /// `None` while it is under way.
    due: Option<Instant>,
    /// When it was first tried.
    first: Option<SystemTime>,
    cause: Option<String>,
}

/// How the application did lately.
#[derive(Debug, Default)]
struct AppPause {
    deferrals: u32,
    until: Option<Instant>,
}

/// A message as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub number: Number,
    /// How often it was begun.
    pub attempts: u32,
    /// Not before then.
    pub next_try: Option<SystemTime>,
    /// When it was first begun.
    pub first: Option<SystemTime>,
    /// Why it waits.
    pub cause: Option<String>,
}

/// Why a message was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The application did not take it.
    ByApp,
    /// Something else.
    Otherwise,
}

impl Queue {
    /// What the ledger knows: what is not done, and above `low` what is.
    pub fn new(low: Number, pending: Vec<Known>, done: NumberSet, now: Instant, clock: SystemTime) -> Self {
        let mut queue = Self { low: Some(low), highest: done.last(), done, ..Self::default() };
        for known in pending {
            queue.take(known, now, clock);
        }
        queue
    }

    /// Messages that were never begun.
    pub fn add(&mut self, numbers: &NumberSet) {
        self.new.extend(numbers.iter());
        self.highest = self.highest.max(numbers.last());
    }

    /// What the ledger says of one message that waits: it may be due now where it was not before.
    pub fn take(&mut self, known: Known, now: Instant, clock: SystemTime) {
        let is_new = known.attempts == 0 && known.next_try.is_none() && known.first.is_none();
        if is_new && !self.pending.contains_key(&known.number) {
            return self.add(&NumberSet::from_iter([known.number]));
        }
        // A wait longer than any that is chosen comes from a clock that was wrong.
        let wait = known.next_try.and_then(|at| at.duration_since(clock).ok()).unwrap_or_default();
        let due = now + if wait > LONGEST_ASKED { backed_off(known.attempts, 0.5) } else { wait };
        self.highest = self.highest.max(Some(known.number));
        if let Some(before) = self.pending.get(&known.number) {
            let Some(at) = before.due else { return };
            self.due.remove(&(at, known.number));
        }
        self.new.remove(known.number);
        self.due.insert((due, known.number));
        let pending = Pending { attempts: known.attempts, due: Some(due), first: known.first, cause: known.cause };
        self.pending.insert(known.number, pending);
    }

    /// What waits, and a search from `from` on did not find.
    pub fn missing(&self, from: Number, found: &NumberSet) -> NumberSet {
        let waits = self.pending.range(from..).filter(|(_, pending)| pending.due.is_some()).map(|(number, _)| *number);
        let new = self.new.iter().filter(|number| *number >= from);
        waits.chain(new).filter(|number| !found.contains(*number)).collect()
    }

    /// The numbers below what a search from `from` on found of which nobody knows whose they are: they would be taken for done from
    /// now on, and one answer may have left out a message.
    pub fn unexplained(&self, from: Number, found: &NumberSet) -> NumberSet {
        let next = self.explained.and_then(|explained| explained.checked_add(1)).unwrap_or(from).max(from);
        let Some(last) = found.last() else { return NumberSet::default() };
        let mut known = found.clone();
        for (first, last) in self.new.ranges().chain(self.done.ranges()) {
            known.insert_range(first, last);
        }
        known.extend(self.pending.keys().copied());
        known.gaps(next, last)
    }

    /// What is in the mailbox now, from `from` on, with what is still there of [`Queue::missing`] and [`Queue::unexplained`]. What is
    /// not there any more, and not under way, is given back: nobody can do anything with it.
    pub fn found(&mut self, from: Number, found: &NumberSet) -> Vec<Number> {
        let gone: Vec<_> = self.missing(from, found).iter().collect();
        gone.iter().for_each(|&number| self.finish(number));
        for number in found.iter() {
            let is_done = self.done.contains(number) || self.low.is_some_and(|low| number < low);
            if !is_done && !self.pending.contains_key(&number) {
                self.new.insert(number);
            }
        }
        self.highest = self.highest.max(found.last());
        self.explained = self.explained.max(found.last());
        gone
    }

    /// The next message to begin at `now`, if any is due and the application may be asked.
    pub fn next(&self, now: Instant) -> Option<Number> {
        let is_paused = self.app.deferrals >= APP_DEFERRALS;
        // One message tries, alone.
        if is_paused && (self.app.until.is_some_and(|until| until > now) || self.under_way() > 0) {
            return None;
        }
        self.due_at(now)
    }

    /// What waited and is due goes before what is new: it is older.
    fn due_at(&self, now: Instant) -> Option<Number> {
        let waited = self.due.first().filter(|(due, _)| *due <= now).map(|(_, number)| *number);
        waited.or_else(|| self.new.first())
    }

    /// When [`Queue::next`] has something, if nothing else happens; `None`: not before something does.
    pub fn next_at(&self, now: Instant) -> Option<Instant> {
        let due = if self.new.is_empty() { self.due.first()?.0 } else { now };
        let is_paused = self.app.deferrals >= APP_DEFERRALS;
        if is_paused && self.under_way() > 0 {
            return None;
        }
        let pause = self.app.until.filter(|_| is_paused);
        Some(pause.map_or(due, |until| due.max(until)))
    }

    /// Whether messages are due that only wait for the application.
    pub fn waits_for_app(&self, now: Instant) -> bool {
        self.next(now).is_none() && self.due_at(now).is_some() && self.under_way() == 0
    }

    /// Begins a message. Gives how often it was begun, this time included.
    pub fn begin(&mut self, number: Number, clock: SystemTime) -> u32 {
        if self.new.contains(number) {
            self.new.remove(number);
            self.pending.insert(number, Pending { attempts: 0, due: None, first: None, cause: None });
        }
        let Some(pending) = self.pending.get_mut(&number) else { return 0 };
        if let Some(due) = pending.due.take() {
            self.due.remove(&(due, number));
        }
        pending.attempts = pending.attempts.saturating_add(1);
        pending.first.get_or_insert(clock);
        pending.attempts
    }

    /// A message is not done: it waits. Gives how long.
    ///
    /// `jitter` is a random number from 0 to 1; `asked` is what the application asks for (Retry-After).
    pub fn defer(
        &mut self,
        number: Number,
        why: Held,
        cause: &str,
        asked: Option<Duration>,
        now: Instant,
        jitter: f64,
    ) -> Duration {
        let asked = asked.map(|asked| asked.min(LONGEST_ASKED));
        if why == Held::ByApp {
            self.app_deferred(asked, now);
        }
        let Some(pending) = self.pending.get_mut(&number) else { return Duration::ZERO };
        let wait = backed_off(pending.attempts, jitter).max(asked.unwrap_or_default());
        pending.cause = Some(cause.to_owned());
        pending.due = Some(now + wait);
        self.due.insert((now + wait, number));
        wait
    }

    /// How often a message was begun.
    pub fn attempts(&self, number: Number) -> u32 {
        self.pending.get(&number).map_or(0, |pending| pending.attempts)
    }

    /// Puts a message back: it is due at once. What stopped it may have nothing to do with it, and then the try does not
    /// count.
    pub fn put_back(&mut self, number: Number, counts: bool, now: Instant) {
        if let Some(pending) = self.pending.get_mut(&number)
            && pending.due.is_none()
        {
            pending.attempts = pending.attempts.saturating_sub(u32::from(!counts));
            pending.due = Some(now);
            self.due.insert((now, number));
        }
    }

    fn app_deferred(&mut self, asked: Option<Duration>, now: Instant) {
        self.app.deferrals = self.app.deferrals.saturating_add(1);
        if self.app.deferrals >= APP_DEFERRALS {
            let (first, most) = PAUSE;
            let doubled = first.saturating_mul(2_u32.saturating_pow(self.app.deferrals - APP_DEFERRALS)).min(most);
            self.app.until = Some(now + doubled.max(asked.unwrap_or_default()));
        }
    }

    /// The application took a message, or said what it thinks of it.
    pub fn app_answered(&mut self) {
        self.app = AppPause::default();
    }

    /// A message is done, left, or gone.
    pub fn finish(&mut self, number: Number) {
        if let Some(Pending { due: Some(due), .. }) = self.pending.remove(&number) {
            self.due.remove(&(due, number));
        }
        self.new.remove(number);
        self.done.insert(number);
        self.highest = self.highest.max(Some(number));
    }

    /// Every number below is done: forgets about them. Gives the lowest that is not.
    pub fn advance(&mut self) -> Option<Number> {
        let behind = self.highest.and_then(|highest| highest.checked_add(1));
        let lowest = [self.pending.keys().next().copied(), self.new.first()].into_iter().flatten().min().or(behind);
        self.low = self.low.max(lowest);
        if let Some(low) = self.low {
            self.done.remove_below(low);
        }
        self.low
    }

    /// The lowest number that is not done, as far as is known.
    pub fn low(&self) -> Option<Number> {
        self.low
    }

    /// Messages that are not done.
    pub fn len(&self) -> usize {
        self.pending.len() + self.new.len()
    }

    /// Those that are not done.
    pub fn numbers(&self) -> NumberSet {
        let mut numbers = self.new.clone();
        numbers.extend(self.pending.keys().copied());
        numbers
    }

    /// Whether all is done.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.new.is_empty()
    }

    /// Messages that are under way.
    pub fn under_way(&self) -> usize {
        self.pending.len() - self.due.len()
    }

    /// When the one that is at it the longest was first tried.
    pub fn oldest(&self) -> Option<SystemTime> {
        self.pending.values().filter_map(|pending| pending.first).min()
    }

    /// Those that were first tried before `limit`, with how often, and why they wait.
    pub fn stuck(&self, limit: SystemTime) -> impl Iterator<Item = (Number, u32, &str)> {
        let stuck = move |pending: &Pending| pending.first.is_some_and(|first| first < limit);
        self.pending
            .iter()
            .filter(move |(_, pending)| stuck(pending))
            .map(|(number, pending)| (*number, pending.attempts, pending.cause.as_deref().unwrap_or("begun")))
    }
}

/// How long a message waits that was begun `attempts` times.
fn backed_off(attempts: u32, jitter: f64) -> Duration {
    let doubled = SHORTEST_WAIT.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1))).min(LONGEST_WAIT);
    doubled.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * jitter.clamp(0.0, 1.0))
}

/// When a message may be tried again that was begun `attempts` times and whose end nobody knows: the process ended in the
/// middle. The first time it is innocent until proven guilty; what ends us again and again waits the longer.
pub fn after_a_crash(attempts: u32) -> Duration {
    if attempts <= 1 { Duration::ZERO } else { backed_off(attempts - 1, 0.5) }
}

#[cfg(test)]
mod tests;
