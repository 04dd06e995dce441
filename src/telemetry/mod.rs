//! Where the story is told: log lines to syslog, journald or standard error; metrics for Prometheus.
//!
//! Never fails a message: a log that cannot be written is counted and dropped.

mod inboxes;
mod metrics;
mod scrape;
mod shared;
mod syslog;

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use inboxes::InboxMetrics;
pub use metrics::{Metrics, OpenConnection, TimedStep};
pub use scrape::{MetricsListener, Refresh};

use self::syslog::Syslog;
use crate::config::{LogConfig, LogFormat, LogTarget, WhenDown};
use crate::ledger::SharedObserver;
use crate::log_line::{Level, LogLine};
use crate::outcome::Outcome;

/// Writes log lines.
#[derive(Debug)]
pub struct Telemetry {
    format: LogFormat,
    sink: Sink,
    /// Lines that wait for [`Telemetry::release`].
    waiting: Option<Mutex<Vec<String>>>,
    dropped: AtomicU64,
    metrics: Option<Arc<Metrics>>,
}

#[derive(Debug)]
enum Sink {
    /// Standard error with the priority prefix of sd-daemon(3).
    Journald,
    Nowhere,
    Stderr,
    Syslog(Mutex<Syslog>),
}

impl Telemetry {
    /// Opens nothing yet: the syslog socket is connected at the first line.
    pub fn new(config: LogConfig) -> Self {
        let sink = match config.to {
            LogTarget::Journald => Sink::Journald,
            LogTarget::Stderr => Sink::Stderr,
            LogTarget::Syslog => Sink::Syslog(Mutex::new(Syslog::new("/dev/log"))),
        };
        Self { format: config.format, sink, waiting: None, dropped: AtomicU64::new(0), metrics: None }
    }

    /// Counts too, for a service that is there to be asked.
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Writes nothing: for `demo` and `explain`, whose output is their own.
    pub fn silent() -> Self {
        Self {
            format: LogFormat::Logfmt,
            sink: Sink::Nowhere,
            waiting: None,
            dropped: AtomicU64::new(0),
            metrics: None,
        }
    }

    /// The same for `pipe`: what goes to standard error waits until the answer is written, because Postfix reads both as
    /// one and wants the enhanced status code first.
    pub fn after_the_answer(config: LogConfig) -> Self {
        Self { waiting: Some(Mutex::default()), ..Self::new(config) }
    }

    /// Writes one line, or counts it as dropped.
    pub fn log(&self, line: &LogLine) {
        let text = line.render(self.format);
        let written = match &self.sink {
            Sink::Journald => self.write(format!("<{}>{text}\n", line.level.severity())),
            Sink::Nowhere => true,
            Sink::Stderr => self.write(format!("{text}\n")),
            // A poisoned lock is taken all the same: a line half written is better than no log at all.
            Sink::Syslog(syslog) => syslog.lock().unwrap_or_else(PoisonError::into_inner).send(line.level, &text),
        };
        if !written {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            if let Some(metrics) = &self.metrics {
                metrics.log_line_dropped();
            }
        }
    }

    /// Counts the answer for one recipient; without metrics it costs nothing.
    pub fn count(&self, outcome: &Outcome) {
        if let Some(metrics) = &self.metrics {
            metrics.count(outcome);
        }
    }

    /// Notes how long a step took; without metrics it costs nothing.
    pub fn observe(&self, step: TimedStep, duration: Duration) {
        if let Some(metrics) = &self.metrics {
            metrics.observe(step, duration);
        }
    }

    /// Does a step and notes how long it took.
    pub fn time<T>(&self, step: TimedStep, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.observe(step, started.elapsed());
        done
    }

    /// Waits for a step and notes how long it took.
    pub async fn timed<T>(&self, step: TimedStep, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = work.await;
        self.observe(step, started.elapsed());
        done
    }

    fn shared_metrics(&self) -> Option<&shared::SharedMetrics> {
        self.metrics.as_ref()?.shared()
    }

    /// Writes the lines that waited for the answer.
    pub fn release(&self) {
        if let Some(waiting) = &self.waiting {
            for line in waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                let _ = std::io::stderr().lock().write_all(line.as_bytes());
            }
        }
    }

    fn write(&self, line: String) -> bool {
        match &self.waiting {
            None => std::io::stderr().lock().write_all(line.as_bytes()).is_ok(),
            Some(waiting) => {
                waiting.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                true
            }
        }
    }

    /// How many lines could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl SharedObserver for Telemetry {
    fn asked(&self, operation: &'static str, took: Duration, has_failed: bool) {
        if let Some(metrics) = self.shared_metrics() {
            metrics.asked(operation, took, has_failed);
        }
    }

    fn went_down(&self, why: &str, when_down: WhenDown) {
        if let Some(metrics) = self.shared_metrics() {
            metrics.set_up(false);
        }
        let mut line = LogLine::event(Level::Error, "shared-ledger-down");
        line.put("detail", why);
        let consequence = match when_down {
            WhenDown::Alone => {
                "this host goes by its own ledger: a message that comes in on two hosts meanwhile is handed over twice"
            }
            WhenDown::Defer => "mail waits with Postfix (shared.when_down = \"defer\")",
        };
        line.put("consequence", consequence);
        self.log(&line);
    }

    fn came_back(&self) {
        if let Some(metrics) = self.shared_metrics() {
            metrics.set_up(true);
        }
        self.log(&LogLine::event(Level::Info, "shared-ledger-up"));
    }
}
