//! Where the story is told: log lines to syslog, journald or standard error; metrics.
//!
//! Never fails a message: a log that cannot be written is counted and dropped.

mod line;

pub use line::{Level, LogLine};
