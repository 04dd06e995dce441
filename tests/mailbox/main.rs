//! Mail from a mailbox: the IMAP session, and `mailhatch fetch` with real servers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test may say what it saw")]

mod check;
mod commands;
mod configuration;
mod connection;
mod credential;
mod faults;
mod fetch;
mod graph;
mod graph_campaign;
mod graph_figures;
mod host;
mod identity;
mod import;
mod lesser_servers;
mod marks;
mod oauth;
mod octets;
mod other_servers;
mod pieces;
mod provider;
#[path = "../faults/seed.rs"]
#[allow(dead_code, reason = "each test uses its own part")]
mod seed;
mod servers;
mod session;
#[allow(dead_code, reason = "each test uses its own part")]
mod site;
mod stand_by;
mod start_tls;
#[path = "../support/mod.rs"]
mod support;
mod trial;
mod troubles;
