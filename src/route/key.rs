//! A key: a credential that must not be shown whole.

use std::fmt;

/// What stands in place of `%{key}`: bytes and case untouched. `Display` and `Debug` show the first four characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// A key of at least one character without a line end.
    pub fn new(text: &str) -> Option<Self> {
        let good = !text.is_empty() && !text.contains(['\r', '\n']);
        good.then(|| Self(text.to_owned()))
    }

    /// The whole key: for the application and for `explain`, never for a log or a reply.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A short key would be shown whole by its first four characters.
        let shown = if self.0.chars().count() > 4 { 4 } else { 0 };
        self.0.chars().take(shown).try_for_each(|c| write!(f, "{c}"))?;
        f.write_str("…")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}
