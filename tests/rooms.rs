//! One integration-test binary; a module a room.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test may say what it saw")]

mod app;
mod architecture;
mod auth;
mod cli;
mod config;
mod event;
mod held;
mod intake;
mod ledger;
mod local_users;
mod notice;
mod pipeline;
mod reply;
mod requirements;
mod route;
mod screen;
mod support;
mod telemetry;
