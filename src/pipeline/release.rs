//! Putting a held copy through the pipeline again, for the one recipient it was kept for. It is removed once it is delivered,
//! and that is written down; everybody who releases a copy, by hand or by itself, comes here.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::execute::RULE_PATIENCE;
use crate::event_id::EventId;
use crate::held::{ClaimedCopy, HeldClaim};
use crate::mail::Envelope;
use crate::outcome::Outcome;
use crate::state_dir::StateError;
use crate::verdict::Verdict;

/// What became of a copy that was to be released.
#[derive(Debug)]
pub enum Released {
    /// The application has it, and the copy is gone.
    Delivered(Outcome),
    /// The application does not take mail at the moment: the copy stays as it is.
    Waits(Outcome),
    /// It was set aside, rejected or held once more: the copy stays, with the new reason.
    StillHeld(Outcome),
    /// The same event was delivered before this copy was kept, perhaps from another message: the copy stays, and does not wait
    /// any more.
    DeliveredBefore(Outcome),
    /// Another task or process is at it.
    InUse,
    /// There is none of this id.
    None,
}

impl Engine {
    /// Releases one copy. No other task or process can release the same one meanwhile.
    ///
    /// # Errors
    /// The copy cannot be read or removed, or the delivery not be written down; the copy stays.
    pub async fn release(self: &Arc<Self>, id: &EventId) -> Result<Released, StateError> {
        let copy = match self.held.claim(id).await? {
            HeldClaim::Claimed(copy) => copy,
            HeldClaim::InUse => return Ok(Released::InUse),
            HeldClaim::None => return Ok(Released::None),
        };
        let record = copy.record.clone();
        let envelope = Envelope { recipients: vec![record.recipient], ..record.envelope };
        let Some(outcome) = self.deliver_all(envelope, copy.content.clone()).await.pop() else {
            return Err(StateError::new("internal error: the copy has no recipient"));
        };
        match &outcome.verdict {
            Verdict::Delivered => {
                self.remove_delivered(id).await?;
                Ok(Released::Delivered(outcome))
            }
            // What only waited for its application is what its next try would have been: a duplicate.
            Verdict::Duplicate if copy.record.rule == RULE_PATIENCE => {
                self.remove_delivered(id).await?;
                Ok(Released::Delivered(outcome))
            }
            Verdict::Duplicate if self.was_delivered_since(&outcome, copy.age).await? => {
                // By a release that ended before it could remove the copy.
                self.remove_delivered(id).await?;
                Ok(Released::Delivered(outcome))
            }
            Verdict::Duplicate => {
                self.delivered_before(&copy).await?;
                Ok(Released::DeliveredBefore(outcome))
            }
            Verdict::Deferred(_) | Verdict::Held { rule: RULE_PATIENCE, .. } => Ok(Released::Waits(outcome)),
            Verdict::Held { .. } | Verdict::Ignored { .. } | Verdict::Rejected(_) => {
                // Under another configuration it may be another mailbox's, and is kept under the id that this gives it.
                if outcome.effects.held && outcome.id.as_ref().is_some_and(|kept| kept != id) {
                    self.held.remove(id).await?;
                }
                Ok(Released::StillHeld(outcome))
            }
        }
    }

    /// Removes a copy that the application has.
    async fn remove_delivered(&self, id: &EventId) -> Result<(), StateError> {
        // Before the copy is gone: nobody else knows of a delivery that this process could not record.
        self.log.settle().await.map_err(|unrecorded| unrecorded.0)?;
        self.held.remove(id).await.map(drop)
    }

    async fn delivered_before(&self, copy: &ClaimedCopy) -> Result<(), StateError> {
        let detail = "the same event was delivered before this copy was kept, perhaps from another message";
        self.held.relabel(copy, "held", "duplicate", detail).await
    }

    /// Whether the event was surely delivered while the copy was kept.
    async fn was_delivered_since(&self, outcome: &Outcome, kept_for: Duration) -> Result<bool, StateError> {
        let Some(id) = &outcome.id else { return Ok(false) };
        // The ledger counts in whole seconds: it may be almost a second longer ago than it says.
        let at_most = |delivered: Duration| delivered + Duration::from_secs(1);
        Ok(self.log.delivered(id).await?.is_some_and(|delivered| at_most(delivered) <= kept_for))
    }
}
