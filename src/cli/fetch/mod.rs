//! `mailhatch fetch`: reads mailboxes, and hands their mail to the same pipeline as LMTP.

mod dry_run;
pub(super) mod look;
mod readers;
pub(super) mod source;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use readers::{Ended, Readers};

use super::output::{FAILED, print_error, report};
use super::reload::{ReloadableEngine, telemetry};
use super::service::{MAINTENANCE, become_unprivileged, log_panics, maintain, serve_metrics, tell_reload};
use super::set_up::{Site, service_runtime};
use super::sharing::keep_the_others_informed;
use crate::ledger::DeliveryLog;
use crate::log_line::{Level, LogLine};
use crate::sandbox::Sandbox;
use crate::telemetry::Metrics;

/// Options of `fetch`.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// Read this inbox alone; may be given more than once. Default: all of the configuration.
    #[arg(long = "inbox", value_name = "NAME")]
    inboxes: Vec<String>,
    /// End when nothing is due; exit 1 if something was deferred or failed.
    #[arg(long)]
    once: bool,
    /// Say how many messages would become what, and why; mark nothing, hand nothing over.
    #[arg(long)]
    dry_run: bool,
}

/// Reads until SIGTERM, or with `--once` until nothing is due, and gives the exit status.
pub(super) fn run(path: &Path, options: &Options) -> u8 {
    let metrics = Metrics::new().ok().map(Arc::new);
    let site = match Site::load(path, |log| telemetry(log, metrics.as_ref())) {
        Ok(site) => site,
        Err(error) => return report(&error),
    };
    if let Err(error) = readers::check(site.engine.config(), &options.inboxes) {
        return report(&error);
    }
    if options.dry_run {
        return dry_run::run(&site, &options.inboxes);
    }
    let sandbox = Sandbox::enter(site.engine.config());
    let service = Arc::new(ReloadableEngine::new(site, metrics, sandbox));
    let fetching = fetch(service, path.to_owned(), options.inboxes.clone(), options.once);
    match service_runtime().and_then(|runtime| runtime.block_on(fetching)) {
        Ok(true) => 0,
        Ok(false) => FAILED,
        Err(error) => {
            print_error(format_args!("{error}"));
            FAILED
        }
    }
}

/// True if all went well.
async fn fetch(service: Arc<ReloadableEngine>, path: PathBuf, asked: Vec<String>, once: bool) -> io::Result<bool> {
    // First, as in `serve`: a reload that comes at once must not end it.
    let mut hangup = signal(SignalKind::hangup())?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    become_unprivileged(&service)?;
    if let Err(error) = service.site().prepare() {
        service.log(&LogLine::event(Level::Error, error));
    }
    log_panics(service.clone());
    tokio::spawn(keep_the_others_informed(service.clone()));
    let mut readers = Readers::new(service.clone(), asked, once);
    if !once {
        let address = service.current().config().fetch.metrics;
        serve_metrics(&service, "fetch.metrics", address).await;
    }
    readers.start().map_err(io::Error::other)?;
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let mut watchdog =
        tokio::time::interval(sd_notify::watchdog_enabled().map_or(Duration::from_secs(3600), |period| period / 2));
    let mut maintenance = tokio::time::interval(MAINTENANCE);
    let ended = loop {
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            // A reader that does not move is not fed: systemd then starts the service anew.
            _ = watchdog.tick() => if readers.all_move() {
                drop(sd_notify::notify(&[NotifyState::Watchdog]));
            },
            _ = maintenance.tick() => maintain(&service),
            Some(()) = hangup.recv() => {
                let reloaded = service.reload(&path).and_then(|()| readers::check(service.current().config(), readers.asked()));
                let is_good = reloaded.is_ok();
                tell_reload(&service, reloaded, "fetch.metrics needs a restart");
                if is_good {
                    readers.restart().await.map_err(io::Error::other)?;
                }
            }
            ended = readers.next_end() => match ended {
                Ended::One => {}
                Ended::All { clean } => break Some(clean),
                Ended::Failed(why) => {
                    print_error(format_args!("{why}"));
                    break Some(false);
                }
            },
        }
    };
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    readers.stop().await;
    if let Err(error) = service.site().ledger.settle().await {
        service.log(&LogLine::event(Level::Error, error));
    }
    Ok(ended.unwrap_or(true))
}
