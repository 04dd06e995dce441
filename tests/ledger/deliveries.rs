//! Events begun, delivered, refused, and forgotten in time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mailhatch::ledger::{Begin, DeliveryLog, Ledger};

use super::{claimed, config, database, id, ledger};
use crate::support::wait::awaited;

/// What a slow machine may take between two questions.
const MOMENT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_event_is_handed_over_once() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = ledger(&state.path().join("made/by/the/ledger"));
    let claim = claimed(&ledger, 1).await;
    assert!(matches!(ledger.begin(&id(1)).await, Ok(Begin::InFlight)), "claimed");
    assert!(matches!(ledger.begin(&id(2)).await, Ok(Begin::New(_))), "another event is not concerned");
    drop(claim);
    let claim = claimed(&ledger, 1).await;
    ledger.finish(claim).await.expect("recorded");
    let Ok(Begin::Delivered(at)) = ledger.begin(&id(1)).await else { panic!("delivered") };
    assert!(at <= SystemTime::now() && at > UNIX_EPOCH);
}

#[tokio::test]
async fn two_ledgers_of_one_directory_know_the_same() {
    let state = tempfile::tempdir().expect("directory");
    let (one, other) = (ledger(state.path()), ledger(state.path()));
    let claim = claimed(&one, 1).await;
    assert!(matches!(other.begin(&id(1)).await, Ok(Begin::InFlight)));
    one.finish(claim).await.expect("recorded");
    assert!(matches!(other.begin(&id(1)).await, Ok(Begin::Delivered(_))));
}

#[tokio::test]
async fn a_finish_that_nobody_waits_for_is_recorded() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = ledger(state.path());
    let claim = claimed(&ledger, 1).await;
    let finish = ledger.finish(claim);
    // The deadline is over at the first chance.
    tokio::select! { biased; _ = finish => {} () = std::future::ready(()) => {} }
    assert!(matches!(ledger.begin(&id(1)).await, Ok(Begin::Delivered(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_are_all_answered_and_all_recorded() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = Arc::new(ledger(state.path()));
    let tasks: Vec<_> = (0..1000)
        .map(|number| {
            let ledger = Arc::clone(&ledger);
            // Each event comes twice at the same time.
            tokio::spawn(async move {
                let Begin::New(claim) = ledger.begin(&id(number / 2)).await.expect("begun") else { return 0 };
                ledger.finish(claim).await.expect("recorded");
                1
            })
        })
        .collect();
    let mut handed_over = 0;
    for task in tasks {
        handed_over += task.await.expect("task");
    }
    assert_eq!(handed_over, 500);
    let delivered: i64 = database(state.path())
        .query_row("SELECT count(*) FROM delivery WHERE delivered IS NOT NULL", [], |row| row.get(0))
        .expect("count");
    assert_eq!(delivered, 500);
}

#[tokio::test]
async fn the_first_refusal_is_kept() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = ledger(state.path());
    assert!(ledger.first_refusal(&id(1)).await.expect("written") < MOMENT);
    set(&state, "UPDATE refusal SET first = first - 5000");
    let age = ledger.first_refusal(&id(1)).await.expect("read");
    assert!(age >= Duration::from_secs(5000) && age < Duration::from_secs(5000) + MOMENT, "{age:?}");
    set(&state, "UPDATE refusal SET first = first + 500000");
    let age = ledger.first_refusal(&id(1)).await.expect("begun anew");
    assert!(age < MOMENT, "a first time in the future, from a clock that was wrong, begins anew: {age:?}");
}

#[tokio::test]
async fn the_first_deferral_is_kept_as_long_as_the_message_is_tried() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = ledger(state.path());
    assert!(ledger.first_deferral(&id(1)).await.expect("written") < MOMENT);
    ledger.first_deferral(&id(2)).await.expect("written");
    set(&state, "UPDATE deferral SET first = first - 20 * 86400");
    let age = ledger.first_deferral(&id(1)).await.expect("read");
    assert!(age >= Duration::from_secs(20 * 86400), "{age:?}");
    set(&state, "UPDATE deferral SET last = last - 9 * 86400");
    ledger.first_deferral(&id(1)).await.expect("tried again");
    set(&state, "UPDATE deferral SET last = last - 2 * 86400");
    ledger.expire().await.expect("expired");
    assert!(ledger.first_deferral(&id(1)).await.expect("read") >= Duration::from_secs(20 * 86400), "still known");
    assert!(ledger.first_deferral(&id(2)).await.expect("written") < MOMENT, "forgotten, and begun anew");
    set(&state, "UPDATE deferral SET first = first + 500000");
    assert!(ledger.first_deferral(&id(2)).await.expect("read") < MOMENT, "the future is left over from a wrong clock");
}

#[tokio::test]
async fn entries_go_after_ten_days_and_not_before() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = ledger(state.path());
    for number in 0..1200 {
        let claim = claimed(&ledger, number).await;
        if number % 2 == 0 {
            ledger.finish(claim).await.expect("recorded");
        }
    }
    ledger.first_refusal(&id(1)).await.expect("written");
    set(&state, "UPDATE delivery SET begun = begun - 10 * 86400");
    ledger.expire().await.expect("expired");
    assert_eq!(count(&state, "delivery"), 1200, "a delivery may have taken an hour");
    set(&state, "UPDATE delivery SET begun = begun - 3700; UPDATE refusal SET first = first - 10 * 86400 - 100");
    claimed(&ledger, 7).await;
    ledger.expire().await.expect("expired");
    assert_eq!((count(&state, "delivery"), count(&state, "refusal")), (1, 0), "what was begun again is kept");
}

/// What is past its time, and the chore that deletes it is due.
async fn six_hundred_expired(state: &tempfile::TempDir) {
    let ledger = ledger(state.path());
    for number in 0..600 {
        drop(claimed(&ledger, number).await);
    }
    set(state, "UPDATE delivery SET begun = begun - 11 * 86400; DELETE FROM chore");
}

#[tokio::test]
async fn expiry_comes_by_itself() {
    let state = tempfile::tempdir().expect("directory");
    six_hundred_expired(&state).await;
    // A new one looks as soon as it has nothing else to do; any question shows how far it is.
    let ledger = ledger(state.path());
    drop(claimed(&ledger, 1000).await);
    let expired = async {
        while count(&state, "delivery") > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    awaited("the expiry", expired).await;
    assert!(matches!(ledger.begin(&id(1000)).await, Ok(Begin::New(_))));
}

#[tokio::test]
async fn a_process_for_one_event_works_without_a_thread() {
    let state = tempfile::tempdir().expect("directory");
    six_hundred_expired(&state).await;
    let (first, second) = (ledger(state.path()), ledger(state.path()));
    first.work_in_place();
    second.work_in_place();
    let claim = claimed(&first, 1000).await;
    assert!(matches!(second.begin(&id(1000)).await, Ok(Begin::InFlight)));
    first.finish(claim).await.expect("recorded");
    assert!(first.is_settled());
    assert!(matches!(second.begin(&id(1000)).await, Ok(Begin::Delivered(_))));
    // A step each: so does one process after the other.
    first.maintain();
    second.maintain();
    assert_eq!(count(&state, "delivery"), 1);
}

#[tokio::test]
async fn a_pass_goes_on_where_another_process_has_stopped() {
    let state = tempfile::tempdir().expect("directory");
    six_hundred_expired(&state).await;
    let kept = ledger(state.path());
    kept.work_in_place();
    for number in 600..1300 {
        drop(claimed(&kept, number).await);
    }
    let chore = |column: &str| -> Option<i64> {
        let question = format!("SELECT {column} FROM chore WHERE name = 'expiry'");
        database(state.path()).query_row(&question, [], |row| row.get(0)).expect("a row")
    };
    for (left, is_through) in [(799, false), (700, false), (700, true)] {
        // As a process for one event does: one step, and it ends.
        let process = ledger(state.path());
        process.work_in_place();
        drop(claimed(&process, 1299).await);
        process.maintain();
        assert_eq!((count(&state, "delivery"), chore("place IS NULL")), (left, Some(i64::from(is_through))));
    }
    assert!(chore("done").is_some_and(|done| done > 0), "noted as done when it is through");
    set(&state, "UPDATE delivery SET begun = begun - 11 * 86400");
    kept.maintain();
    assert_eq!(count(&state, "delivery"), 700, "the next pass is due a day later");
}

#[tokio::test]
async fn a_reload_keeps_what_is_claimed() {
    let state = tempfile::tempdir().expect("directory");
    let before = ledger(state.path());
    let claim = claimed(&before, 1).await;
    let after = before.reloaded(&config(state.path(), "[notice]\ntotal_per_hour = 1\n"));
    assert!(matches!(after.begin(&id(1)).await, Ok(Begin::InFlight)));
    before.finish(claim).await.expect("recorded");
    drop(before);
    assert!(matches!(after.begin(&id(1)).await, Ok(Begin::Delivered(_))));
    let elsewhere = tempfile::tempdir().expect("directory");
    let moved: Ledger = after.reloaded(&config(elsewhere.path(), ""));
    assert!(matches!(moved.begin(&id(1)).await, Ok(Begin::New(_))), "another state directory is another ledger");
}

fn set(state: &tempfile::TempDir, statements: &str) {
    database(state.path()).execute_batch(statements).expect(statements);
}

fn count(state: &tempfile::TempDir, table: &str) -> i64 {
    let connection = database(state.path());
    connection.busy_timeout(Duration::from_secs(5)).expect("timeout");
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("count")
}
