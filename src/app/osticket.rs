//! osTicket, by its API for piped mail (`POST /api/tickets.email`, what `automail.php` asks), by its published code.
//!
//! The key counts only together with the address of the host that asks. A mail with a Message-ID that osTicket has seen before
//! is no second ticket, also not in another queue (osTicket pull request 866).

use futures_util::future::BoxFuture;
use hyper::header::{HeaderMap, HeaderValue};

use super::application::{Answer, App, AppError, Refusals};
use super::event::Event;
use super::http::{Http, Unanswered};
use super::http_answer::HttpAnswer;
use super::request_body::RequestBody;
use super::settings::{Kind, Setup};
use crate::config::ConfigError;
use crate::printable::one_line;

/// `kind = "osticket"`
pub(super) const KIND: Kind = Kind::new("osticket", |setup| Ok(Box::new(OsTicket::read(setup)?)));

/// One osTicket.
#[derive(Debug)]
struct OsTicket {
    http: Http,
    key: HeaderValue,
}

impl OsTicket {
    fn read(mut setup: Setup<'_, '_>) -> Result<Self, ConfigError> {
        let http = Http::with_root(&mut setup)?;
        let secret = setup.secret()?;
        let key = setup.secret_header(&secret, "", "it holds a key of Admin Panel, Manage, API, made for this host")?;
        Ok(Self { http, key })
    }

    async fn deliver(&self, event: &Event) -> Result<Answer, AppError> {
        let body = RequestBody::of([event.message.bytes().clone()]);
        let answer = self.ask("tickets.email", self.http.headers(event, "message/rfc822")?, body).await?;
        // It calls everything text/html: the number of the ticket is what counts.
        match (answer.status, answer.text()) {
            (201, Some(number)) if is_number(number) => {
                Ok(Answer::delivered(format!("osTicket made or found the ticket {number}")))
            }
            (403, Some(text)) => Ok(Answer::dropped(format!("osTicket denied it: {}", one_line(text, 200)))),
            _ => Err(self.not_taken(&answer)),
        }
    }

    async fn ask(&self, place: &str, mut headers: HeaderMap, body: RequestBody) -> Result<HttpAnswer, Unanswered> {
        headers.insert("x-api-key", self.key.clone());
        self.http.post(&self.http.below_root(&["api", place])?, headers, body).await
    }

    fn not_taken(&self, answer: &HttpAnswer) -> AppError {
        let advice = match answer.status {
            401 => "; osTicket answers so, too, where the key was made for another address than this host's IP",
            _ => "",
        };
        answer.not_taken(&self.http.asked()).with_advice(advice)
    }

    /// The key is looked at before what is sent, and an empty JSON text is nothing that a ticket could be made of.
    async fn try_key(&self) -> Result<String, String> {
        let asked = async {
            self.ask("tickets.json", self.http.headers_of_check("application/json")?, RequestBody::empty()).await
        };
        self.http.key_tried(asked.await, 400, "the key is accepted from this host", |answer| self.not_taken(answer))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

impl App for OsTicket {
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
