//! Texts as TOML writes them.

/// In quotes, escaped where it must be.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
