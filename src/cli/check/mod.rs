//! `mailhatch check`: every real part behind the configuration, a line each.
//!
//! ```text
//! configuration ─► secrets ─► applications ─► DNS ─► ledger ─► Postfix ─► sockets ─► (--send: a canary)
//! ```
//!
//! It hands no event to an application and writes to nobody. Run by root it becomes the service's user first: what root
//! may read says nothing of the service, and a ledger made by root would be closed to it.

mod canary;
mod configuration;
mod postfix;
mod rooms;
mod sockets;
mod user;

use std::path::{Path, PathBuf};

use clap::Args;

use super::{FAILED, USAGE, report, say, small_runtime};
use crate::config::Config;
use crate::route::Routes;

/// Options of `check`.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// Send a message through Postfix to each mailbox and wait for it. It is set aside as machine-made, so no application
    /// sees it.
    #[arg(long)]
    send: bool,
    /// Postfix's configuration directory, if it is not the usual one.
    #[arg(long, value_name = "DIR")]
    postfix_config: Option<PathBuf>,
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    /// It works, but something should be looked at.
    Warning,
    /// Mail would not go through, or not safely.
    Failed,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Ok => "ok",
            Self::Warning => "warning",
        }
    }
}

/// What was found of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    part: String,
    level: Level,
    text: String,
}

impl Finding {
    fn ok(part: impl Into<String>, text: impl Into<String>) -> Self {
        Self { part: part.into(), level: Level::Ok, text: text.into() }
    }

    fn warning(part: impl Into<String>, text: impl Into<String>) -> Self {
        Self { part: part.into(), level: Level::Warning, text: text.into() }
    }

    fn failed(part: impl Into<String>, text: impl Into<String>) -> Self {
        Self { part: part.into(), level: Level::Failed, text: text.into() }
    }

    fn of(part: impl Into<String>, result: Result<String, String>) -> Self {
        match result {
            Ok(text) => Self::ok(part, text),
            Err(text) => Self::failed(part, text),
        }
    }
}

/// Prints findings as they come, and counts them.
#[derive(Debug, Default)]
struct Report {
    counts: [usize; 3],
}

impl Report {
    fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.counts[finding.level as usize] += 1;
            let text = finding.text.replace(['\n', '\r'], " ");
            say(format_args!("{:<8} {:<26} {text}", finding.level.name(), finding.part));
        }
    }

    fn end(&self) -> u8 {
        let [ok, warnings, failed] = self.counts;
        say(format_args!("{ok} ok, {warnings} warning{}, {failed} failed", if warnings == 1 { "" } else { "s" }));
        if failed == 0 { 0 } else { FAILED }
    }
}

/// Checks and gives the exit status.
pub(super) fn run(path: &Path, options: &Options) -> u8 {
    let mut output = Report::default();
    let (config, routes) = match Config::load(path).and_then(|config| Ok((Routes::new(&config)?, config))) {
        Ok((routes, config)) => (config, routes),
        Err(error) => return report(&error),
    };
    output.add(user::become_service(&config));
    output.add(configuration::check(path, &config));
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.add([Finding::failed("system", format!("no runtime: {error}"))]);
            return output.end();
        }
    };
    runtime.block_on(async {
        let secrets = rooms::secrets(&config);
        let secrets_are_good = secrets.iter().all(|finding| finding.level != Level::Failed);
        output.add(secrets);
        output.add(rooms::applications(&config, secrets_are_good).await);
        output.add(rooms::dns(&config).await);
        output.add(rooms::ledger(&config).await);
        output.add(rooms::notices(&config));
        let wiring = postfix::check(options.postfix_config.as_deref(), &config);
        output.add(wiring.findings);
        output.add(sockets::lmtp(&config, wiring.use_of_sockets).await);
        output.add(sockets::metrics(&config).await);
        if options.send {
            output.add(canary::send(&config, &routes).await);
        }
    });
    runtime.shutdown_background();
    output.end()
}

/// Every configuration error is printed with its line and ends in 2.
const _: () = assert!(USAGE == 2 && FAILED == 1);
