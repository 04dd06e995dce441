//! What the subcommands print, and their exit statuses. A closed output is no reason to fail.
//!
//! Much of it was written by strangers, and a terminal does what control characters say: nothing that comes through here has one.

use std::fmt::Arguments;
use std::io::Write;

use crate::config::ConfigError;
use crate::printable::{escaped_json, for_terminal};

/// Exit status of a check or a piece of work that failed.
pub(super) const FAILED: u8 = 1;
/// Exit status of wrong usage or configuration.
pub(super) const USAGE: u8 = 2;

/// Lines to standard output.
pub(super) fn say(text: Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{}", lines(text));
}

/// The same with colours of our own: each part of it that is not ours has come through [`for_terminal`] already.
pub(super) fn say_painted(text: Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// JSON to standard output.
pub(super) fn say_json<T: serde::Serialize>(value: &T) {
    match serde_json::to_string_pretty(value) {
        Ok(json) => say(format_args!("{}", escaped_json(&json))),
        Err(error) => print_error(format_args!("{error}")),
    }
}

/// Lines to standard error.
pub(super) fn print_error(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "mailhatch: {}", lines(text));
}

fn lines(text: Arguments<'_>) -> String {
    text.to_string().split('\n').map(for_terminal).collect::<Vec<_>>().join("\n")
}

/// Says what is wrong with the configuration; the exit status for it.
pub(super) fn report(error: &ConfigError) -> u8 {
    print_error(format_args!("{error}"));
    USAGE
}
