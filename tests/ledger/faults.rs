//! A ledger that cannot be used: it says so, and says yes to nothing.

use std::fs;
use std::process::Command;
use std::time::Duration;

use mailhatch::ledger::{Begin, DeliveryLog};

use super::processes::child_program;
use super::{claimed, database, held, hold, id, ledger, refused};
use crate::support::needs;
use crate::support::parts::namespace;
use crate::support::process::run;
use crate::support::wait::awaited;

#[tokio::test]
async fn a_locked_ledger_defers_and_names_who_locks_it() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = ledger(state.path());
    let claim = claimed(&ledger, 1).await;
    let other = database(state.path());
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let error = refused(&ledger, 2).await;
    assert!(error.detail.contains(&format!("locked by process {}", std::process::id())), "{error}");
    assert!(!error.full);

    let unrecorded = ledger.finish(claim).await.expect_err("not recorded");
    assert!(unrecorded.to_string().contains("locked by"), "{unrecorded}");
    let Ok(Begin::Delivered(_)) = ledger.begin(&id(1)).await else { panic!("this process must know it") };
    let elsewhere = super::ledger(state.path());
    other.execute_batch("ROLLBACK").expect("free");
    // Either the first has recorded it by now, or its claim is still there.
    assert!(matches!(elsewhere.begin(&id(1)).await, Ok(Begin::InFlight | Begin::Delivered(_))));
    drop(claimed(&ledger, 2).await);
    // Recorded with the next batch. A test beside this one that starts a process has a copy of our open files until its exec
    // (fork(2)), and with them the lock of the claim.
    let begun = awaited("the end of the claim", async {
        loop {
            match elsewhere.begin(&id(1)).await {
                Ok(Begin::InFlight) => tokio::time::sleep(Duration::from_millis(1)).await,
                begun => break begun,
            }
        }
    });
    let begun = begun.await;
    assert!(matches!(begun, Ok(Begin::Delivered(_))), "recorded with the next batch: {begun:?}");
}

#[tokio::test]
async fn a_corrupt_ledger_defers_and_is_left_as_it_is() {
    let good = tempfile::tempdir().expect("directory");
    drop(claimed(&ledger(good.path()), 1).await);
    database(good.path()).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("written through");
    let whole = fs::read(good.path().join("ledger.sqlite")).expect("ledger");
    let scribbled = [&whole[..4096], &vec![0x55; whole.len() - 4096][..]].concat();
    let rows: &[(&str, &[u8])] = &[
        ("another file", &b"not a ledger ".repeat(1000)),
        ("empty", b""),
        ("scribbled over", &scribbled),
        ("cut off", &whole[..5000]),
    ];
    for (name, content) in rows {
        let state = tempfile::tempdir().expect("directory");
        let path = state.path().join("ledger.sqlite");
        fs::write(&path, content).expect("written");
        let ledger = ledger(state.path());
        for _ in 0..2 {
            let error = refused(&ledger, 1).await;
            assert!(error.detail.contains("is corrupt") && error.detail.contains("away"), "{name}: {error}");
        }
        ledger.check().await.expect_err(name);
        hold(state.path(), 1, 100).await.unwrap_or_else(|error| panic!("{name} keeps mail from being held: {error}"));
        assert_eq!(fs::read(&path).expect("ledger"), *content, "{name}");
        fs::remove_file(&path).expect("moved away");
        for log in ["-wal", "-shm"] {
            let _ = fs::remove_file(state.path().join(format!("ledger.sqlite{log}")));
        }
        drop(claimed(&ledger, 1).await);
    }
}

#[tokio::test]
async fn a_newer_ledger_is_not_touched() {
    let state = tempfile::tempdir().expect("directory");
    drop(claimed(&ledger(state.path()), 1).await);
    database(state.path()).execute_batch("PRAGMA user_version = 7").expect("written");
    let error = refused(&ledger(state.path()), 2).await;
    assert!(error.detail.contains("version 7") && error.detail.contains("newer mailhatch"), "{error}");
}

#[tokio::test]
async fn a_ledger_that_is_removed_while_it_is_open_is_noticed() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = ledger(state.path());
    drop(claimed(&ledger, 1).await);
    fs::remove_file(state.path().join("ledger.sqlite")).expect("removed");
    let error = refused(&ledger, 2).await;
    assert!(error.detail.contains("removed or replaced"), "{error}");
    let error = refused(&ledger, 2).await;
    assert!(error.detail.contains("-wal is there"), "the old log must not be replayed into a new ledger: {error}");
    fs::remove_file(state.path().join("ledger.sqlite-wal")).expect("removed");
    let _ = fs::remove_file(state.path().join("ledger.sqlite-shm"));
    drop(claimed(&ledger, 2).await);
}

#[tokio::test]
async fn claims_in_a_file_that_was_removed_are_still_kept() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = ledger(state.path());
    let claim = claimed(&ledger, 1).await;
    fs::remove_file(state.path().join("claims")).expect("removed");
    let error = refused(&ledger, 2).await;
    assert!(error.detail.contains("claims was removed"), "{error}");
    ledger.finish(claim).await.expect("recorded");
    drop(claimed(&ledger, 2).await);
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_made_defers() {
    let base = tempfile::tempdir().expect("directory");
    let file = base.path().join("file");
    fs::write(&file, "").expect("file");
    let ledger = ledger(&file.join("state"));
    let error = refused(&ledger, 1).await;
    assert!(error.detail.contains("must be a directory"), "{error}");
    hold(&file.join("state"), 1, 100).await.expect_err("no place to hold it");
    ledger.first_refusal(&id(1)).await.expect_err("no place to write it");
}

#[tokio::test]
async fn check_tells_what_is_there() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = ledger(state.path());
    let claim = claimed(&ledger, 1).await;
    ledger.finish(claim).await.expect("recorded");
    hold(state.path(), 1, 10_000).await.expect("held");
    let report = ledger.check().await.expect("good");
    assert_eq!((report.deliveries, report.refusals, report.notices), (1, 0, 0));
    assert!(report.read_through && report.size > 0, "{report:?}");
    let (copies, size) = held(state.path()).check().await.expect("good");
    assert!(copies == 1 && size >= 10_000, "{copies} {size}");
}

/// Gives the child program a small file system of its own, in a mount namespace of its own.
#[track_caller]
fn assert_in_a_small_file_system(task: &str, options: &str, then: &str) {
    let directory = tempfile::tempdir().expect("directory");
    let script = format!("mount -t tmpfs -o {options} none \"$0\" && {then} exec \"$1\" {task} \"$0\" 0");
    let mut command = Command::new("unshare");
    let output = run(command.args([namespace(), "sh", "-c", &script]).args([directory.path(), child_program()]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[needs(crash_points, mounts)]
#[test]
fn a_full_disk_defers_and_loses_nothing() {
    assert_in_a_small_file_system("full-disk", "size=1m", "");
}

#[needs(crash_points, mounts)]
#[test]
fn a_read_only_disk_defers() {
    assert_in_a_small_file_system("read-only-disk", "size=1m", "mount -o remount,ro none \"$0\" &&");
}
