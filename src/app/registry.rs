//! All kinds of applications, and the applications of a configuration.

use std::collections::HashMap;
use std::sync::Arc;

use super::application::App;
use super::circuit_breaker::{CircuitBreaker, Known};
use super::settings::{CommonSettings, Kind, Setup};
use super::{action_mailbox, discourse, gitlab, osticket, redmine, request_tracker, spool, webhook};
use crate::config::{AppConfig, AppTable, Config, ConfigError};

/// Every kind. A new one is a file, and a line here.
const KINDS: &[Kind] = &[
    action_mailbox::KIND,
    discourse::KIND,
    gitlab::KIND,
    osticket::KIND,
    redmine::KIND,
    request_tracker::KIND,
    spool::KIND,
    webhook::KIND,
];

/// All applications of a configuration by name.
#[derive(Clone, Debug)]
pub struct Apps(HashMap<String, Entry>);

#[derive(Clone, Debug)]
struct Entry {
    app: Arc<dyn App>,
    /// Which application it is, and what is known of it.
    known: Option<(AppConfig, Arc<Known>)>,
}

impl Apps {
    /// Reads secrets and URLs; connects to nothing.
    ///
    /// # Errors
    /// What is wrong with an `[[app]]`, with its line.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Self(HashMap::new()).reloaded(config)
    }

    /// The same after a reload: what is known of an application that is still the same stays known.
    ///
    /// # Errors
    /// What is wrong with an `[[app]]`, with its line.
    pub fn reloaded(&self, config: &Config) -> Result<Self, ConfigError> {
        let apps = config.apps.iter().zip(config.app_tables()?);
        let read = |(app, table): (&AppConfig, AppTable<'_>)| {
            let before = self.0.get(&app.name.value).and_then(|entry| entry.known.as_ref());
            let known = before.filter(|(same, _)| same == app).map(|(_, known)| known.clone()).unwrap_or_default();
            let entry = Entry { app: read(config, table, known.clone())?, known: Some((app.clone(), known)) };
            Ok((app.name.value.clone(), entry))
        };
        apps.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// One application of the caller's own under a name: for a measurement of all that comes before it.
    pub fn only(name: impl Into<String>, app: Arc<dyn App>) -> Self {
        Self(HashMap::from([(name.into(), Entry { app, known: None })]))
    }

    /// The application of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn App>> {
        self.0.get(name).map(|entry| &entry.app)
    }
}

fn read<'c>(config: &'c Config, mut table: AppTable<'c>, known: Arc<Known>) -> Result<Arc<dyn App>, ConfigError> {
    let common: CommonSettings = table.take()?;
    let Some(kind) = KINDS.iter().find(|kind| kind.name == common.kind.value) else {
        let names = KINDS.iter().map(|kind| format!("`{}`", kind.name)).collect::<Vec<_>>().join(", ");
        let message = format!("unknown kind `{}`, expected one of {names}", common.kind.value);
        return Err(config.error_at(&common.kind, message));
    };
    let timeout = common.timeout.unwrap_or(kind.timeout);
    let app = (kind.read)(Setup { config, table: &mut table, name: &common.name, timeout, refusals: kind.refusals })?;
    table.finish()?;
    Ok(Arc::new(CircuitBreaker::new(common.name.value, app.into(), common.concurrency, timeout, known)))
}
