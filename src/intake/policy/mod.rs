//! Postfix's policy protocol (SMTPD_POLICY_README): a session without I/O, and the server that drives it.
//!
//! ```text
//! server ─► connection ─► session ─► request
//!               └─► service: Decide ─► answer
//! ```
//!
//! Postfix asks at RCPT TO, before it has taken the message. The answer is `DUNNO` or a 5xx; nothing here can let mail in
//! that Postfix would not take, or hold mail up. Whatever is unclear is `DUNNO`, or no answer at all: then Postfix goes on
//! as if nobody had been asked (`default_action=DUNNO`).

mod answer;
mod close;
mod connection;
mod request;
mod server;
mod service;
mod session;

pub use answer::Answer;
pub use close::CloseReason;
pub use request::Request;
pub use server::serve;
pub use service::{Decide, ServerSettings};
pub use session::{LONGEST_REQUEST, Session, Step};
