//! The sockets of `serve`: somebody listens, and speaks LMTP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::Finding;
use crate::config::{Config, ListenAddress};

/// For one socket.
const TIME: Duration = Duration::from_secs(10);

/// What Postfix needs the sockets for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing: it hands over by pipe.
    None,
    /// Every message, or nobody knows.
    Needed,
}

/// Each `listen.lmtp`.
pub(super) async fn lmtp(config: &Config, needed: Use) -> Vec<Finding> {
    let mut findings = Vec::new();
    for address in &config.listen.lmtp {
        let (shown, asked) = match address {
            ListenAddress::Tcp(address) => {
                (address.to_string(), within(async { greet(TcpStream::connect(address).await?).await }).await)
            }
            ListenAddress::Unix(path) => {
                let asked = within(async { greet(UnixStream::connect(path).await?).await }).await;
                (format!("unix:{}", path.display()), asked)
            }
        };
        let part = "lmtp socket";
        findings.push(match asked {
            Ok(greeting) => Finding::ok(part, format!("{shown} answers: {greeting}")),
            Err(error) if needed == Use::None && nobody_listens(&error) => {
                Finding::ok(part, format!("{shown}: nobody listens, and Postfix hands over by pipe"))
            }
            Err(error) => Finding::failed(part, format!("{shown}: {error}; {}", advice(&error))),
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
        Err(error) => Finding::warning(part, format!("{address}: {error}; {}", advice(&error))),
    }]
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(TIME, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "nobody listens: start it with systemctl enable --now mailhatch.socket mailhatch.service"
        }
        io::ErrorKind::PermissionDenied => "it is closed to this user",
        io::ErrorKind::TimedOut => "somebody listens but does not answer: look at the log of mailhatch",
        _ => "something else than mailhatch listens there: see ss -lxtp",
    }
}

/// RFC 2033 section 4: the greeting, LHLO and its answer; gives the greeting.
async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<String> {
    let greeting = reply(&mut stream, "220").await?;
    stream.write_all(b"LHLO localhost\r\n").await?;
    reply(&mut stream, "250").await?;
    stream.write_all(b"QUIT\r\n").await?;
    Ok(greeting.trim_end().to_owned())
}

/// One reply, to its last line.
async fn reply(stream: &mut (impl AsyncRead + Unpin), code: &str) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        let lines = text.split_inclusive(|&octet| octet == b'\n').collect::<Vec<_>>();
        let last = lines.iter().find(|line| line.ends_with(b"\n") && line.get(3) != Some(&b'-'));
        if let Some(last) = last {
            let last = String::from_utf8_lossy(last).into_owned();
            return match last.starts_with(code) {
                true => Ok(last),
                false => Err(io::Error::other(format!("it says \"{}\" where {code} was expected", last.trim_end()))),
            };
        }
        if text.len() > 8192 || stream.read_buf(&mut text).await? == 0 {
            return Err(io::Error::other("it is no LMTP server: the connection ended before a reply"));
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
