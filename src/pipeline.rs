//! The way of a message through the modules.
//!
//! ```text
//! screen ─► route ─► (too large?) ─► auth ─► ledger: done before? ─► app ─► ledger: done ─► verdict
//!    └─ ignored, held    └─ rejected, held, notice       └─ unproven: held
//! ```
//!
//! `Engine::read` (`pipeline/read.rs`) reads a message; `Engine::decide` says what should become of it and does nothing. For real
//! mail `Engine::execute` (`pipeline/execute.rs`) does it; for `explain`, `Engine::preview` (`pipeline/explain.rs`) shows it.
//! Whatever is unclear ends in `deferred`.

mod context;
mod execute;
mod explain;
mod fetched;
mod rcpt;
mod read;
mod release;
mod waiting;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

pub use fetched::FetchedExplanation;
pub(crate) use rcpt::answer_at_rcpt;
pub use release::Released;
pub use waiting::{Round, WaitingCopies};

use context::{MessageContext, Routed};

use crate::app::Apps;
use crate::auth::{Authentication, Authenticator};
use crate::config::{Config, ConfigError, ScreenConfig, Unproven};
use crate::event_id::EventId;
use crate::held::HeldStore;
use crate::intake::Deliver;
use crate::ledger::DeliveryLog;
use crate::mail::{Content, Envelope, Recipient};
use crate::notice::Notifier;
use crate::outcome::{Destination, Outcome, StandingAnswers};
use crate::route::{Route, Routes, Unrouted};
use crate::screen::Screened;
use crate::telemetry::{Telemetry, TimedStep};
use crate::trail::Trail;
use crate::verdict::{Deferral, Rejection, Verdict};

/// So many large messages are read at once. For a moment one may take ten times its size, and more at once than there are cores gain
/// nothing.
const LARGE_READ_AT_ONCE: usize = 4;

/// For so many recipients at once a message is handed over at most: fewer than an application's turns (`concurrency`), so that one
/// message for many leaves some to the others.
const MOST_AT_ONCE: u64 = 8;

/// So many octets of one message are handed over at once; at least for two recipients.
const OCTETS_AT_ONCE: u64 = 16 * 1024 * 1024;

fn recipients_at_once(size: u64) -> usize {
    let at_once = (OCTETS_AT_ONCE / size.max(1)).clamp(2, MOST_AT_ONCE);
    usize::try_from(at_once).unwrap_or(2)
}

/// All modules under one configuration.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    routes: Routes,
    authenticator: Authenticator,
    apps: Apps,
    notifier: Notifier,
    log: Arc<dyn DeliveryLog>,
    held: Arc<HeldStore>,
    telemetry: Arc<Telemetry>,
    standing: OnceLock<Arc<StandingAnswers>>,
    /// Turns for reading a large message.
    reading: Arc<Semaphore>,
}

/// What should become of a message for one recipient, before anything is done.
enum Decision {
    Defer(Deferral),
    Deliver(Box<Route>),
    Hold {
        rule: &'static str,
        detail: String,
    },
    Ignore {
        rule: &'static str,
        detail: String,
    },
    Reject(Rejection),
    /// Nobody knows yet whether the sender is proven, and the mailbox holds what is not.
    Undecided {
        summary: String,
    },
}

/// A decision, whose message it is, and under which id it is handed over or held.
struct Decided {
    decision: Decision,
    destination: Option<Destination>,
    id: EventId,
}

impl Engine {
    /// Sets all modules up. Reads secrets, compiles patterns; connects to nothing.
    ///
    /// # Errors
    /// What is wrong with the configuration, with its line.
    pub fn new(
        config: Config,
        log: Arc<dyn DeliveryLog>,
        held: Arc<HeldStore>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, ConfigError> {
        let apps = Apps::new(&config)?;
        Self::with_apps(config, apps, log, held, telemetry)
    }

    /// The same with applications of the caller's own.
    ///
    /// # Errors
    /// What is wrong with the configuration, with its line.
    pub fn with_apps(
        config: Config,
        apps: Apps,
        log: Arc<dyn DeliveryLog>,
        held: Arc<HeldStore>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, ConfigError> {
        let routes = Routes::new(&config)?;
        Ok(Self {
            authenticator: Authenticator::new(&config)?,
            apps,
            notifier: Notifier::new(&config)?,
            routes,
            log,
            held,
            telemetry,
            standing: OnceLock::new(),
            reading: Arc::new(Semaphore::new(LARGE_READ_AT_ONCE)),
            config,
        })
    }

    /// Notes each answer as soon as it stands: for a process with one message, which its watchdog may end before all is done.
    pub fn note_standing_answers(&self, standing: Arc<StandingAnswers>) {
        let _ = self.standing.set(standing);
    }

    /// The applications.
    pub fn apps(&self) -> &Apps {
        &self.apps
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The copies kept back.
    pub fn held(&self) -> &Arc<HeldStore> {
        &self.held
    }

    /// Where log lines go.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.config.limits.deadline
    }

    async fn deliver_all(self: &Arc<Self>, envelope: Envelope, content: Content) -> Vec<Outcome> {
        let (started, envelope) = (Instant::now(), Arc::new(envelope));
        let context = self.read_aside(envelope.clone(), content, self.deadline()).await;
        let outcomes = match &context {
            Ok(context) => {
                let turns = &Semaphore::new(recipients_at_once(context.message.size()));
                // Boxed, because joining moves them.
                let deliver = |(recipient, routed)| {
                    Box::pin(async move {
                        let _turn = turns.acquire().await;
                        self.deliver_to(context, recipient, routed).await
                    })
                };
                join_all(context.recipients().map(deliver)).await
            }
            // Its octets cannot be read again, so there is nothing to hold either.
            Err(deferral) => {
                let mask = Arc::new(self.routes.mask_of(&envelope, None));
                let verdict = || Verdict::Deferred(deferral.clone());
                let deferred = |recipient: &Recipient| Outcome::new(verdict(), &recipient.address, mask.clone());
                envelope.recipients.iter().map(deferred).collect()
            }
        };
        let message = context.as_ref().ok().map(|context| &context.message);
        for outcome in &outcomes {
            self.telemetry.log(&outcome.log_line(&envelope, message, started.elapsed()));
            self.telemetry.count(outcome);
        }
        self.telemetry.observe(TimedStep::Total, started.elapsed());
        outcomes
    }

    /// A panic costs one recipient's try, never the message: it is a bug, so it is deferred.
    async fn deliver_to(&self, context: &MessageContext, recipient: &Recipient, routed: &Routed) -> Outcome {
        let deliver = async {
            let decided = self.decide(context, recipient, routed, &mut Trail::off()).await;
            self.execute(context, recipient, decided).await
        };
        match AssertUnwindSafe(deliver).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(_) => {
                let (decision, destination) = (Decision::Defer(Deferral::internal_error()), None);
                let decided = Decided { decision, destination, id: self.event_id(context, recipient, routed) };
                let deferred = AssertUnwindSafe(self.execute(context, recipient, decided)).catch_unwind().await;
                let fault = || Verdict::Deferred(Deferral::internal_error());
                deferred.unwrap_or_else(|_| Outcome::new(fault(), &recipient.address, context.mask.clone()))
            }
        }
    }

    /// Decides. The order is the contract's: machine-made mail is set aside before it can be rejected.
    async fn decide(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        routed: &Routed,
        trail: &mut Trail,
    ) -> Decided {
        let id = self.event_id(context, recipient, routed);
        let destination = match &routed.route {
            Ok(route) => Some(Destination::of(route)),
            Err(unrouted) => Destination::of_unrouted(unrouted),
        };
        if let Some(fault) = &context.fault {
            return Decided { decision: Decision::Defer(fault.clone()), destination: None, id };
        }
        if context.is_lost() {
            let detail = "the mailbox has no octet of this message".to_owned();
            return Decided { decision: Decision::Hold { rule: "empty", detail }, destination: None, id };
        }
        let decision = match (self.screened(context, routed), &routed.route) {
            (Screened::Ignored(hit), _) => {
                // As for one that has no mailbox: whose it would be is not looked at.
                let decision = Decision::Ignore { rule: hit.rule, detail: hit.detail.clone() };
                return Decided { decision, destination: None, id };
            }
            (Screened::Held(hit), _) => Decision::Hold { rule: hit.rule, detail: hit.detail.clone() },
            (Screened::Passed, Ok(route)) => self.decide_routed(context, route.clone(), trail).await,
            (Screened::Passed, Err(unrouted)) => Decision::Reject(unknown_address(unrouted)),
        };
        Decided { decision, destination, id }
    }

    /// What screening comes to for a recipient.
    fn screened<'a>(&self, context: &'a MessageContext, routed: &Routed) -> Screened<'a> {
        context.findings.under(&self.screen_of(routed))
    }

    /// What becomes of machine-made mail for a recipient: its mailbox may say so.
    fn screen_of(&self, routed: &Routed) -> ScreenConfig {
        let mailbox = match &routed.route {
            Ok(route) => Some(&route.mailbox),
            Err(Unrouted::UnknownAction { mailbox, .. }) => Some(mailbox),
            Err(Unrouted::NoMailbox) => None,
        };
        mailbox.map_or(self.config.screen, |mailbox| mailbox.screen.over(self.config.screen))
    }

    /// The id for the key that routing found; without one, and for what is ignored, for the recipient.
    fn event_id(&self, context: &MessageContext, recipient: &Recipient, routed: &Routed) -> EventId {
        match &routed.route {
            Ok(route) if !matches!(self.screened(context, routed), Screened::Ignored(_)) && !context.is_lost() => {
                EventId::of(&route.mailbox.name.value, route.key.reveal(), &context.digest)
            }
            _ => EventId::of("", &recipient.address, &context.digest),
        }
    }

    async fn decide_routed(&self, context: &MessageContext, route: Route, trail: &mut Trail) -> Decision {
        let content = context.message.content();
        if content.is_too_large() {
            // The limit that it came in under; a reload may have changed it since.
            let limit = bytesize::ByteSize(content.head().len() as u64);
            let size = bytesize::ByteSize(content.size());
            trail.step("limits", "message-size", "hit", || format!("{size} is over {limit}"));
            let reason = format!("The message is too large: {size}; the limit is {limit}.");
            return Decision::Reject(Rejection { rule: "too-large", reason });
        }
        if route.mailbox.unproven == Unproven::Hold {
            let authentication = self.authentication(context).await;
            let detail = authentication.summary.clone();
            // A name server that is silent today may prove the sender on the next try.
            if authentication.from.is_none() && authentication.is_undecided {
                trail.step("auth", "unproven-sender", "deferred", || detail.clone());
                return Decision::Undecided { summary: detail };
            }
            if authentication.from.is_none() {
                trail.step("auth", "unproven-sender", "hit", || detail.clone());
                return Decision::Hold { rule: "unproven-sender", detail };
            }
        }
        Decision::Deliver(Box::new(route))
    }

    /// Worked out once a message, and only where an event or a notice needs it.
    async fn authentication(&self, context: &MessageContext) -> Arc<Authentication> {
        let examine = async {
            // On the heap: the state of all DNS questions at once would not fit on a worker's stack many times over.
            let examined = self.authenticator.examine(&context.envelope, &context.message).boxed();
            let examined = self.telemetry.timed(TimedStep::Auth, examined);
            let examined = timeout_at(context.deadline, examined).await;
            Arc::new(examined.unwrap_or_else(|_| Authentication::unknown("not worked out within the deadline")))
        };
        context.authentication.get_or_init(|| examine).await.clone()
    }

    /// An outcome whose verdict is still to be found.
    fn outcome(context: &MessageContext, recipient: &Recipient, decided: &Decided) -> Outcome {
        Outcome {
            id: Some(decided.id.clone()),
            destination: decided.destination.clone(),
            ..Outcome::new(Verdict::Delivered, &recipient.address, context.mask.clone())
        }
    }
}

impl Deliver for Engine {
    fn deliver(self: Arc<Self>, envelope: Envelope, content: Content) -> BoxFuture<'static, Vec<Outcome>> {
        async move { self.deliver_all(envelope, content).await }.boxed()
    }
}

fn unknown_address(unrouted: &Unrouted) -> Rejection {
    let reason = match unrouted {
        Unrouted::NoMailbox => "The address is not known here.",
        Unrouted::UnknownAction { .. } => {
            "The address is not known here: what stands in it has no form that the application understands."
        }
    };
    Rejection { rule: "unknown-address", reason: reason.to_owned() }
}
