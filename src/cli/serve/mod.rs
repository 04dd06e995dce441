//! `mailhatch serve`: the LMTP service, and the policy service beside it.

mod sockets;

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use sockets::Sockets;

use super::output::{FAILED, print_error, report};
use super::reload::{ReloadableEngine, telemetry};
use super::service::{MAINTENANCE, become_unprivileged, log_panics, maintain, serve_metrics, tell_reload};
use super::set_up::{Site, service_runtime};
use super::sharing::keep_the_others_informed;
use crate::intake::shutdown::{Shutdown, ShutdownTrigger};
use crate::intake::{lmtp, policy};
use crate::ledger::DeliveryLog;
use crate::log_line::{Level, LogLine};
use crate::pipeline::{Round, WaitingCopies};
use crate::sandbox::Sandbox;
use crate::telemetry::Metrics;

/// Runs until SIGTERM and gives the exit status.
pub(super) fn run(path: &Path) -> u8 {
    // The names are constants, so that this cannot fail; if it did, mail is worth more than numbers.
    let metrics = Metrics::new().ok().map(Arc::new);
    let site = match Site::load_as_is(path, |log| telemetry(log, metrics.as_ref())) {
        Ok(site) => site,
        Err(error) => return report(&error),
    };
    let sandbox = Sandbox::enter(site.engine.config());
    let service = ReloadableEngine::new(site, metrics, sandbox);
    match service_runtime().and_then(|runtime| runtime.block_on(serve(service, path.to_owned()))) {
        Ok(()) => 0,
        Err(error) => {
            print_error(format_args!("{error}"));
            FAILED
        }
    }
}

async fn serve(service: ReloadableEngine, path: PathBuf) -> io::Result<()> {
    // Before anything can be heard of the service: a reload that comes at once must not end it.
    let mut hangup = signal(SignalKind::hangup())?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let service = Arc::new(service);
    let sockets = Sockets::open(&service.current())?;
    become_unprivileged(&service)?;
    let address = service.current().config().listen.metrics;
    serve_metrics(&service, "listen.metrics", address).await;
    log_panics(service.clone());
    tokio::spawn(keep_the_others_informed(service.clone()));
    let (trigger, shutdown) = Shutdown::new();
    let mut serving = tokio::spawn(start(&service, sockets, shutdown.clone()));
    let waiting = tokio::spawn(hand_over_waiting(service.clone(), shutdown));
    service.log(&LogLine::event(Level::Info, format_args!("mailhatch {} is ready", env!("CARGO_PKG_VERSION"))));
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let mut watchdog =
        tokio::time::interval(sd_notify::watchdog_enabled().map_or(Duration::from_secs(3600), |period| period / 2));
    let mut maintenance = tokio::time::interval(MAINTENANCE);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = watchdog.tick() => drop(sd_notify::notify(&[NotifyState::Watchdog])),
            _ = maintenance.tick() => maintain(&service),
            hung_up = hangup.recv() => reload(&service, &path, hung_up),
            ended = &mut serving => return ended.map(drop).map_err(io::Error::other),
        }
    }
    stop(&service, trigger, serving, &mut terminate).await;
    tokio::select! {
        // What it was at is in flight no longer than any other message.
        _ = waiting => {}
        // A second signal means now.
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn start(
    service: &Arc<ReloadableEngine>,
    sockets: Sockets,
    shutdown: Shutdown,
) -> impl Future<Output = usize> + Send + 'static {
    let log = {
        let service = service.clone();
        Arc::new(move |line: LogLine| service.log(&line))
    };
    let site = service.site();
    if let Err(error) = site.prepare() {
        // Mail is deferred until it is fixed; the service must be there to say so.
        service.log(&LogLine::event(Level::Error, error));
    }
    let allowed_uids = Some(sockets::allowed_uids(&site.engine));
    let mut settings = policy::ServerSettings::new(log.clone());
    settings.metrics.clone_from(&service.metrics);
    settings.allowed_uids.clone_from(&allowed_uids);
    let policy = policy::serve(sockets.policy, service.clone(), settings, shutdown.clone());
    let mut settings = lmtp::ServerSettings::new(site.engine.config(), log);
    settings.metrics.clone_from(&service.metrics);
    settings.allowed_uids = allowed_uids;
    let lmtp = lmtp::serve(sockets.lmtp, service.clone(), settings, shutdown);
    async {
        let (lmtp, policy) = tokio::join!(lmtp, policy);
        lmtp + policy
    }
}

/// Hands over the copies that wait for their application, for as long as the service runs.
async fn hand_over_waiting(service: Arc<ReloadableEngine>, mut shutdown: Shutdown) {
    let mut waiting = WaitingCopies::default();
    loop {
        let engine = service.current();
        tokio::select! {
            () = shutdown.requested() => return,
            () = engine.copies_wait(&waiting) => {}
        }
        let engine = service.current();
        let round = AssertUnwindSafe(engine.hand_over_waiting(&mut waiting)).catch_unwind().await;
        let (level, text) = match round {
            Ok(Ok(Round { done: 0, .. })) => continue,
            Ok(Ok(Round { done, left })) => {
                (Level::Info, format!("{done} held messages handed over, {left} go on waiting"))
            }
            Ok(Err(error)) => (Level::Error, format!("held messages cannot be handed over: {error}")),
            Err(_) => {
                (Level::Error, "held messages cannot be handed over: internal error, please report it".to_owned())
            }
        };
        service.log(&LogLine::event(level, text));
    }
}

fn reload(service: &ReloadableEngine, path: &Path, hung_up: Option<()>) {
    if hung_up.is_none() {
        return;
    }
    let needs_restart = "[listen], limits.connections and the name in the greeting need a restart";
    tell_reload(service, service.reload(path), needs_restart);
}

/// What was acknowledged is finished; the rest is deferred.
async fn stop(
    service: &ReloadableEngine,
    trigger: ShutdownTrigger,
    serving: tokio::task::JoinHandle<usize>,
    terminate: &mut Signal,
) {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    trigger.request();
    let left = tokio::select! {
        left = serving => left.unwrap_or_default(),
        // A second signal means now.
        _ = terminate.recv() => 1,
    };
    if let Err(error) = service.site().ledger.settle().await {
        service.log(&LogLine::event(Level::Error, error));
    }
    let text = match left {
        0 => "stopped".to_owned(),
        left => format!("stopped with {left} connections still open: what they were sending stays with Postfix"),
    };
    service.log(&LogLine::event(Level::Info, text));
}

/// The service on a thread of its own, for `demo`.
pub(super) struct Background {
    trigger: ShutdownTrigger,
    thread: JoinHandle<()>,
}

impl Background {
    /// Binds the sockets and serves; when it returns, they can be connected to.
    pub fn start(site: Site) -> io::Result<Self> {
        let runtime = service_runtime()?;
        let sockets = runtime.block_on(async { Sockets::open(&site.engine) })?;
        let service = Arc::new(ReloadableEngine::new(site, None, Sandbox::default()));
        let (trigger, shutdown) = Shutdown::new();
        let serving = start(&service, sockets, shutdown);
        let thread = std::thread::spawn(move || {
            runtime.block_on(serving);
        });
        Ok(Self { trigger, thread })
    }

    /// Stops it and waits for its end.
    pub fn stop(self) {
        self.trigger.request();
        let _ = self.thread.join();
    }
}
