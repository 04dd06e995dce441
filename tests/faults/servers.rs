//! The mail server of the tests of mailboxes.

#![allow(dead_code, reason = "a soak uses its own part")]

#[path = "../mailbox/servers/client.rs"]
mod client;
#[path = "../mailbox/servers/dovecot.rs"]
mod dovecot;
#[path = "../mailbox/servers/loopback.rs"]
mod loopback;

pub use client::Imap;
pub use dovecot::Dovecot;
pub use loopback::*;

pub use crate::support::wait::{LIMIT, wait_for};
