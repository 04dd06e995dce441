//! Asking an application over HTTP: one client an application, with kept connections.
//!
//! No redirect is followed, no proxy variable is read, and an answer is read whole, up to a limit. What an answer means
//! is not decided here but in `answer`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Body, Client, Method, Response, Url};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::application::AppError;
use super::endpoint::Endpoint;
use super::http_answer::{self as answer, HttpAnswer};
use super::settings::Setup;
use crate::config::{ConfigError, Located};
use crate::tls;
use crate::verdict::Status;

/// Largest answer that is read, in octets.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// A connection that takes longer to open is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An idle connection is closed by us before common applications close it (Node.js: 5 s): a request sent into a closing
/// connection fails without our knowing whether it arrived.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// The keys of every application that is asked over HTTP.
#[derive(Debug, Deserialize)]
struct HttpSettings {
    url: Located<String>,
    ca_file: Option<Located<PathBuf>>,
}

/// The way to one application.
#[derive(Debug)]
pub(super) struct Http {
    app: String,
    endpoint: Endpoint,
    extra_roots: Vec<CertificateDer<'static>>,
    timeout: Duration,
    client: OnceCell<Client>,
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
        let (config, HttpSettings { url, ca_file }) = (setup.config, setup.table.take()?);
        let endpoint = Endpoint::parse(&url.value).and_then(|endpoint| check(&endpoint).map(|()| endpoint));
        let endpoint = endpoint.map_err(|message| config.error_at(&url, message))?;
        let extra_roots = match &ca_file {
            Some(path) => tls::read_certificates(&path.value).map_err(|message| config.error_at(path, message))?,
            None => Vec::new(),
        };
        let app = setup.name.value.clone();
        Ok(Self { app, endpoint, extra_roots, timeout: setup.timeout, client: OnceCell::new() })
    }

    /// A place below the application's root.
    pub fn below_root(&self, segments: &[&str]) -> Result<Url, AppError> {
        self.endpoint.join(segments).ok_or_else(|| self.broken("its url cannot be extended"))
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

    /// Sends one request and reads the whole answer, in the application's `timeout`.
    pub async fn post(&self, url: Url, headers: HeaderMap, body: Body) -> Result<HttpAnswer, AppError> {
        self.ask(Method::POST, url, headers, body).await.map(|(answer, _)| answer)
    }

    /// The same with another method; gives the time of the Date field as well.
    pub async fn ask(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Body,
    ) -> Result<(HttpAnswer, Option<SystemTime>), AppError> {
        let client = self.client.get_or_try_init(async || self.build()).await?;
        let failed = |error: reqwest::Error| answer::failure(&self.asked(), self.timeout, &error);
        let response = client.request(method, url).headers(headers).body(body).send().await.map_err(failed)?;
        let date = response.headers().get(DATE).and_then(|value| value.to_str().ok()).and_then(answer::http_date);
        Ok((read_answer(response).await.map_err(failed)?, date))
    }

    /// Built at the first request: reading the system's certificates takes milliseconds, and a process for one message that
    /// never asks must not pay them.
    fn build(&self) -> Result<Client, AppError> {
        let tls = self.tls_config().map_err(|error| answer::no_client(&self.asked(), &error))?;
        let mut builder = Client::builder()
            .user_agent(concat!("mailhatch/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(self.timeout)
            .pool_idle_timeout(IDLE_TIMEOUT);
        if let Some(socket) = self.endpoint.socket() {
            builder = builder.unix_socket(socket);
        }
        builder.build().map_err(|error| answer::no_client(&self.asked(), &error))
    }

    fn tls_config(&self) -> Result<ClientConfig, rustls::Error> {
        match self.endpoint.is_tls() {
            true => tls::client(&self.extra_roots),
            // A host without any certificate authority can still ask over a Unix socket.
            false => tls::client_that_trusts_nobody(),
        }
    }
}

async fn read_answer(mut response: Response) -> Result<HttpAnswer, reqwest::Error> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut answer = HttpAnswer {
        status: response.status().as_u16(),
        content_type: header(CONTENT_TYPE),
        location: header(LOCATION),
        retry_after: header(RETRY_AFTER).and_then(|value| answer::retry_after(&value, SystemTime::now())),
        body: Vec::new(),
        is_whole: true,
    };
    while let Some(chunk) = response.chunk().await? {
        let room = LARGEST_ANSWER - answer.body.len();
        answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            answer.is_whole = false;
            break;
        }
    }
    Ok(answer)
}
