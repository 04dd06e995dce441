//! What happened to each inbox since `fetch` started, as numbers for Prometheus.

use std::time::Duration;

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// The numbers of all inboxes; the label `inbox` has the names of the configuration.
#[derive(Clone, Debug)]
pub struct InboxMetrics {
    connected: IntGaugeVec,
    pending: IntGaugeVec,
    oldest_pending: IntGaugeVec,
    left: IntCounterVec,
    settled: IntCounterVec,
    reconnects: IntCounterVec,
    throttled: IntCounterVec,
    fetched: IntCounterVec,
}

impl InboxMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &["inbox"])?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, prometheus::Error>(gauges)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        Ok(Self {
            connected: gauges("mailhatch_inbox_connected", "1 while an inbox is open.")?,
            pending: gauges("mailhatch_inbox_pending", "Messages of an inbox that are not done.")?,
            oldest_pending: gauges(
                "mailhatch_inbox_oldest_pending_seconds",
                "How long ago the message that waits the longest was first tried; 0 if none waits.",
            )?,
            left: counters(
                "mailhatch_inbox_left_total",
                "Messages with no address of ours, left as they are.",
                &["inbox"],
            )?,
            settled: counters(
                "mailhatch_inbox_settled_total",
                "Messages of an inbox that are done, one for each recipient, by verdict.",
                &["inbox", "verdict"],
            )?,
            reconnects: counters(
                "mailhatch_inbox_reconnects_total",
                "Connections to an inbox that ended, or were not made, by cause.",
                &["inbox", "cause"],
            )?,
            throttled: counters(
                "mailhatch_inbox_throttled_total",
                "How often the server of an inbox asked to come back later, by cause.",
                &["inbox", "cause"],
            )?,
            fetched: counters(
                "mailhatch_inbox_fetched_octets_total",
                "Octets of messages that were fetched.",
                &["inbox"],
            )?,
        })
    }

    /// Has the series of an inbox there from the start: a counter that only appears with its first message has no rate for it.
    pub fn expect(&self, inbox: &str) {
        self.set_connected(inbox, false);
        self.set_pending(inbox, 0, None);
        self.left.with_label_values(&[inbox]);
        self.fetched.with_label_values(&[inbox]);
        self.reconnects.with_label_values(&[inbox, "closed"]);
        self.throttled.with_label_values(&[inbox, "throttled"]);
        for verdict in ["delivered", "duplicate", "ignored", "rejected", "held"] {
            self.settled.with_label_values(&[inbox, verdict]);
        }
    }

    /// Whether it is open.
    pub fn set_connected(&self, inbox: &str, connected: bool) {
        self.connected.with_label_values(&[inbox]).set(i64::from(connected));
    }

    /// How many messages are not done, and how long the oldest was tried.
    pub fn set_pending(&self, inbox: &str, count: usize, oldest: Option<Duration>) {
        self.pending.with_label_values(&[inbox]).set(i64::try_from(count).unwrap_or(i64::MAX));
        let seconds = oldest.unwrap_or_default().as_secs();
        self.oldest_pending.with_label_values(&[inbox]).set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// A message is not ours.
    pub fn left(&self, inbox: &str) {
        self.left.with_label_values(&[inbox]).inc();
    }

    /// A message is done for one recipient.
    pub fn settled(&self, inbox: &str, verdict: &str) {
        self.settled.with_label_values(&[inbox, verdict]).inc();
    }

    /// A connection ended, or was not made.
    pub fn reconnected(&self, inbox: &str, cause: &str) {
        self.reconnects.with_label_values(&[inbox, cause]).inc();
    }

    /// The server asked to come back later.
    pub fn throttled(&self, inbox: &str, cause: &str) {
        self.throttled.with_label_values(&[inbox, cause]).inc();
    }

    /// A message was fetched.
    pub fn fetched(&self, inbox: &str, octets: u64) {
        self.fetched.with_label_values(&[inbox]).inc_by(octets);
    }
}
