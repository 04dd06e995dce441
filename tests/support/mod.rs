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
#![allow(dead_code, reason = "each room uses its own part")]
#![allow(unused_imports, reason = "as above")]

pub mod parts;
pub use mailhatch_needs::needs;

pub mod name_server;

pub mod bad_messages;
pub mod config;
pub mod http_server;
pub mod notice_reader;
pub mod service;
pub mod smtp_server;
