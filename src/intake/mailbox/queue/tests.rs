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
