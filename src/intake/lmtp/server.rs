//! The LMTP service: accepts connections, keeps to the limits, and stops in good order.
//!
//! Nothing that happens to one connection or one message ends the service: it stops when it is told to, and only then.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::budget::Budget;
use super::connection::Connection;
use super::listener::{Accepted, Listener};
use super::reply::Farewell;
use super::shutdown::Shutdown;
use super::step::SessionLimits;
use crate::config::Config;
use crate::intake::{Deliver, MessageLimits};
use crate::log_line::{Level, LogLine};
use crate::telemetry::Metrics;

/// Takes the log lines of the service. It must not block.
pub type LogHook = Arc<dyn Fn(LogLine) + Send + Sync>;

/// How the service runs.
#[derive(Clone)]
pub struct Settings {
    /// Our name in greetings.
    pub hostname: String,
    /// Octets of a message that stay in memory; the rest goes to a file in `state_dir`.
    pub message_size: u64,
    /// Octets that all messages together may have in memory.
    pub memory: u64,
    /// Connections at once.
    pub connections: usize,
    /// Recipients of one message.
    pub recipients: usize,
    /// Where the rest of a too large message goes.
    pub state_dir: PathBuf,
    /// The users whose processes may connect to a Unix socket; `None`: whoever the socket's mode lets in.
    pub allowed_uids: Option<Vec<u32>>,
    /// How long a message waits for memory before it is deferred.
    pub memory_wait: Duration,
    /// How long a client may be silent between commands (RFC 5321 section 4.5.3.2.7 asks for 5 minutes).
    pub command_timeout: Duration,
    /// How long it may be silent in the middle of a message (RFC 5321 section 4.5.3.2.5 gives a client 3 minutes).
    pub data_timeout: Duration,
    /// How long connections may take to end when the service stops.
    pub drain: Duration,
    /// Where log lines go.
    pub log: LogHook,
    /// Where connections are counted.
    pub metrics: Option<Arc<Metrics>>,
}

impl Settings {
    /// What the configuration says, and this service's own times.
    pub fn new(config: &Config, log: LogHook) -> Self {
        Self {
            hostname: config.hostname.clone(),
            message_size: config.limits.message_size,
            memory: config.limits.memory,
            connections: config.limits.connections,
            recipients: config.limits.recipients,
            state_dir: config.state_dir.clone(),
            allowed_uids: None,
            memory_wait: Duration::from_secs(20),
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(180),
            // What is in delivery has its deadline; the answer has to be written too.
            drain: config.limits.deadline + Duration::from_secs(5),
            log,
            metrics: None,
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer {
    Tcp(SocketAddr),
    Unix { uid: Option<u32> },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid: Some(uid) } => write!(f, "uid {uid}"),
            Self::Unix { uid: None } => f.write_str("unknown user"),
        }
    }
}

/// What every connection shares.
pub(super) struct Service {
    pub(super) deliver: Arc<dyn Deliver>,
    pub(super) settings: Settings,
    pub(super) budget: Budget,
    places: Arc<Semaphore>,
}

/// Runs the service until `shutdown` is told and every connection has ended, or `settings.drain` is over. Gives how many
/// connections were left then; their deliveries go on as long as the runtime does.
pub async fn serve(
    listeners: Vec<Listener>,
    deliver: Arc<dyn Deliver>,
    settings: Settings,
    mut shutdown: Shutdown,
) -> usize {
    let (drain, places) = (settings.drain, settings.connections);
    let service = Arc::new(Service {
        deliver,
        budget: Budget::new(settings.memory),
        places: Arc::new(Semaphore::new(places)),
        settings,
    });
    // Nothing is ever sent: the channel ends when the last connection has dropped its side.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, service.clone(), shutdown.clone(), alive.clone()));
    }
    drop(alive);
    shutdown.requested().await;
    while accepting.join_next().await.is_some() {}
    let _ = tokio::time::timeout(drain, all_gone.recv()).await;
    places - service.places.available_permits()
}

async fn accept(listener: Listener, service: Arc<Service>, mut shutdown: Shutdown, alive: mpsc::Sender<()>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => service.clone().welcome(accepted, &shutdown, &alive),
            // The client went away before its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                let mut line = LogLine::event(Level::Error, "accept-failed");
                line.put("detail", format_args!("{error}; new connections wait"));
                service.log(line);
                // Out of file descriptors or memory: either is a matter of time, and asking again at once would only burn it.
                tokio::select! {
                    () = shutdown.requested() => return,
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        }
    }
}

impl Service {
    fn welcome(self: Arc<Self>, accepted: Accepted, shutdown: &Shutdown, alive: &mpsc::Sender<()>) {
        match accepted {
            Accepted::Tcp(stream, address) => {
                // Replies are written in one piece each time the client waits for them.
                let _ = stream.set_nodelay(true);
                let foreign = !address.ip().to_canonical().is_loopback();
                let turned_away = foreign.then_some(Farewell::ForeignAddress);
                self.admit(stream, Peer::Tcp(address), turned_away, shutdown, alive);
            }
            Accepted::Unix(stream) => {
                let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
                let allowed = self.settings.allowed_uids.as_ref();
                let foreign = allowed.is_some_and(|allowed| !uid.is_some_and(|uid| allowed.contains(&uid)));
                let turned_away = foreign.then_some(Farewell::ForeignUser);
                self.admit(stream, Peer::Unix { uid }, turned_away, shutdown, alive);
            }
        }
    }

    fn admit<S>(
        self: Arc<Self>,
        stream: S,
        peer: Peer,
        turned_away: Option<Farewell>,
        shutdown: &Shutdown,
        alive: &mpsc::Sender<()>,
    ) where
        S: tokio::io::AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let place = match turned_away {
            Some(farewell) => Err(farewell),
            None => self.places.clone().try_acquire_owned().map_err(|_| Farewell::TooManyConnections),
        };
        let (alive, shutdown) = (alive.clone(), shutdown.clone());
        match place {
            Ok(place) => {
                let counted = self.settings.metrics.as_ref().map(|metrics| metrics.connection());
                tokio::spawn(async move {
                    Connection::new(stream, peer, self, shutdown).run().await;
                    drop((place, alive, counted));
                });
            }
            Err(farewell) => {
                if let Some(metrics) = &self.settings.metrics {
                    metrics.connection_turned_away();
                }
                self.log_farewell(farewell, peer);
                tokio::spawn(turn_away(stream, farewell));
            }
        }
    }

    /// What is in force now: a reload may have changed it.
    pub(super) fn session_limits(&self) -> SessionLimits {
        let Settings { message_size, recipients, .. } = self.settings;
        let limits = self.deliver.limits().unwrap_or(MessageLimits { message_size, recipients });
        SessionLimits {
            message_size: usize::try_from(limits.message_size).unwrap_or(usize::MAX),
            recipients: limits.recipients,
        }
    }

    pub(super) fn log(&self, line: LogLine) {
        (self.settings.log)(line);
    }

    pub(super) fn log_farewell(&self, farewell: Farewell, peer: Peer) {
        let level = match farewell {
            Farewell::Quit | Farewell::Idle | Farewell::ShuttingDown => return,
            _ => Level::Warning,
        };
        let mut line = LogLine::event(level, "connection-closed");
        line.put("reason", farewell.name());
        line.put("peer", peer);
        line.put("reply", farewell.reply());
        self.log(line);
    }
}

/// Says why and closes. The client has nothing to say before the greeting, so this is soon done.
async fn turn_away(mut stream: impl AsyncWrite + Unpin, farewell: Farewell) {
    let say = async {
        stream.write_all(farewell.reply().as_bytes()).await?;
        stream.write_all(b"\r\n").await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), say).await;
}
