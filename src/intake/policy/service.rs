//! What the server and every connection share: settings, the decision, the log.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Answer;
use super::close::CloseReason;
use super::request::Request;
use crate::intake::accept::{LogHook, Peer};
use crate::log_line::{Level, LogLine};
use crate::telemetry::Metrics;

/// What answers the requests.
pub trait Decide: Send + Sync + 'static {
    /// The answer, by what is in force at this moment. Must not wait for anything.
    fn decide(&self, request: &Request) -> Answer;
}

/// How the service runs.
#[derive(Clone)]
pub struct ServerSettings {
    /// Connections at once; each smtpd(8) process keeps one.
    pub connections: usize,
    /// The users whose processes may connect to a Unix socket; `None`: whoever the socket's mode lets in.
    pub allowed_uids: Option<Vec<u32>>,
    /// How long a request that has begun may be without a further line, and an answer unread.
    pub line_timeout: Duration,
    /// How long a client may ask nothing. Longer than Postfix keeps a connection (`smtpd_policy_service_max_ttl`, 1000 s): a
    /// request on one that was closed here would be lost, because `try_limit=1` forbids a second try.
    pub idle_timeout: Duration,
    /// How long connections may take to end when the service stops.
    pub drain: Duration,
    /// Where log lines go.
    pub log: LogHook,
    /// Where answers are counted.
    pub metrics: Option<Arc<Metrics>>,
}

impl ServerSettings {
    /// The times and limits of this service.
    pub fn new(log: LogHook) -> Self {
        Self {
            connections: 500,
            allowed_uids: None,
            line_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(1100),
            drain: Duration::from_secs(5),
            log,
            metrics: None,
        }
    }
}

/// What every connection shares.
pub(super) struct ServerContext {
    pub(super) decide: Arc<dyn Decide>,
    pub(super) settings: ServerSettings,
}

impl ServerContext {
    /// Counts and logs the end of a connection.
    pub(super) fn closed(&self, reason: CloseReason, peer: Peer) {
        if let Some(metrics) = self.settings.metrics.as_ref().filter(|_| reason.is_error()) {
            metrics.policy_error();
        }
        if reason.is_warning() {
            let mut line = LogLine::event(Level::Warning, "connection-closed");
            line.put("socket", "policy");
            line.put("reason", reason.name());
            line.put("peer", peer);
            line.put("detail", "Postfix gets no answer, and goes on as if it had not asked");
            (self.settings.log)(line);
        }
    }
}
