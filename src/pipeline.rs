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

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::app::Apps;
use crate::auth::{Authentication, Authenticator};
use crate::config::{Config, ConfigError, Unproven};
use crate::event_id::EventId;
use crate::intake::Deliver;
use crate::ledger::Ledger;
use crate::log_line::{Level, LogLine};
use crate::mail::{Content, Envelope, Message, Recipient};
use crate::notice::{NoticePreview, Notifier};
use crate::outcome::{Destination, Explanation, Outcome};
use crate::route::{Route, Routes, Unrouted};
use crate::screen::{Screen, Screened};
use crate::telemetry::{Telemetry, TimedStep};
use crate::trail::{Step, Trail};
use crate::verdict::{Deferral, Rejection, Verdict};

/// All modules under one configuration.
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

/// One message and what is found out about it once for all its recipients.
struct MessageContext {
    envelope: Arc<Envelope>,
    message: Message,
    deadline: Instant,
    screened: Screened,
    screen_steps: Vec<Step>,
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
    pub fn new(config: Config, ledger: Arc<Ledger>, telemetry: Arc<Telemetry>) -> Result<Self, ConfigError> {
        let apps = Apps::new(&config)?;
        Self::with_apps(config, apps, ledger, telemetry)
    }

    /// The same with applications of the caller's own.
    ///
    /// # Errors
    /// What is wrong with the configuration, with its line.
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
    pub async fn explain(&self, envelope: Envelope, content: Content) -> Vec<Explanation> {
        let context = self.context(envelope, content, Trail::kept());
        let mut explanations = Vec::new();
        for recipient in &context.envelope.recipients {
            let mut trail = Trail::kept();
            let decided = self.decide(&context, recipient, &mut trail).await;
            explanations.push(self.preview(&context, recipient, decided, trail).await);
        }
        explanations
    }

    fn context(&self, envelope: Envelope, content: Content, mut trail: Trail) -> MessageContext {
        let deadline = Instant::now() + self.config.limits.deadline;
        let message = Message::parse(content);
        let examine = || self.screen.examine(&envelope, &message, &mut trail);
        let screened = self.telemetry.time(TimedStep::Screen, examine);
        MessageContext {
            envelope: Arc::new(envelope),
            message,
            deadline,
            screened,
            screen_steps: trail.into_steps(),
            authentication: OnceCell::new(),
        }
    }

    async fn deliver_all(&self, envelope: Envelope, content: Content) -> Vec<Outcome> {
        let started = Instant::now();
        let context = self.context(envelope, content, Trail::off());
        // Boxed, because joining moves them.
        let each = context.envelope.recipients.iter().map(|recipient| Box::pin(self.deliver_to(&context, recipient)));
        let outcomes = join_all(each).await;
        for outcome in &outcomes {
            self.telemetry.log(&log_line(&context, outcome, started.elapsed()));
            self.telemetry.count(outcome);
        }
        self.telemetry.observe(TimedStep::Total, started.elapsed());
        outcomes
    }

    /// A panic costs one recipient's try, never the message: it is a bug, so it is deferred.
    async fn deliver_to(&self, context: &MessageContext, recipient: &Recipient) -> Outcome {
        let deliver = async {
            let decided = self.decide(context, recipient, &mut Trail::off()).await;
            self.execute(context, recipient, decided).await
        };
        AssertUnwindSafe(deliver).catch_unwind().await.unwrap_or_else(|_| {
            Outcome::new(Verdict::Deferred(Deferral::internal_error()), self.routes.mask(&recipient.address))
        })
    }

    /// Decides. The order is the contract's: machine-made mail is set aside before it can be rejected.
    async fn decide(&self, context: &MessageContext, recipient: &Recipient, trail: &mut Trail) -> Decided {
        let message = &context.message;
        let nobodys_id = || EventId::of("", &recipient.address, message);
        if let Screened::SetAside(hit) = &context.screened {
            let decision = Decision::Ignore { rule: hit.rule, detail: hit.detail.clone() };
            return Decided { decision, destination: None, id: nobodys_id() };
        }
        match self.telemetry.time(TimedStep::Route, || self.routes.find(message, recipient, trail)) {
            Ok(route) => {
                let id = EventId::of(&route.mailbox.name.value, route.key.reveal(), message);
                let destination = Some(Destination::of(&route));
                Decided { decision: self.decide_routed(context, route, trail).await, destination, id }
            }
            Err(unrouted) => {
                let decision = Decision::Reject(unknown_address(&unrouted));
                Decided { decision, destination: Destination::of_unrouted(&unrouted), id: nobodys_id() }
            }
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
            if authentication.from.is_none() && authentication.is_undecided() {
                trail.step("auth", "unproven-sender", "deferred", || detail.clone());
                return Decision::Defer(Deferral::undecided_sender(&detail));
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
            Arc::new(timeout_at(context.deadline, examined).await.unwrap_or_else(|_| Authentication {
                summary: "not worked out within the deadline".to_owned(),
                ..Authentication::default()
            }))
        };
        context.authentication.get_or_init(|| examine).await.clone()
    }

    /// What executing a decision would come to.
    async fn preview(
        &self,
        context: &MessageContext,
        recipient: &Recipient,
        decided: Decided,
        trail: Trail,
    ) -> Explanation {
        let mut outcome = self.outcome(recipient, &decided);
        let mut notice = None;
        outcome.verdict = match decided.decision {
            Decision::Defer(deferral) => Verdict::Deferred(deferral),
            Decision::Deliver(route) => {
                let app = self.apps.get(&route.mailbox.app.value);
                if self.config.auth.events && app.is_some_and(|app| app.wants_authentication()) {
                    self.authentication(context).await;
                }
                outcome.effects.app = Some(route.mailbox.app.value.clone());
                Verdict::Delivered
            }
            Decision::Hold { rule, detail } => Verdict::Held { rule, detail },
            Decision::Ignore { rule, detail } => {
                notice = Some(NoticePreview::machine_made());
                Verdict::Ignored { rule, detail }
            }
            Decision::Reject(rejection) => {
                let rejected = self.rejected(context, recipient, &decided.id, &rejection);
                notice = Some(self.notifier.preview(rejected, self.authentication(context)).await);
                Verdict::Rejected(rejection)
            }
        };
        let authentication = context.authentication.get().into_iter().flat_map(|known| known.steps.clone());
        let mut steps = context.screen_steps.clone();
        steps.extend(trail.into_steps());
        steps.extend(authentication);
        steps.extend(notice.as_ref().map(NoticePreview::step));
        Explanation { outcome, notice, trail: steps }
    }

    /// An outcome whose verdict is still to be found.
    fn outcome(&self, recipient: &Recipient, decided: &Decided) -> Outcome {
        Outcome {
            id: Some(decided.id.clone()),
            destination: decided.destination.clone(),
            ..Outcome::new(Verdict::Delivered, self.routes.mask(&recipient.address))
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

fn log_line(context: &MessageContext, outcome: &Outcome, delay: Duration) -> LogLine {
    let mut line = LogLine::new(Level::Info);
    line.put_some("queue_id", context.envelope.queue_id.as_ref());
    line.put_some("message_id", context.message.message_id());
    line.put_some("sender", context.envelope.sender.as_text());
    line.put_some("client", context.envelope.client.address);
    line.put("size", context.message.size());
    line.put("delay", format_args!("{:.3}", delay.as_secs_f64()));
    line.followed_by(outcome.log_line())
}
