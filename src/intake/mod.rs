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

use crate::config::UnknownMail;
use crate::mail::{Content, Envelope, InMailbox};
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

/// What takes messages that lay in a mailbox.
pub trait DeliverFetched: Send + Sync + 'static {
    /// Takes the message through the modules, or leaves it alone, within the deadline, whatever happens.
    fn deliver_fetched(self: Arc<Self>, fetched: Fetched) -> BoxFuture<'static, Handled>;
}

/// A message that lay in a mailbox.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it lay.
    pub origin: Arc<InMailbox>,
    /// Whose mailbox it is: the recipient if nothing else tells.
    pub user: String,
    /// What becomes of it if it has no address of ours.
    pub unknown: UnknownMail,
    /// The message.
    pub content: Content,
}

/// What was done about a message that lay in a mailbox.
#[derive(Clone, Debug)]
pub enum Handled {
    /// It is not ours, and nothing was done.
    Left,
    /// One outcome for each recipient that it was found to have.
    Answered(Vec<Outcome>),
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
