//! A message that nobody takes: all that a notice may be decided and written by.

use crate::event_id::EventId;
use crate::mail::{Envelope, Message, Recipient};
use crate::route::Routes;
use crate::screen::Findings;
use crate::verdict::Rejection;

/// A message that nobody takes, for one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Rejected<'a> {
    /// The event's id: a second try must not write a second notice.
    pub id: &'a EventId,
    /// What the MTA said.
    pub envelope: &'a Envelope,
    /// What came in.
    pub message: &'a Message,
    /// For whom it was.
    pub recipient: &'a Recipient,
    /// Why nobody takes it.
    pub rejection: &'a Rejection,
    /// Whether a machine made it, or a filter marked it, also where such mail is configured to be delivered.
    pub findings: &'a Findings,
    /// Our own addresses, which are never written to.
    pub routes: &'a Routes,
}
