//! What the subcommands print, and their exit statuses. A closed output is no reason to fail.

use std::fmt::Arguments;
use std::io::Write;

use crate::config::ConfigError;

/// Exit status of a check or a piece of work that failed.
pub(super) const FAILED: u8 = 1;
/// Exit status of wrong usage or configuration.
pub(super) const USAGE: u8 = 2;

/// One line to standard output.
pub(super) fn say(text: Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// One line to standard error.
pub(super) fn print_error(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "mailhatch: {text}");
}

/// Says what is wrong with the configuration; the exit status for it.
pub(super) fn report(error: &ConfigError) -> u8 {
    print_error(format_args!("{error}"));
    USAGE
}
