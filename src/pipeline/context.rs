//! What is known of a message on its way, worked out once for all its recipients.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::auth::Authentication;
use crate::event_id::MessageDigest;
use crate::held::HeldMessage;
use crate::mail::{Envelope, Message, Recipient};
use crate::route::{Mask, Route, Unrouted};
use crate::screen::Findings;
use crate::trail::Step;
use crate::verdict::Deferral;

/// A message on its way.
pub(super) struct MessageContext {
    pub(super) envelope: Arc<Envelope>,
    pub(super) message: Message,
    pub(super) digest: MessageDigest,
    pub(super) deadline: Instant,
    pub(super) findings: Findings,
    /// Whose it is, for each recipient in their order.
    pub(super) routed: Vec<Routed>,
    pub(super) authentication: OnceCell<Arc<Authentication>>,
    /// Reading it failed, or took too long: nothing is known but its octets.
    pub(super) fault: Option<Deferral>,
    /// What everything that is said of it goes through.
    pub(super) mask: Arc<Mask>,
    pub(super) held: HeldMessage,
}

impl MessageContext {
    /// Each recipient with what routing found for it.
    pub(super) fn recipients(&self) -> impl Iterator<Item = (&Recipient, &Routed)> {
        self.envelope.recipients.iter().zip(&self.routed)
    }

    /// An MTA never hands over an empty message. A mailbox may have one after a fault of its server, and what it was cannot
    /// be known.
    pub(super) fn is_lost(&self) -> bool {
        self.message.size() == 0 && self.envelope.origin.mailbox().is_some()
    }
}

/// Whose a message is, and how that was found.
pub(super) struct Routed {
    pub(super) route: Result<Route, Unrouted>,
    pub(super) steps: Vec<Step>,
}

/// What the message's id is made of, as far as it does not depend on the recipient.
pub(super) fn digest(message: &Message, envelope: &Envelope) -> Result<MessageDigest, Deferral> {
    let digest = match envelope.origin.mailbox() {
        None => MessageDigest::of(message, envelope.queue_id.as_deref()),
        Some(mailbox) if mailbox.is_rewritten() => Ok(MessageDigest::of_rewritten(message, Some(&mailbox.stand_in()))),
        Some(mailbox) => MessageDigest::of(message, Some(&mailbox.stand_in())),
    };
    digest.map_err(|error| Deferral::local_state(format!("the message cannot be read again: {error}"), false))
}
