//! The LMTP service: what a connection gets, or what it is told when it gets nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::connection::Connection;
use super::reply::CloseReason;
use super::service::{ServerContext, ServerSettings};
use crate::intake::Deliver;
use crate::intake::accept::{Admission, Peer, Serve, TurnedAway, accept_all};
use crate::intake::budget::Budget;
use crate::intake::listener::Listener;
use crate::intake::shutdown::Shutdown;

/// Runs the service until `shutdown` is told and every connection has ended, or `settings.drain` is over. Gives how many
/// connections were left then; their deliveries go on as long as the runtime does.
pub async fn serve(
    listeners: Vec<Listener>,
    deliver: Arc<dyn Deliver>,
    settings: ServerSettings,
    shutdown: Shutdown,
) -> usize {
    let admission = Admission {
        allowed_uids: settings.allowed_uids.clone(),
        connections: settings.connections,
        drain: settings.drain,
        log: settings.log.clone(),
    };
    let context = Arc::new(ServerContext { deliver, budget: Budget::new(settings.memory), settings });
    accept_all(listeners, context, admission, shutdown).await
}

impl Serve for ServerContext {
    async fn serve<S>(self: Arc<Self>, stream: S, peer: Peer, shutdown: Shutdown)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let counted = self.settings.metrics.as_ref().map(|metrics| metrics.connection());
        Connection::new(stream, peer, self, shutdown).run().await;
        drop(counted);
    }

    /// Says why and closes. The client has nothing to say before the greeting, so this is soon done.
    async fn turn_away<S>(self: Arc<Self>, mut stream: S, peer: Peer, why: TurnedAway)
    where
        S: AsyncWrite + Unpin + Send + 'static,
    {
        let reason = match why {
            TurnedAway::ForeignAddress => CloseReason::ForeignAddress,
            TurnedAway::ForeignUser => CloseReason::ForeignUser,
            TurnedAway::TooManyConnections => CloseReason::TooManyConnections,
        };
        if let Some(metrics) = &self.settings.metrics {
            metrics.connection_turned_away();
        }
        self.log_close(reason, peer);
        let say = async {
            stream.write_all(reason.reply().as_bytes()).await?;
            stream.write_all(b"\r\n").await?;
            stream.shutdown().await
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), say).await;
    }
}
