//! A process that uses the ledger beside others, and does what it is told: the child of `processes.rs` and `faults.rs`. Built
//! with the feature `crash-points` only, so it is never beside a released binary.
//!
//! `ledger-process TASK STATE_DIRECTORY NUMBER`: it says on standard output how far it is, and waits for a line where its parent
//! is to do something meanwhile. Its parent ends it when it takes too long.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test program")]

mod state;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use mailhatch::ledger::{Begin, DeliveryLog, Ledger, Reservation};
use state::{EVENTS, claimed, config, held, hold, id, ledger, refused, request};

const LIMITS: &str = "[notice]\ninterval = \"24h\"\nper_domain_per_hour = 100\ntotal_per_hour = 10\n";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, task, state, number] = &arguments[..] else { panic!("TASK STATE_DIRECTORY NUMBER") };
    let (state, number) = (Path::new(state), number.parse::<u128>().expect("a number"));
    match task.as_str() {
        "claim" => claim_and_wait(&ledger(state), number).await,
        "race" => race(&ledger(state), state).await,
        "notices" => notices(&Ledger::new(&config(state, LIMITS)), number).await,
        "reserve" => reserve_and_wait(&Ledger::new(&config(state, LIMITS)), number).await,
        "full-disk" => on_a_full_disk(state).await,
        "read-only-disk" => on_a_read_only_disk(state).await,
        other => panic!("{other} is not the name of a task"),
    }
}

fn say(text: &str) {
    println!("{text}");
}

fn wait() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("input");
}

async fn claim_and_wait(ledger: &Ledger, number: u128) {
    match ledger.begin(&id(number)).await.expect("begun") {
        Begin::New(claim) => {
            say("new");
            wait();
            ledger.finish(claim).await.expect("recorded");
            say("finished");
        }
        Begin::InFlight => say("in flight"),
        Begin::Delivered(_) => say("delivered"),
        other => panic!("{other:?}"),
    }
}

/// Hands every event over until all are delivered; the application is a file.
async fn race(ledger: &Ledger, state: &Path) {
    say("ready");
    wait();
    for number in 0..EVENTS {
        loop {
            // An error is a deferral: the MTA tries again.
            let Ok(begin) = ledger.begin(&id(number)).await else { continue };
            match begin {
                Begin::New(claim) => {
                    let mut application =
                        OpenOptions::new().append(true).open(state.join("application")).expect("open");
                    writeln!(application, "{number}").expect("handed over");
                    // Not recorded at once, it is recorded later.
                    let _ = ledger.finish(claim).await;
                    break;
                }
                Begin::Delivered(_) => break,
                other @ (Begin::DeliveredElsewhere { .. } | Begin::SharedDown { .. }) => panic!("{other:?}"),
                Begin::InFlight => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
    while ledger.settle().await.is_err() {}
    say("done");
}

async fn notices(ledger: &Ledger, first: u128) {
    say("ready");
    wait();
    let mut sent = 0;
    for number in first..first + 8 {
        let reservation = loop {
            // An error is a deferral: the MTA tries again.
            if let Ok(reservation) = ledger.reserve_notice(request(number)).await {
                break reservation;
            }
        };
        if let Reservation::Granted(claim) = reservation {
            let _ = ledger.confirm_notice(claim).await;
            sent += 1;
        }
    }
    while ledger.settle().await.is_err() {}
    say(&sent.to_string());
}

async fn reserve_and_wait(ledger: &Ledger, number: u128) {
    let reservation = ledger.reserve_notice(request(number)).await.expect("answer");
    assert!(matches!(reservation, Reservation::Granted(_)), "{reservation:?}");
    say("granted");
    wait();
}

/// The directory is a file system of a mebibyte.
async fn on_a_full_disk(state: &Path) {
    let ledger = ledger(state);
    let before = claimed(&ledger, 0).await;
    hold(state, 0, 100).await.expect("held");
    let error = hold(state, 1, 2_000_000).await.expect_err("too much");
    assert!(error.full && error.detail.contains("free space"), "{error}");
    assert_eq!(held(state).list().await.expect("list").records.len(), 1, "half a copy is none");

    let filler = state.join("filler");
    while OpenOptions::new()
        .append(true)
        .create(true)
        .open(&filler)
        .and_then(|mut f| std::io::Write::write_all(&mut f, &[0; 4096]))
        .is_ok()
    {}
    // The log has room left over for a while.
    let mut number = 1;
    let error = loop {
        match ledger.begin(&id(number)).await {
            Ok(Begin::New(claim)) => drop(claim),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
        number += 1;
    };
    assert!(error.full && error.detail.contains("disk is full"), "{error}");
    let unrecorded = ledger.finish(before).await.expect_err("not recorded");
    assert!(unrecorded.0.full, "{unrecorded}");
    assert!(matches!(ledger.begin(&id(0)).await, Ok(Begin::Delivered(_))), "not handed over twice");
    ledger.first_refusal(&id(1)).await.expect_err("full");

    fs::remove_file(filler).expect("freed");
    ledger.settle().await.expect("recorded");
    drop(claimed(&ledger, number).await);
    assert!(matches!(state::ledger(state).begin(&id(0)).await, Ok(Begin::Delivered(_))), "recorded at the next chance");
    hold(state, 1, 100).await.expect("held");
}

/// The directory cannot be written to.
async fn on_a_read_only_disk(state: &Path) {
    let ledger = ledger(state);
    let error = refused(&ledger, 1).await;
    assert!(error.detail.contains("mount it writable"), "{error}");
    hold(state, 1, 100).await.expect_err("read-only");
}
