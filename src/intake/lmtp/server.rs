//! The LMTP service: accepts connections, keeps to the limits, and stops in good order.
//!
//! Nothing that happens to one connection or one message ends the service: it stops when it is told to, and only then.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::connection::Connection;
use super::reply::CloseReason;
use super::service::{Peer, ServerContext, ServerSettings};
use crate::intake::Deliver;
use crate::intake::budget::Budget;
use crate::intake::listener::{Accepted, Listener};
use crate::intake::shutdown::Shutdown;
use crate::log_line::{Level, LogLine};

/// Runs the service until `shutdown` is told and every connection has ended, or `settings.drain` is over. Gives how many
/// connections were left then; their deliveries go on as long as the runtime does.
pub async fn serve(
    listeners: Vec<Listener>,
    deliver: Arc<dyn Deliver>,
    settings: ServerSettings,
    mut shutdown: Shutdown,
) -> usize {
    let (drain, places) = (settings.drain, settings.connections);
    let context = Arc::new(ServerContext {
        deliver,
        budget: Budget::new(settings.memory),
        places: Arc::new(Semaphore::new(places)),
        settings,
    });
    // Nothing is ever sent: the channel ends when the last connection has dropped its side.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, context.clone(), shutdown.clone(), alive.clone()));
    }
    drop(alive);
    shutdown.requested().await;
    while accepting.join_next().await.is_some() {}
    let _ = tokio::time::timeout(drain, all_gone.recv()).await;
    places - context.places.available_permits()
}

async fn accept(listener: Listener, context: Arc<ServerContext>, mut shutdown: Shutdown, alive: mpsc::Sender<()>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => welcome(&context, accepted, &shutdown, &alive),
            // The client went away before its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                let mut line = LogLine::event(Level::Error, "accept-failed");
                line.put("detail", format_args!("{error}; new connections wait"));
                context.log(line);
                // Out of file descriptors or memory: either is a matter of time, and asking again at once would only burn it.
                tokio::select! {
                    () = shutdown.requested() => return,
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        }
    }
}

fn welcome(context: &Arc<ServerContext>, accepted: Accepted, shutdown: &Shutdown, alive: &mpsc::Sender<()>) {
    match accepted {
        Accepted::Tcp(stream, address) => {
            // Replies are written in one piece each time the client waits for them.
            let _ = stream.set_nodelay(true);
            let foreign = !address.ip().to_canonical().is_loopback();
            let turned_away = foreign.then_some(CloseReason::ForeignAddress);
            admit(context, stream, Peer::Tcp(address), turned_away, shutdown, alive);
        }
        Accepted::Unix(stream) => {
            let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
            let allowed = context.settings.allowed_uids.as_ref();
            let foreign = allowed.is_some_and(|allowed| !uid.is_some_and(|uid| allowed.contains(&uid)));
            let turned_away = foreign.then_some(CloseReason::ForeignUser);
            admit(context, stream, Peer::Unix { uid }, turned_away, shutdown, alive);
        }
    }
}

fn admit<S>(
    context: &Arc<ServerContext>,
    stream: S,
    peer: Peer,
    turned_away: Option<CloseReason>,
    shutdown: &Shutdown,
    alive: &mpsc::Sender<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let place = match turned_away {
        Some(reason) => Err(reason),
        None => context.places.clone().try_acquire_owned().map_err(|_| CloseReason::TooManyConnections),
    };
    let (context, alive, shutdown) = (context.clone(), alive.clone(), shutdown.clone());
    match place {
        Ok(place) => {
            let counted = context.settings.metrics.as_ref().map(|metrics| metrics.connection());
            tokio::spawn(async move {
                Connection::new(stream, peer, context, shutdown).run().await;
                drop((place, alive, counted));
            });
        }
        Err(reason) => {
            if let Some(metrics) = &context.settings.metrics {
                metrics.connection_turned_away();
            }
            context.log_close(reason, peer);
            tokio::spawn(turn_away(stream, reason));
        }
    }
}

/// Says why and closes. The client has nothing to say before the greeting, so this is soon done.
async fn turn_away(mut stream: impl AsyncWrite + Unpin, reason: CloseReason) {
    let say = async {
        stream.write_all(reason.reply().as_bytes()).await?;
        stream.write_all(b"\r\n").await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), say).await;
}
