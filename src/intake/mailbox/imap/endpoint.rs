//! The way to a server: TCP, TLS, and noticing that the other end is gone.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::session::Security;
use crate::intake::mailbox::failure::{Cause, Failure};

/// One of several addresses of a server gets so long before the next is tried.
const ONE_ADDRESS: Duration = Duration::from_secs(10);

/// What we have sent and nobody has acknowledged for so long ends the connection (tcp(7), TCP_USER_TIMEOUT).
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Where a server is, and how the connection is protected.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// TLS; none on [`Security::Loopback`].
    pub tls: Option<Arc<ClientConfig>>,
}

/// A connection, with or without TLS.
pub(in crate::intake::mailbox) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Endpoint {
    /// Connects, and begins TLS where it comes first.
    pub(in crate::intake::mailbox) async fn connect(&self) -> Result<Stream, Failure> {
        let tcp = self.connect_tcp().await?;
        match self.security {
            Security::Tls => self.begin_tls(Stream::Plain(tcp)).await,
            Security::StartTls | Security::Loopback => Ok(Stream::Plain(tcp)),
        }
    }

    async fn connect_tcp(&self) -> Result<TcpStream, Failure> {
        let place = format!("{}:{}", self.host, self.port);
        let unreachable = |error: &dyn std::fmt::Display| {
            Failure::new(Cause::Unreachable, format!("cannot connect to {place}: {error}"))
        };
        let addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut last = unreachable(&"the name has no address");
        for address in addresses.map_err(|error| unreachable(&error))? {
            if self.security == Security::Loopback && !address.ip().to_canonical().is_loopback() {
                let what =
                    format!("{place} is {}, which is not this host: no password goes there without TLS", address.ip());
                return Err(Failure::new(Cause::LoginDisabled, what));
            }
            match tokio::time::timeout(ONE_ADDRESS, open(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = unreachable(&error),
                Err(_) => last = unreachable(&"no answer"),
            }
        }
        Err(last)
    }

    /// The TLS handshake. No password was sent before it, and none is after one that failed.
    pub(super) async fn begin_tls(&self, stream: Stream) -> Result<Stream, Failure> {
        let Stream::Plain(tcp) = stream else { return Ok(stream) };
        let place = format!("{}:{}", self.host, self.port);
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| Failure::new(Cause::Certificate, format!("\"{}\" is not a valid host name", self.host)))?;
        let Some(tls) = self.tls.clone() else {
            return Err(Failure::new(Cause::Internal, "internal error: TLS is wanted, and not set up"));
        };
        match TlsConnector::from(tls).connect(name, tcp).await {
            Ok(tls) => Ok(Stream::Tls(Box::new(tls))),
            Err(error) => Err(handshake_failed(&place, &error)),
        }
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Commands are small and waited for.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10));
    socket.set_tcp_keepalive(&keepalive.with_retries(3))?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(stream)
}

fn handshake_failed(place: &str, error: &io::Error) -> Failure {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (cause, what) = match tls {
        Some(rustls::Error::InvalidCertificate(why)) => (
            Cause::Certificate,
            format!(
                "{place}: the certificate is not accepted ({why}); if its authority is your own, name it in ca_file"
            ),
        ),
        Some(rustls::Error::InvalidMessage(_)) => (
            Cause::Certificate,
            format!(
                "{place} does not speak TLS here ({error}): a port for STARTTLS needs ssl = false, start_tls = true"
            ),
        ),
        Some(other) => (Cause::Certificate, format!("{place}: TLS cannot be agreed on: {other}")),
        None => (Cause::Closed, format!("{place}: the connection ended while TLS began: {error}")),
    };
    Failure::new(cause, what)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, octets),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
