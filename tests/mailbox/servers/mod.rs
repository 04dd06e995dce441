//! Real IMAP servers, each from a private directory and gone when dropped; and a client of the tests' own to look at them.

#![allow(dead_code, reason = "each test uses its own part")]

pub mod client;
pub mod debian;
pub mod dovecot;
pub mod graph;
pub mod loopback;
pub mod proxy;

pub use client::Imap;
pub use dovecot::Dovecot;
pub use loopback::*;
pub use proxy::{Act, At, Fault, Proxy, Rewrite};

pub use crate::support::wait::{LIMIT, wait_for};
