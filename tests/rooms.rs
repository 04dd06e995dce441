//! One integration-test binary; a module a room.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod route;
mod intake;
mod auth;
mod ledger;
mod app;
mod support;
