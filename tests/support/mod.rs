//! What the tests share: one of each, so that a test takes it from here and adds what is missing.
//!
//! A test that needs more than the toolchain says so, above `#[test]` or `#[tokio::test]`:
//!
//! ```ignore
//! use crate::support::needs;
//!
//! #[needs(opendkim)]
//! #[tokio::test]
//! async fn messages_signed_by_opendkim_are_verified() { … }
//! ```
//!
//! Where the part is missing, the test is reported as ignored, with the reason; where `MAILHATCH_REQUIRE=opendkim,root,…`
//! names it, the test fails. A new part is a line in `tests/setup.sh` (programs) or in `parts.rs`, and a word in `.ci/run`.
//! No test looks by itself whether something is there and returns.
//!
//! | wanted | where |
//! |---|---|
//! | a part that may be missing | [`needs`], [`parts`] |
//! | to wait for something: never without an end | [`wait`] |
//! | to run a program, or a child that is killed with the test | [`process`] |
//! | mailhatch with a configuration: one command, or `serve` | [`place`], [`service`], [`config`] |
//! | an LMTP client; a client for another protocol of lines | [`lmtp_client`], [`dialogue`] |
//! | the application over HTTP, TLS or a Unix socket | [`http_server`] |
//! | a name server, an SMTP server | [`name_server`], [`smtp_server`] |
#![allow(dead_code, reason = "each room uses its own part")]
#![allow(unused_imports, reason = "as above")]

pub mod parts;
pub use mailhatch_needs::needs;

// Waiting, and what is waited for: each wait has an end.
pub mod dialogue;
pub mod process;
pub mod wait;

// mailhatch itself.
pub mod config;
pub mod lmtp_client;
pub mod place;
pub mod service;

// What is around it.
pub mod http_server;
pub mod name_server;
pub mod notice_reader;
pub mod smtp_server;

// Mail.
pub mod bad_messages;
