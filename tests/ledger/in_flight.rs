//! Locks on what is in flight: they keep other processes away, and end together where they began together.

use std::sync::Arc;
use std::time::Duration;

use mailhatch::in_flight::{InFlightLock, InFlightLocks, Right};
use mailhatch::state_dir::StateDir;

use super::id;

/// Two processes on one directory: each has open files of its own.
fn processes(state: &tempfile::TempDir) -> [Arc<InFlightLocks>; 2] {
    [(); 2].map(|()| Arc::new(InFlightLocks::new(&StateDir::new(state.path()))))
}

fn take(locks: &Arc<InFlightLocks>, number: u128) -> Option<InFlightLock> {
    locks.take_in_batch(Right::HandOver, &id(number)).expect("answer")
}

fn is_free(locks: &Arc<InFlightLocks>, number: u128) -> bool {
    locks.take(Right::HandOver, &id(number)).expect("answer").is_some()
}

#[test]
fn a_batch_keeps_others_away_and_each_lock_can_end_alone() {
    let state = tempfile::tempdir().expect("directory");
    let [ours, other] = processes(&state);
    let [one, two] = [1, 2].map(|number| take(&ours, number).expect("free"));
    assert!(take(&ours, 1).is_none() && take(&other, 1).is_none() && take(&other, 2).is_none());
    drop(one);
    assert!(is_free(&other, 1) && is_free(&ours, 1) && !is_free(&other, 2));
    drop(two);
    assert!(is_free(&other, 2));
}

#[test]
fn the_last_of_a_batch_frees_all_that_has_ended() {
    let state = tempfile::tempdir().expect("directory");
    let [ours, other] = processes(&state);
    let [one, two] = [1, 2].map(|number| take(&ours, number).expect("free"));
    ours.begin_batch();
    let three = take(&ours, 3).expect("free");
    ours.drop_at_once(vec![one, two]);
    assert!(is_free(&other, 1) && is_free(&other, 2) && !is_free(&other, 3));
    drop(three);
    assert!(is_free(&other, 3));
}

#[test]
fn what_has_ended_before_the_others_of_its_batch_does_not_stay_locked() {
    let state = tempfile::tempdir().expect("directory");
    let [ours, other] = processes(&state);
    let [one, two, three] = [1, 2, 3].map(|number| take(&ours, number).expect("free"));
    ours.drop_at_once(vec![one, two]);
    let again = take(&ours, 1);
    assert!(again.is_some(), "its own process can begin it again at once");
    while ours.unlock_ended().is_some() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(is_free(&other, 2), "and after a moment every other one");
    assert!(!is_free(&other, 1) && !is_free(&other, 3));
    drop((again, three));
    assert!(is_free(&other, 1) && is_free(&other, 3));
}
