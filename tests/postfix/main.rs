//! mailhatch behind a real Postfix: every promise about the MTA is kept by running one.
//!
//! Each test starts a Postfix of its own on a free loopback port, with its configuration, queue and log in a temporary
//! directory, wired by `postfix/mailhatch-postfix` itself. Needs root and an installed Postfix (`tests/setup.sh`).
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test may panic, and may say what it does"
)]

mod check;
mod delivery;
mod facts;
mod faults;
mod load;
mod loops;
mod notices;
mod patience;
mod proof;
mod refuse;
mod refuse_faults;
mod refuse_wiring;
mod service;
mod stubs;
#[path = "../support/mod.rs"]
mod support;
mod verdicts;
mod wiring;
