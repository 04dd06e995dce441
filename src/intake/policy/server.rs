//! The policy service: what a connection gets.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::connection::Connection;
use super::service::{Decide, ServerContext, ServerSettings};
use crate::intake::accept::{Admission, Peer, Serve, TurnedAway, accept_all};
use crate::intake::listener::Listener;
use crate::intake::shutdown::Shutdown;

/// Runs the service until `shutdown` is told and every connection has ended, or `settings.drain` is over. Gives how many
/// connections were left then.
pub async fn serve(
    listeners: Vec<Listener>,
    decide: Arc<dyn Decide>,
    settings: ServerSettings,
    shutdown: Shutdown,
) -> usize {
    let admission = Admission {
        allowed_uids: settings.allowed_uids.clone(),
        connections: settings.connections,
        drain: settings.drain,
        log: settings.log.clone(),
    };
    accept_all(listeners, Arc::new(ServerContext { decide, settings }), admission, shutdown).await
}

impl Serve for ServerContext {
    async fn serve<S>(self: Arc<Self>, stream: S, peer: Peer, shutdown: Shutdown)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut connection = Connection::new(stream, self.clone(), shutdown);
        if let Some(reason) = connection.run().await {
            self.closed(reason, peer);
        }
        connection.close().await;
    }

    async fn turn_away<S>(self: Arc<Self>, mut stream: S, peer: Peer, why: TurnedAway)
    where
        S: AsyncWrite + Unpin + Send + 'static,
    {
        self.closed(why.into(), peer);
        let _ = stream.shutdown().await;
    }
}
