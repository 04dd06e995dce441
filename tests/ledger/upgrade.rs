//! A ledger of an earlier version: used on, with all that it knows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mailhatch::ledger::{Begin, DeliveryLog, NoticeRequest, Reservation};

use super::{claimed, database, id, ledger};

fn of_version_1(state: &Path) {
    database(state).execute_batch(include_str!("version-1.sql")).expect("made");
}

#[tokio::test]
async fn a_ledger_of_version_1_is_used_on() {
    let state = tempfile::tempdir().expect("directory");
    of_version_1(state.path());
    let ledger = ledger(state.path());
    assert!(matches!(ledger.begin(&id(1)).await, Ok(Begin::Delivered(_))));
    let refused_for = ledger.first_refusal(&id(2)).await.expect("read");
    assert!(refused_for >= Duration::from_secs(5000), "{refused_for:?}");
    let request = NoticeRequest {
        id: id(4),
        canonical: "jane@example.org".into(),
        person: "jane@example.org".into(),
        domain: "example.org".into(),
    };
    assert!(matches!(ledger.reserve_notice(request).await, Ok(Reservation::TooSoon { .. })));
    ledger.first_deferral(&id(5)).await.expect("a table of version 2");
    assert_eq!(ledger.inbox("gitlab").load().await.expect("another table of version 2"), None);
    let version: i64 = database(state.path()).query_row("PRAGMA user_version", [], |row| row.get(0)).expect("version");
    assert_eq!(version, 2);
}

#[tokio::test]
async fn what_an_older_process_has_open_goes_on_working() {
    let state = tempfile::tempdir().expect("directory");
    of_version_1(state.path());
    let older = database(state.path());
    let begin = "INSERT INTO delivery (id, begun) VALUES (?1, unixepoch())";
    older.execute(begin, [[7_u8; 16]]).expect("before");
    drop(claimed(&ledger(state.path()), 10).await);
    older.execute(begin, [[8_u8; 16]]).expect("after");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_at_once_upgrade_it_once() {
    let state = tempfile::tempdir().expect("directory");
    of_version_1(state.path());
    let path = Arc::new(state.path().to_owned());
    let tasks: Vec<_> = (0..8_u128)
        .map(|number| {
            let path = Arc::clone(&path);
            tokio::spawn(async move { ledger(&path).first_deferral(&id(number)).await.expect("answered") })
        })
        .collect();
    for task in tasks {
        task.await.expect("task");
    }
}
