//! The engine of a service, which SIGHUP replaces while messages are on their way.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::BoxFuture;

use super::set_up::Site;
use crate::config::{Config, ConfigError, LogConfig};
use crate::intake::policy::{Answer, Decide, Request};
use crate::intake::{Deliver, DeliverFetched, Fetched, Handled, MessageLimits};
use crate::log_line::LogLine;
use crate::mail::{Content, Envelope};
use crate::outcome::Outcome;
use crate::pipeline::Engine;
use crate::sandbox::Sandbox;
use crate::telemetry::{Metrics, Telemetry};

/// The engine in force: SIGHUP puts another in its place, and messages on their way keep theirs.
#[derive(Debug)]
pub(super) struct ReloadableEngine {
    site: RwLock<Site>,
    /// Counted on over a reload; `None` where nothing is counted.
    pub(super) metrics: Option<Arc<Metrics>>,
    pub(super) sandbox: Sandbox,
}

impl ReloadableEngine {
    /// The first engine, within its sandbox.
    pub(super) fn new(site: Site, metrics: Option<Arc<Metrics>>, sandbox: Sandbox) -> Self {
        Self { site: RwLock::new(site), metrics, sandbox }
    }

    /// The engine in force now.
    pub(super) fn current(&self) -> Arc<Engine> {
        self.site().engine
    }

    /// The engine in force now, with what is below it.
    pub(super) fn site(&self) -> Site {
        self.site.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a new configuration in force, or keeps the old one if the new one is wrong.
    pub(super) fn reload(&self, path: &Path) -> Result<(), ConfigError> {
        let config = Config::load(path)?;
        self.sandbox.admits(&config)?;
        let telemetry = Arc::new(telemetry(config.log, self.metrics.as_ref()));
        if let Some(metrics) = &self.metrics {
            metrics.expect(&config);
        }
        let reloaded = self.site().reloaded(config, telemetry)?;
        *self.site.write().unwrap_or_else(PoisonError::into_inner) = reloaded;
        Ok(())
    }

    /// Writes a line to the log in force.
    pub(super) fn log(&self, line: &LogLine) {
        self.current().telemetry().log(line);
    }
}

impl Deliver for ReloadableEngine {
    fn deliver(self: Arc<Self>, envelope: Envelope, content: Content) -> BoxFuture<'static, Vec<Outcome>> {
        self.current().deliver(envelope, content)
    }

    fn limits(&self) -> Option<MessageLimits> {
        let engine = self.current();
        let limits = &engine.config().limits;
        Some(MessageLimits { message_size: limits.message_size, memory: limits.memory, recipients: limits.recipients })
    }
}

impl Decide for ReloadableEngine {
    fn decide(&self, request: &Request) -> Answer {
        self.current().decide(request)
    }
}

impl DeliverFetched for ReloadableEngine {
    fn deliver_fetched(self: Arc<Self>, fetched: Fetched) -> BoxFuture<'static, Handled> {
        self.current().deliver_fetched(fetched)
    }
}

/// A log that counts too.
pub(super) fn telemetry(log: LogConfig, metrics: Option<&Arc<Metrics>>) -> Telemetry {
    let telemetry = Telemetry::new(log);
    match metrics {
        Some(metrics) => telemetry.with_metrics(metrics.clone()),
        None => telemetry,
    }
}
