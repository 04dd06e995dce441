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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn number(value: u32) -> Number {
        Number::new(value).expect("not zero")
    }

    fn numbers(values: impl IntoIterator<Item = u32>) -> NumberSet {
        values.into_iter().map(number).collect()
    }

    fn known(value: u32, attempts: u32, next_try: Option<SystemTime>) -> Known {
        Known { number: number(value), attempts, next_try, first: None, cause: None }
    }

    fn empty(low: u32) -> (Queue, Instant, SystemTime) {
        let (now, clock) = (Instant::now(), SystemTime::now());
        (Queue::new(number(low), Vec::new(), NumberSet::default(), now, clock), now, clock)
    }

    /// Takes what is due at `now`, in order.
    fn drain(queue: &mut Queue, now: Instant) -> Vec<u32> {
        let mut taken = Vec::new();
        while let Some(number) = queue.next(now) {
            queue.begin(number, SystemTime::now());
            taken.push(number.get());
        }
        taken
    }

    #[test]
    fn a_message_that_waits_blocks_nobody() {
        let (mut queue, now, _) = empty(1);
        queue.found(number(1), &numbers([1, 2, 3]));
        assert_eq!(drain(&mut queue, now), [1, 2, 3]);
        let wait = queue.defer(number(1), Held::Otherwise, "ledger", None, now, 0.5);
        assert_eq!(wait, SHORTEST_WAIT);
        queue.finish(number(2));
        queue.finish(number(3));
        queue.found(number(1), &numbers([1, 2, 3, 4]));
        assert_eq!(drain(&mut queue, now), [4], "2 and 3 are done, 1 waits");
        assert_eq!(queue.advance(), Some(number(1)));
        assert_eq!(queue.next_at(now), Some(now + SHORTEST_WAIT));
        assert_eq!(drain(&mut queue, now + SHORTEST_WAIT), [1]);
    }

    #[test]
    fn waits_double_and_are_spread() {
        let rows: &[(u32, f64, u64)] = &[
            (1, 0.5, 60),
            (2, 0.5, 120),
            (5, 0.5, 960),
            (6, 0.5, 1800),
            (u32::MAX, 0.5, 1800),
            (1, 0.0, 48),
            (1, 1.0, 72),
        ];
        for (attempts, jitter, seconds) in rows {
            assert_eq!(backed_off(*attempts, *jitter).as_secs_f64().round() as u64, *seconds, "{attempts} {jitter}");
        }
        let crashes: Vec<_> = [0, 1, 2, 3, 9].iter().map(|&attempts| after_a_crash(attempts).as_secs()).collect();
        assert_eq!(crashes, [0, 0, 60, 120, 1800]);
    }

    #[test]
    fn an_application_that_asks_for_time_gets_it() {
        let (mut queue, now, _) = empty(1);
        queue.found(number(1), &numbers([1]));
        drain(&mut queue, now);
        let wait = queue.defer(number(1), Held::ByApp, "app", Some(SECOND * 600), now, 0.5);
        assert_eq!(wait, SECOND * 600);
        drain(&mut queue, now + wait);
        let wait = queue.defer(number(1), Held::ByApp, "app", Some(SECOND * 1_000_000), now, 0.5);
        assert_eq!(wait, LONGEST_ASKED);
    }

    #[test]
    fn after_three_deferrals_by_the_application_one_message_tries() {
        let (mut queue, now, clock) = empty(1);
        queue.found(number(1), &numbers(1..=10));
        for value in 1..=3 {
            assert_eq!(queue.next(now), Some(number(value)));
            queue.begin(number(value), clock);
            queue.defer(number(value), Held::ByApp, "app", Some(SECOND * 7), now, 0.5);
        }
        assert_eq!(queue.next(now), None);
        assert!(queue.waits_for_app(now));
        assert_eq!(queue.next_at(now), Some(now + SECOND * 7));
        let later = now + SECOND * 7;
        assert_eq!(drain(&mut queue, later), [4], "one alone");
        queue.defer(number(4), Held::ByApp, "app", None, later, 0.5);
        assert_eq!(queue.next(later), None);
        let later = later + SECOND * 2;
        assert_eq!(drain(&mut queue, later), [5]);
        assert_eq!(queue.next_at(now), None, "not before its end is known");
        queue.app_answered();
        queue.finish(number(5));
        assert_eq!(drain(&mut queue, later), [6, 7, 8, 9, 10], "the application is back");
    }

    #[test]
    fn what_a_search_leaves_out_is_asked_for_once() {
        let (mut queue, now, _) = empty(3);
        let found = numbers([5, 9]);
        assert_eq!(queue.unexplained(number(3), &found), numbers([3, 4, 6, 7, 8]));
        queue.found(number(3), &numbers([5, 7, 9]));
        assert_eq!(queue.unexplained(number(3), &numbers([5, 7, 9])), NumberSet::default(), "it is explained");
        assert_eq!(queue.unexplained(number(3), &numbers([5, 7, 9, 12])), numbers([10, 11]));
        assert_eq!(queue.unexplained(number(3), &NumberSet::default()), NumberSet::default());
        assert_eq!(drain(&mut queue, now), [5, 7, 9]);
    }

    #[test]
    fn what_another_client_removed_is_given_back() {
        let (mut queue, now, _) = empty(5);
        queue.found(number(5), &numbers([5, 6, 7]));
        queue.begin(number(6), SystemTime::now());
        assert_eq!(queue.found(number(5), &numbers([7])), [number(5)], "6 is under way: its fetch will tell");
        assert_eq!(drain(&mut queue, now), [7]);
    }

    #[test]
    fn what_is_below_the_range_that_was_looked_at_is_not_gone() {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let mut queue = Queue::new(number(3), vec![known(3, 0, None)], NumberSet::default(), now, clock);
        assert_eq!(queue.found(number(10), &numbers([10])), []);
        assert_eq!(drain(&mut queue, now), [3, 10]);
    }

    #[test]
    fn the_ledger_knows_when_and_a_wrong_clock_does_not_matter() {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let hour = SECOND * 3600;
        let pending = vec![
            known(1, 1, Some(clock + SECOND * 30)),
            known(2, 1, Some(clock - hour)),
            // Written down when the clock was a day ahead.
            known(3, 2, Some(clock + hour * 24)),
            known(4, 0, None),
        ];
        let mut queue = Queue::new(number(1), pending, numbers([5]), now, clock);
        assert_eq!(drain(&mut queue, now), [2, 4]);
        assert_eq!(drain(&mut queue, now + SECOND * 30), [1]);
        assert_eq!(drain(&mut queue, now + SECOND * 120), [3]);
        assert_eq!(queue.found(number(1), &numbers([5, 6])), []);
        assert_eq!(drain(&mut queue, now), [6], "5 is done");
    }

    #[test]
    fn retry_makes_what_waits_due() {
        let (mut queue, now, clock) = empty(1);
        queue.found(number(1), &numbers([1]));
        drain(&mut queue, now);
        queue.defer(number(1), Held::Otherwise, "x", None, now, 0.5);
        assert_eq!(queue.next(now), None);
        queue.take(known(1, 1, Some(clock)), now, clock);
        assert_eq!(drain(&mut queue, now), [1]);
        queue.take(known(1, 1, Some(clock)), now, clock);
        assert_eq!(queue.next(now), None, "it is under way already");
    }

    /// What can happen to a queue.
    #[derive(Clone, Debug)]
    enum Event {
        Arrive(u32),
        Begin,
        Defer(Held),
        Finish,
        Remove(u32),
        Search,
        /// An answer that leaves out messages.
        SearchInPart(u32),
        Advance,
        Wait(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (1..4_u32).prop_map(Event::Arrive),
            Just(Event::Begin),
            Just(Event::Begin),
            prop_oneof![Just(Held::ByApp), Just(Held::Otherwise)].prop_map(Event::Defer),
            Just(Event::Finish),
            (0..20_u32).prop_map(Event::Remove),
            Just(Event::Search),
            any::<u32>().prop_map(Event::SearchInPart),
            Just(Event::Advance),
            (1..4000_u64).prop_map(Event::Wait),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: nothing is begun twice at once, nothing that is done is begun again, the low
        /// mark never passes what is not done, and in the end everything that is still there is done.
        #[test]
        fn every_message_is_done_once(events in proptest::collection::vec(event(), 0..200)) {
            let (mut queue, mut now, clock) = empty(1);
            let (mut next, mut mailbox, mut done) = (1, BTreeSet::<Number>::new(), BTreeSet::new());
            let mut under_way = BTreeSet::new();
            let begin = |queue: &mut Queue, now, under_way: &mut BTreeSet<Number>, done: &BTreeSet<Number>| {
                let number = queue.next(now)?;
                queue.begin(number, clock);
                assert!(under_way.insert(number), "{number} twice at once");
                assert!(!done.contains(&number), "{number} again");
                Some(number)
            };
            for event in events {
                match event {
                    Event::Arrive(count) => {
                        mailbox.extend(numbers(next..next + count).iter());
                        next += count;
                    }
                    Event::Begin => drop(begin(&mut queue, now, &mut under_way, &done)),
                    Event::Defer(why) => {
                        if let Some(number) = under_way.pop_first() {
                            queue.defer(number, why, "x", None, now, 0.5);
                        }
                    }
                    Event::Finish => {
                        if let Some(number) = under_way.pop_last() {
                            queue.finish(number);
                            queue.app_answered();
                            done.insert(number);
                        }
                    }
                    Event::Remove(index) => {
                        if let Some(number) = mailbox.iter().nth(index as usize).copied() {
                            mailbox.remove(&number);
                        }
                    }
                    Event::Search => {
                        let from = queue.low().unwrap_or(Number::MIN);
                        queue.found(from, &mailbox.range(from..).copied().collect());
                    }
                    Event::SearchInPart(mask) => {
                        let from = queue.low().unwrap_or(Number::MIN);
                        let is_told = |number: &Number| mask >> (number.get() % 32) & 1 == 1;
                        let mut found: NumberSet = mailbox.range(from..).copied().filter(is_told).collect();
                        let mut asked = queue.missing(from, &found);
                        asked.extend(queue.unexplained(from, &found).iter());
                        found.extend(asked.iter().filter(|number| mailbox.contains(number)));
                        queue.found(from, &found);
                    }
                    Event::Advance => {
                        let low = queue.advance().expect("low");
                        prop_assert!(under_way.iter().all(|&number| number >= low));
                    }
                    Event::Wait(seconds) => now += SECOND * u32::try_from(seconds).expect("small"),
                }
            }
            // In the end the application works.
            for number in std::mem::take(&mut under_way) {
                queue.finish(number);
                done.insert(number);
            }
            queue.app_answered();
            now += LONGEST_ASKED * 2;
            let from = queue.low().unwrap_or(Number::MIN);
            queue.found(from, &mailbox.range(from..).copied().collect());
            while let Some(number) = begin(&mut queue, now, &mut under_way, &done) {
                queue.finish(number);
                done.insert(number);
            }
            prop_assert!(queue.is_empty());
            let missing: Vec<_> = mailbox.difference(&done).collect();
            prop_assert!(missing.is_empty(), "{missing:?} of {mailbox:?}");
        }
    }
}
