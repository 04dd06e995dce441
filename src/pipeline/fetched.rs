//! Mail that lay in a mailbox: its envelope is worked out from the message, and mail that is not ours is left alone.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Engine;
use crate::auth::Trace;
use crate::config::UnknownMail;
use crate::intake::{DeliverFetched, Fetched, Handled};
use crate::mail::{Client, Envelope, Message, Origin, Recipient, Sender};
use crate::outcome::{Explanation, Outcome};
use crate::route::Unrouted;
use crate::trail::Trail;
use crate::verdict::Deferral;

/// What `explain` says of a message in a mailbox.
#[derive(Debug)]
pub struct FetchedExplanation {
    /// Its recipients, as they were worked out.
    pub recipients: Vec<Recipient>,
    /// Whether it would be left where it is: it has no address of ours.
    pub is_left: bool,
    /// Whether the provider's trace fields have the form that is believed.
    pub is_believed: bool,
    /// What would become of it for each recipient, if it were not left.
    pub explanations: Vec<Explanation>,
}

impl Engine {
    /// What would become of a message in a mailbox. Changes nothing.
    ///
    /// # Errors
    /// The message cannot be read.
    pub async fn explain_fetched(&self, fetched: Fetched) -> Result<FetchedExplanation, Deferral> {
        let (envelope, is_believed) = self.envelope_of(&fetched);
        let is_left = self.is_to_be_left(&fetched, &envelope);
        let recipients = envelope.recipients.clone();
        let explanations = self.explain(envelope, fetched.content).await?;
        Ok(FetchedExplanation { recipients, is_left, is_believed, explanations })
    }

    /// What would become of a message in a mailbox for each recipient; `None`: it would be left where it is. Changes nothing.
    ///
    /// # Errors
    /// The message cannot be read.
    pub async fn preview_fetched(&self, fetched: Fetched) -> Result<Option<Vec<Outcome>>, Deferral> {
        let (envelope, _) = self.envelope_of(&fetched);
        if self.is_to_be_left(&fetched, &envelope) {
            return Ok(None);
        }
        let explanations = self.explain(envelope, fetched.content).await?;
        Ok(Some(explanations.into_iter().map(|explanation| explanation.outcome).collect()))
    }

    /// Whether the trace fields of a message in a mailbox have the form that is believed of its provider.
    pub fn believes_trace_of(&self, fetched: &Fetched) -> bool {
        self.envelope_of(fetched).1
    }

    /// The envelope that the message's own fields tell of, and whether its provider's have the form that is believed.
    fn envelope_of(&self, fetched: &Fetched) -> (Envelope, bool) {
        let message = Message::parse(fetched.content.clone());
        let trace = Trace::read(&fetched.origin, &self.config.hostname, &message);
        let mut recipients = self.routes.recipients_of(&message, &trace.recipients);
        if recipients.is_empty() {
            // Another source of the header may still tell whose it is.
            recipients.push(Recipient::new(&fetched.user));
        }
        let envelope = Envelope {
            sender: trace.sender.unwrap_or(Sender::Unknown),
            recipients,
            // The mailbox's server does not tell who handed the message to it.
            client: Client::default(),
            queue_id: None,
            origin: Origin::Mailbox(fetched.origin.clone()),
        };
        (envelope, trace.has_border)
    }

    /// Mail with no address of ours is nobody's business, whatever else it is: routing says so before the screen looks. An
    /// empty message has no address at all, and is held, because it should not be there.
    fn is_to_be_left(&self, fetched: &Fetched, envelope: &Envelope) -> bool {
        if fetched.unknown == UnknownMail::Reject || fetched.content.size() == 0 {
            return false;
        }
        let message = Message::parse(fetched.content.clone());
        let mut found = envelope.recipients.iter().map(|to| self.routes.find(&message, to, &mut Trail::off()));
        found.all(|route| matches!(route, Err(Unrouted::NoMailbox)))
    }

    async fn handle(self: Arc<Self>, fetched: Fetched) -> Handled {
        let (envelope, _) = self.envelope_of(&fetched);
        if self.is_to_be_left(&fetched, &envelope) {
            return Handled::Left;
        }
        let mut outcomes: Vec<Outcome> = Vec::new();
        for recipients in envelope.recipients.chunks(self.config.limits.recipients) {
            let envelope = Envelope { recipients: recipients.to_vec(), ..envelope.clone() };
            outcomes.extend(self.deliver_all(envelope, fetched.content.clone()).await);
        }
        Handled::Answered(outcomes)
    }
}

impl DeliverFetched for Engine {
    fn deliver_fetched(self: Arc<Self>, fetched: Fetched) -> BoxFuture<'static, Handled> {
        self.handle(fetched).boxed()
    }
}
