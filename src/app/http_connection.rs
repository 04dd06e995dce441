//! One connection to an application, and what is known of the exchange on it.
//!
//! This is where the octets go into the socket and come out of it, so this is where the exchange is watched.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::endpoint::{Endpoint, Place};
use super::http_exchange::Exchange;
use super::http_failure::Failure;
use super::request_body::RequestBody;

/// A connection that takes longer to open is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is read from the socket at once.
const CHUNK: usize = 8 * 1024;

/// A connection; it is closed when this is dropped, whatever is still on its way.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    exchange: Arc<Exchange>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Opens one, with TLS where it is given what that needs.
    pub async fn open(endpoint: &Endpoint, tls: Option<&Arc<ClientConfig>>) -> Result<Self, Failure> {
        let stream = timeout(CONNECT_TIMEOUT, connect(endpoint, tls)).await.map_err(|_| Failure::ConnectTimeout)??;
        let exchange = Arc::new(Exchange::default());
        let watched = Watched { stream, exchange: Arc::clone(&exchange), buffer: vec![0; CHUNK].into() };
        let (sender, connection) = http1::handshake(watched).await.map_err(Failure::of_exchange)?;
        // What goes wrong on it is told to whoever waits for the answer.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, exchange, driver })
    }

    /// Whether another request can be sent; what comes from now on is about that one.
    pub fn is_ready_again(&mut self) -> bool {
        self.exchange.begin();
        self.is_open()
    }

    /// Whether a request can be sent.
    pub fn is_open(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends a request; gives it back if nothing of it was sent.
    pub async fn send(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, (Failure, Option<Request<RequestBody>>)> {
        request.body_mut().tell(&self.exchange);
        let sent = self.sender.try_send_request(request).await;
        sent.map_err(|mut error| {
            // Octets came before anything was sent, and hyper gave up.
            let request = error.take_message();
            let is_unasked = request.is_some() && self.exchange.is_early();
            (if is_unasked { Failure::Unasked } else { Failure::of_exchange(error.into_error()) }, request)
        })
    }

    /// Whether the answer began before all of the request was handed over.
    pub fn answered_early(&self) -> bool {
        self.exchange.is_early()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(endpoint: &Endpoint, tls: Option<&Arc<ClientConfig>>) -> Result<Box<dyn Stream>, Failure> {
    let (host, port) = match endpoint.place() {
        Place::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await.map_err(Failure::Connect)?)),
        Place::Tcp { host, port } => (host, port),
    };
    let stream = connect_tcp(host, port).await?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Failure::Resolve(io::Error::other(error)))?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(Failure::of_handshake)?;
    Ok(Box::new(stream))
}

/// Tries each address of the name, for its share of the time: one that nobody answers from must not hide the next.
async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let addresses: Vec<_> = lookup_host((host, port)).await.map_err(Failure::Resolve)?.collect();
    let share = CONNECT_TIMEOUT / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = Failure::Resolve(io::Error::new(ErrorKind::NotFound, "the name has no address"));
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // An answer follows on each request, so nothing is gained by waiting for more to send.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Failure::Connect(error),
            Err(_) => last = Failure::ConnectTimeout,
        }
    }
    Err(last)
}

/// The stream as hyper reads and writes it.
struct Watched {
    stream: Box<dyn Stream>,
    exchange: Arc<Exchange>,
    buffer: Box<[u8]>,
}

impl Read for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = into.remaining().min(this.buffer.len());
        let mut buffer = ReadBuf::new(&mut this.buffer[..room]);
        match Pin::new(&mut this.stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                if !buffer.filled().is_empty() {
                    this.exchange.read();
                }
                into.put_slice(buffer.filled());
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

impl Write for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = Pin::new(&mut this.stream).poll_write(cx, octets);
        this.exchange.wrote(octets.len(), &taken);
        taken
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
        this.exchange.wrote(pieces.iter().map(|piece| piece.len()).sum(), &taken);
        taken
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.exchange.flushed(&flushed);
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
