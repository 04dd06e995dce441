//! Asking an application over HTTP/1.1, with kept connections.
//!
//! No redirect is followed, no proxy variable is read, and an answer is read whole, up to a limit. What an answer means
//! is not decided here but in `http_answer`.

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use url::Url;

use super::application::{AfterRefusals, AppError, Refusals};
use super::endpoint::Endpoint;
use super::event::Event;
use super::http_answer::{self, HttpAnswer, LARGEST_ANSWER};
use super::http_connection::Connection;
use super::http_failure::Failure;
use super::request_body::RequestBody;
use super::settings::Setup;
use crate::config::{ConfigError, Located, units};
use crate::tls;
use crate::verdict::Status;

/// An idle connection is closed by us before common applications close it (Node.js: 5 s): a request sent into a closing
/// connection fails without our knowing whether it arrived.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// The field with the id that is the same on every try of an event.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The keys of every application that is asked over HTTP.
#[derive(Debug, Deserialize)]
struct HttpSettings {
    url: Located<String>,
    ca_file: Option<Located<PathBuf>>,
    refusals: Option<RefusalsChoice>,
    #[serde(default, deserialize_with = "units::optional_duration")]
    refused_after: Option<Duration>,
}

/// `refusals`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RefusalsChoice {
    Hold,
    Reject,
}

/// What a sender is told of a refusal where the kind has no better words.
const REFUSED: &str = "The application behind this address does not take this message.";

/// The way to one application.
#[derive(Debug)]
pub(super) struct Http {
    app: String,
    endpoint: Endpoint,
    extra_roots: Vec<CertificateDer<'static>>,
    timeout: Duration,
    refusals: Refusals,
    tls: OnceCell<Arc<ClientConfig>>,
    idle: Mutex<Vec<Idle>>,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(super) struct Unanswered {
    /// What it means for the message.
    pub error: AppError,
    /// Whether the application may have got the request all the same.
    pub was_sent: bool,
}

impl From<Unanswered> for AppError {
    fn from(unanswered: Unanswered) -> Self {
        unanswered.error
    }
}

impl From<AppError> for Unanswered {
    fn from(error: AppError) -> Self {
        Self { error, was_sent: false }
    }
}

/// A connection on which the last answer was clean.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Http {
    /// Reads `url` and `ca_file`; connects to nothing.
    pub fn new(setup: &mut Setup<'_, '_>) -> Result<Self, ConfigError> {
        Self::read(setup, |_| Ok(()))
    }

    /// The same for an application whose `url` is its root, and whose kind adds the path: [`Http::below_root`].
    pub fn with_root(setup: &mut Setup<'_, '_>) -> Result<Self, ConfigError> {
        Self::read(setup, |endpoint| match endpoint.join(&[]) {
            Some(_) => Ok(()),
            None => Err("the url of this kind of app is the application's root: it has no part behind a ?".to_owned()),
        })
    }

    fn read(
        setup: &mut Setup<'_, '_>,
        check: impl FnOnce(&Endpoint) -> Result<(), String>,
    ) -> Result<Self, ConfigError> {
        let (config, HttpSettings { url, ca_file, refusals, refused_after }) = (setup.config, setup.table.take()?);
        let endpoint = Endpoint::parse(&url.value).and_then(|endpoint| check(&endpoint).map(|()| endpoint));
        let endpoint = endpoint.map_err(|message| config.error_at(&url, message))?;
        let extra_roots = match &ca_file {
            Some(path) => tls::read_certificates(&path.value).map_err(|message| config.error_at(path, message))?,
            None => Vec::new(),
        };
        let app = setup.name.value.clone();
        let then = match (refusals, setup.refusals.then) {
            (None, then) | (Some(RefusalsChoice::Reject), then @ AfterRefusals::Reject(_)) => then,
            (Some(RefusalsChoice::Hold), _) => AfterRefusals::Hold,
            (Some(RefusalsChoice::Reject), AfterRefusals::Hold) => AfterRefusals::Reject(REFUSED),
        };
        let refusals = Refusals { after: refused_after.or(setup.refusals.after), then };
        let (tls, idle) = (OnceCell::new(), Mutex::default());
        Ok(Self { app, endpoint, extra_roots, timeout: setup.timeout, refusals, tls, idle })
    }

    /// What every hand-over says of itself: its type, and the id that is the same on every try.
    pub fn headers(&self, event: &Event, content_type: &str) -> Result<HeaderMap, AppError> {
        let mut headers = self.headers_of_check(content_type)?;
        headers.insert(IDEMPOTENCY_KEY, self.header_value(event.id.as_str())?);
        Ok(headers)
    }

    /// What a request of [`super::application::App::check`] says of itself.
    pub fn headers_of_check(&self, content_type: &str) -> Result<HeaderMap, AppError> {
        Ok(HeaderMap::from_iter([(CONTENT_TYPE, self.header_value(content_type)?)]))
    }

    fn header_value(&self, text: &str) -> Result<HeaderValue, AppError> {
        HeaderValue::from_str(text).map_err(|_| self.broken(&format!("\"{text}\" is not a valid header value")))
    }

    /// A place below the application's root.
    pub fn below_root(&self, segments: &[&str]) -> Result<Url, AppError> {
        self.endpoint.join(segments).ok_or_else(|| self.broken("its url cannot be extended"))
    }

    /// What becomes of a message that is refused without a reason.
    pub fn refusals(&self) -> Refusals {
        self.refusals
    }

    /// Where the application is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Who is asked, for log lines.
    pub fn asked(&self) -> String {
        format!("{} at {}", self.app, self.endpoint)
    }

    /// Something on our side kept the application from being asked; somebody must act.
    pub fn broken(&self, why: &str) -> AppError {
        AppError::Unavailable {
            status: Status::SYSTEM,
            public: "the application cannot be reached at the moment".to_owned(),
            detail: format!("{}: {why}", self.asked()),
            retry_after: None,
            alarm: true,
        }
    }

    /// What a check that sends no mail found: with `refused_with` the application refuses such a request, once it has accepted
    /// the key.
    ///
    /// # Errors
    /// What is wrong, for the administrator.
    pub fn key_tried(
        &self,
        answered: Result<HttpAnswer, Unanswered>,
        refused_with: u16,
        accepted: &str,
        not_taken: impl FnOnce(&HttpAnswer) -> AppError,
    ) -> Result<String, String> {
        let answer = answered.map_err(|error| error.to_string())?;
        match answer.status == refused_with {
            true => Ok(format!("{}: {accepted}", self.asked())),
            false => Err(not_taken(&answer).to_string()),
        }
    }

    /// Sends one request and reads the whole answer, in the application's `timeout`.
    pub async fn post(&self, url: &Url, headers: HeaderMap, body: RequestBody) -> Result<HttpAnswer, Unanswered> {
        self.ask(Method::POST, url, headers, body).await.map(|(answer, _)| answer)
    }

    /// The same with another method; gives the time of the Date field as well.
    pub async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: RequestBody,
    ) -> Result<(HttpAnswer, Option<SystemTime>), Unanswered> {
        let request = self.request(method, url, headers, body)?;
        let exchanged = timeout(self.timeout, self.exchange(request)).await.unwrap_or(Err(Failure::Timeout));
        exchanged.map_err(|failure| Unanswered {
            was_sent: failure.was_sent(),
            error: failure.into_error(&self.asked(), self.timeout),
        })
    }

    fn request(
        &self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, AppError> {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("mailhatch/", env!("CARGO_PKG_VERSION"))));
        headers.insert(HOST, self.header_value(url.authority())?);
        let target = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
        let request = Request::builder().method(method).uri(target).body(body);
        let mut request = request.map_err(|error| self.broken(&format!("the request is not valid: {error}")))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn exchange(&self, mut request: Request<RequestBody>) -> Result<(HttpAnswer, Option<SystemTime>), Failure> {
        while let Some(connection) = self.kept() {
            match self.exchange_on(connection, request).await {
                // It was closed, or spoke unasked, before anything of the request was sent: nothing is lost.
                Err((_, Some(unsent))) => request = unsent,
                Err((failure, None)) => return Err(failure),
                Ok(answer) => return Ok(answer),
            }
        }
        let connection = Connection::open(&self.endpoint, self.tls().await?).await?;
        self.exchange_on(connection, request).await.map_err(|(failure, _)| failure)
    }

    async fn exchange_on(
        &self,
        mut connection: Connection,
        request: Request<RequestBody>,
    ) -> Result<(HttpAnswer, Option<SystemTime>), (Failure, Option<Request<RequestBody>>)> {
        let response = connection.send(request).await?;
        let date = response.headers().get(DATE).and_then(|value| value.to_str().ok()).and_then(http_answer::http_date);
        let answer = read_answer(&connection, response).await.map_err(|failure| (failure, None))?;
        // After anything unclean a connection is not used again: nobody knows what comes on it next.
        if answer.said.is_ok() && connection.is_ready_again() {
            self.keep(connection);
        }
        Ok((answer, date))
    }

    /// The connection that was used last, if it is still good.
    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.since.elapsed() < IDLE_TIMEOUT && kept.connection.is_open());
        idle.pop().map(|kept| kept.connection)
    }

    fn keep(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(Idle { connection, since: Instant::now() });
    }

    /// What TLS needs, if the URL asks for it. Made at the first request: reading the system's certificates takes
    /// milliseconds, and a process for one message that never asks must not pay them.
    async fn tls(&self) -> Result<Option<&Arc<ClientConfig>>, Failure> {
        if !self.endpoint.is_tls() {
            return Ok(None);
        }
        let made = self.tls.get_or_try_init(async || tls::client(&self.extra_roots).map(Arc::new)).await;
        made.map(Some).map_err(Failure::NoTls)
    }
}

async fn read_answer(connection: &Connection, response: Response<Incoming>) -> Result<HttpAnswer, Failure> {
    let (head, body) = response.into_parts();
    let (mut body, mut read, mut is_whole) = (pin!(body), Vec::new(), true);
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(chunk) = frame.map_err(Failure::of_exchange)?.into_data() else { continue };
        let room = LARGEST_ANSWER - read.len();
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            is_whole = false;
            break;
        }
    }
    Ok(HttpAnswer::new(head.status, &head.headers, connection.answered_early(), &read, is_whole))
}
