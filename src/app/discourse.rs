//! Discourse, by the route of its own mail-receiver (`POST /admin/email/handle_mail`), by its published code.
//!
//! Discourse queues the mail and tells the sender itself what is wrong with it. It takes 60 requests a minute of an admin key
//! (`max_admin_api_reqs_per_minute`); what is over that it answers with 429 and Retry-After, and Postfix keeps the mail.

use futures_util::future::BoxFuture;
use hyper::header::{HeaderMap, HeaderValue};
use serde::Deserialize;

use super::application::{Answer, App, AppError, Refusals};
use super::event::Event;
use super::http::{Http, Unanswered};
use super::http_answer::HttpAnswer;
use super::request_body::RequestBody;
use super::settings::{Kind, Setup};
use crate::config::{ConfigError, Located};

/// `kind = "discourse"`
pub(super) const KIND: Kind = Kind::new("discourse", |setup| Ok(Box::new(Discourse::read(setup)?)));

const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Deserialize)]
struct Settings {
    user: Option<Located<String>>,
}

/// One Discourse.
#[derive(Debug)]
struct Discourse {
    http: Http,
    key: HeaderValue,
    user: HeaderValue,
}

impl Discourse {
    fn read(mut setup: Setup<'_, '_>) -> Result<Self, ConfigError> {
        let http = Http::with_root(&mut setup)?;
        let secret = setup.secret()?;
        let Settings { user } = setup.table.take()?;
        let key = setup.secret_header(&secret, "", "it holds an API key with the scope email: receive emails")?;
        let user = match &user {
            None => HeaderValue::from_static("system"),
            Some(user) => HeaderValue::from_str(&user.value)
                .map_err(|_| setup.config.error_at(user, "this is not a valid user name"))?,
        };
        Ok(Self { http, key, user })
    }

    async fn deliver(&self, event: &Event) -> Result<Answer, AppError> {
        let message = event.message.bytes().clone();
        let body = RequestBody::base64_field("email_encoded", message).await;
        let body = body.map_err(|error| self.http.broken(&format!("the request cannot be written: {error}")))?;
        let answer = self.ask(self.http.headers(event, FORM)?, body).await?;
        match answer.status {
            200 if answer.said.is_ok() => Ok(Answer::delivered("Discourse queued it")),
            _ => Err(self.not_taken(&answer)),
        }
    }

    async fn ask(&self, mut headers: HeaderMap, body: RequestBody) -> Result<HttpAnswer, Unanswered> {
        headers.insert("api-key", self.key.clone());
        headers.insert("api-username", self.user.clone());
        self.http.post(&self.http.below_root(&["admin", "email", "handle_mail"])?, headers, body).await
    }

    fn not_taken(&self, answer: &HttpAnswer) -> AppError {
        let advice = match answer.status {
            403 | 404 => {
                "; Discourse answers so, too, where the key is not the user's, or has not the scope to receive emails"
            }
            _ => "",
        };
        answer.not_taken(&self.http.asked()).with_advice(advice)
    }

    /// Without a mail it is refused, after the key was looked at.
    async fn try_key(&self) -> Result<String, String> {
        let asked = async { self.ask(self.http.headers_of_check(FORM)?, RequestBody::empty()).await };
        self.http.key_tried(asked.await, 400, "the key is accepted", |answer| self.not_taken(answer))
    }
}

impl App for Discourse {
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(self.deliver(event))
    }

    fn refusals(&self) -> Refusals {
        self.http.refusals()
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(self.try_key())
    }
}
