//! The way of a message through the modules.
//!
//! ```text
//! screen ─► route ─► (too large?) ─► auth ─► ledger: done before? ─► app ─► ledger: done ─► verdict
//!    └─ ignored, held    └─ rejected, held, notice       └─ unproven: held
//! ```
//!
//! `Engine::decide` says what should become of a message and does nothing. For real mail `Engine::execute`
//! (`pipeline/execute.rs`) does it; for `explain`, `Engine::preview` shows it. Whatever is unclear ends in `deferred`.

mod execute;
mod fetched;
mod rcpt;
mod release;
mod waiting;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout_at};

pub use fetched::FetchedExplanation;
pub(crate) use rcpt::answer_at_rcpt;
pub use release::Released;
pub use waiting::{Round, WaitingCopies};

use crate::app::Apps;
use crate::auth::{Authentication, Authenticator};
use crate::config::{Config, ConfigError, ScreenConfig, Unproven};
use crate::event_id::{EventId, MessageDigest};
use crate::held::{HeldMessage, HeldStore};
use crate::intake::Deliver;
use crate::ledger::DeliveryLog;
use crate::mail::{Content, Envelope, Message, Recipient};
use crate::notice::{NoticePreview, Notifier};
use crate::outcome::{Destination, Explanation, Outcome, StandingAnswers};
use crate::route::{Mask, Route, Routes, Unrouted};
use crate::screen::{self, Findings, Screened};
use crate::telemetry::{Telemetry, TimedStep};
use crate::trail::{Step, Trail};
use crate::verdict::{Deferral, Rejection, Verdict};

/// A message up to this size in octets is read where it comes in; a larger one on a thread that may be busy for a while.
const READ_AT_ONCE: u64 = 64 * 1024;

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

/// A message on its way.
struct MessageContext {
    envelope: Arc<Envelope>,
    message: Message,
    digest: MessageDigest,
    deadline: Instant,
    findings: Findings,
    /// Whose it is, for each recipient in their order.
    routed: Vec<Routed>,
    authentication: OnceCell<Arc<Authentication>>,
    /// Reading it failed, or took too long: nothing is known but its octets.
    fault: Option<Deferral>,
    /// What everything that is said of it goes through.
    mask: Arc<Mask>,
    held: HeldMessage,
}

impl MessageContext {
    /// Each recipient with what routing found for it.
    fn recipients(&self) -> impl Iterator<Item = (&Recipient, &Routed)> {
        self.envelope.recipients.iter().zip(&self.routed)
    }

    /// An MTA never hands over an empty message. A mailbox may have one after a fault of its server, and what it was cannot
    /// be known.
    fn is_lost(&self) -> bool {
        self.message.size() == 0 && self.envelope.origin.mailbox().is_some()
    }
}

/// Whose a message is, and how that was found.
struct Routed {
    route: Result<Route, Unrouted>,
    steps: Vec<Step>,
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

    fn deadline(&self) -> Instant {
        Instant::now() + self.config.limits.deadline
    }

    /// All that reading a message comes to, once for all its recipients: what grows with its size, and waits for nothing.
    fn read(
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
    async fn read_aside(
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

/// What the message's id is made of, as far as it does not depend on the recipient.
fn digest(message: &Message, envelope: &Envelope) -> Result<MessageDigest, Deferral> {
    let digest = match envelope.origin.mailbox() {
        None => MessageDigest::of(message, envelope.queue_id.as_deref()),
        Some(mailbox) if mailbox.is_rewritten() => Ok(MessageDigest::of_rewritten(message, Some(&mailbox.stand_in()))),
        Some(mailbox) => MessageDigest::of(message, Some(&mailbox.stand_in())),
    };
    digest.map_err(|error| Deferral::local_state(format!("the message cannot be read again: {error}"), false))
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
