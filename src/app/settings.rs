//! What every kind of application is set up with.

use std::fmt;
use std::time::Duration;

use hyper::header::HeaderValue;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::application::{App, Refusals};
use crate::config::{AppTable, Config, ConfigError, Located, SecretKeys, SecretSource, units};

/// Below Postfix's 20 deliveries at once to one destination, so that an application that hangs leaves some for the others.
const DEFAULT_CONCURRENCY: usize = 16;

/// A kind of application: one line in the registry.
pub(super) struct Kind {
    /// What `kind` says.
    pub name: &'static str,
    /// How long one request may take where `timeout` does not say.
    pub timeout: Duration,
    /// What becomes of refused messages where `refusals` and `refused_after` do not say.
    pub refusals: Refusals,
    /// Reads the keys of this kind, and the files that they name; connects to nothing.
    pub read: fn(Setup<'_, '_>) -> Result<Box<dyn App>, ConfigError>,
}

impl Kind {
    /// What most kinds are like.
    pub const fn new(name: &'static str, read: fn(Setup<'_, '_>) -> Result<Box<dyn App>, ConfigError>) -> Self {
        Self { name, timeout: Duration::from_secs(30), refusals: Refusals::HOLD, read }
    }
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
    /// What becomes of refused messages.
    pub refusals: Refusals,
}

impl Setup<'_, '_> {
    /// Where the one secret of this application is.
    pub fn secret(&mut self) -> Result<SecretSource, ConfigError> {
        self.table.take::<SecretKeys>()?.choose(self.config.file(), self.name)
    }

    /// A secret that is text of one line; `advice` says what the file holds.
    pub fn secret_text(&self, secret: &SecretSource, advice: &str) -> Result<SecretText, ConfigError> {
        let text = secret.read_only_one().and_then(|secret| {
            let text = str::from_utf8(secret.expose()).map_err(|_| "the secret is not text".to_owned())?;
            match text.contains(char::is_control) || text.is_empty() {
                true => Err("the secret is not one line of text".to_owned()),
                false => Ok(SecretText(text.to_owned().into())),
            }
        });
        text.map_err(|message| secret.error(self.config.file(), format!("{message}; {advice}")))
    }

    /// The same as the value of a header field, behind a `prefix`.
    pub fn secret_header(&self, secret: &SecretSource, prefix: &str, advice: &str) -> Result<HeaderValue, ConfigError> {
        let text = self.secret_text(secret, advice)?;
        self.header(secret, &format!("{prefix}{}", text.text()))
    }

    /// The value of a header field made from the secret.
    pub fn header(&self, secret: &SecretSource, text: &str) -> Result<HeaderValue, ConfigError> {
        let value = HeaderValue::from_str(text);
        let mut value =
            value.map_err(|_| secret.error(self.config.file(), "the secret is not a valid header value"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// A secret that is text; wiped from memory, never printed.
pub(super) struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text, for a request.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
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
