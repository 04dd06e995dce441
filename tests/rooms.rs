//! One integration-test binary; a module a room.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod auth;
mod intake;
mod ledger;
mod route;
mod support;
mod telemetry;
