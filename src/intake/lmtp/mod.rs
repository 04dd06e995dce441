//! LMTP (RFC 2033): a protocol session without I/O, and the server that drives it.
//!
//! ```text
//! server ─► connection ─► session ─► command, path, xforward
//!               │            └─────► data
//!               └─► service: budget, Deliver
//! ```
//!
//! [`Session`] turns octets into steps and never waits; [`serve`] owns sockets, time, memory and tasks. No reply here is
//! a 5xx that a correct client such as Postfix could meet: a 5xx would make it bounce the mail.

mod command;
mod connection;
mod data;
mod path;
mod reply;
mod server;
mod service;
mod session;
mod step;
mod xforward;

pub use reply::{CloseReason, Refusal};
pub use server::serve;
pub use service::ServerSettings;
pub use session::Session;
pub use step::{SessionLimits, Step, Transaction};
