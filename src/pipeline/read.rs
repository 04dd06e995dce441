//! Reading a message: all that is worked out once for all its recipients, before anything is decided.
//!
//! Whatever a message holds, it must not cost a thread or a panic to others: one that cannot be read is still one that can be held.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use super::Engine;
use super::context::{MessageContext, Routed, digest};
use crate::held::HeldMessage;
use crate::mail::{Content, Envelope, Message};
use crate::route::Unrouted;
use crate::screen::{self, Findings};
use crate::telemetry::TimedStep;
use crate::trail::Trail;
use crate::verdict::Deferral;

/// A message up to this size in octets is read where it comes in; a larger one on a thread that may be busy for a while.
const READ_AT_ONCE: u64 = 64 * 1024;

impl Engine {
    /// All that reading a message comes to, once for all its recipients: what grows with its size, and waits for nothing.
    pub(super) fn read(
        &self,
        envelope: Arc<Envelope>,
        content: Content,
        deadline: Instant,
        trail: fn() -> Trail,
    ) -> Result<MessageContext, Deferral> {
        let read = || {
            let message = Message::parse(content.clone());
            let examine = || screen::examine(&envelope, &message, trail());
            let findings = self.telemetry.time(TimedStep::Screen, examine);
            let route = |recipient| {
                let mut routing = trail();
                let find = || self.routes.find(&message, recipient, &mut routing);
                let route = self.telemetry.time(TimedStep::Route, find);
                Routed { route, steps: routing.into_steps() }
            };
            Ok(MessageContext {
                digest: digest(&message, &envelope)?,
                routed: envelope.recipients.iter().map(route).collect(),
                held: HeldMessage::of(message.content()),
                authentication: OnceCell::new(),
                fault: None,
                mask: Arc::new(self.routes.mask_of(&envelope, Some(&message))),
                envelope: envelope.clone(),
                deadline,
                message,
                findings,
            })
        };
        // A panic is a bug of ours, which must not cost the message.
        std::panic::catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| self.unread(envelope.clone(), content, deadline, Deferral::internal_error()))
    }

    /// A message that nothing is known of but its octets, so that it can be deferred, and held in the end.
    fn unread(
        &self,
        envelope: Arc<Envelope>,
        content: Content,
        deadline: Instant,
        fault: Deferral,
    ) -> Result<MessageContext, Deferral> {
        let message = Message::unread(content);
        let nowhere = || Routed { route: Err(Unrouted::NoMailbox), steps: Vec::new() };
        Ok(MessageContext {
            digest: digest(&message, &envelope)?,
            routed: envelope.recipients.iter().map(|_| nowhere()).collect(),
            findings: Findings::default(),
            authentication: OnceCell::new(),
            fault: Some(fault),
            held: HeldMessage::of(message.content()),
            mask: Arc::new(self.routes.mask_of(&envelope, None)),
            envelope,
            message,
            deadline,
        })
    }

    /// [`Engine::read`]; a large message must not keep a thread from all others meanwhile.
    pub(super) async fn read_aside(
        self: &Arc<Self>,
        envelope: Arc<Envelope>,
        content: Content,
        deadline: Instant,
    ) -> Result<MessageContext, Deferral> {
        if content.size() <= READ_AT_ONCE {
            return self.read(envelope, content, deadline, Trail::off);
        }
        let reading = async {
            let turn = self.reading.clone().acquire_owned().await;
            let (engine, envelope, content) = (self.clone(), envelope.clone(), content.clone());
            let read = move || {
                // Kept by the thread: the deadline does not end it.
                let _turn = turn;
                engine.read(envelope, content, deadline, Trail::off)
            };
            tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Err(Deferral::internal_error()))
        };
        if let Ok(read) = timeout_at(deadline, reading).await {
            return read;
        }
        let engine = self.clone();
        let fault = Deferral::deadline_missed("reading the message");
        let unread = move || engine.unread(envelope, content, deadline, fault);
        tokio::task::spawn_blocking(unread).await.unwrap_or_else(|_| Err(Deferral::internal_error()))
    }
}
