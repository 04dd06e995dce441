//! Several processes at once, and processes that are killed. A child is the program `process.rs`.

use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

use mailhatch::ledger::{Begin, DeliveryLog, Ledger, Reservation};

use super::state::{EVENTS, request};
use super::{claimed, config, id, ledger};
use crate::support::needs;
use crate::support::process::{Lines, Process};

/// The child program, to be told its task, a state directory and a number.
pub fn child_program() -> &'static Path {
    let program: Option<&str> = option_env!("CARGO_BIN_EXE_ledger-process");
    Path::new(program.expect("built with --features crash-points only"))
}

struct Running {
    process: Process,
    input: ChildStdin,
    lines: Lines,
}

#[track_caller]
fn start(task: &str, state: &Path, number: u128) -> Running {
    let mut command = Command::new(child_program());
    command.arg(task).arg(state).arg(number.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::start(&mut command);
    let (input, lines) = (process.stdin(), process.lines());
    Running { process, input, lines }
}

impl Running {
    /// What the child says next.
    #[track_caller]
    fn says(&mut self) -> String {
        self.lines.next()
    }

    /// Lets the child go on.
    fn go_on(&mut self) {
        self.input.write_all(b"\n").expect("written");
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.process.kill();
    }

    #[track_caller]
    fn ends_well(mut self) {
        let status = self.process.wait();
        assert!(status.success(), "{status}");
    }
}

#[needs(crash_points)]
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

#[needs(crash_points)]
#[tokio::test]
async fn a_claim_ends_with_a_process_that_is_killed() {
    let state = tempfile::tempdir().expect("directory");
    let mut killed = start("claim", state.path(), 1);
    assert_eq!(killed.says(), "new");
    killed.kill();
    drop(claimed(&ledger(state.path()), 1).await);
}

#[needs(crash_points)]
#[tokio::test]
async fn what_was_finished_survives_a_process_that_is_killed() {
    let state = tempfile::tempdir().expect("directory");
    let mut killed = start("claim", state.path(), 1);
    assert_eq!(killed.says(), "new");
    killed.go_on();
    assert_eq!(killed.says(), "finished");
    killed.kill();
    assert!(matches!(ledger(state.path()).begin(&id(1)).await, Ok(Begin::Delivered(_))));
}

#[needs(crash_points)]
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

#[needs(crash_points)]
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

#[needs(crash_points)]
#[tokio::test]
async fn a_reservation_counts_while_its_process_lives() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = Ledger::new(&config(state.path(), "[notice]\ntotal_per_hour = 1\n"));
    let mut killed = start("reserve", state.path(), 1);
    assert_eq!(killed.says(), "granted");
    assert!(matches!(ledger.reserve_notice(request(1)).await, Ok(Reservation::InFlight)));
    assert!(matches!(ledger.reserve_notice(request(2)).await, Ok(Reservation::TotalLimit)));
    killed.kill();
    assert!(matches!(ledger.reserve_notice(request(2)).await, Ok(Reservation::Granted(_))));
    assert!(matches!(ledger.reserve_notice(request(1)).await, Ok(Reservation::Granted(_))), "the second was dropped");
}
