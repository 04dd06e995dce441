//! What would become of a message, for `mailhatch explain`.
//!
//! It decides as for real mail, and must not change anything or write to anybody.

use std::sync::Arc;

use super::context::{MessageContext, Routed};
use super::{Decided, Decision, Engine};
use crate::mail::{Content, Envelope, Recipient};
use crate::notice::NoticePreview;
use crate::outcome::Explanation;
use crate::screen::Screened;
use crate::trail::Trail;
use crate::verdict::{Deferral, Verdict};

impl Engine {
    /// What would become of a message, with every step, if the application said yes. Changes nothing, writes to nobody.
    ///
    /// # Errors
    /// The message cannot be read, or reading it panics.
    pub async fn explain(&self, envelope: Envelope, content: Content) -> Result<Vec<Explanation>, Deferral> {
        let context = self.read(Arc::new(envelope), content, self.deadline(), Trail::kept)?;
        let mut explanations = Vec::new();
        for (recipient, routed) in context.recipients() {
            let mut trail = Trail::kept();
            let decided = self.decide(&context, recipient, routed, &mut trail).await;
            let mut explanation = self.preview(&context, recipient, routed, decided, trail).await;
            explanation.trail.splice(..0, self.explain_rcpt(recipient, context.message.size()));
            explanations.push(explanation);
        }
        Ok(explanations)
    }

    /// What executing a decision would come to.
    async fn preview(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        routed: &Routed,
        decided: Decided,
        mut trail: Trail,
    ) -> Explanation {
        let mut outcome = Self::outcome(context, recipient, &decided);
        let mut notice = None;
        outcome.verdict = match decided.decision {
            Decision::Defer(deferral) => Verdict::Deferred(deferral),
            Decision::Deliver(route) => {
                let app = self.apps.get(&route.mailbox.app.value);
                if self.config.auth.events && app.is_some_and(|app| app.wants_authentication()) {
                    self.authentication(context).await;
                }
                if let Some(shared) = &self.config.shared {
                    trail.step("ledger", "shared", "not asked", || {
                        format!("{} would be asked whether another host has it", shared.url.value)
                    });
                }
                outcome.effects.app = Some(route.mailbox.app.value.clone());
                Verdict::Delivered
            }
            Decision::Undecided { summary } => Verdict::Deferred(Deferral::undecided_sender(&summary)),
            Decision::Hold { rule, detail } => Verdict::Held { rule, detail },
            Decision::Ignore { rule, detail } => {
                notice = Some(NoticePreview::set_aside());
                Verdict::Ignored { rule, detail }
            }
            Decision::Reject(rejection) => {
                let rejected = self.rejected(context, recipient, &decided.id, &rejection);
                notice = Some(self.notifier.preview(rejected, self.authentication(context)).await);
                Verdict::Rejected(rejection)
            }
        };
        let authentication = context.authentication.get().into_iter().flat_map(|known| known.steps.clone());
        let config = self.screen_of(routed);
        let mut steps = context.findings.steps(&config);
        if !matches!(context.findings.under(&config), Screened::Ignored(_)) {
            steps.extend(routed.steps.clone());
        }
        steps.extend(trail.into_steps());
        steps.extend(authentication);
        steps.extend(notice.as_ref().map(NoticePreview::step));
        Explanation { outcome, notice, trail: steps }
    }
}
