//! Several hosts with one Redis: real `serve` and `pipe` processes with state directories of their own, a real redis-server,
//! real Sentinels, networks between them that are cut.
//!
//! What `docs/several-hosts.md` says may happen is shown here, and it names these tests.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test may say what it saw")]

mod check;
mod crashes;
mod deliveries;
mod failover;
mod faults;
mod hosts;
mod notices;
mod page;
#[path = "../support/mod.rs"]
mod support;
