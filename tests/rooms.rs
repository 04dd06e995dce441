//! One integration-test binary; a module a room.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod app;
mod auth;
mod config;
mod intake;
mod ledger;
mod pipeline;
mod route;
mod screen;
mod auth;
mod intake;
mod ledger;
mod route;
mod support;
mod telemetry;
