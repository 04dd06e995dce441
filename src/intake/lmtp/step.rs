//! What passes between a session and its driver.

use bytes::Bytes;

use super::reply::CloseReason;
use crate::mail::Envelope;

/// What a session takes.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Octets of a message that stay in memory; the rest is [`Step::Overflow`].
    pub message_size: usize,
    /// Recipients of one message.
    pub recipients: usize,
}

/// What the driver has to do next.
#[derive(Debug)]
pub enum Step {
    /// Read octets, push them, and ask again.
    Read,
    /// Write these replies, and ask again. Replies to pipelined commands come together (RFC 2920).
    Write(Bytes),
    /// The client wants to send a message: `Session::go` or `Session::refuse`.
    Begin {
        /// SIZE= of MAIL, in octets; a client may be wrong about it.
        declared_size: Option<u64>,
    },
    /// Octets of a message over the limit, in order: keep them, or `Session::discard`.
    Overflow(Bytes),
    /// A message is here whole: hand it on, then `Session::answer`.
    Submit(Transaction),
    /// [`Step::Begin`] or [`Step::Submit`] has not been answered yet.
    Wait,
    /// Close the connection. Every reply has been given out.
    Close(CloseReason),
}

/// A message with its envelope.
#[derive(Debug)]
pub struct Transaction {
    /// The envelope; it has at least one recipient.
    pub envelope: Envelope,
    /// The message, up to the limit.
    pub content: Vec<u8>,
    /// Octets given out as [`Step::Overflow`].
    pub rest: u64,
}
