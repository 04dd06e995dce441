//! `mailhatch check`: every real part behind the configuration, a line each.
//!
//! ```text
//! configuration ─► secrets ─► applications ─► DNS ─► ledger ─► inboxes ─► Postfix ─► sockets ─► (--send: a canary)
//! ```
//!
//! It hands no event to an application and writes to nobody. Run by root it becomes the service's user first: what root
//! may read says nothing of the service, and a ledger made by root would be closed to it.

mod canary;
mod configuration;
mod finding;
mod inboxes;
mod policy_socket;
mod postfix;
mod probe;
mod rooms;
mod sockets;
mod user;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use finding::{Finding, Level, Report};

use super::output::report;
use super::set_up::{Site, small_runtime};
use crate::config::Config;
use crate::route::Routes;
use crate::telemetry::Telemetry;

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
        output.add(rooms::state(&config).await);
        output.add(rooms::shared(&config).await);
        output.add(rooms::notices(&config));
        output.add(inboxes::doors(&config));
        if !config.inboxes.is_empty() {
            match Site::new(config.clone(), Arc::new(Telemetry::silent())) {
                Ok(site) => output.add(inboxes::check(&config, &site).await),
                // What is wrong was said above.
                Err(_) => output.add([Finding::failed("inboxes", "not tried, because of what failed above")]),
            }
        }
        let wiring = postfix::check(options.postfix_config.as_deref(), &config, &routes);
        output.add(wiring.findings);
        output.add(sockets::lmtp(&config, wiring.use_of_sockets).await);
        output.add(policy_socket::check(&config, &routes, &wiring.policy_sockets, wiring.use_of_sockets).await);
        output.add(sockets::metrics(&config).await);
        if options.send {
            output.add(canary::send(&config, &routes, !wiring.policy_sockets.is_empty()).await);
        }
    });
    runtime.shutdown_background();
    output.end()
}
