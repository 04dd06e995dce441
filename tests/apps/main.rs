//! Real applications behind mailhatch behind a real Postfix: Action Mailbox, Redmine and Request Tracker from Debian's packages.
//!
//! `make test-apps` makes the Debian in which they run and runs these. Discourse and osTicket cannot be had as packages: a server
//! that is strict by their published code stands for them in `tests/app`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may panic, and prints its result"
)]

mod application;
mod arrived;
mod arrives;
mod checks;
mod restarts;
mod site;
mod speed;
#[path = "../support/mod.rs"]
mod support;
