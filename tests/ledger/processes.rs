//! Several processes at once, and processes that are killed.
//!
//! A child is this test program again, told by the environment to run nothing but [`child`].

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use mailhatch::ledger::{Begin, DeliveryLog, Ledger, NoticeRequest, Reservation};

use super::{claimed, config, id, ledger};

const TASK: &str = "MAILHATCH_LEDGER_TASK";
const STATE: &str = "MAILHATCH_LEDGER_STATE";
const NUMBER: &str = "MAILHATCH_LEDGER_NUMBER";

struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

fn start(task: &str, state: &Path, number: u128) -> Running {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "ledger::processes::child", "--nocapture"])
        .env(TASK, task)
        .env(STATE, state)
        .env(NUMBER, number.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("child");
    let lines = BufReader::new(child.stdout.take().expect("output"));
    Running { child, lines }
}

impl Running {
    /// What the child says next.
    fn says(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).expect("output"), 0, "the child ended without a word");
            if let Some((_, said)) = line.split_once("child: ") {
                return said.trim_end().to_owned();
            }
        }
    }

    /// Lets the child go on.
    fn go_on(&mut self) {
        self.child.stdin.as_mut().expect("input").write_all(b"\n").expect("written");
    }

    fn ends_well(mut self) {
        assert!(self.child.wait().expect("end").success());
    }
}

/// What a child does; nothing in a test run of its own.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let state = std::env::var(STATE).expect("state directory");
    let number: u128 = std::env::var(NUMBER).expect("number").parse().expect("number");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        match task.as_str() {
            "claim" => claim_and_wait(&ledger(Path::new(&state)), number).await,
            "race" => race(&ledger(Path::new(&state)), Path::new(&state)).await,
            "notices" => notices(&Ledger::new(&config(Path::new(&state), LIMITS)), number).await,
            "reserve" => reserve_and_wait(&Ledger::new(&config(Path::new(&state), LIMITS)), number).await,
            other => panic!("{other}"),
        }
    });
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "child: {text}").and_then(|()| out.flush()).expect("output");
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
    }
}

#[tokio::test]
async fn a_claim_holds_in_every_process() {
    let state = tempfile::tempdir().expect("directory");
    let mut first = start("claim", state.path(), 1);
    assert_eq!(first.says(), "new");
    let mut second = start("claim", state.path(), 1);
    assert_eq!(second.says(), "in flight");
    second.ends_well();
    assert!(matches!(ledger(state.path()).begin(&id(1)).await, Ok(Begin::InFlight)));
    first.go_on();
    assert_eq!(first.says(), "finished");
    first.ends_well();
    let mut third = start("claim", state.path(), 1);
    assert_eq!(third.says(), "delivered");
    third.ends_well();
}

#[tokio::test]
async fn a_claim_ends_with_a_process_that_is_killed() {
    let state = tempfile::tempdir().expect("directory");
    let mut killed = start("claim", state.path(), 1);
    assert_eq!(killed.says(), "new");
    killed.child.kill().expect("SIGKILL");
    killed.child.wait().expect("end");
    drop(claimed(&ledger(state.path()), 1).await);
}

#[tokio::test]
async fn what_was_finished_survives_a_process_that_is_killed() {
    let state = tempfile::tempdir().expect("directory");
    let mut killed = start("claim", state.path(), 1);
    assert_eq!(killed.says(), "new");
    killed.go_on();
    assert_eq!(killed.says(), "finished");
    killed.child.kill().expect("SIGKILL");
    killed.child.wait().expect("end");
    assert!(matches!(ledger(state.path()).begin(&id(1)).await, Ok(Begin::Delivered(_))));
}

const EVENTS: u128 = 40;

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
                Begin::InFlight => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
    while ledger.settle().await.is_err() {}
    say("done");
}

#[test]
fn processes_at_once_make_the_ledger_once_and_hand_each_event_over_once() {
    let state = tempfile::tempdir().expect("directory");
    std::fs::write(state.path().join("application"), "").expect("file");
    let mut children: Vec<_> = (0..4).map(|_| start("race", state.path(), 0)).collect();
    children.iter_mut().for_each(|child| assert_eq!(child.says(), "ready"));
    children.iter_mut().for_each(Running::go_on);
    for mut child in children {
        assert_eq!(child.says(), "done");
        child.ends_well();
    }
    let application = std::fs::read_to_string(state.path().join("application")).expect("file");
    let mut handed_over: Vec<u128> = application.lines().map(|line| line.parse().expect("number")).collect();
    handed_over.sort_unstable();
    assert_eq!(handed_over, (0..EVENTS).collect::<Vec<_>>());
}

const LIMITS: &str = "[notice]\ninterval = \"24h\"\nper_domain_per_hour = 100\ntotal_per_hour = 10\n";

fn request(number: u128) -> NoticeRequest {
    NoticeRequest { id: id(number), canonical: format!("{number}@example.org"), domain: "example.org".into() }
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

#[test]
fn processes_at_once_keep_one_limit_of_notices() {
    let state = tempfile::tempdir().expect("directory");
    let mut children: Vec<_> = (0..3).map(|child| start("notices", state.path(), child * 100)).collect();
    children.iter_mut().for_each(|child| assert_eq!(child.says(), "ready"));
    children.iter_mut().for_each(Running::go_on);
    let sent: u32 = children.iter_mut().map(|child| child.says().parse::<u32>().expect("number")).sum();
    assert_eq!(sent, 10);
    children.into_iter().for_each(Running::ends_well);
}

async fn reserve_and_wait(ledger: &Ledger, number: u128) {
    let reservation = ledger.reserve_notice(request(number)).await.expect("answer");
    assert!(matches!(reservation, Reservation::Granted(_)), "{reservation:?}");
    say("granted");
    wait();
}

#[tokio::test]
async fn a_reservation_counts_while_its_process_lives() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = Ledger::new(&config(state.path(), "[notice]\ntotal_per_hour = 1\n"));
    let mut killed = start("reserve", state.path(), 1);
    assert_eq!(killed.says(), "granted");
    assert!(matches!(ledger.reserve_notice(request(1)).await, Ok(Reservation::InFlight)));
    assert!(matches!(ledger.reserve_notice(request(2)).await, Ok(Reservation::TotalLimit)));
    killed.child.kill().expect("SIGKILL");
    killed.child.wait().expect("end");
    assert!(matches!(ledger.reserve_notice(request(2)).await, Ok(Reservation::Granted(_))));
    assert!(matches!(ledger.reserve_notice(request(1)).await, Ok(Reservation::Granted(_))), "the second was dropped");
}
