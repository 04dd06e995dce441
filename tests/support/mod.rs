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
//! | mailhatch behind a private Postfix, with a user of its own | [`site`], [`postfix`], [`submission`] |
//! | a host with encrypted credentials | [`credential_host`] |
//! | an LMTP client; a client for another protocol of lines | [`lmtp_client`], [`dialogue`] |
//! | the application over HTTP, TLS or a Unix socket | [`http_server`] |
//! | an event of a spool, or of a webhook's request, held against its schema | [`events`] |
//! | a name server, an SMTP server | [`name_server`], [`smtp_server`] |
//! | DKIM signatures, good and bad | [`signer`] |
//! | Redis and Sentinel, and a network between that can be cut | [`redis`], [`namespace`] |
//! | a notice as Python reads it | [`notice_reader`] |
#![allow(dead_code, reason = "each room uses its own part")]
#![allow(unused_imports, reason = "as above")]
#![allow(clippy::print_stderr, reason = "what went wrong is shown beside the panic")]

pub mod parts;
pub use mailhatch_needs::needs;

// Waiting, and what is waited for: each wait has an end.
pub mod dialogue;
pub mod process;
pub mod wait;

// mailhatch itself.
pub mod config;
pub mod credential_host;
pub mod lmtp_client;
pub mod place;
pub mod service;
pub mod site;

// What is around it.
pub mod http_server;
pub mod name_server;
pub mod namespace;
pub mod notice_reader;
pub mod postfix;
pub mod redis;
pub mod signer;
pub mod smtp_server;
pub mod submission;

// Mail.
pub mod bad_messages;
pub mod events;
