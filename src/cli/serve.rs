//! `mailhatch serve`: the LMTP service.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::BoxFuture;
use listenfd::ListenFd;
use nix::unistd::{User, getuid};
use sd_notify::NotifyState;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{FAILED, engine, print_error, report};
use crate::config::{Config, ConfigError, LogConfig};
use crate::fence::{Fence, Identity, give_up_root};
use crate::intake::listener::Listener;
use crate::intake::lmtp::{self, ServerSettings};
use crate::intake::shutdown::{Shutdown, ShutdownTrigger};
use crate::intake::{Deliver, MessageLimits};
use crate::ledger::Ledger;
use crate::log_line::{Level, LogLine};
use crate::mail::{Content, Envelope};
use crate::outcome::Outcome;
use crate::pipeline::Engine;
use crate::telemetry::{Metrics, MetricsListener, Telemetry};

/// Anybody may open the socket; who it is, is asked of the kernel (SO_PEERCRED) at each connection.
const SOCKET_MODE: u32 = 0o666;

/// The engine in force: SIGHUP puts another in its place, and messages on their way keep theirs.
#[derive(Debug)]
struct Service {
    engine: RwLock<Arc<Engine>>,
    /// Counted on over a reload; `None` where nothing is counted.
    metrics: Option<Arc<Metrics>>,
    fence: Fence,
}

impl Service {
    fn current(&self) -> Arc<Engine> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a new configuration in force, or keeps the old one if the new one is wrong.
    fn reload(&self, path: &Path) -> Result<(), ConfigError> {
        let config = Config::load(path)?;
        self.fence.admits(&config)?;
        let telemetry = Arc::new(telemetry(config.log, self.metrics.as_ref()));
        if let Some(metrics) = &self.metrics {
            metrics.expect(&config);
        }
        let ledger: Arc<Ledger> = Arc::new(self.current().ledger().reloaded(&config));
        let engine = Arc::new(Engine::new(config, ledger, telemetry)?);
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = engine;
        Ok(())
    }

    fn log(&self, line: &LogLine) {
        self.current().telemetry().log(line);
    }
}

impl Deliver for Service {
    fn deliver(self: Arc<Self>, envelope: Envelope, content: Content) -> BoxFuture<'static, Vec<Outcome>> {
        self.current().deliver(envelope, content)
    }

    fn limits(&self) -> Option<MessageLimits> {
        let engine = self.current();
        let limits = &engine.config().limits;
        Some(MessageLimits { message_size: limits.message_size, recipients: limits.recipients })
    }
}

/// Runs until SIGTERM and gives the exit status.
pub(super) fn run(path: &Path) -> u8 {
    // The names are constants, so that this cannot fail; if it did, mail is worth more than numbers.
    let metrics = Metrics::new().ok().map(Arc::new);
    let engine = match engine(path, |log| telemetry(log, metrics.as_ref())) {
        Ok(engine) => engine,
        Err(error) => return report(&error),
    };
    let service = Service { fence: Fence::raise(engine.config()), engine: RwLock::new(engine), metrics };
    match service_runtime().and_then(|runtime| runtime.block_on(serve(service, path.to_owned()))) {
        Ok(()) => 0,
        Err(error) => {
            print_error(format_args!("{error}"));
            FAILED
        }
    }
}

/// A stack overflow would end the whole service, and a page that is never touched costs nothing.
const WORKER_STACK: usize = 16 * 1024 * 1024;

/// The runtime of the service.
pub fn service_runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(WORKER_STACK).build()
}

async fn serve(service: Service, path: PathBuf) -> io::Result<()> {
    let service = Arc::new(service);
    let listeners = listeners(&service.current())?;
    become_unprivileged(&service)?;
    serve_metrics(&service).await;
    log_panics(service.clone());
    let (trigger, shutdown) = Shutdown::new();
    let mut hangup = signal(SignalKind::hangup())?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut serving = tokio::spawn(start(&service, listeners, shutdown));
    service.log(&LogLine::event(Level::Info, format_args!("mailhatch {} is ready", env!("CARGO_PKG_VERSION"))));
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let mut watchdog =
        tokio::time::interval(sd_notify::watchdog_enabled().map_or(Duration::from_secs(3600), |period| period / 2));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = watchdog.tick() => drop(sd_notify::notify(&[NotifyState::Watchdog])),
            hung_up = hangup.recv() => reload(&service, &path, hung_up),
            ended = &mut serving => return ended.map(drop).map_err(io::Error::other),
        }
    }
    stop(&service, trigger, serving, &mut terminate).await;
    Ok(())
}

fn start(
    service: &Arc<Service>,
    listeners: Vec<Listener>,
    shutdown: Shutdown,
) -> impl Future<Output = usize> + Send + 'static {
    let log = {
        let service = service.clone();
        Arc::new(move |line: LogLine| service.log(&line))
    };
    let engine = service.current();
    if let Err(error) = engine.ledger().prepare() {
        // Mail is deferred until it is mended; the service must be there to say so.
        service.log(&LogLine::event(Level::Error, error));
    }
    let mut settings = ServerSettings::new(engine.config(), log);
    settings.metrics.clone_from(&service.metrics);
    settings.allowed_uids = Some(allowed_uids(&engine));
    lmtp::serve(listeners, service.clone(), settings, shutdown)
}

fn reload(service: &Service, path: &Path, hung_up: Option<()>) {
    if hung_up.is_none() {
        return;
    }
    let reloading = [NotifyState::Reloading, NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Reloading)];
    let _ = sd_notify::notify(&reloading);
    let line = match service.reload(path) {
        Ok(()) => LogLine::event(
            Level::Info,
            "configuration reloaded; [listen], limits.connections, limits.memory and the name in the greeting need a restart",
        ),
        Err(error) => LogLine::event(Level::Error, format_args!("the old configuration stays in force: {error}")),
    };
    service.log(&line);
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// What was acknowledged is finished; the rest is deferred.
async fn stop(
    service: &Service,
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
    if let Err(error) = service.current().ledger().settle().await {
        service.log(&LogLine::event(Level::Error, error));
    }
    let text = match left {
        0 => "stopped".to_owned(),
        left => format!("stopped with {left} connections still open: what they were sending stays with Postfix"),
    };
    service.log(&LogLine::event(Level::Info, text));
}

/// From here on, before the first message, this process is what it needs to be and no more.
fn become_unprivileged(service: &Service) -> io::Result<()> {
    let state_dir = service.current().config().state_dir.clone();
    let identity = give_up_root(service.current().config()).map_err(|error| {
        io::Error::other(format!("cannot become the owner of {}: {error}; start it as that user", state_dir.display()))
    })?;
    let said = match identity {
        Identity::Unprivileged => None,
        Identity::Became(user) => {
            let text = format!("began as root, goes on as {user}, the owner of {}", state_dir.display());
            Some((Level::Info, text))
        }
        Identity::Root => {
            let text = format!(
                "runs as root: give {} to a user of its own (chown), and it becomes that user at its next start",
                state_dir.display()
            );
            Some((Level::Warning, text))
        }
    };
    if let Some((level, text)) = said {
        service.log(&LogLine::event(level, text));
    }
    let level = if service.fence.is_whole() { Level::Info } else { Level::Warning };
    service.log(&LogLine::event(level, &service.fence));
    Ok(())
}

/// The sockets that systemd handed over; without any, those of `[listen]`.
fn listeners(engine: &Engine) -> io::Result<Vec<Listener>> {
    let mut handed_over = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..handed_over.len() {
        if let Ok(Some(unix)) = handed_over.take_unix_listener(index) {
            listeners.push(Listener::from_unix(unix)?);
        } else if let Some(tcp) = handed_over.take_tcp_listener(index)? {
            listeners.push(Listener::from_tcp(tcp)?);
        }
    }
    if !listeners.is_empty() {
        return Ok(listeners);
    }
    if engine.config().listen.lmtp.is_empty() {
        return Err(io::Error::other("there is nothing to listen on: set listen.lmtp, or start mailhatch.socket"));
    }
    let bind = |address| Listener::bind(address, SOCKET_MODE).map_err(io::Error::other);
    engine.config().listen.lmtp.iter().map(bind).collect()
}

/// Root, ourselves, and the users of `listen.users`.
fn allowed_uids(engine: &Engine) -> Vec<u32> {
    let mut uids = vec![0, getuid().as_raw()];
    for name in &engine.config().listen.users {
        match User::from_name(name) {
            Ok(Some(user)) => uids.push(user.uid.as_raw()),
            _ => {
                let text =
                    format!("there is no user \"{name}\" (listen.users): its processes cannot connect to our sockets");
                engine.telemetry().log(&LogLine::event(Level::Warning, text));
            }
        }
    }
    uids
}

fn telemetry(log: LogConfig, metrics: Option<&Arc<Metrics>>) -> Telemetry {
    let telemetry = Telemetry::new(log);
    match metrics {
        Some(metrics) => telemetry.with_metrics(metrics.clone()),
        None => telemetry,
    }
}

/// Answers Prometheus at `listen.metrics`. That it cannot is no reason to take no mail.
async fn serve_metrics(service: &Arc<Service>) {
    let config = service.current().config().clone();
    let (Some(address), Some(metrics)) = (config.listen.metrics, service.metrics.clone()) else { return };
    metrics.expect(&config);
    match MetricsListener::bind(address).await {
        Ok(listener) => {
            let (counting, service) = (metrics.clone(), service.clone());
            let refresh = Arc::new(move || {
                let (metrics, engine) = (counting.clone(), service.current());
                let refresh: BoxFuture<'static, ()> = Box::pin(async move {
                    let held = engine.ledger().held_totals().await;
                    metrics.set_held(held.ok());
                });
                refresh
            });
            tokio::spawn(listener.serve(metrics, refresh));
        }
        Err(error) => {
            let text = format!("no metrics are served: listen.metrics {address}: {error}");
            service.log(&LogLine::event(Level::Error, text));
        }
    }
}

/// A panic costs one message; where it was must be known all the same.
fn log_panics(service: Arc<Service>) {
    std::panic::set_hook(Box::new(move |panic| {
        service.log(&LogLine::event(Level::Error, format_args!("panic: {panic}")));
    }));
}

/// The service on a thread of its own, for `demo`.
pub(super) struct Background {
    trigger: ShutdownTrigger,
    thread: JoinHandle<()>,
}

impl Background {
    /// Binds the sockets and serves; when it returns, they can be connected to.
    pub fn start(engine: Arc<Engine>) -> io::Result<Self> {
        let runtime = service_runtime()?;
        let listeners = runtime.block_on(async { listeners(&engine) })?;
        let service = Arc::new(Service { engine: RwLock::new(engine), metrics: None, fence: Fence::default() });
        let (trigger, shutdown) = Shutdown::new();
        let serving = start(&service, listeners, shutdown);
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
