//! What every kind of application is set up with.

use std::time::Duration;

use serde::Deserialize;

use super::application::App;
use crate::config::{AppTable, Config, ConfigError, Located, units};

/// Below Postfix's 20 deliveries at once to one destination, so that an application that hangs leaves some for the others.
const DEFAULT_CONCURRENCY: usize = 16;

/// A kind of application: one line in the registry.
pub(super) struct Kind {
    /// What `kind` says.
    pub name: &'static str,
    /// How long one request may take where `timeout` does not say.
    pub timeout: Duration,
    /// Reads the keys of this kind, and the files that they name; connects to nothing.
    pub read: fn(Setup<'_, '_>) -> Result<Box<dyn App>, ConfigError>,
}

/// What a kind is read from.
pub(super) struct Setup<'s, 'c> {
    /// The whole configuration, for its errors and for the mailboxes.
    pub config: &'c Config,
    /// The keys that only this kind has.
    pub table: &'s mut AppTable<'c>,
    /// The name of the application.
    pub name: &'s Located<String>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// The keys that every application has.
#[derive(Debug, Deserialize)]
pub(super) struct CommonSettings {
    pub name: Located<String>,
    pub kind: Located<String>,
    #[serde(default, deserialize_with = "units::optional_duration")]
    pub timeout: Option<Duration>,
    #[serde(default = "default_concurrency", deserialize_with = "units::at_least_one")]
    pub concurrency: usize,
}

fn default_concurrency() -> usize {
    DEFAULT_CONCURRENCY
}
