//! How mail comes in: LMTP (a protocol session without I/O, and the server that drives it) and the pipe command; and what
//! Postfix asks before it takes a message.
//!
//! Knows Postfix; decides nothing. Every accepted message goes to a [`Deliver`], and its outcomes are the answer.

pub mod accept;
pub mod budget;
pub mod listener;
pub mod lmtp;
pub mod mailbox;
pub mod pipe;
pub mod policy;
pub mod shutdown;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::mail::{Content, Envelope};
use crate::outcome::Outcome;

/// What intake hands a message to.
pub trait Deliver: Send + Sync + 'static {
    /// Takes the message through the pipeline. Gives exactly one outcome for each envelope recipient, in their order, within
    /// the deadline, whatever happens.
    fn deliver(self: Arc<Self>, envelope: Envelope, content: Content) -> BoxFuture<'static, Vec<Outcome>>;

    /// The limits in force where they can change while the service runs; `None`: those that it was started with.
    fn limits(&self) -> Option<MessageLimits> {
        None
    }
}

/// What a message is measured by as it comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// Octets that stay in memory; the rest goes to a file.
    pub message_size: u64,
    /// Octets that all messages together may have in memory.
    pub memory: u64,
    /// Recipients of one message.
    pub recipients: usize,
}
