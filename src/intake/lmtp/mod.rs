//! LMTP (RFC 2033): a protocol session without I/O, and the server that drives it.
//!
//! ```text
//! listener ─► server ─► connection ─► session ─► command, path, xforward
//!                           │            └─────► data
//!                           └─► budget, Deliver
//! ```
//!
//! [`Session`] turns octets into steps and never waits; [`serve`] owns sockets, time, memory and tasks. No reply here is
//! a 5xx that a correct client such as Postfix could meet: a 5xx would make it bounce the mail.

mod budget;
mod command;
mod connection;
mod data;
mod listener;
mod path;
mod reply;
mod server;
mod session;
mod shutdown;
mod step;
mod xforward;

pub use budget::{Budget, Reservation};
pub use listener::{ListenError, Listener};
pub use reply::{Farewell, Refusal};
pub use server::{LogHook, Settings, serve};
pub use session::Session;
pub use shutdown::{Shutdown, ShutdownTrigger};
pub use step::{SessionLimits, Step, Transaction};
