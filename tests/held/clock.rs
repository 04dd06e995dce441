//! A wall clock that jumps: nothing grows old by it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use super::{DAY, MUCH, held_days_ago, hold, numbers, store, unlike_others};
use crate::support::config::{BASE, REPLY_ADDRESS, SPOOL};
use crate::support::needs;
use crate::support::process::run_with_input;
use crate::support::service::{MAILHATCH, Place};

/// As if the wall clock had jumped by so many days since the last reading: what was written before was written by the clock
/// of then.
pub fn jump(state: &Path, days: i64) {
    for copy in fs::read_dir(state.join("held")).into_iter().flatten() {
        let Ok(record) = fs::File::open(copy.expect("entry").path().join("held.json")) else { continue };
        let kept_at = record.metadata().expect("record").modified().expect("time");
        record.set_modified(days_before(kept_at, days)).expect("time");
    }
    let path = state.join("clock");
    let text = fs::read_to_string(&path).expect("a reading");
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let wall: i64 = words[3].parse().expect("a time");
    words[3] = (wall - days * 86_400_000).to_string();
    fs::write(&path, words.join(" ") + "\n").expect("written");
}

#[tokio::test]
async fn no_copy_goes_for_its_age_when_the_clock_jumps() {
    for days in [40, -40] {
        let state = tempfile::tempdir().expect("directory");
        hold(&store(state.path()), 1, unlike_others(1, 1000)).await;
        jump(state.path(), days);
        let store = store(state.path());
        store.purge(DAY * 30, MUCH).await.expect("purged");
        assert_eq!(numbers(&store).await, [1], "{days}");
        hold(&store, 2, unlike_others(2, 1000)).await;
        // Thirty days after that, they go.
        for number in [1, 2] {
            let file = state.path().join("held").join(crate::ledger::id(number).as_str()).join("held.json");
            let kept_at = fs::metadata(&file).expect("record").modified().expect("time");
            let file = fs::File::open(&file).expect("record");
            file.set_modified(kept_at - DAY * 31).expect("time");
        }
        store.purge(DAY * 30, MUCH).await.expect("purged");
        assert_eq!(numbers(&store).await, [0; 0], "{days}");
    }
}

#[tokio::test]
async fn copies_that_an_earlier_version_left_do_not_go_at_the_first_look_after_a_long_time() {
    let state = tempfile::tempdir().expect("directory");
    hold(&store(state.path()), 1, unlike_others(1, 1000)).await;
    fs::remove_file(state.path().join("clock")).expect("0.1.0 has no such file");
    held_days_ago(state.path(), 1, 20);
    for name in ["held", "claims", "held/.totals"] {
        let file = fs::File::open(state.path().join(name)).expect(name);
        file.set_modified(std::time::SystemTime::now() - DAY * 15).expect("time");
    }
    let store = store(state.path());
    store.purge(DAY * 10, MUCH).await.expect("purged");
    assert_eq!(numbers(&store).await, [1], "it was five days old when this was written last");
}

fn days_before(time: SystemTime, days: i64) -> SystemTime {
    let by = DAY * u32::try_from(days.unsigned_abs()).expect("days");
    if days > 0 { time - by } else { time + by }
}

fn run(place: &Place, ahead: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new("faketime");
    command.args(["--exclude-monotonic", "-f", ahead, MAILHATCH, "--config"]).arg(place.config()).args(arguments);
    run_with_input(command.env("NO_FAKE_STAT", "1"), input.as_bytes())
}

/// The real binary, whose clock jumps by 40 days and back.
#[needs(faketime)]
#[test]
fn a_command_after_a_jump_deletes_nothing_and_says_so() {
    for jump in ["+40d", "-40d"] {
        let place = Place::new(&format!("{BASE}{SPOOL}[held]\nkeep = \"30d\"\n"));
        let message = "From: jane@example.org\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n";
        let pipe = |ahead: &str, recipient: &str| {
            run(&place, ahead, &["pipe", "--sender=jane@example.org", &format!("--recipient={recipient}")], message)
        };
        assert!(pipe("+0", "nobody@example.com").status.success());
        assert!(pipe("+0", REPLY_ADDRESS).status.success());
        let purged = run(&place, jump, &["held", "purge"], "");
        let (out, err) = (String::from_utf8_lossy(&purged.stdout), String::from_utf8_lossy(&purged.stderr));
        assert!(purged.status.success() && out.starts_with("removed 0, kept 1"), "{jump}: {out}{err}");
        assert!(err.contains("the clock jumped"), "{jump}: {err}");
        let again = pipe(jump, REPLY_ADDRESS);
        let said = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(said.starts_with("2.0.0 duplicate"), "{jump}: {said}");
        // And back.
        let purged = run(&place, "+0", &["held", "purge"], "");
        assert!(String::from_utf8_lossy(&purged.stdout).starts_with("removed 0, kept 1"), "{jump}: {purged:?}");
        assert!(String::from_utf8_lossy(&purged.stderr).contains("the clock jumped"), "{jump}: {purged:?}");
        let purged = run(&place, "+0", &["held", "purge"], "");
        assert_eq!(String::from_utf8_lossy(&purged.stderr), "", "{jump}: said once");
        assert!(String::from_utf8_lossy(&pipe("+0", REPLY_ADDRESS).stdout).starts_with("2.0.0 duplicate"), "{jump}");
    }
}

/// What is short grows old all the same: by the time that passes.
#[test]
fn a_copy_goes_when_its_time_is_over() {
    let place = Place::new(&format!("{BASE}{SPOOL}[held]\nkeep = \"1s\"\n"));
    let message = b"From: jane@example.org\r\n\r\nhello\r\n";
    assert!(place.run(&["pipe", "--sender=", "--recipient=nobody@example.com"], message).status.success());
    std::thread::sleep(Duration::from_millis(1500));
    let purged = place.run(&["held", "purge"], b"");
    assert!(String::from_utf8_lossy(&purged.stdout).starts_with("removed 1, kept 0"), "{purged:?}");
}
