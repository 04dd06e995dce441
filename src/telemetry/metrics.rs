//! What happened since the service started, as numbers for Prometheus.
//!
//! Every label has a bounded set of values: mailboxes of the configuration, and names that stand in the program. A key, an
//! address or a Message-ID is never a label. A `pipe` process ends with its message, so it has no metrics: there the log
//! lines are what can be counted.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::inboxes::InboxMetrics;
use super::shared::SharedMetrics;
use crate::config::Config;
use crate::notice::NoticeOutcome;
use crate::outcome::Outcome;
use crate::verdict::Verdict;

/// A part of a message's way whose time is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the modules")]
pub enum TimedStep {
    App,
    Auth,
    Ledger,
    Notice,
    Route,
    Screen,
    /// From the last octet to the answer, all recipients.
    Total,
}

impl TimedStep {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Screen, Self::Route, Self::Auth, Self::App, Self::Ledger, Self::Notice, Self::Total];

    /// The value of the label `step`.
    pub fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Auth => "auth",
            Self::Ledger => "ledger",
            Self::Notice => "notice",
            Self::Route => "route",
            Self::Screen => "screen",
            Self::Total => "total",
        }
    }
}

/// Upper bounds in seconds: screening takes microseconds, an application seconds, and nothing more than the deadline.
const BUCKETS: &[f64] =
    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds in seconds for an answer at RCPT TO, which asks nobody.
const POLICY_BUCKETS: &[f64] = &[0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.01, 0.1, 1.0];

/// The numbers of one service.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    messages: IntCounterVec,
    deferred: IntCounterVec,
    steps: HistogramVec,
    notices: IntCounterVec,
    warnings: IntCounter,
    held_copies: IntGauge,
    held_bytes: IntGauge,
    held_known: IntGauge,
    held_limit: IntGauge,
    connections: IntGauge,
    connections_total: IntCounterVec,
    policy: IntCounterVec,
    policy_seconds: Histogram,
    log_lines_dropped: IntCounter,
    shared: OnceLock<SharedMetrics>,
}

impl Metrics {
    /// All numbers at zero.
    ///
    /// # Errors
    /// Two metrics have one name: a mistake in this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self::register(Registry::new())?;
        for step in TimedStep::ALL {
            metrics.steps.with_label_values(&[step.name()]);
        }
        metrics.notices.with_label_values(&["sent", ""]);
        for end in ["served", "turned-away"] {
            metrics.connections_total.with_label_values(&[end]);
        }
        for answer in ["dunno", "unknown-address", "too-large", "error"] {
            metrics.policy.with_label_values(&[answer]);
        }
        Ok(metrics)
    }

    /// Has the series of a configuration there from the start, and again after a reload: a counter that only appears with its
    /// first message has no rate for it.
    pub fn expect(&self, config: &Config) {
        for mailbox in &config.mailboxes {
            let mailbox = mailbox.name.value.as_str();
            for (verdict, reason) in [
                ("delivered", ""),
                ("duplicate", ""),
                ("rejected", "unknown-address"),
                ("deferred", "app"),
                ("deferred", "app-refusal"),
            ] {
                self.messages.with_label_values(&[verdict, mailbox, reason]);
            }
        }
        self.held_limit.set(i64::try_from(config.held.max_size).unwrap_or(i64::MAX));
        if config.shared.is_some()
            && self.shared.get().is_none()
            // The names are constants: this cannot fail.
            && let Ok(shared) = SharedMetrics::register(&self.registry)
        {
            let _ = self.shared.set(shared);
        }
    }

    fn register(registry: Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let durations = HistogramOpts::new("mailhatch_step_duration_seconds", "Time that a step took, by step.")
            .buckets(BUCKETS.to_vec());
        let steps = HistogramVec::new(durations, &["step"])?;
        registry.register(Box::new(steps.clone()))?;
        let durations = HistogramOpts::new(
            "mailhatch_policy_seconds",
            "Time from a whole policy request of Postfix to its answer.",
        )
        .buckets(POLICY_BUCKETS.to_vec());
        let policy_seconds = Histogram::with_opts(durations)?;
        registry.register(Box::new(policy_seconds.clone()))?;
        let build =
            IntGaugeVec::new(Opts::new("mailhatch_build_info", "1, with the version as a label."), &["version"])?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let started = gauge("mailhatch_start_time_seconds", "When the service started, in seconds since 1970.")?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        started.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        Ok(Self {
            messages: counters(
                "mailhatch_messages_total",
                "Messages answered, one for each recipient, by verdict, mailbox and the rule that made the verdict.",
                &["verdict", "mailbox", "reason"],
            )?,
            deferred: counters(
                "mailhatch_deferred_total",
                "Messages that Postfix was told to try again, by cause and enhanced status code.",
                &["cause", "status"],
            )?,
            notices: counters(
                "mailhatch_notices_total",
                "Reject notices sent, and withheld by reason.",
                &["outcome", "reason"],
            )?,
            warnings: counter(
                "mailhatch_delivered_unrecorded_total",
                "Messages delivered whose delivery could not be written to the ledger: a second try would double them.",
            )?,
            held_copies: gauge("mailhatch_held_copies", "Copies that are kept back.")?,
            held_bytes: gauge("mailhatch_held_bytes", "Size of the copies that are kept back.")?,
            held_known: gauge("mailhatch_held_readable", "1 if the held copies could be counted at this scrape.")?,
            held_limit: gauge("mailhatch_held_limit_bytes", "held.max_size: above it the oldest copies are removed.")?,
            connections: gauge("mailhatch_connections", "LMTP connections that are open.")?,
            connections_total: counters(
                "mailhatch_connections_total",
                "LMTP connections since the start, by whether they were served or turned away.",
                &["outcome"],
            )?,
            policy: counters(
                "mailhatch_policy_requests_total",
                "Policy requests of Postfix at RCPT TO by their answer; error: no answer, so that Postfix went on without one.",
                &["answer"],
            )?,
            policy_seconds,
            log_lines_dropped: counter("mailhatch_log_lines_dropped_total", "Log lines that could not be written.")?,
            shared: OnceLock::new(),
            steps,
            registry,
        })
    }

    /// Counts what happens to inboxes too.
    ///
    /// # Errors
    /// They are counted already.
    pub fn inboxes(&self) -> Result<InboxMetrics, prometheus::Error> {
        InboxMetrics::register(&self.registry)
    }

    /// Counts the answer for one recipient.
    pub fn count(&self, outcome: &Outcome) {
        let mailbox = outcome.destination.as_ref().map_or("", |found| found.mailbox.as_str());
        let reason = outcome.verdict.rule().unwrap_or_default();
        self.messages.with_label_values(&[outcome.verdict.name(), mailbox, reason]).inc();
        if let Verdict::Deferred(deferral) = &outcome.verdict {
            self.deferred.with_label_values(&[deferral.cause, &deferral.status.to_string()]).inc();
        }
        match &outcome.effects.notice {
            Some(NoticeOutcome::Sent { .. }) => self.notices.with_label_values(&["sent", ""]).inc(),
            // Counted when it was sent.
            Some(NoticeOutcome::SentBefore { .. }) => {}
            Some(NoticeOutcome::Withheld(why)) => self.notices.with_label_values(&["withheld", why.name()]).inc(),
            None => {}
        }
        if outcome.effects.unrecorded {
            self.warnings.inc();
        }
    }

    /// Notes how long a step took.
    pub fn observe(&self, step: TimedStep, duration: Duration) {
        self.steps.with_label_values(&[step.name()]).observe(duration.as_secs_f64());
    }

    /// Counts a connection for as long as the guard lives.
    pub fn connection(&self) -> OpenConnection {
        self.connections.inc();
        self.connections_total.with_label_values(&["served"]).inc();
        OpenConnection(self.connections.clone())
    }

    /// Counts a connection that got no service.
    pub fn connection_turned_away(&self) {
        self.connections_total.with_label_values(&["turned-away"]).inc();
    }

    /// Counts a policy request by the name of its answer.
    pub fn policy_answer(&self, answer: &str, duration: Duration) {
        self.policy.with_label_values(&[answer]).inc();
        self.policy_seconds.observe(duration.as_secs_f64());
    }

    /// Counts a policy request that got no answer.
    pub fn policy_error(&self) {
        self.policy.with_label_values(&["error"]).inc();
    }

    /// The numbers of the shared ledger, if there is one.
    pub(super) fn shared(&self) -> Option<&SharedMetrics> {
        self.shared.get()
    }

    /// What the other hosts of a shared ledger may not know yet.
    pub fn set_unshared(&self, count: u64) {
        if let Some(shared) = self.shared.get() {
            shared.set_unshared(count);
        }
    }

    /// Counts a log line that could not be written.
    pub fn log_line_dropped(&self) {
        self.log_lines_dropped.inc();
    }

    /// How many copies are held, and their size in octets; `None` if the ledger does not say.
    pub fn set_held(&self, held: Option<(u64, u64)>) {
        self.held_known.set(i64::from(held.is_some()));
        if let Some((copies, octets)) = held {
            self.held_copies.set(i64::try_from(copies).unwrap_or(i64::MAX));
            self.held_bytes.set(i64::try_from(octets).unwrap_or(i64::MAX));
        }
    }

    /// All numbers in Prometheus' text format.
    ///
    /// # Errors
    /// A metric has no sample or a label that is not valid: a mistake in this file.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A connection that is open; dropped when it ends.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AddressSource;
    use crate::notice::Withheld;
    use crate::outcome::Destination;
    use crate::route::{Key, Matched};
    use crate::verdict::{Deferral, Rejection, Status};

    fn config() -> Config {
        let text = "[[mailbox]]\nname = \"incoming_email\"\naddress = \"a+%{key}@b\"\napp = \"a\"\n[[app]]\nname = \"a\"\nkind = \"spool\"\npath = \"/x\"\n";
        Config::parse(std::path::Path::new("mailhatch.toml"), text).expect("configuration")
    }

    fn outcome(verdict: Verdict, mailbox: Option<&str>) -> Outcome {
        let destination = mailbox.map(|mailbox| Destination {
            mailbox: mailbox.to_owned(),
            action: None,
            key: Key::new("59d8df8370b7e95c").expect("key"),
            matched: Matched { source: AddressSource::To, address: String::new() },
        });
        Outcome { destination, ..Outcome::new(verdict, "incoming+59d8…@example.com", std::sync::Arc::default()) }
    }

    #[test]
    fn each_answer_counts_where_it_belongs() {
        let metrics = Metrics::new().expect("metrics");
        metrics.expect(&config());
        metrics.count(&outcome(Verdict::Delivered, Some("incoming_email")));
        let deferral = Deferral {
            status: Status::NO_ANSWER,
            cause: "app",
            public: "no answer".to_owned(),
            detail: "connection refused".to_owned(),
            alarm: false,
            retry_after: None,
        };
        metrics.count(&outcome(Verdict::Deferred(deferral), Some("incoming_email")));
        let mut rejected =
            outcome(Verdict::Rejected(Rejection { rule: "unknown-address", reason: "not known".to_owned() }), None);
        rejected.effects.notice = Some(NoticeOutcome::Withheld(Withheld::Off));
        metrics.count(&rejected);
        let text = metrics.render().expect("text");
        for line in [
            r#"mailhatch_messages_total{mailbox="incoming_email",reason="",verdict="delivered"} 1"#,
            r#"mailhatch_messages_total{mailbox="incoming_email",reason="",verdict="duplicate"} 0"#,
            r#"mailhatch_messages_total{mailbox="incoming_email",reason="app",verdict="deferred"} 1"#,
            r#"mailhatch_messages_total{mailbox="",reason="unknown-address",verdict="rejected"} 1"#,
            r#"mailhatch_deferred_total{cause="app",status="4.4.1"} 1"#,
            r#"mailhatch_notices_total{outcome="withheld",reason="off"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains('@'), "no address is ever a label");
    }

    #[test]
    fn a_connection_is_open_until_its_guard_is_dropped() {
        let metrics = Metrics::new().expect("metrics");
        let open = [metrics.connection(), metrics.connection()];
        assert!(metrics.render().expect("text").contains("\nmailhatch_connections 2\n"));
        drop(open);
        let text = metrics.render().expect("text");
        assert!(text.contains("\nmailhatch_connections 0\n"));
        assert!(text.contains("\nmailhatch_connections_total{outcome=\"served\"} 2\n"));
    }

    #[test]
    fn held_copies_that_cannot_be_counted_keep_their_last_number_and_say_so() {
        let metrics = Metrics::new().expect("metrics");
        metrics.set_held(Some((3, 4096)));
        metrics.set_held(None);
        let text = metrics.render().expect("text");
        assert!(text.contains("\nmailhatch_held_copies 3\n") && text.contains("\nmailhatch_held_bytes 4096\n"));
        assert!(text.contains("\nmailhatch_held_readable 0\n"));
    }
}
