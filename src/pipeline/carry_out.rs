//! Doing what was decided: the application, the ledger, the held copy, the notice, in the order that loses nothing.
//!
//! It must not decide: `Engine::consider` has.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

use super::causes::{deadline_missed, internal_error, ledger_failed};
use super::{Considered, Decision, Engine, Walk};
use crate::app::{Answer, AppError, Event, EventId, hide_key};
use crate::crash_point::crash_point;
use crate::disposition::{Deferral, Outcome, Rejection, Status, Verdict};
use crate::ledger::{Begin, Claim, HeldCopy};
use crate::mail::Recipient;
use crate::notice::Rejected;
use crate::route::Route;
use crate::telemetry::TimedStep;

/// How long a second copy waits for the first one's end before it is deferred.
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(3);

impl Engine {
    /// Does what was decided.
    pub(super) async fn carry_out(&self, walk: &Walk, recipient: &Recipient, considered: Considered) -> Outcome {
        let Considered { decision, mut outcome, id } = considered;
        outcome.verdict = match decision {
            Decision::Defer(deferral) => Verdict::Deferred(deferral),
            Decision::Deliver(route) => self.hand_over(walk, recipient, *route, &id, &mut outcome).await,
            Decision::Hold { rule, detail } => {
                self.keep(walk, recipient, Verdict::Held { rule, detail }, &mut outcome).await
            }
            Decision::Ignore { rule, detail } => {
                self.keep(walk, recipient, Verdict::Ignored { rule, detail }, &mut outcome).await
            }
            Decision::Reject(rejection) => self.reject(walk, recipient, rejection, &mut outcome).await,
        };
        outcome
    }

    /// Hands the event over, once: claimed before the application is asked, recorded after it acknowledged.
    async fn hand_over(
        &self,
        walk: &Walk,
        recipient: &Recipient,
        route: Route,
        id: &EventId,
        outcome: &mut Outcome,
    ) -> Verdict {
        let claim = match self.claim(walk, id).await {
            Ok(claim) => claim,
            Err(verdict) => return *verdict,
        };
        outcome.app = Some(route.mailbox.app.clone());
        let Some(app) = self.apps.get(&route.mailbox.app) else { return internal_error() };
        let authentication = match app.wants_authentication() && self.config.auth.events {
            true => Some(self.authentication(walk).await),
            false => None,
        };
        let event = Event {
            id: id.clone(),
            time: SystemTime::now(),
            route,
            envelope: walk.envelope.clone(),
            recipient: recipient.clone(),
            message: walk.message.clone(),
            authentication,
        };
        crash_point("before-app");
        let answer = match self.telemetry.timed(TimedStep::App, timeout_at(walk.deadline, app.hand_over(&event))).await
        {
            Ok(answer) => answer,
            Err(_) => return deadline_missed("the application"),
        };
        // From here on the application has the event: no deadline may break off what follows.
        if answer.is_ok() {
            crash_point("app-acknowledged");
        }
        match hide_key(&event.route.key, answer) {
            Ok(Answer::Delivered(_)) => {
                // The application has it, so the answer is 250 whatever the ledger says: 451 would double it.
                if let Err(error) = self.telemetry.timed(TimedStep::Ledger, self.ledger.finish(claim)).await {
                    outcome.warning = Some(format!("delivered, but not recorded: {error}"));
                }
                crash_point("delivery-recorded");
                Verdict::Delivered
            }
            Ok(Answer::Dropped(detail)) => {
                self.keep(walk, recipient, Verdict::Ignored { rule: "app-drop", detail }, outcome).await
            }
            Ok(Answer::Rejected(reason)) => {
                self.reject(walk, recipient, Rejection { rule: "app-reject", reason }, outcome).await
            }
            Err(AppError::Refused { public, detail }) => {
                self.refused(walk, recipient, (public, detail), id, outcome).await
            }
            Err(AppError::Unavailable { status, public, detail, retry_after: _, alarm }) => {
                Verdict::Deferred(Deferral { status, cause: "app", public, detail, alarm })
            }
        }
    }

    /// The right to hand the event over, or the verdict if it was or is being delivered.
    async fn claim(&self, walk: &Walk, id: &EventId) -> Result<Claim, Box<Verdict>> {
        let patience = walk.deadline.min(Instant::now() + IN_FLIGHT_WAIT);
        loop {
            let begun = timeout_at(walk.deadline, self.ledger.begin(id));
            // A claim that comes too late is dropped by the ledger, and free again.
            let Ok(begun) = self.telemetry.timed(TimedStep::Ledger, begun).await else {
                return Err(Box::new(deadline_missed("the ledger")));
            };
            match begun {
                Ok(Begin::New(claim)) => return Ok(claim),
                Ok(Begin::Delivered(_)) => return Err(Box::new(Verdict::Duplicate)),
                Ok(Begin::InFlight) if Instant::now() < patience => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(Begin::InFlight) => {
                    return Err(Box::new(Verdict::Deferred(Deferral {
                        status: Status::SYSTEM,
                        cause: "in-flight",
                        public: "another copy of this message is being delivered".to_owned(),
                        detail: "another copy of this message is being handed over by another connection or process"
                            .to_owned(),
                        alarm: false,
                    })));
                }
                Err(error) => return Err(Box::new(ledger_failed(&error))),
            }
        }
    }

    /// The application refused without a reason: a person may mend it, so the message waits; in the end it is held.
    async fn refused(
        &self,
        walk: &Walk,
        recipient: &Recipient,
        (public, detail): (String, String),
        id: &EventId,
        outcome: &mut Outcome,
    ) -> Verdict {
        let first = match timeout_at(walk.deadline, self.ledger.first_refusal(id)).await {
            Ok(Ok(first)) => first,
            Ok(Err(error)) => return ledger_failed(&error),
            Err(_) => return deadline_missed("the ledger"),
        };
        let limit = self.config.limits.unexplained_refusals;
        if first.elapsed().unwrap_or_default() >= limit {
            let waited = humantime::format_duration(limit);
            let held = Verdict::Held { rule: "unexplained-refusal", detail: format!("{public}, for {waited}") };
            let why = format!("{detail}, for {waited}");
            let verdict = self.keep_because(walk, recipient, held, &why, outcome).await;
            outcome.warning = Some(why);
            return verdict;
        }
        Verdict::Deferred(Deferral { status: Status::SYSTEM, cause: "app-refusal", public, detail, alarm: true })
    }

    async fn reject(&self, walk: &Walk, recipient: &Recipient, rejection: Rejection, outcome: &mut Outcome) -> Verdict {
        let verdict = self.keep(walk, recipient, Verdict::Rejected(rejection.clone()), outcome).await;
        let (Verdict::Rejected(_), Some(id)) = (&verdict, &outcome.id) else { return verdict };
        let authentication = async { self.authentication(walk).await };
        let rejected = Rejected {
            id,
            envelope: &walk.envelope,
            message: &walk.message,
            recipient,
            rejection: &rejection,
            routes: &self.routes,
        };
        let notified = self.notifier.notify(rejected, authentication, &self.ledger, walk.deadline);
        match self.telemetry.timed(TimedStep::Notice, notified).await {
            Ok(notice) => {
                outcome.notice = Some(notice);
                verdict
            }
            Err(deferral) => Verdict::Deferred(deferral),
        }
    }

    /// Keeps a copy back before the message is answered; without the copy it is deferred.
    async fn keep(&self, walk: &Walk, recipient: &Recipient, verdict: Verdict, outcome: &mut Outcome) -> Verdict {
        let why = verdict.detail().to_owned();
        self.keep_because(walk, recipient, verdict, &why, outcome).await
    }

    /// The same with a reason that the copy's `held.json` gets and a reply does not.
    async fn keep_because(
        &self,
        walk: &Walk,
        recipient: &Recipient,
        verdict: Verdict,
        detail: &str,
        outcome: &mut Outcome,
    ) -> Verdict {
        let (Some(id), Some(rule)) = (&outcome.id, verdict.rule()) else { return internal_error() };
        let copy = HeldCopy {
            id,
            verdict: verdict.name(),
            rule,
            detail,
            envelope: &walk.envelope,
            recipient,
            message: &walk.message,
        };
        match self.telemetry.timed(TimedStep::Ledger, self.ledger.hold(&copy)).await {
            Ok(()) => {
                crash_point("copy-held");
                outcome.held = true;
                verdict
            }
            Err(error) => ledger_failed(&error),
        }
    }
}
