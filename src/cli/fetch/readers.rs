//! The readers of all inboxes of one process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};

use super::super::reload::ReloadableEngine;
use super::source::{provider, source};
use crate::config::{Config, ConfigError, InboxConfig};
use crate::crash_point::second;
use crate::intake::budget::Budget;
use crate::intake::mailbox::pulse::Pulse;
use crate::intake::mailbox::reader::{Ending, Reader, Settings};
use crate::intake::mailbox::report::Report;
use crate::intake::mailbox::source::Room;
use crate::intake::shutdown::{Shutdown, ShutdownTrigger};
use crate::log_line::LogLine;
use crate::telemetry::InboxMetrics;

/// How long a message waits for memory before it is tried later.
const MEMORY_WAIT: Duration = Duration::from_secs(20);

/// All readers.
pub(super) struct Readers {
    service: Arc<ReloadableEngine>,
    /// The inboxes that were asked for; none: all of the configuration.
    asked: Vec<String>,
    once: bool,
    metrics: Option<InboxMetrics>,
    running: JoinSet<Ending>,
    pulses: HashMap<Id, (String, Pulse)>,
    trigger: Option<ShutdownTrigger>,
    is_clean: bool,
}

/// What the end of a reader comes to.
pub(super) enum Ended {
    /// Others go on.
    One,
    /// That was the last.
    All { clean: bool },
    /// It cannot work, and why.
    Failed(String),
}

/// What the configuration alone cannot tell: certificates, passwords, names of folders.
pub(super) fn check(config: &Config, asked: &[String]) -> Result<(), ConfigError> {
    if config.inboxes.is_empty() {
        return Err(config.error("there is no [[inbox]]: nothing could be fetched"));
    }
    if let Some(unknown) = asked.iter().find(|name| config.inbox(name).is_none()) {
        return Err(config.error(format!("there is no [[inbox]] with the name \"{unknown}\"")));
    }
    wanted(config, asked).try_for_each(|inbox| source(config, inbox, None, Report::silent("")).map(drop))
}

/// The inboxes that are meant.
pub(super) fn wanted<'c>(config: &'c Config, asked: &'c [String]) -> impl Iterator<Item = &'c InboxConfig> {
    config.inboxes.iter().filter(move |inbox| asked.is_empty() || asked.contains(&inbox.name.value))
}

impl Readers {
    pub(super) fn new(service: Arc<ReloadableEngine>, asked: Vec<String>, once: bool) -> Self {
        let metrics = service.metrics.as_ref().and_then(|metrics| metrics.inboxes().ok());
        Self {
            service,
            asked,
            once,
            metrics,
            running: JoinSet::new(),
            pulses: HashMap::new(),
            trigger: None,
            is_clean: true,
        }
    }

    /// The inboxes that were asked for.
    pub(super) fn asked(&self) -> &[String] {
        &self.asked
    }

    /// Starts them all under the configuration in force.
    pub(super) fn start(&mut self) -> Result<(), ConfigError> {
        let (trigger, shutdown) = Shutdown::new();
        let site = self.service.site();
        let config = site.engine.config();
        let budget = Budget::new(config.limits.memory);
        for inbox in wanted(config, &self.asked) {
            let name = inbox.name.value.clone();
            let pulse = Pulse::default();
            let log = {
                let service = self.service.clone();
                Arc::new(move |line: LogLine| service.log(&line))
            };
            let report = Report::new(&name, log, self.metrics.clone());
            let known = site.ledger.inbox(&name);
            let reader = Reader {
                settings: settings(config, inbox, self.once)?,
                inbox: name.clone(),
                source: source(config, inbox, Some(known.clone()), report.clone())?,
                log: known,
                deliver: self.service.clone(),
                room: Room {
                    budget: budget.clone(),
                    wait: MEMORY_WAIT,
                    message_size: config.limits.message_size,
                    directory: config.state_dir.clone(),
                },
                report,
                shutdown: shutdown.clone(),
                pulse: pulse.clone(),
            };
            let id = self.running.spawn(reader.run()).id();
            self.pulses.insert(id, (name, pulse));
        }
        self.trigger = Some(trigger);
        Ok(())
    }

    /// After a reload: stops them in good order and starts them anew. Also where the configuration is as it was: what it names,
    /// certificates and passwords, may be different, and a reader that waits for that to be put right must not wait longer.
    pub(super) async fn restart(&mut self) -> Result<(), ConfigError> {
        self.stop().await;
        self.start()
    }

    /// Whether every reader moves.
    pub(super) fn all_move(&self) -> bool {
        self.pulses.values().all(|(_, pulse)| pulse.is_there())
    }

    /// The next reader that ends by itself.
    pub(super) async fn next_end(&mut self) -> Ended {
        let Some(ended) = self.running.join_next_with_id().await else { return Ended::All { clean: self.is_clean } };
        let id = ended.as_ref().map_or_else(|error| error.id(), |(id, _)| *id);
        let (name, pulse) = self.pulses.remove(&id).unwrap_or_default();
        pulse.stop();
        match ended.map(|(_, ending)| ending) {
            Ok(Ending::Done { clean }) => {
                self.is_clean &= clean;
                if self.running.is_empty() { Ended::All { clean: self.is_clean } } else { Ended::One }
            }
            Ok(Ending::Taken(who)) => {
                let who = who.unwrap_or_else(|| "another process of this host".to_owned());
                Ended::Failed(format!("inbox \"{name}\" is read by {who} already: one reader an inbox"))
            }
            Ok(Ending::NoLedger(error)) => Ended::Failed(format!("inbox \"{name}\": {error}")),
            Err(error) => Ended::Failed(format!("inbox \"{name}\": internal error: {error}; please report it")),
        }
    }

    /// Stops them in good order.
    pub(super) async fn stop(&mut self) {
        drop(self.trigger.take());
        while self.running.join_next().await.is_some() {}
        self.pulses.clear();
    }
}

fn settings(config: &Config, inbox: &InboxConfig, once: bool) -> Result<Settings, ConfigError> {
    Ok(Settings {
        user: inbox.user(config.file())?,
        since: inbox.since,
        unknown: inbox.unknown,
        concurrency: inbox.concurrency,
        provider: provider(inbox),
        notices: inbox.notices,
        stuck_after: config.fetch.stuck_after,
        once,
        second: second(),
    })
}
