//! Doing what was decided: the application, the ledger, the held copy, the notice, in the order that loses nothing.
//!
//! It must not decide: `Engine::decide` has.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout, timeout_at};

use super::context::MessageContext;
use super::{Decided, Decision, Engine};
use crate::app::{AfterRefusals, Answer, AppError, Event, Refusals, hide_keys};
use crate::crash_point::crash_point;
use crate::event_id::EventId;
use crate::held::HeldCopy;
use crate::ledger::{Begin, Claim};
use crate::mail::Recipient;
use crate::notice::{NoticeOutcome, Rejected, Withheld};
use crate::outcome::Outcome;
use crate::route::Route;
use crate::state_dir::StateError;
use crate::telemetry::TimedStep;
use crate::verdict::{Deferral, Rejection, Verdict};

/// How long a second copy waits for the first one's end before it is deferred.
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(3);

/// How long the answer waits for the record of an event that the application has. The ledger goes on trying after it; Postfix
/// would give up waiting after `lmtp_data_done_timeout` (10 minutes) and send the message again.
const RECORDING_WAIT: Duration = Duration::from_secs(20);

/// How long a deferral waits for the ledger to tell how old it is.
const LEDGER_WAIT: Duration = Duration::from_secs(5);

/// The rule of copies that wait for their application.
pub(super) const RULE_PATIENCE: &str = "patience";

impl Engine {
    /// Does what was decided.
    pub(super) async fn execute(&self, context: &MessageContext, recipient: &Recipient, decided: Decided) -> Outcome {
        let mut outcome = Self::outcome(context, recipient, &decided);
        let done = match decided.decision {
            Decision::Defer(deferral) => Err(deferral),
            Decision::Deliver(route) => self.hand_over(context, recipient, *route, &decided.id, &mut outcome).await,
            Decision::Hold { rule, detail } => {
                self.keep(context, recipient, &decided.id, Verdict::Held { rule, detail }, &mut outcome).await
            }
            Decision::Ignore { rule, detail } => {
                self.keep(context, recipient, &decided.id, Verdict::Ignored { rule, detail }, &mut outcome).await
            }
            Decision::Undecided { summary } => {
                self.undecided(context, recipient, &decided.id, summary, &mut outcome).await
            }
            Decision::Reject(rejection) => self.reject(context, recipient, &decided.id, rejection, &mut outcome).await,
        };
        outcome.verdict = match done {
            Ok(verdict) => verdict,
            Err(deferral) => self.defer(context, recipient, &decided.id, deferral, &mut outcome).await,
        };
        outcome
    }

    /// Defers, unless the message has been deferred for `limits.patience`: what Postfix still has at the end of its queue
    /// lifetime it returns to a sender that may be forged, so before that it is held, to be handed over by
    /// [`Engine::hand_over_waiting`].
    async fn defer(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        id: &EventId,
        deferral: Deferral,
        outcome: &mut Outcome,
    ) -> Verdict {
        let patience = self.config.limits.patience;
        // Noted at each deferral. A ledger that does not answer is itself a reason to defer.
        let waited = timeout(LEDGER_WAIT, self.log.first_deferral(id)).await;
        if !waited.is_ok_and(|waited| waited.is_ok_and(|waited| waited >= patience)) {
            return Verdict::Deferred(deferral);
        }
        let waited = humantime::format_duration(patience);
        let held = Verdict::Held { rule: RULE_PATIENCE, detail: format!("{}, for {waited}", deferral.public) };
        let why = format!("{}, for {waited}", deferral.detail);
        match self.keep_because(context, recipient, id, held, &why, outcome).await {
            Ok(verdict) => {
                outcome.effects.warn(why);
                self.held.note_waiting();
                verdict
            }
            Err(_) => Verdict::Deferred(deferral),
        }
    }

    /// Deferred until `limits.undecided` after the first try; then the sender is not proven.
    async fn undecided(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        id: &EventId,
        summary: String,
        outcome: &mut Outcome,
    ) -> Result<Verdict, Deferral> {
        let limit = self.config.limits.undecided;
        let waited = self.in_time(context, "the ledger", self.log.first_deferral(id)).await?;
        if waited.map_err(|error| local_state(&error))? < limit {
            return Err(Deferral::undecided_sender(&summary));
        }
        let detail = format!("{summary}, undecided for {}", humantime::format_duration(limit));
        self.keep(context, recipient, id, Verdict::Held { rule: "unproven-sender", detail }, outcome).await
    }

    /// Hands the event over, once: claimed before the application is asked, recorded after it acknowledged.
    async fn hand_over(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        route: Route,
        id: &EventId,
        outcome: &mut Outcome,
    ) -> Result<Verdict, Deferral> {
        let Some(claim) = self.claim(context, id, outcome).await? else { return Ok(Verdict::Duplicate) };
        outcome.effects.shared = claim.shared_state();
        let mut claim = Some(claim);
        let verdict = self.hand_over_claimed(context, recipient, route, id, &mut claim, outcome).await;
        // The application did not take it, and no host needs to wait until the claim ends by itself.
        if let Some(claim) = claim {
            self.log.release(claim).await;
        }
        verdict
    }

    /// The same with the claim, which is gone when the event is recorded.
    async fn hand_over_claimed(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        route: Route,
        id: &EventId,
        claim: &mut Option<Claim>,
        outcome: &mut Outcome,
    ) -> Result<Verdict, Deferral> {
        outcome.effects.app = Some(route.mailbox.app.value.clone());
        let app = self.apps.get(&route.mailbox.app.value).ok_or_else(Deferral::internal_error)?;
        let authentication = match app.wants_authentication() && self.config.auth.events {
            true => Some(self.authentication(context).await),
            false => None,
        };
        let event = Event {
            id: id.clone(),
            time: SystemTime::now(),
            route,
            envelope: context.envelope.clone(),
            recipient: recipient.clone(),
            message: context.message.clone(),
            authentication,
        };
        crash_point("before-app");
        let asked = self.telemetry.timed(TimedStep::App, timeout_at(context.deadline, app.hand_over(&event))).await;
        let answer = asked.map_err(|_| Deferral::deadline_missed("the application"))?;
        // From here on the application has the event: no deadline may break off what follows.
        if answer.is_ok() {
            crash_point("app-acknowledged");
        }
        match hide_keys(&context.mask, answer) {
            Ok(Answer::Delivered { warning, .. }) => {
                outcome.effects.warning = warning;
                if let Some(standing) = self.standing.get() {
                    standing.note(Outcome { verdict: Verdict::Delivered, ..outcome.clone() });
                }
                // The application has it, so the answer is 250 whatever the ledger says: 451 would double it.
                let claim = claim.take().ok_or_else(Deferral::internal_error)?;
                let recorded = timeout(RECORDING_WAIT, self.log.finish(claim));
                let recorded = match self.telemetry.timed(TimedStep::Ledger, recorded).await {
                    Ok(Ok(finished)) => {
                        outcome.effects.shared = finished.shared;
                        Ok(finished.warning)
                    }
                    Ok(Err(error)) => Err(format!("delivered, but not recorded: {error}")),
                    Err(_) => Err("delivered, but not recorded yet: the disk does not answer".to_owned()),
                };
                outcome.effects.unrecorded = recorded.is_err();
                let of_the_application = outcome.effects.warning.take();
                let warnings = recorded.unwrap_or_else(Some).into_iter().chain(of_the_application);
                warnings.for_each(|warning| outcome.effects.warn(warning));
                crash_point("delivery-recorded");
                Ok(Verdict::Delivered)
            }
            Ok(Answer::Dropped { why: detail, warning }) => {
                outcome.effects.warning = warning;
                self.keep(context, recipient, id, Verdict::Ignored { rule: "app-drop", detail }, outcome).await
            }
            Ok(Answer::Rejected(reason)) => {
                self.reject(context, recipient, id, Rejection { rule: "app-reject", reason }, outcome).await
            }
            Err(AppError::Refused { public, detail }) => {
                self.refused(context, recipient, (public, detail), app.refusals(), id, outcome).await
            }
            Err(AppError::Unavailable { status, public, detail, retry_after, alarm }) => {
                Err(Deferral::app(status, public, detail, alarm).after(retry_after))
            }
        }
    }

    /// The right to hand the event over; `None` if it was delivered before.
    async fn claim(
        &self,
        context: &MessageContext,
        id: &EventId,
        outcome: &mut Outcome,
    ) -> Result<Option<Claim>, Deferral> {
        let patience = context.deadline.min(Instant::now() + IN_FLIGHT_WAIT);
        loop {
            // A claim that comes too late is dropped by the ledger, and free again.
            let begun = self.in_time(context, "the ledger", self.log.begin(id)).await?;
            match begun.map_err(|error| local_state(&error))? {
                Begin::New(claim) => return Ok(Some(claim)),
                Begin::Delivered(_) => return Ok(None),
                Begin::DeliveredElsewhere { by } => {
                    outcome.effects.delivered_elsewhere = Some(by);
                    return Ok(None);
                }
                Begin::SharedDown { why } => return Err(Deferral::shared_ledger(&why)),
                Begin::InFlight if Instant::now() < patience => tokio::time::sleep(Duration::from_millis(20)).await,
                Begin::InFlight => {
                    let detail =
                        "another copy of this message is being handed over by another connection, process or host";
                    return Err(Deferral::in_flight(detail));
                }
            }
        }
    }

    /// The application refused without a reason: a person may fix it, so the message waits; in the end it is held.
    async fn refused(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        (public, detail): (String, String),
        refusals: Refusals,
        id: &EventId,
        outcome: &mut Outcome,
    ) -> Result<Verdict, Deferral> {
        let refused_for = self.in_time(context, "the ledger", self.log.first_refusal(id)).await?;
        let refused_for = refused_for.map_err(|error| local_state(&error))?;
        let limit = refusals.after.unwrap_or(self.config.limits.unexplained_refusals);
        if refused_for < limit {
            return Err(Deferral::app_refusal(public, detail));
        }
        let waited = humantime::format_duration(limit);
        let why = format!("{detail}, for {waited}");
        let verdict = match refusals.then {
            AfterRefusals::Hold => {
                let held = Verdict::Held { rule: "unexplained-refusal", detail: format!("{public}, for {waited}") };
                self.keep_because(context, recipient, id, held, &why, outcome).await
            }
            AfterRefusals::Reject(reason) => {
                let rejection = Rejection { rule: "app-refused", reason: reason.to_owned() };
                self.reject(context, recipient, id, rejection, outcome).await
            }
        };
        outcome.effects.warn(why);
        verdict
    }

    async fn reject(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        id: &EventId,
        rejection: Rejection,
        outcome: &mut Outcome,
    ) -> Result<Verdict, Deferral> {
        let verdict = self.keep(context, recipient, id, Verdict::Rejected(rejection.clone()), outcome).await?;
        let rejected = self.rejected(context, recipient, id, &rejection);
        let notified = self.notifier.notify(rejected, self.authentication(context), &*self.log, context.deadline);
        let notice = self.telemetry.timed(TimedStep::Notice, notified).await?;
        if let NoticeOutcome::Withheld(Withheld::Refused(why)) = &notice {
            outcome.effects.warn(format!("the notice is given up, because the local MTA refuses it: {why}"));
        }
        outcome.effects.notice = Some(notice);
        Ok(verdict)
    }

    /// A rejected message, as the notifier looks at it.
    pub(super) fn rejected<'a>(
        &'a self,
        context: &'a MessageContext,
        recipient: &'a Recipient,
        id: &'a EventId,
        rejection: &'a Rejection,
    ) -> Rejected<'a> {
        Rejected {
            id,
            envelope: &context.envelope,
            message: &context.message,
            recipient,
            rejection,
            findings: &context.findings,
            routes: &self.routes,
        }
    }

    /// Keeps a copy back before the message is answered; without the copy it is deferred.
    async fn keep(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        id: &EventId,
        verdict: Verdict,
        outcome: &mut Outcome,
    ) -> Result<Verdict, Deferral> {
        let why = verdict.detail().to_owned();
        self.keep_because(context, recipient, id, verdict, &why, outcome).await
    }

    /// The same with a reason that the copy's `held.json` gets and a reply does not.
    async fn keep_because(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        id: &EventId,
        verdict: Verdict,
        detail: &str,
        outcome: &mut Outcome,
    ) -> Result<Verdict, Deferral> {
        let copy = HeldCopy {
            id,
            verdict: verdict.name(),
            rule: verdict.rule().ok_or_else(Deferral::internal_error)?,
            detail,
            envelope: &context.envelope,
            recipient,
            message: &context.held,
        };
        let held = self.telemetry.timed(TimedStep::Ledger, self.held.hold(&copy)).await;
        held.map_err(|error| local_state(&error))?;
        crash_point("copy-held");
        outcome.effects.held = true;
        Ok(verdict)
    }

    async fn in_time<T>(
        &self,
        context: &MessageContext,
        step: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, Deferral> {
        let done = self.telemetry.timed(TimedStep::Ledger, timeout_at(context.deadline, work)).await;
        done.map_err(|_| Deferral::deadline_missed(step))
    }
}

fn local_state(error: &StateError) -> Deferral {
    Deferral::local_state(error.to_string(), error.full)
}
