//! Accepting connections for a service of this machine: who may connect, how many at once, and how it stops.
//!
//! Nothing that happens to one connection ends the service: it stops when it is told to, and only then.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::listener::{Accepted, Listener};
use super::shutdown::Shutdown;
use crate::log_line::{Level, LogLine};

/// Takes the log lines of a service. It must not block.
pub type LogHook = Arc<dyn Fn(LogLine) + Send + Sync>;

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

/// Why a connection gets no service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnedAway {
    /// A TCP peer that is not on this machine.
    ForeignAddress,
    /// A Unix peer whose user may not connect.
    ForeignUser,
    /// All places are taken.
    TooManyConnections,
}

/// Who may connect, and how many.
pub(super) struct Admission {
    /// The users whose processes may connect to a Unix socket; `None`: whoever the socket's mode lets in.
    pub allowed_uids: Option<Vec<u32>>,
    /// Connections at once.
    pub connections: usize,
    /// How long connections may take to end when the service stops.
    pub drain: Duration,
    /// Where log lines go.
    pub log: LogHook,
}

/// What a connection gets.
pub(super) trait Serve: Send + Sync + 'static {
    /// Serves a client until one side closes, or the service stops.
    fn serve<S>(self: Arc<Self>, stream: S, peer: Peer, shutdown: Shutdown) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Closes a connection that gets no service. Must not take long.
    fn turn_away<S>(self: Arc<Self>, stream: S, peer: Peer, why: TurnedAway) -> impl Future<Output = ()> + Send
    where
        S: AsyncWrite + Unpin + Send + 'static;
}

/// Accepts until `shutdown` is told and every connection has ended, or `drain` is over. Gives how many connections were left
/// then; what they began goes on as long as the runtime does.
pub(super) async fn accept_all<T: Serve>(
    listeners: Vec<Listener>,
    service: Arc<T>,
    admission: Admission,
    mut shutdown: Shutdown,
) -> usize {
    let (drain, connections) = (admission.drain, admission.connections);
    let places = Arc::new(Semaphore::new(connections));
    // Nothing is ever sent: the channel ends when the last connection has dropped its side.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let (places_of_all, admission) = (places.clone(), Arc::new(admission));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let acceptor = Acceptor {
            service: service.clone(),
            admission: admission.clone(),
            places: places.clone(),
            shutdown: shutdown.clone(),
            alive: alive.clone(),
        };
        accepting.spawn(acceptor.accept(listener));
    }
    drop(alive);
    shutdown.requested().await;
    while accepting.join_next().await.is_some() {}
    let _ = tokio::time::timeout(drain, all_gone.recv()).await;
    connections - places_of_all.available_permits()
}

/// Accepts on one socket.
struct Acceptor<T> {
    service: Arc<T>,
    admission: Arc<Admission>,
    /// Connections that may still be opened.
    places: Arc<Semaphore>,
    shutdown: Shutdown,
    alive: mpsc::Sender<()>,
}

impl<T: Serve> Acceptor<T> {
    async fn accept(mut self, listener: Listener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.requested() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(Accepted::Tcp(stream, address)) => {
                    // Replies are written in one piece each time the client waits for them.
                    let _ = stream.set_nodelay(true);
                    let foreign = !address.ip().to_canonical().is_loopback();
                    self.admit(stream, Peer::Tcp(address), foreign.then_some(TurnedAway::ForeignAddress));
                }
                Ok(Accepted::Unix(stream)) => {
                    let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
                    let allowed = self.admission.allowed_uids.as_ref();
                    let foreign = allowed.is_some_and(|allowed| !uid.is_some_and(|uid| allowed.contains(&uid)));
                    self.admit(stream, Peer::Unix { uid }, foreign.then_some(TurnedAway::ForeignUser));
                }
                // The client went away before its turn.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    let mut line = LogLine::event(Level::Error, "accept-failed");
                    line.put("detail", format_args!("{error}; new connections wait"));
                    (self.admission.log)(line);
                    // Out of file descriptors or memory: either is a matter of time, and asking again at once would only burn
                    // it.
                    tokio::select! {
                        () = self.shutdown.requested() => return,
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    }
                }
            }
        }
    }

    fn admit<S>(&self, stream: S, peer: Peer, foreign: Option<TurnedAway>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let place = match foreign {
            Some(why) => Err(why),
            None => self.places.clone().try_acquire_owned().map_err(|_| TurnedAway::TooManyConnections),
        };
        let (service, shutdown, alive) = (self.service.clone(), self.shutdown.clone(), self.alive.clone());
        match place {
            Ok(place) => {
                tokio::spawn(async move {
                    service.serve(stream, peer, shutdown).await;
                    drop((place, alive));
                });
            }
            Err(why) => {
                tokio::spawn(service.turn_away(stream, peer, why));
            }
        }
    }
}
