//! All kinds of applications, and the applications of a configuration.

use std::collections::HashMap;
use std::sync::Arc;

use super::application::App;
use super::circuit_breaker::CircuitBreaker;
use super::settings::{CommonSettings, Kind, Setup};
use super::{gitlab, spool, webhook};
use crate::config::{AppTable, Config, ConfigError};

/// Every kind. A new one is a file, and a line here.
const KINDS: &[Kind] = &[gitlab::KIND, spool::KIND, webhook::KIND];

/// All applications of a configuration by name.
#[derive(Clone, Debug)]
pub struct Apps(HashMap<String, Arc<dyn App>>);

impl Apps {
    /// Reads secrets and URLs; connects to nothing.
    ///
    /// # Errors
    /// What is wrong with an `[[app]]`, with its line.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        config.app_tables()?.into_iter().map(|table| read(config, table)).collect::<Result<_, _>>().map(Self)
    }

    /// One application of the caller's own under a name: for a measurement of all that comes before it.
    pub fn only(name: impl Into<String>, app: Arc<dyn App>) -> Self {
        Self(HashMap::from([(name.into(), app)]))
    }

    /// The application of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn App>> {
        self.0.get(name)
    }
}

fn read<'c>(config: &'c Config, mut table: AppTable<'c>) -> Result<(String, Arc<dyn App>), ConfigError> {
    let common: CommonSettings = table.take()?;
    let Some(kind) = KINDS.iter().find(|kind| kind.name == common.kind.value) else {
        let names = KINDS.iter().map(|kind| format!("`{}`", kind.name)).collect::<Vec<_>>().join(", ");
        let message = format!("unknown kind `{}`, expected one of {names}", common.kind.value);
        return Err(config.error_at(&common.kind, message));
    };
    let timeout = common.timeout.unwrap_or(kind.timeout);
    let app = (kind.read)(Setup { config, table: &mut table, name: &common.name, timeout })?;
    table.finish()?;
    let name = common.name.value;
    Ok((name.clone(), Arc::new(CircuitBreaker::new(name, app.into(), common.concurrency, timeout))))
}
