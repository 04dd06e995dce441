//! A client for the web services of a mailbox's provider: HTTP/1.1 over TLS, with kept connections.
//!
//! No redirect is followed, no proxy variable is read, nothing goes anywhere but to the one host, and silence has an end.

mod answer;
mod body;
mod stream;

pub use answer::Answer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use url::Url;

use super::failure::{Cause, Failure};
use super::imap::{Endpoint, Security};
use body::Whole;
use stream::ForHyper;

/// A connection that takes longer to open is given up.
const CONNECT: Duration = Duration::from_secs(30);

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// An idle connection is closed by us before the provider closes it.
const IDLE: Duration = Duration::from_secs(30);

/// So many idle connections are kept.
const KEPT: usize = 2;

/// One host of a provider.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    /// The value of the Host field.
    authority: String,
    idle: Arc<Mutex<Vec<(Connection, Instant)>>>,
}

/// What is asked.
#[derive(Debug)]
pub struct Asked<'a> {
    /// How.
    pub method: Method,
    /// What, on the client's host.
    pub url: &'a Url,
    /// With what.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A connection; it is closed when this is dropped, whatever is still on its way.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Whole>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    /// A client for the host of a URL; `tls` is for https, which is what every host but this one must have.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the URL.
    pub fn new(url: &Url, tls: Arc<rustls::ClientConfig>) -> Result<Self, String> {
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it has no host")?;
        let host = host.trim_matches(['[', ']']).to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err("no user and no password belong into it".to_owned());
        }
        let (security, tls) = match url.scheme() {
            "https" => (Security::Tls, Some(tls)),
            "http" if is_loopback(&host) => (Security::Loopback, None),
            _ => return Err("it must begin with https://".to_owned()),
        };
        let port = url.port_or_known_default().ok_or("it has no port")?;
        let authority = url.authority().to_owned();
        Ok(Self { endpoint: Endpoint { host, port, security, tls }, authority, idle: Arc::default() })
    }

    /// Whether a URL leads to this host, and in the same way.
    pub fn has(&self, url: &Url) -> bool {
        let is_tls = url.scheme() == "https";
        let same_way = is_tls == (self.endpoint.security == Security::Tls);
        same_way && url.authority() == self.authority
    }

    /// The host, for people.
    pub fn host(&self) -> &str {
        &self.authority
    }

    /// Asks, and gives the answer as soon as it begins. A kept connection that the server has closed meanwhile is replaced.
    ///
    /// # Errors
    /// No answer came.
    pub async fn ask(&self, asked: Asked<'_>) -> Result<Answer, Failure> {
        if !self.has(asked.url) {
            let what =
                format!("nothing is sent to {}: the configuration names {}", asked.url.authority(), self.authority);
            return Err(Failure::new(Cause::Malformed, what));
        }
        let mut request = self.request(asked)?;
        let answered = async {
            while let Some(mut connection) = self.kept() {
                match connection.sender.try_send_request(request).await {
                    Ok(response) => return Ok((connection, response)),
                    Err(mut error) => match error.take_message() {
                        // Nothing of it was sent.
                        Some(unsent) => request = unsent,
                        None => return Err(self.broken(&error.into_error())),
                    },
                }
            }
            let mut connection = self.connect().await?;
            let response = connection.sender.send_request(request).await.map_err(|error| self.broken(&error))?;
            Ok((connection, response))
        };
        let (connection, response) = timeout(CONNECT + SILENCE, answered).await.map_err(|_| self.silent())??;
        Ok(Answer::new(self.clone(), connection, response))
    }

    fn request(&self, asked: Asked<'_>) -> Result<Request<Whole>, Failure> {
        let Asked { method, url, mut headers, body } = asked;
        let invalid = |error: &dyn std::fmt::Display| Failure::new(Cause::Internal, format!("internal error: {error}"));
        headers.insert(HOST, HeaderValue::from_str(&self.authority).map_err(|error| invalid(&error))?);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("mailhatch/", env!("CARGO_PKG_VERSION"))));
        if !body.is_empty() || matches!(method, Method::POST | Method::PATCH) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let request = Request::builder().method(method).uri(target).body(Whole::new(body));
        let mut request = request.map_err(|error| invalid(&error))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let place = format!("{}:{}", self.endpoint.host, self.endpoint.port);
        let late = |_| Failure::new(Cause::Timeout, format!("{place}: no connection in {} s", CONNECT.as_secs()));
        let stream = timeout(CONNECT, self.endpoint.connect()).await.map_err(late)??;
        let (sender, connection) = http1::handshake(ForHyper(stream)).await.map_err(|error| self.broken(&error))?;
        // What goes wrong on it is told to whoever waits for the answer.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, driver })
    }

    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(connection, since)| since.elapsed() < IDLE && connection.sender.is_ready());
        idle.pop().map(|(connection, _)| connection)
    }

    /// Its answer was read to the end.
    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT && !connection.sender.is_closed() {
            idle.push((connection, Instant::now()));
        }
    }

    fn silent(&self) -> Failure {
        Failure::new(Cause::Timeout, format!("{}: no answer in {} s", self.authority, SILENCE.as_secs()))
    }

    fn broken(&self, error: &hyper::Error) -> Failure {
        let cause = if error.is_parse() { Cause::Malformed } else { Cause::Closed };
        let source = std::error::Error::source(error).map(|source| format!(" ({source})")).unwrap_or_default();
        Failure::new(cause, format!("{}: {error}{source}", self.authority))
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
