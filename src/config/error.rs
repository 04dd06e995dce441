//! A configuration error: file, line, column, what is wrong and what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A mistake in the configuration.
///
/// `Display` shows the line. [`ConfigError::brief`] does not: pipe(8) hands our output to the sender in a status report, and a
/// stranger must not read the configuration.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ConfigError {
    path: PathBuf,
    place: Option<Place>,
    message: String,
}

#[derive(Clone, Debug)]
struct Place {
    line: usize,
    column: usize,
    text: String,
    width: usize,
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self { path: path.to_owned(), place: None, message: format!("cannot be read: {error}") }
    }

    /// What is wrong, without the file's text.
    pub fn brief(&self) -> String {
        match &self.place {
            Some(place) => format!("configuration error in line {}", place.line),
            None => "the configuration cannot be read".to_owned(),
        }
    }

    /// The line of the mistake, from 1.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let Some(place) = &self.place else { return write!(f, "{path}: {}", self.message) };
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{path}:{number}:{}: {}", place.column, self.message)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", place.text)?;
        write!(f, "{margin} | {}{}", " ".repeat(place.column - 1), "^".repeat(place.width))
    }
}

/// The text that spans point into.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    path: PathBuf,
    pub text: Arc<str>,
}

impl Source {
    pub fn new(path: &Path, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.into() }
    }

    pub fn error(&self, span: Option<Range<usize>>, message: impl Into<String>) -> ConfigError {
        let place = span.map(|span| self.place(&span));
        ConfigError { path: self.path.clone(), place, message: message.into() }
    }

    /// What the TOML reader found.
    pub fn syntax_error(&self, error: &toml::de::Error) -> ConfigError {
        self.error(error.span(), error.message().trim().replace('\n', " "))
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let floor = |offset: usize| {
            let mut offset = offset.min(self.text.len());
            while !self.text.is_char_boundary(offset) {
                offset -= 1;
            }
            offset
        };
        let start = floor(span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = self.text[line_start..].lines().next().unwrap_or_default();
        let marked = &self.text[start..floor(span.end).max(start)];
        Place {
            line: before.matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            text: text.to_owned(),
            width: marked.lines().next().unwrap_or_default().chars().count().max(1),
        }
    }
}
