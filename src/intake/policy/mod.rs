//! Postfix's policy protocol (SMTPD_POLICY_README): a session without I/O, and the server that drives it.
//!
//! ```text
//! connection ─► session ─► request ─► Decide ─► answer
//! ```
//!
//! Postfix asks at RCPT TO, before it has taken the message. The answer is `DUNNO` or a 5xx; nothing here can let mail in
//! that Postfix would not take, or hold mail up. Whatever is unclear is `DUNNO`, or no answer at all: then Postfix goes on
//! as if nobody had been asked (`default_action=DUNNO`).

mod answer;
mod request;
mod session;

pub use answer::Answer;
pub use request::Request;
pub use session::{CloseReason, LONGEST_REQUEST, Session, Step};
