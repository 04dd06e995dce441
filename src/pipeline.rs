//! The walk of a message through the rooms.
//!
//! ```text
//! screen ─► route ─► (too large?) ─► auth ─► ledger: done before? ─► app ─► ledger: done ─► verdict
//!    └─ ignored, held    └─ rejected, held, notice       └─ unproven: held
//! ```
//!
//! `Engine::consider` decides without doing anything, for real mail and for `explain` alike; `Engine::carry_out`
//! (`pipeline/carry_out.rs`) does it. Whatever is unclear ends in `deferred`.

mod carry_out;
mod causes;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use causes::{internal_error, undecided, unknown_address};

use crate::app::{Apps, EventId};
use crate::auth::{Authentication, Authenticator};
use crate::config::{Config, ConfigError, Unproven};
use crate::disposition::{Deferral, Outcome, Rejection, Verdict};
use crate::intake::Deliver;
use crate::ledger::Ledger;
use crate::mail::{Content, Envelope, Message, Recipient};
use crate::notice::{Foreseen, Notifier};
use crate::route::{Route, Routes, Unrouted};
use crate::screen::Screen;
use crate::telemetry::{LogLine, Telemetry, TimedStep};
use crate::trail::Trail;

/// All rooms under one configuration.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    screen: Screen,
    routes: Routes,
    authenticator: Authenticator,
    apps: Apps,
    notifier: Notifier,
    ledger: Arc<Ledger>,
    telemetry: Arc<Telemetry>,
}

/// One message on its way.
struct Walk {
    envelope: Arc<Envelope>,
    message: Message,
    deadline: Instant,
    authentication: OnceCell<Arc<Authentication>>,
}

/// What should become of a message for one recipient, before anything is done.
enum Decision {
    Defer(Deferral),
    Deliver(Box<Route>),
    Hold { rule: &'static str, detail: String },
    Ignore { rule: &'static str, detail: String },
    Reject(Rejection),
}

/// A decision with all that was found on the way to it.
struct Considered {
    decision: Decision,
    outcome: Outcome,
    id: EventId,
}

impl Engine {
    /// Sets all rooms up. Reads secrets, compiles patterns; connects to nothing.
    pub fn new(config: Config, ledger: Arc<Ledger>, telemetry: Arc<Telemetry>) -> Result<Self, ConfigError> {
        let apps = Apps::new(&config)?;
        Self::with_apps(config, apps, ledger, telemetry)
    }

    /// The same with applications of the caller's own.
    pub fn with_apps(
        config: Config,
        apps: Apps,
        ledger: Arc<Ledger>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, ConfigError> {
        let routes = Routes::new(&config)?;
        Ok(Self {
            screen: Screen::new(config.screen),
            authenticator: Authenticator::new(&config)?,
            apps,
            notifier: Notifier::new(&config)?,
            routes,
            ledger,
            telemetry,
            config,
        })
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What was done before.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Where log lines go.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// What would become of a message, with every step, if the application said yes. Changes nothing, writes to nobody.
    pub async fn explain(&self, envelope: Envelope, content: Content) -> Vec<Outcome> {
        let walk = self.walk(envelope, content);
        let mut outcomes = Vec::new();
        for recipient in &walk.envelope.recipients {
            let considered = self.consider(&walk, recipient, Trail::kept()).await;
            outcomes.push(self.foresee(&walk, considered).await);
        }
        outcomes
    }

    fn walk(&self, envelope: Envelope, content: Content) -> Walk {
        Walk {
            envelope: Arc::new(envelope),
            message: Message::parse(content),
            deadline: Instant::now() + self.config.limits.deadline,
            authentication: OnceCell::new(),
        }
    }

    async fn walk_all(&self, envelope: Envelope, content: Content) -> Vec<Outcome> {
        let started = Instant::now();
        let walk = self.walk(envelope, content);
        // Boxed, because joining moves them.
        let each = walk.envelope.recipients.iter().map(|recipient| Box::pin(self.deliver_guarded(&walk, recipient)));
        let outcomes = join_all(each).await;
        for outcome in &outcomes {
            self.telemetry.log(&self.log_line(&walk, outcome, started.elapsed()));
            self.telemetry.count(outcome);
        }
        self.telemetry.observe(TimedStep::Total, started.elapsed());
        outcomes
    }

    /// A panic costs one recipient's try, never the message: it is a bug, so it is deferred.
    async fn deliver_guarded(&self, walk: &Walk, recipient: &Recipient) -> Outcome {
        match AssertUnwindSafe(self.deliver_to(walk, recipient)).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::new(internal_error(), self.routes.mask(&recipient.address)),
        }
    }

    async fn deliver_to(&self, walk: &Walk, recipient: &Recipient) -> Outcome {
        let considered = self.consider(walk, recipient, Trail::off()).await;
        self.carry_out(walk, recipient, considered).await
    }

    /// Decides. The order is the contract's: machine-made mail is set aside before it can be rejected.
    async fn consider(&self, walk: &Walk, recipient: &Recipient, mut trail: Trail) -> Considered {
        let mut outcome = Outcome::new(Verdict::Delivered, self.routes.mask(&recipient.address));
        let mut key = None;
        let screened =
            self.telemetry.time(TimedStep::Screen, || self.screen.examine(&walk.envelope, &walk.message, &mut trail));
        let decision = match screened {
            Some(hit) => Decision::Ignore { rule: hit.rule, detail: hit.detail },
            None => {
                match self.telemetry.time(TimedStep::Route, || self.routes.find(&walk.message, recipient, &mut trail)) {
                    Ok(route) => {
                        key = Some((route.mailbox.name.value.clone(), route.key.clone()));
                        note_route(&mut outcome, &route);
                        self.consider_routed(walk, route, &mut trail).await
                    }
                    Err(unrouted) => {
                        note_unrouted(&mut outcome, &unrouted);
                        Decision::Reject(unknown_address(&unrouted))
                    }
                }
            }
        };
        let id = match &key {
            Some((mailbox, key)) => EventId::of(mailbox, key.reveal(), &walk.message),
            None => EventId::of("", &recipient.address, &walk.message),
        };
        outcome.id = Some(id.clone());
        outcome.trail = trail.into_steps();
        Considered { decision, outcome, id }
    }

    async fn consider_routed(&self, walk: &Walk, route: Route, trail: &mut Trail) -> Decision {
        if walk.message.content().is_too_large() {
            // The limit that it came in under; a reload may have changed it since.
            let limit = bytesize::ByteSize(walk.message.content().head().len() as u64);
            let size = bytesize::ByteSize(walk.message.size());
            trail.step("limits", "message-size", "hit", || format!("{size} is over {limit}"));
            let reason = format!("The message is too large: {size}; the limit is {limit}.");
            return Decision::Reject(Rejection { rule: "too-large", reason });
        }
        if route.mailbox.unproven == Unproven::Hold {
            let authentication = self.authentication(walk).await;
            let detail = authentication.summary.clone();
            // A name server that is silent today may prove the sender on the next try.
            if authentication.from.is_none() && authentication.is_undecided() {
                trail.step("auth", "unproven-sender", "deferred", || detail.clone());
                return Decision::Defer(undecided(detail));
            }
            if authentication.from.is_none() {
                trail.step("auth", "unproven-sender", "hit", || detail.clone());
                return Decision::Hold { rule: "unproven-sender", detail };
            }
        }
        Decision::Deliver(Box::new(route))
    }

    /// Worked out once a message, and only where an event or a notice needs it.
    async fn authentication(&self, walk: &Walk) -> Arc<Authentication> {
        let examine = async {
            // On the heap: the state of all DNS questions at once would not fit on a worker's stack many times over.
            let examined = self.authenticator.examine(&walk.envelope, &walk.message).boxed();
            let examined = self.telemetry.timed(TimedStep::Auth, examined);
            Arc::new(timeout_at(walk.deadline, examined).await.unwrap_or_else(|_| Authentication {
                summary: "not worked out within the deadline".to_owned(),
                ..Authentication::default()
            }))
        };
        walk.authentication.get_or_init(|| examine).await.clone()
    }

    /// The rest of the walk without doing anything.
    async fn foresee(&self, walk: &Walk, considered: Considered) -> Outcome {
        let Considered { decision, mut outcome, id: _ } = considered;
        let mut foreseen = None;
        outcome.verdict = match decision {
            Decision::Defer(deferral) => Verdict::Deferred(deferral),
            Decision::Deliver(route) => {
                let app = self.apps.get(&route.mailbox.app);
                if self.config.auth.events && app.is_some_and(|app| app.wants_authentication()) {
                    self.authentication(walk).await;
                }
                outcome.app = Some(route.mailbox.app.clone());
                Verdict::Delivered
            }
            Decision::Hold { rule, detail } => Verdict::Held { rule, detail },
            Decision::Ignore { rule, detail } => {
                foreseen = Some(Foreseen::machine_made());
                Verdict::Ignored { rule, detail }
            }
            Decision::Reject(rejection) => {
                let authentication = async { self.authentication(walk).await };
                let (envelope, message) = (&walk.envelope, &walk.message);
                foreseen = Some(self.notifier.foresee(envelope, message, &self.routes, authentication).await);
                Verdict::Rejected(rejection)
            }
        };
        outcome.trail.extend(walk.authentication.get().into_iter().flat_map(|known| known.steps.clone()));
        outcome.trail.extend(foreseen.as_ref().map(Foreseen::step));
        outcome.foreseen_notice = foreseen;
        outcome
    }

    fn log_line(&self, walk: &Walk, outcome: &Outcome, delay: Duration) -> LogLine {
        let mut line = LogLine::new(crate::telemetry::Level::Info);
        line.put_some("queue_id", walk.envelope.queue_id.as_ref());
        line.put_some("message_id", walk.message.message_id());
        line.put_some("sender", walk.envelope.sender.as_text());
        line.put_some("client", walk.envelope.client.address);
        line.put("size", walk.message.size());
        line.put("delay", format_args!("{:.3}", delay.as_secs_f64()));
        line.followed_by(outcome.log_line())
    }
}

impl Deliver for Engine {
    fn deliver(self: Arc<Self>, envelope: Envelope, content: Content) -> BoxFuture<'static, Vec<Outcome>> {
        async move { self.walk_all(envelope, content).await }.boxed()
    }
}

fn note_route(outcome: &mut Outcome, route: &Route) {
    outcome.mailbox = Some(route.mailbox.name.value.clone());
    outcome.action = Some(route.action.clone());
    outcome.key = Some(route.key.clone());
    outcome.matched = Some(route.matched.clone());
}

fn note_unrouted(outcome: &mut Outcome, unrouted: &Unrouted) {
    if let Unrouted::UnknownAction { mailbox, key, matched } = unrouted {
        outcome.mailbox = Some(mailbox.name.value.clone());
        outcome.key = Some(key.clone());
        outcome.matched = Some(matched.clone());
    }
}
