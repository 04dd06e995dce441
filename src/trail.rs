//! The trail of a decision: which rule looked at what, and what it found. For `explain`; off for real mail.

use serde::Serialize;

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The module: `screen`, `route`, `auth`, …
    pub step: &'static str,
    /// The rule in it.
    pub rule: String,
    /// `pass`, `hit`, `match`, `no match`, …
    pub result: &'static str,
    /// What the rule saw.
    pub detail: String,
}

/// Collects steps, or nothing.
#[derive(Debug, Default)]
pub struct Trail(Option<Vec<Step>>);

impl Trail {
    /// A trail that keeps its steps.
    pub fn kept() -> Self {
        Self(Some(Vec::new()))
    }

    /// A trail that costs nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Adds a step; `detail` is only worked out if the trail is kept.
    pub fn step(
        &mut self,
        step: &'static str,
        rule: impl Into<String>,
        result: &'static str,
        detail: impl FnOnce() -> String,
    ) {
        if let Some(steps) = &mut self.0 {
            steps.push(Step { step, rule: rule.into(), result, detail: detail() });
        }
    }

    /// The steps so far.
    pub fn into_steps(self) -> Vec<Step> {
        self.0.unwrap_or_default()
    }
}
