//! One request to Graph: with a token that is renewed once, immutable ids, no faster than is allowed, and patience where the
//! service asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;
use url::Url;
use zeroize::Zeroizing;

use super::pace::Pace;
use super::refusal::Refusal;
use crate::config::Secret;
use crate::intake::mailbox::failure::{Cause, Failure};
use crate::intake::mailbox::https::{Answer, Asked, Client};
use crate::intake::mailbox::oauth::{TokenSource, roles};
use crate::intake::mailbox::report::Report;

/// Longest answer that is not a message, in octets: a page of 50 messages has some 20 KiB.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// A wait up to this long is waited for at once; a longer one ends the connection.
const SHORT: Duration = Duration::from_secs(5);

/// So many waits in a row for one request.
const PATIENCE: u32 = 4;

/// The longest wait that we choose ourselves.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Every id is one that a move does not change (learn.microsoft.com/graph/outlook-immutable-id).
const PREFER: &str = "IdType=\"ImmutableId\"";

/// Graph for one application. Clones share its token, its pace, and how long it is throttled.
#[derive(Clone)]
pub struct Graph {
    client: Client,
    tokens: TokenSource,
    pace: Arc<Pace>,
    throttled: Arc<AtomicU32>,
    report: Report,
}

/// What is asked.
pub(super) struct Question {
    pub method: Method,
    pub url: Url,
    /// More in the field Prefer.
    pub prefer: Option<&'static str>,
    /// JSON.
    pub body: Option<String>,
}

/// An answer that is a success. The request counts as long as this is there.
pub(super) struct Given {
    pub answer: Answer,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Question {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, prefer: None, body: None }
    }
}

impl Given {
    /// All of it.
    pub(super) async fn whole(&mut self) -> Result<Vec<u8>, Failure> {
        self.answer.whole(LONGEST_ANSWER).await
    }
}

impl Graph {
    /// Graph at the host of `client`, for an application.
    pub fn new(client: Client, tokens: TokenSource, client_id: &str, report: Report) -> Self {
        Self { client, tokens, pace: Arc::new(Pace::new(client_id)), throttled: Arc::default(), report }
    }

    /// Whether a link leads to Graph, and nowhere else.
    pub(super) fn has(&self, url: &Url) -> bool {
        self.client.has(url)
    }

    /// The permissions in the token, where they can be read.
    pub async fn roles(&self) -> Option<Vec<String>> {
        roles(&self.tokens.token().await.ok()?)
    }

    /// Asks. A refusal that is about the mailbox as a whole, or about us, is a failure; the others are for the caller.
    pub(super) async fn ask(&self, doing: &str, question: &Question) -> Result<Result<Given, Refusal>, Failure> {
        let (mut is_renewed, mut waits) = (false, 0);
        loop {
            let token = self.tokens.token().await?;
            let permit = self.pace.permit().await;
            let headers = headers(&token, question)?;
            let body = Bytes::from(question.body.clone().unwrap_or_default());
            let asked = Asked { method: question.method.clone(), url: &question.url, headers, body };
            let mut answer = self.client.ask(asked).await?;
            if (200..300).contains(&answer.status) {
                self.throttled.store(0, Ordering::Relaxed);
                return Ok(Ok(Given { answer, _permit: permit }));
            }
            let (status, asked_wait) = (answer.status, answer.retry_after());
            let text = answer.whole(LONGEST_ANSWER).await?;
            drop(permit);
            let refusal = Refusal::read(status, asked_wait, &text);
            if status == 401 && !is_renewed {
                is_renewed = true;
                self.tokens.refused().await;
                continue;
            }
            if refusal.is_throttled() {
                let wait = asked_wait.unwrap_or_else(|| self.back_off());
                waits += 1;
                if wait > SHORT || waits > PATIENCE {
                    let failure = refusal.failure(doing, None);
                    return Err(Failure { asked_wait: Some(wait), ..failure });
                }
                self.report.throttled(&refusal.said(), wait);
                tokio::time::sleep(wait).await;
                continue;
            }
            if matches!(status, 401 | 403) {
                self.tokens.refused().await;
                let roles = if status == 403 { roles(&token) } else { None };
                return Err(refusal.failure(doing, roles.as_deref()));
            }
            return Ok(Err(refusal));
        }
    }

    /// How long to wait where the service does not say: 2ⁿ seconds, until something is answered again.
    fn back_off(&self) -> Duration {
        let nth = self.throttled.fetch_add(1, Ordering::Relaxed);
        Duration::from_secs(2_u64.saturating_pow(nth.min(20))).min(LONGEST_WAIT)
    }
}

fn headers(token: &Secret, question: &Question) -> Result<HeaderMap, Failure> {
    let invalid = |_| Failure::new(Cause::Internal, "internal error: a header field that is not valid");
    let bearer = Zeroizing::new([b"Bearer ".as_slice(), token.expose()].concat());
    let mut bearer = HeaderValue::from_bytes(&bearer).map_err(invalid)?;
    bearer.set_sensitive(true);
    let prefer = match question.prefer {
        Some(more) => HeaderValue::from_str(&format!("{PREFER}, {more}")).map_err(invalid)?,
        None => HeaderValue::from_static(PREFER),
    };
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(HeaderName::from_static("prefer"), prefer);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    if question.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(headers)
}
