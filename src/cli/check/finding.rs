//! What `check` finds of one part, a line each.

use crate::cli::output::{FAILED, say};

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    /// It works, but something should be looked at.
    Warning,
    /// Mail would not go through, or not safely.
    Failed,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Ok => "ok",
            Self::Warning => "warning",
        }
    }
}

/// What was found of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub part: String,
    pub level: Level,
    pub text: String,
}

impl Finding {
    pub fn ok(part: impl Into<String>, text: impl Into<String>) -> Self {
        Self { part: part.into(), level: Level::Ok, text: text.into() }
    }

    pub fn warning(part: impl Into<String>, text: impl Into<String>) -> Self {
        Self { part: part.into(), level: Level::Warning, text: text.into() }
    }

    pub fn failed(part: impl Into<String>, text: impl Into<String>) -> Self {
        Self { part: part.into(), level: Level::Failed, text: text.into() }
    }

    pub fn of(part: impl Into<String>, result: Result<String, String>) -> Self {
        match result {
            Ok(text) => Self::ok(part, text),
            Err(text) => Self::failed(part, text),
        }
    }
}

/// Prints findings as they come, and counts them.
#[derive(Debug, Default)]
pub(super) struct Report {
    counts: [usize; 3],
}

impl Report {
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.counts[finding.level as usize] += 1;
            let text = finding.text.replace(['\n', '\r'], " ");
            say(format_args!("{:<8} {:<26} {text}", finding.level.name(), finding.part));
        }
    }

    pub fn end(&self) -> u8 {
        let [ok, warnings, failed] = self.counts;
        say(format_args!("{ok} ok, {warnings} warning{}, {failed} failed", if warnings == 1 { "" } else { "s" }));
        if failed == 0 { 0 } else { FAILED }
    }
}
