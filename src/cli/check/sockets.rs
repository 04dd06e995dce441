//! The sockets of `serve`: somebody listens, and speaks LMTP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::finding::Finding;
use crate::config::{Config, ListenAddress};

/// For one socket.
const TIME: Duration = Duration::from_secs(10);

/// Octets of a reply line; RFC 5321 section 4.5.3.1.5 allows 512.
const LONGEST_LINE: u64 = 4096;

/// What Postfix needs the sockets for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing: it hands over by pipe, or all mail comes from inboxes.
    None,
    /// Every message, or nobody knows.
    Needed,
}

/// Each `listen.lmtp`.
pub(super) async fn lmtp(config: &Config, needed: Use) -> Vec<Finding> {
    let mut findings = Vec::new();
    for address in &config.listen.lmtp {
        let asked = match address {
            ListenAddress::Tcp(address) => within(async { greet(TcpStream::connect(address).await?).await }).await,
            ListenAddress::Unix(path) => within(async { greet(UnixStream::connect(path).await?).await }).await,
        };
        let part = "lmtp socket";
        findings.push(match asked {
            Ok(greeting) => Finding::ok(part, format!("{address} answers: {greeting}")),
            Err(error) if needed == Use::None && nobody_listens(&error) => Finding::ok(
                part,
                format!("{address}: nobody listens, and nobody needs it: mail comes by pipe or from inboxes"),
            ),
            Err(error) => Finding::failed(part, format!("{address}: {error}; {}", advice(&error, START))),
        });
    }
    findings
}

/// `listen.metrics`, where it is set.
pub(super) async fn metrics(config: &Config) -> Vec<Finding> {
    let Some(address) = config.listen.metrics else { return Vec::new() };
    let part = "metrics socket";
    vec![match within(scrape(address)).await {
        Ok(()) => Finding::ok(part, format!("http://{address}/metrics answers")),
        Err(error) => Finding::warning(part, format!("{address}: {error}; {}", advice(&error, START))),
    }]
}

pub(super) async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(TIME, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

pub(super) fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// What starts the service with its sockets.
const START: &str = "systemctl enable --now mailhatch.socket mailhatch.service";

/// What to do; `start` starts what does not listen.
pub(super) fn advice(error: &io::Error, start: &str) -> String {
    let text = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            return format!("nobody listens: start it with {start}");
        }
        io::ErrorKind::PermissionDenied => "it is closed to this user",
        io::ErrorKind::TimedOut => "somebody listens but does not answer: look at the log of mailhatch",
        _ => "something else than mailhatch listens there: see ss -lxtp",
    };
    text.to_owned()
}

/// RFC 2033 section 4: the greeting, LHLO and its answer; gives the greeting.
async fn greet(stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<String> {
    let mut stream = BufReader::new(stream);
    let greeting = reply(&mut stream, "220").await?;
    stream.write_all(b"LHLO localhost\r\n").await?;
    reply(&mut stream, "250").await?;
    stream.write_all(b"QUIT\r\n").await?;
    Ok(greeting)
}

/// The last line of one reply.
async fn reply(stream: &mut (impl AsyncBufRead + Unpin), code: &str) -> io::Result<String> {
    loop {
        let mut line = Vec::new();
        (&mut *stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
        if !line.ends_with(b"\n") {
            return Err(io::Error::other("it is no LMTP server: a reply has no end"));
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !line.starts_with(code) {
            return Err(io::Error::other(format!("it says \"{line}\" where {code} was expected")));
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}

async fn scrape(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(1024 * 1024).read_to_end(&mut answer).await?;
    match memchr::memmem::find(&answer, b"mailhatch_build_info").is_some() {
        true => Ok(()),
        false => Err(io::Error::other("no metrics of mailhatch are there")),
    }
}
