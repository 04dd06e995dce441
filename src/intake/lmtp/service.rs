//! What the server and every connection share: settings, the memory budget, the delivery, the log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::reply::CloseReason;
use super::step::SessionLimits;
use crate::config::Config;
use crate::intake::accept::{LogHook, Peer};
use crate::intake::budget::Budget;
use crate::intake::{Deliver, MessageLimits};
use crate::log_line::{Level, LogLine};
use crate::telemetry::Metrics;

/// How the service runs.
#[derive(Clone)]
pub struct ServerSettings {
    /// Our name in greetings.
    pub hostname: String,
    /// Octets of a message that stay in memory; the rest goes to a file in `state_dir`.
    pub message_size: u64,
    /// Octets that all messages together may have in memory.
    pub memory: u64,
    /// Connections at once.
    pub connections: usize,
    /// Recipients of one message.
    pub recipients: usize,
    /// Where the rest of a too large message goes.
    pub state_dir: PathBuf,
    /// The users whose processes may connect to a Unix socket; `None`: whoever the socket's mode lets in.
    pub allowed_uids: Option<Vec<u32>>,
    /// How long a message waits for memory before it is deferred.
    pub memory_wait: Duration,
    /// How long a client may be silent between commands (RFC 5321 section 4.5.3.2.7 asks for 5 minutes).
    pub command_timeout: Duration,
    /// How long it may be silent in the middle of a message (RFC 5321 section 4.5.3.2.5 gives a client 3 minutes).
    pub data_timeout: Duration,
    /// How long connections may take to end when the service stops.
    pub drain: Duration,
    /// Where log lines go.
    pub log: LogHook,
    /// Where connections are counted.
    pub metrics: Option<Arc<Metrics>>,
}

impl ServerSettings {
    /// What the configuration says, and this service's own times.
    pub fn new(config: &Config, log: LogHook) -> Self {
        Self {
            hostname: config.hostname.clone(),
            message_size: config.limits.message_size,
            memory: config.limits.memory,
            connections: config.limits.connections,
            recipients: config.limits.recipients,
            state_dir: config.state_dir.clone(),
            allowed_uids: None,
            memory_wait: Duration::from_secs(20),
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(180),
            // What is in delivery has its deadline; the answer has to be written too.
            drain: config.limits.deadline + Duration::from_secs(5),
            log,
            metrics: None,
        }
    }
}

/// What every connection shares.
pub(super) struct ServerContext {
    pub(super) deliver: Arc<dyn Deliver>,
    pub(super) settings: ServerSettings,
    pub(super) budget: Budget,
}

impl ServerContext {
    /// What is in force now: a reload may have changed it.
    pub(super) fn session_limits(&self) -> SessionLimits {
        let ServerSettings { message_size, memory, recipients, .. } = self.settings;
        let limits = self.deliver.limits().unwrap_or(MessageLimits { message_size, memory, recipients });
        self.budget.resize(limits.memory);
        SessionLimits {
            message_size: usize::try_from(limits.message_size).unwrap_or(usize::MAX),
            recipients: limits.recipients,
        }
    }

    pub(super) fn log(&self, line: LogLine) {
        (self.settings.log)(line);
    }

    pub(super) fn log_close(&self, reason: CloseReason, peer: Peer) {
        let level = match reason {
            CloseReason::Quit | CloseReason::Idle | CloseReason::ShuttingDown => return,
            _ => Level::Warning,
        };
        let mut line = LogLine::event(level, "connection-closed");
        line.put("reason", reason.name());
        line.put("peer", peer);
        line.put("reply", reason.reply());
        self.log(line);
    }
}
