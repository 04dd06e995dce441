//! One log line: a level and its fields in order.

use std::fmt::{self, Display, Write};

use crate::config::LogFormat;
use crate::printable::{clipped, escaped_json, is_bidirectional_control};

/// How urgent it is (RFC 5424 section 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are syslog's")]
pub enum Level {
    Error,
    Warning,
    Info,
}

impl Level {
    /// syslog's number for it.
    pub fn severity(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warning => 4,
            Self::Info => 6,
        }
    }

    /// Its name in JSON lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Characters of one value.
const LONGEST_VALUE: usize = 1000;

/// One log line.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// How urgent it is.
    pub level: Level,
    fields: Vec<(&'static str, String)>,
}

impl LogLine {
    /// A line without fields.
    pub fn new(level: Level) -> Self {
        Self { level, fields: Vec::new() }
    }

    /// A line that tells of an event of the service itself.
    pub fn event(level: Level, event: impl Display) -> Self {
        let mut line = Self::new(level);
        line.put("event", event);
        line
    }

    /// Adds a field; a stranger's megabyte is clipped.
    pub fn put(&mut self, name: &'static str, value: impl Display) {
        self.fields.push((name, clipped(&value.to_string(), LONGEST_VALUE)));
    }

    /// Adds a field if there is a value.
    pub fn put_some(&mut self, name: &'static str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// The line's text without a line end.
    pub fn render(&self, format: LogFormat) -> String {
        match format {
            LogFormat::Json => self.json(),
            LogFormat::Logfmt => self.logfmt(),
        }
    }

    fn json(&self) -> String {
        let mut object = serde_json::Map::new();
        object.insert("level".to_owned(), self.level.name().into());
        for (name, value) in &self.fields {
            object.insert((*name).to_owned(), value.as_str().into());
        }
        escaped_json(&serde_json::Value::Object(object).to_string()).into_owned()
    }

    fn logfmt(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.fields {
            if !text.is_empty() {
                text.push(' ');
            }
            let _ = write!(text, "{name}={}", Logfmt(value));
        }
        text
    }
}

/// A value in quotes where it needs them; control characters escaped, so that a hostile header cannot start a line.
struct Logfmt<'a>(&'a str);

impl Display for Logfmt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drives = |c: char| c.is_control() || is_bidirectional_control(c);
        let plain = |c: char| !drives(c) && !c.is_whitespace() && !matches!(c, '"' | '=' | '\\');
        if !self.0.is_empty() && self.0.chars().all(plain) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if drives(c) => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_clipped() {
        let mut line = LogLine::new(Level::Info);
        line.put("message_id", "é".repeat(1_000_000));
        assert_eq!(line.render(LogFormat::Logfmt).chars().count(), "message_id=…".chars().count() + LONGEST_VALUE);
    }

    #[test]
    fn a_hostile_value_stays_one_value_on_one_line() {
        let mut line = LogLine::new(Level::Info);
        line.put("to", "a@b");
        line.put("detail", "x\r\nforged=\"1\"\u{9b}\u{202e}\u{7f}");
        let expected = r#"to=a@b detail="x\u000d\u000aforged=\"1\"\u009b\u202e\u007f""#;
        assert_eq!(line.render(LogFormat::Logfmt), expected);
        let json = line.render(LogFormat::Json);
        assert!(json.is_ascii() && !json.contains('\u{7f}'), "{json:?}");
        let json: serde_json::Value = serde_json::from_str(&json).expect("json");
        assert_eq!(json["detail"], "x\r\nforged=\"1\"\u{9b}\u{202e}\u{7f}");
    }
}
