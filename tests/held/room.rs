//! Time and room: what is promised is there, and what does not fit is not promised.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mailhatch::held::{HeldMessage, HeldStore};

use super::bodies::taken;
use super::{DAY, MUCH, held_days_ago, hold, numbers, store, try_to_hold, unlike_others};
use crate::ledger::{config, id};

/// A copy of `unlike_others(_, 100_000)` takes so much: 25 blocks, the directory, the record.
const COPY: u64 = 27 * 4096;

fn store_of(state: &tempfile::TempDir, copies: u64) -> HeldStore {
    // What is pushed out leaves a 16th part free.
    let max_size = copies * COPY + COPY / 2;
    HeldStore::new(&config(state.path(), &format!("[held]\nmax_size = \"{max_size}B\"\n")))
}

async fn hold_as(
    store: &HeldStore,
    number: u128,
    verdict: &'static str,
) -> Result<(), mailhatch::state_dir::StateError> {
    try_to_hold(store, number, verdict, &HeldMessage::of(&unlike_others(number, 100_000))).await
}

#[tokio::test]
async fn the_old_ones_go_by_time_then_the_oldest_by_size() {
    let state = tempfile::tempdir().expect("directory");
    let store = store(state.path());
    for number in 1..=5 {
        hold_as(&store, number, "ignored").await.expect("held");
        // The later held, the higher the number.
        held_days_ago(state.path(), number, 10 - number as u32);
    }
    let untouched = store.purge(DAY * 10, MUCH).await.expect("purged");
    assert_eq!((untouched.removed, untouched.kept, untouched.kept_size), (0, 5, 5 * COPY));
    let by_time = store.purge(DAY * 8, MUCH).await.expect("purged");
    assert_eq!((by_time.removed, by_time.kept), (2, 3));
    assert_eq!(numbers(&store).await, [3, 4, 5]);
    let by_size = store.purge(DAY * 10, 2 * COPY).await.expect("purged");
    assert_eq!((by_size.removed, by_size.kept), (1, 2));
    assert_eq!(numbers(&store).await, [4, 5]);
}

#[tokio::test]
async fn a_new_copy_makes_its_room_and_no_more() {
    let state = tempfile::tempdir().expect("directory");
    let store = store_of(&state, 4);
    for number in 1..=8 {
        hold_as(&store, number, "ignored").await.expect("held");
        held_days_ago(state.path(), number, 20 - number as u32);
        assert!(taken(&state.path().join("held")) <= 4 * COPY + COPY / 2 + 8192, "{number}");
    }
    assert_eq!(numbers(&store).await, [5, 6, 7, 8], "the oldest went first");
}

#[tokio::test]
async fn a_copy_that_does_not_fit_is_not_promised() {
    let state = tempfile::tempdir().expect("directory");
    let store = store_of(&state, 4);
    hold_as(&store, 1, "ignored").await.expect("held");
    let large = || unlike_others(9, 1_000_000);
    let error = try_to_hold(&store, 9, "held", &HeldMessage::of(&large())).await.expect_err("too large");
    assert!(error.full && error.detail.contains("held.max_size"), "{error}");
    assert_eq!(numbers(&store).await, [1], "nothing was thrown away for it");
    assert_eq!(store.totals().await.expect("totals"), store.check().await.expect("counted anew"));
    let left: Vec<_> =
        fs::read_dir(state.path().join("held")).expect("list").map(|e| e.expect("entry").file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".tmp-")), "{left:?}");
}

#[tokio::test]
async fn what_is_held_is_never_pushed_out() {
    let state = tempfile::tempdir().expect("directory");
    let store = store_of(&state, 4);
    for number in 1..=3 {
        hold_as(&store, number, "held").await.expect("held");
    }
    for number in 4..=30 {
        let verdict = if number % 2 == 0 { "ignored" } else { "rejected" };
        hold_as(&store, number, verdict).await.expect("held");
    }
    assert_eq!(numbers(&store).await, [1, 2, 3, 30]);
    hold_as(&store, 31, "held").await.expect("pushes the last ignored one out");
    for verdict in ["ignored", "rejected", "held"] {
        let error = hold_as(&store, 32, verdict).await.expect_err(verdict);
        assert!(error.full && error.detail.contains("may not be pushed out"), "{error}");
    }
    store.purge(DAY * 30, 1).await.expect("purged");
    assert_eq!(numbers(&store).await, [1, 2, 3, 31], "nor by a purge for its size");
    store.remove(&id(31)).await.expect("removed");
    hold_as(&store, 32, "ignored").await.expect("there is room again");
}

#[tokio::test]
async fn nothing_of_a_message_that_is_not_answered_is_swept() {
    let state = tempfile::tempdir().expect("directory");
    let (store, other_process) = (store_of(&state, 4), store_of(&state, 4));
    let messages = [1, 2, 3].map(|number| HeldMessage::of(&unlike_others(number, 100_000)));
    for (number, message) in (1..=3).zip(&messages) {
        try_to_hold(&store, number, "ignored", message).await.expect("held");
        held_days_ago(state.path(), number, 100);
    }
    hold_as(&other_process, 4, "ignored").await.expect("held");
    hold_as(&other_process, 5, "ignored").await.expect("4 makes room");
    let error = try_to_hold(&other_process, 6, "ignored", &HeldMessage::of(&unlike_others(6, 200_000))).await;
    assert!(error.expect_err("no room").full);
    other_process.purge(DAY, 1).await.expect("purged");
    assert_eq!(numbers(&store).await, [1, 2, 3], "neither for their size nor for their age");
    // The same one, promised by two: the first answer leaves it to the second.
    let again = HeldMessage::of(&unlike_others(3, 100_000));
    try_to_hold(&other_process, 3, "ignored", &again).await.expect("there already");
    drop(messages);
    other_process.purge(Duration::from_secs(0), MUCH).await.expect("purged");
    assert_eq!(numbers(&store).await, [3]);
    drop(again);
    other_process.purge(DAY, 1).await.expect("purged");
    assert_eq!(numbers(&store).await, [0; 0]);
}

#[tokio::test]
async fn the_last_verdict_about_an_event_decides() {
    let state = tempfile::tempdir().expect("directory");
    let store = store_of(&state, 2);
    for (number, verdicts) in [(1, ["ignored", "held"]), (2, ["held", "rejected"])] {
        for verdict in verdicts {
            hold_as(&store, number, verdict).await.expect("held");
        }
        assert_eq!(store.show(&id(number)).await.expect("shown").expect("there").verdict, verdicts[1]);
    }
    hold_as(&store, 3, "ignored").await.expect("held");
    assert_eq!(numbers(&store).await, [1, 3]);
}

#[tokio::test]
async fn one_that_is_being_written_is_counted_as_its_writer_has_counted_it() {
    let state = tempfile::tempdir().expect("directory");
    let store = store_of(&state, 2);
    hold_as(&store, 1, "ignored").await.expect("held");
    // As it is until its body is on the disk.
    let held = state.path().join("held");
    fs::rename(held.join(id(1).as_str()), held.join(".tmp-0000000000000001")).expect("renamed");
    let counted = store.totals().await.expect("totals");
    assert_eq!(store.check().await.expect("counted anew"), counted);
    assert_eq!(counted, (1, COPY));
    fs::rename(held.join(".tmp-0000000000000001"), held.join(id(1).as_str())).expect("renamed");
    // Surveyed just now, so what may be pushed out is what the survey has counted.
    hold_as(&store, 2, "held").await.expect("held");
    hold_as(&store, 3, "held").await.expect("the first one makes room");
    assert_eq!(numbers(&store).await, [2, 3]);
}

#[tokio::test]
async fn counts_that_are_wrong_are_put_right() {
    let state = tempfile::tempdir().expect("directory");
    let store = store_of(&state, 4);
    for number in 1..=3 {
        hold_as(&store, number, "held").await.expect("held");
    }
    let totals = state.path().join("held/.totals");
    let before = fs::read_to_string(&totals).expect("totals");
    let raised = before.replace(&format!("\"octets\":{}", 3 * COPY), "\"octets\":99999999999");
    assert_ne!(raised, before);
    // As a process leaves them that was killed, long enough ago that a survey is worth it.
    let surveyed = before.split("\"surveyed\":").nth(1).and_then(|rest| rest.split(',').next()).expect("a time");
    let raised = raised.replace(&format!("\"surveyed\":{surveyed}"), "\"surveyed\":1000");
    for (name, text) in
        [("too high", raised.as_str()), ("half", &before[..20]), ("empty", ""), ("foreign", "\u{0}\u{1}")]
    {
        fs::write(&totals, text).expect("written");
        hold_as(&store, 4, "held").await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(store.totals().await.expect("totals"), (4, 4 * COPY), "{name}");
        store.remove(&id(4)).await.expect("removed");
    }
}

fn names_in(directory: &std::path::Path) -> Vec<std::ffi::OsString> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
}

/// Four processes at once, and a reader who looks all the time.
#[tokio::test(flavor = "multi_thread")]
async fn together_they_never_take_more_than_there_is() {
    let state = Arc::new(tempfile::tempdir().expect("directory"));
    let (done, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reader = {
        let (held, done, most) = (state.path().join("held"), Arc::clone(&done), Arc::clone(&most));
        std::thread::spawn(move || {
            while !done.load(Ordering::Acquire) {
                let names = names_in(&held);
                let octets = taken(&held);
                // Else it may have counted one that went and the one that came in its place.
                if names == names_in(&held) {
                    most.fetch_max(octets, Ordering::AcqRel);
                }
            }
        })
    };
    let tasks: Vec<_> = (0..4_u128)
        .map(|process| {
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                let store = store_of(&state, 10);
                for number in 0..25 {
                    let verdict = if number == 0 { "held" } else { "ignored" };
                    hold_as(&store, process * 100 + number, verdict).await.expect("held");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("task");
    }
    done.store(true, Ordering::Release);
    reader.join().expect("reader");
    // What is being removed is out of sight, not yet off the disk.
    assert!(most.load(Ordering::Acquire) <= 10 * COPY + COPY / 2 + 4 * COPY, "{} octets", most.load(Ordering::Acquire));
    let store = store_of(&state, 10);
    let kept = numbers(&store).await;
    assert!([0, 100, 200, 300].iter().all(|number| kept.contains(number)), "{kept:?}");
    assert_eq!(store.totals().await.expect("totals"), store.check().await.expect("counted anew"));
}

#[tokio::test]
async fn what_0_1_0_kept_is_read_counted_and_swept() {
    let state = tempfile::tempdir().expect("directory");
    let copy = state.path().join("held").join(id(7).as_str());
    fs::create_dir_all(&copy).expect("directory");
    fs::write(copy.join("message.eml"), vec![b'x'; 100_000]).expect("message");
    fs::write(
        copy.join("held.json"),
        r#"{"id":"00000000000000000000000000000007","held_at":"2026-11-22T10:00:00.000000Z","verdict":"rejected",
            "rule":"unknown-address","detail":"d","size":100000,"recipient":{"address":"a@example.com","original":null},
            "envelope":{"sender":{"address":"jane@example.org"},"recipients":[{"address":"a@example.com","original":null}],
            "client":{"address":null,"helo":null,"name":null},"queue_id":null}}"#,
    )
    .expect("record");
    fs::write(state.path().join("held/.swept"), "").expect("mark");
    let store = store_of(&state, 2);
    let (record, content) = store.read(&id(7)).await.expect("read").expect("there");
    assert_eq!((record.rule.as_str(), content.size()), ("unknown-address", 100_000));
    assert_eq!(store.totals().await.expect("totals"), (1, COPY));
    hold(&store, 8, unlike_others(8, 100_000)).await;
    held_days_ago(state.path(), 7, 3);
    hold(&store, 9, unlike_others(9, 100_000)).await;
    assert_eq!(numbers(&store).await, [8, 9]);
    store.purge(DAY, MUCH).await.expect("purged");
    assert!(!state.path().join("held/.swept").exists());
}
