//! The answer to Prometheus: HTTP/1.1 (RFC 9112), `GET /metrics` and nothing else.
//!
//! One request a connection, few connections at once, a short time for each: a reader that misbehaves costs nothing but
//! its own answer, and never a message.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Metrics;

/// Connections at once; Prometheus needs one.
const CONNECTIONS: usize = 8;
/// For a whole request and its answer. Prometheus itself waits 10 seconds.
const TIME: Duration = Duration::from_secs(5);
/// Octets of a request's header.
const LONGEST_REQUEST: usize = 8192;

/// Brings numbers up to date that only a question can tell, such as the held copies, before they are read.
pub type Refresh = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// The socket on which metrics are served.
#[derive(Debug)]
pub struct MetricsListener(TcpListener);

impl MetricsListener {
    /// Binds `listen.metrics`.
    ///
    /// # Errors
    /// The address is taken, or is not ours to take.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// Where it listens: port 0 becomes a real one.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers until the task is dropped.
    pub async fn serve(self, metrics: Arc<Metrics>, refresh: Refresh) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // The semaphore is never closed; without a place the connection waits in the system's queue.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.0.accept().await {
                Ok((stream, _)) => {
                    let (metrics, refresh) = (metrics.clone(), refresh.clone());
                    tokio::spawn(async move {
                        let _ = timeout(TIME, answer(stream, &metrics, &refresh)).await;
                        drop(place);
                    });
                }
                // Out of file descriptors: it passes, and asking again at once would only burn time.
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// Something that is no HTTP request, or too long.
    Bad,
    /// `GET /metrics`; without the body for HEAD.
    Metrics { body: bool },
    /// Another path.
    NotFound,
    /// Another method.
    NotAllowed,
}

impl Request {
    fn parse(header: &str) -> Self {
        let line = header.lines().next().unwrap_or_default();
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Self::Bad;
        };
        if !version.starts_with("HTTP/1.") {
            return Self::Bad;
        }
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        match (path, method) {
            ("/metrics", "GET") => Self::Metrics { body: true },
            ("/metrics", "HEAD") => Self::Metrics { body: false },
            ("/metrics", _) => Self::NotAllowed,
            _ => Self::NotFound,
        }
    }
}

async fn answer(mut stream: TcpStream, metrics: &Metrics, refresh: &Refresh) -> io::Result<()> {
    let header = read_header(&mut stream).await?;
    let answer = match header.as_deref().map_or(Request::Bad, Request::parse) {
        Request::Metrics { body } => {
            refresh().await;
            match metrics.render() {
                Ok(text) => response("200 OK", prometheus::TEXT_FORMAT, &text, body),
                Err(error) => plain("500 Internal Server Error", &error.to_string()),
            }
        }
        Request::NotFound => plain("404 Not Found", "Metrics are at /metrics."),
        Request::NotAllowed => plain("405 Method Not Allowed", "Only GET and HEAD."),
        Request::Bad => plain("400 Bad Request", "This is no HTTP request."),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Octets that were never read would make the system reset the connection, and take the answer back with it.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// The request up to its empty line; `None` if it is too long or no text.
async fn read_header(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut header = Vec::with_capacity(1024);
    while !ends(&header) {
        if header.len() > LONGEST_REQUEST || stream.read_buf(&mut header).await? == 0 {
            return Ok(None);
        }
    }
    Ok(String::from_utf8(header).ok())
}

fn ends(header: &[u8]) -> bool {
    memchr::memmem::find(header, b"\r\n\r\n").is_some() || memchr::memmem::find(header, b"\n\n").is_some()
}

fn plain(status: &str, text: &str) -> String {
    response(status, "text/plain; charset=utf-8", &format!("{text}\n"), true)
}

fn response(status: &str, kind: &str, text: &str, body: bool) -> String {
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
        text.len()
    );
    if body { head + text } else { head }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metrics_are_given_and_only_to_get_and_head() {
        let rows = [
            ("what Prometheus sends", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", Request::Metrics { body: true }),
            ("with a query", "GET /metrics?x=1 HTTP/1.1\r\n\r\n", Request::Metrics { body: true }),
            ("head", "HEAD /metrics HTTP/1.0\r\n\r\n", Request::Metrics { body: false }),
            ("post", "POST /metrics HTTP/1.1\r\n\r\n", Request::NotAllowed),
            ("another path", "GET / HTTP/1.1\r\n\r\n", Request::NotFound),
            ("a path behind it", "GET /metrics/x HTTP/1.1\r\n\r\n", Request::NotFound),
            ("HTTP/0.9", "GET /metrics\r\n\r\n", Request::Bad),
            ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", Request::Bad),
            ("LMTP", "LHLO x\r\n\r\n", Request::Bad),
            ("nothing", "\r\n\r\n", Request::Bad),
        ];
        for (name, header, wanted) in rows {
            assert_eq!(Request::parse(header), wanted, "{name}");
        }
    }
}
