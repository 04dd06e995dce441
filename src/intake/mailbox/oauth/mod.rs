//! OAuth 2.0 access tokens: client credentials (RFC 6749 section 4.4) and refresh tokens (section 6), renewed in time.
//!
//! A token goes to the token endpoint's answer and to whom it is for, nowhere else; nothing here is ever logged.

mod refusal;
mod roles;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::failure::{Cause, Failure};
use super::https::{Asked, Client};
use crate::config::{OAuthConfig, OAuthFlow, Secret, SecretSource};
use crate::credential::Field;

pub use roles::roles;

/// Longest answer of a token endpoint, in octets.
const LONGEST_ANSWER: usize = 256 * 1024;

/// How long a token is good where the server does not say (RFC 6749 section 5.1 recommends that it does).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// Where tokens come from. Clones share the token.
#[derive(Clone, Debug)]
pub struct TokenSource {
    client: Client,
    config: OAuthConfig,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// What the server gave instead of the one that is configured.
    newer_refresh_token: Option<Secret>,
}

#[derive(Debug)]
struct Token {
    value: Secret,
    renew_at: Instant,
}

/// A token endpoint's answer (RFC 6749 section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: Zeroizing<String>,
    token_type: String,
    #[serde(default)]
    expires_in: Option<Lifetime>,
    #[serde(default)]
    refresh_token: Option<Zeroizing<String>>,
}

/// A number of seconds; some servers write it in quotation marks.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lifetime {
    Number(u64),
    Text(String),
}

impl TokenSource {
    /// A source of tokens; asks for none. `client` is for the host of the token endpoint.
    pub fn new(client: Client, config: OAuthConfig) -> Self {
        Self { client, config, state: Arc::default() }
    }

    /// A token that is good for a while.
    ///
    /// # Errors
    /// None could be had.
    pub async fn token(&self) -> Result<Secret, Failure> {
        // Whoever comes meanwhile waits for the same one.
        let mut state = self.state.lock().await;
        if let Some(token) = state.token.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(token.value.clone());
        }
        state.token = None;
        let granted = match self.ask(state.newer_refresh_token.as_ref()).await {
            // The one that was configured may have been replaced since.
            Err(failure) if failure.cause == Cause::OAuth && state.newer_refresh_token.take().is_some() => {
                self.ask(None).await?
            }
            granted => granted?,
        };
        let lifetime = granted.expires_in.as_ref().and_then(Lifetime::seconds).unwrap_or(DEFAULT_LIFETIME);
        let value = Secret::new(granted.access_token.as_bytes().to_vec());
        // The clock that nobody can set.
        state.token = Some(Token { value: value.clone(), renew_at: Instant::now() + lifetime.mul_f64(0.8) });
        if let Some(newer) = granted.refresh_token.filter(|_| self.config.flow == OAuthFlow::RefreshToken) {
            state.newer_refresh_token = Some(Secret::new(newer.as_bytes().to_vec()));
        }
        Ok(value)
    }

    /// The token was refused where it was shown: the next one is a new one.
    pub async fn refused(&self) {
        self.state.lock().await.token = None;
    }

    async fn ask(&self, newer_refresh_token: Option<&Secret>) -> Result<Granted, Failure> {
        let body = self.form(newer_refresh_token).await?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let asked = Asked { method: Method::POST, url: &self.config.token_url.value, headers, body };
        let mut answer = self.client.ask(asked).await?;
        let text = Zeroizing::new(answer.whole(LONGEST_ANSWER).await?);
        if answer.status != 200 {
            return Err(refusal::read(&self.config.token_url.value, answer.status, answer.retry_after(), &text));
        }
        let granted = serde_json::from_slice::<Granted>(&text).ok().filter(|granted| {
            let token = &granted.access_token;
            granted.token_type.eq_ignore_ascii_case("bearer") && !token.is_empty() && is_token(token)
        });
        granted.ok_or_else(|| {
            let what = format!(
                "{} answered 200 without a bearer token: is it the token endpoint?",
                self.config.token_url.value
            );
            Failure::new(Cause::OAuth, what)
        })
    }

    async fn form(&self, newer_refresh_token: Option<&Secret>) -> Result<Bytes, Failure> {
        let OAuthConfig { flow, client_id, scope, client_secret, refresh_token, .. } = &self.config;
        let client_secret = match client_secret {
            // A public client has none, and its refresh token may be in a credential.
            Some(source) => read(source, Field::ClientSecret, *flow == OAuthFlow::ClientCredentials).await?,
            None => None,
        };
        let refresh_token = match (flow, newer_refresh_token, refresh_token) {
            (OAuthFlow::RefreshToken, Some(newer), _) => Some(newer.clone()),
            (OAuthFlow::RefreshToken, None, Some(source)) => read(source, Field::RefreshToken, true).await?,
            _ => None,
        };
        let mut form = Serializer::new(String::with_capacity(8192));
        form.append_pair("client_id", client_id);
        form.append_pair(
            "grant_type",
            match flow {
                OAuthFlow::ClientCredentials => "client_credentials",
                OAuthFlow::RefreshToken => "refresh_token",
            },
        );
        for (name, value) in [("client_secret", &client_secret), ("refresh_token", &refresh_token)] {
            if let Some(secret) = value {
                form.append_pair(name, text(secret, name)?);
            }
        }
        if let Some(scope) = scope {
            form.append_pair("scope", scope);
        }
        Ok(Bytes::from(form.finish()))
    }
}

/// Read each time: after a refusal it may be another.
async fn read(source: &SecretSource, field: Field, is_needed: bool) -> Result<Option<Secret>, Failure> {
    let (key, source) = (source.key(), source.clone());
    let read = move || if is_needed { source.read(field).map(Some) } else { source.read_optional(field) };
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.unwrap_or_else(|error| Err(error.to_string()));
    read.map_err(|why| Failure::new(Cause::Credential, format!("{key}: {why}")))
}

fn text<'s>(secret: &'s Secret, name: &str) -> Result<&'s str, Failure> {
    let text = std::str::from_utf8(secret.expose()).ok().filter(|text| !text.is_empty());
    text.ok_or_else(|| Failure::new(Cause::Credential, format!("{name}: it is not text, or empty")))
}

/// RFC 6750 section 2.1: what can stand in a header field and in a SASL message.
fn is_token(token: &str) -> bool {
    token.bytes().all(|octet| octet.is_ascii_graphic())
}

impl Lifetime {
    fn seconds(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(seconds) => *seconds,
            Self::Text(text) => text.parse().ok()?,
        };
        // A token that never ends would never be renewed.
        Some(Duration::from_secs(seconds.min(24 * 3600)))
    }
}
