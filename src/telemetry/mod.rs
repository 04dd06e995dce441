//! Where the story is told: log lines to syslog, journald or standard error; metrics for Prometheus.
//!
//! Never fails a message: a log that cannot be written is counted and dropped.

mod line;
mod metrics;
mod scrape;
mod syslog;

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use line::{Level, LogLine};
pub use metrics::{Metrics, OpenConnection, TimedStep};
pub use scrape::{MetricsListener, Refresh};

use self::syslog::Syslog;
use crate::config::{LogConfig, LogFormat, LogTarget};
use crate::disposition::Outcome;

/// Writes log lines.
#[derive(Debug)]
pub struct Telemetry {
    format: LogFormat,
    sink: Sink,
    dropped: AtomicU64,
    metrics: Option<Arc<Metrics>>,
}

#[derive(Debug)]
enum Sink {
    /// Standard error with the priority prefix of sd-daemon(3).
    Journald,
    /// Nowhere.
    Silent,
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
        Self { format: config.format, sink, dropped: AtomicU64::new(0), metrics: None }
    }

    /// Counts too, for a service that is there to be asked.
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Says nothing: for `explain`, whose output is its own.
    pub fn silent() -> Self {
        Self { format: LogFormat::Logfmt, sink: Sink::Silent, dropped: AtomicU64::new(0), metrics: None }
    }

    /// Writes one line, or counts it as dropped.
    pub fn log(&self, line: &LogLine) {
        let text = line.render(self.format);
        let written = match &self.sink {
            Sink::Journald => writeln!(std::io::stderr().lock(), "<{}>{text}", line.level.severity()).is_ok(),
            Sink::Silent => true,
            Sink::Stderr => writeln!(std::io::stderr().lock(), "{text}").is_ok(),
            // A poisoned lock is taken all the same: a line half written is better than no log at all.
            Sink::Syslog(syslog) => {
                syslog.lock().unwrap_or_else(std::sync::PoisonError::into_inner).send(line.level, &text)
            }
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

    /// How many lines could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
