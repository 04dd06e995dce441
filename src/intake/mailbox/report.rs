//! What a reader tells: log lines with the inbox in them, and numbers.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use super::failure::{Cause, Failure, Remedy};
use crate::log_line::{Level, LogLine};
use crate::mail::Item;
use crate::telemetry::InboxMetrics;

/// Takes the log lines of readers. It must not block.
pub type LogHook = Arc<dyn Fn(LogLine) + Send + Sync>;

/// Tells what happens to one inbox.
#[derive(Clone)]
pub struct Report {
    inbox: String,
    log: LogHook,
    metrics: Option<InboxMetrics>,
}

impl Report {
    /// For an inbox of this name.
    pub fn new(inbox: &str, log: LogHook, metrics: Option<InboxMetrics>) -> Self {
        if let Some(metrics) = &metrics {
            metrics.expect(inbox);
        }
        Self { inbox: inbox.to_owned(), log, metrics }
    }

    /// For who only looks: it tells nothing.
    pub fn silent(inbox: &str) -> Self {
        Self { inbox: inbox.to_owned(), log: Arc::new(|_| ()), metrics: None }
    }

    fn count(&self, count: impl FnOnce(&InboxMetrics, &str)) {
        if let Some(metrics) = &self.metrics {
            count(metrics, &self.inbox);
        }
    }

    fn event(&self, level: Level, event: &str) -> LogLine {
        let mut line = LogLine::event(level, event);
        line.put("inbox", &self.inbox);
        line
    }

    fn log(&self, line: LogLine) {
        (self.log)(line);
    }

    /// It is open.
    pub fn connected(&self, what: impl Display) {
        self.count(|metrics, inbox| metrics.set_connected(inbox, true));
        let mut line = self.event(Level::Info, "connect");
        line.put("detail", what);
        self.log(line);
    }

    /// It is not open any more, as was wanted.
    pub fn closed(&self) {
        self.count(|metrics, inbox| metrics.set_connected(inbox, false));
        let mut line = self.event(Level::Info, "disconnect");
        line.put("cause", "done");
        self.log(line);
    }

    /// The connection ended, or was not made.
    pub fn failed(&self, failure: &Failure, wait: Option<Duration>) {
        let (cause, remedy) = (failure.cause.name(), failure.cause.remedy());
        self.count(|metrics, inbox| {
            metrics.set_connected(inbox, false);
            metrics.reconnected(inbox, cause);
            if remedy == Remedy::Wait {
                metrics.throttled(inbox, cause);
            }
        });
        let event = match remedy {
            Remedy::Wait => "throttled",
            Remedy::RereadCredential => "auth-failed",
            _ => "disconnect",
        };
        let mut line = self.event(if remedy.is_alarm() { Level::Error } else { Level::Warning }, event);
        line.put("cause", cause);
        if let Some(wait) = wait {
            line.put("next_try", format_args!("{:.1}s", wait.as_secs_f64()));
        }
        line.put("detail", failure);
        self.log(line);
    }

    /// The service asks for patience, which a request has without a new connection.
    pub fn throttled(&self, said: &str, wait: Duration) {
        let cause = Cause::Throttled.name();
        self.count(|metrics, inbox| metrics.throttled(inbox, cause));
        let mut line = self.event(Level::Warning, "throttled");
        line.put("cause", cause);
        line.put("next_try", format_args!("{:.1}s", wait.as_secs_f64()));
        line.put("detail", said);
        self.log(line);
    }

    /// It begins, for the first time or anew.
    pub fn begins(&self, event: &'static str, detail: impl Display) {
        let mut line = self.event(Level::Info, event);
        line.put("detail", detail);
        self.log(line);
    }

    /// A message is not ours.
    pub fn left(&self, item: &Item) {
        self.count(InboxMetrics::left);
        let mut line = self.event(Level::Info, "left");
        line.put(item.field(), item);
        line.put("detail", "no address of a mailbox; it stays as it is");
        self.log(line);
    }

    /// A message is done for one recipient.
    pub fn settled(&self, verdict: &str) {
        self.count(|metrics, inbox| metrics.settled(inbox, verdict));
    }

    /// A message was fetched.
    pub fn fetched(&self, octets: u64) {
        self.count(|metrics, inbox| metrics.fetched(inbox, octets));
    }

    /// How many messages are not done, and how long the oldest was tried.
    pub fn pending(&self, count: usize, oldest: Option<Duration>) {
        self.count(|metrics, inbox| metrics.set_pending(inbox, count, oldest));
    }

    /// A message could not be fetched.
    pub fn waits(&self, item: &Item, cause: &str, detail: &str, wait: Duration) {
        let mut line = self.event(Level::Warning, "message-waits");
        line.put(item.field(), item);
        line.put("cause", cause);
        line.put("next_try", format_args!("{:.0}s", wait.as_secs_f64()));
        line.put("detail", detail);
        self.log(line);
    }

    /// Messages wait for too long.
    pub fn stuck(&self, count: usize, oldest: &Item, attempts: u32, cause: &str) {
        let mut line = self.event(Level::Error, "stuck");
        line.put("messages", count);
        line.put(oldest.field(), oldest);
        line.put("attempts", attempts);
        line.put("cause", cause);
        line.put("detail", format_args!("messages wait for too long; see mailhatch inbox show {}", self.inbox));
        self.log(line);
    }

    /// Something that a person must look at, though mail goes on.
    pub fn alarm(&self, event: &str, detail: impl Display) {
        let mut line = self.event(Level::Error, event);
        line.put("detail", detail);
        self.log(line);
    }
}
