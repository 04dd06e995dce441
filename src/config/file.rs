//! The configuration file as it was read: its text, for errors that show their line, and the credentials opened for it.

use super::error::{ConfigError, Source};
use super::located::Located;
use crate::credential::Opened;

/// What a part of the configuration needs of the whole.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    pub(super) source: Source,
    /// Credentials that root has opened.
    pub(super) opened: Opened,
}

impl ConfigFile {
    /// An error that shows where `at` stands in the file.
    pub fn error_at<T>(&self, at: &Located<T>, message: impl Into<String>) -> ConfigError {
        self.source.error(Some(at.span.clone()), message)
    }

    /// An error that no single place in the file shows.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        self.source.error(None, message)
    }
}
