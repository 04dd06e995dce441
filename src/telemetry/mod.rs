//! Where the story is told: log lines to syslog, journald or standard error; metrics.
//!
//! Never fails a message: a log that cannot be written is counted and dropped.

mod line;
mod syslog;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub use line::{Level, LogLine};

use self::syslog::Syslog;
use crate::config::{LogConfig, LogFormat, LogTarget};

/// Writes log lines.
#[derive(Debug)]
pub struct Telemetry {
    format: LogFormat,
    sink: Sink,
    dropped: AtomicU64,
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
        Self { format: config.format, sink, dropped: AtomicU64::new(0) }
    }

    /// Says nothing: for `explain`, whose output is its own.
    pub fn silent() -> Self {
        Self { format: LogFormat::Logfmt, sink: Sink::Silent, dropped: AtomicU64::new(0) }
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
        }
    }

    /// How many lines could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
