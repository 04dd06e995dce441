//! One integration-test binary; a module a room.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod app;
mod auth;
mod config;
mod intake;
mod ledger;
mod notice;
mod pipeline;
mod route;
mod screen;
mod support;
