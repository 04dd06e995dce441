//! Mail that lies in a mailbox: `mailhatch fetch` reads it there and hands it to the same [`Deliver`](super::Deliver) as LMTP
//! and `pipe`.
//!
//! A message is marked, moved or deleted only when every verdict for it is final and on disk; what is not ours is not
//! touched. It decides nothing about a message.

mod beginning;
pub mod candidates;
mod delivery;
pub mod either;
pub mod failure;
pub mod graph;
pub mod https;
pub mod imap;
pub mod number_set;
pub mod oauth;
pub mod pulse;
pub mod queue;
pub mod reader;
pub mod report;
mod settle;
pub mod source;
