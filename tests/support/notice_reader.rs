//! A notice as Python's `email` package reads it: a parser that is not ours.

use std::process::Command;

use serde_json::Value;

use super::process::run_with_input;

/// What the other parser found.
#[derive(Debug)]
pub struct ReadNotice(pub Value);

impl ReadNotice {
    /// Reads the bytes of a message.
    #[track_caller]
    pub fn of(message: &[u8]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/read_notice.py");
        let output = run_with_input(Command::new("python3").args(["-I", script]), message);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// All values of a header field.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        values(&self.0["fields"], name)
    }

    /// The value of a header field that must stand there once.
    #[track_caller]
    pub fn field(&self, name: &str) -> &str {
        let values = self.fields(name);
        assert_eq!(values.len(), 1, "{name}: {values:?}");
        values[0]
    }

    /// The part at a place, from 0.
    pub fn part(&self, index: usize) -> &Value {
        &self.0["parts"][index]
    }

    /// The text of a part.
    pub fn text(&self, index: usize) -> &str {
        self.part(index)["text"].as_str().unwrap_or_default()
    }

    /// A field of the report about the message (block 0) or the recipient (block 1).
    pub fn status(&self, block: usize, name: &str) -> Option<&str> {
        values(&self.part(1)["blocks"][block], name).first().copied()
    }

    /// What holds for every notice, whatever came in (RFC 3464, 6522, 3834; the contract's section 2.7).
    #[track_caller]
    pub fn assert_sound(&self) {
        let found = &self.0;
        assert_eq!(found["type"], "multipart/report");
        assert_eq!(found["parameters"]["report-type"], "delivery-status");
        assert_eq!(found["defects"], Value::Array(Vec::new()));
        assert_eq!(self.field("auto-submitted"), "auto-replied");
        assert_eq!(self.field("x-auto-response-suppress"), "All");
        assert_eq!(self.field("mime-version"), "1.0");
        for name in ["from", "to", "subject", "date", "message-id", "x-mailhatch-notice"] {
            assert!(!self.field(name).is_empty(), "{name}");
        }
        let parts = found["parts"].as_array().expect("parts");
        assert_eq!(parts.len(), 3, "{found:#}");
        for part in parts {
            assert_eq!(part["defects"], Value::Array(Vec::new()), "{part:#}");
        }
        assert_eq!(parts[0]["type"], "text/plain");
        assert!(matches!(
            parts[1]["type"].as_str(),
            Some("message/delivery-status" | "message/global-delivery-status")
        ));
        assert_eq!(parts[2]["type"], "text/rfc822-headers");
        assert_eq!(parts[1]["blocks"].as_array().map(Vec::len), Some(2), "one recipient: {found:#}");
        assert_eq!(self.status(1, "action"), Some("failed"));
        assert!(self.status(1, "status").is_some_and(|status| status.starts_with("5.")));
        assert!(self.status(1, "final-recipient").is_some());
        assert!(self.status(0, "reporting-mta").is_some());
        assert!(found["longest_line"].as_u64() <= Some(998), "RFC 5322 section 2.1.1: {}", found["longest_line"]);
        assert_eq!((&found["bare_line_ends"], &found["nul"]), (&Value::from(0), &Value::from(0)));
    }
}

fn values<'a>(fields: &'a Value, name: &str) -> Vec<&'a str> {
    let pairs = fields.as_array().into_iter().flatten();
    pairs.filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str()).collect()
}
