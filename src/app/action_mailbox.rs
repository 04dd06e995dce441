//! Rails Action Mailbox, by its relay ingress (`/rails/action_mailbox/relay/inbound_emails`); Chatwoot and others use it.
//!
//! It knows a mail again by its Message-ID and a checksum of what was posted, so each try posts the same octets. What it cannot
//! do is go on where it broke off: a mail that was stored, but not queued for processing, is answered 500, and then 204 for ever
//! (run, 6.1.7.10: the record stays `pending`).

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::application::{Answer, App, AppError, Refusals};
use super::event::Event;
use super::http::{Http, Unanswered};
use super::http_answer::HttpAnswer;
use super::request_body::RequestBody;
use super::settings::{Kind, Setup};
use super::to_field::{is_plain, names, with_last_to};
use crate::config::ConfigError;
use crate::event_id::EventId;

/// `kind = "action-mailbox"`
pub(super) const KIND: Kind = Kind::new("action-mailbox", |setup| Ok(Box::new(ActionMailbox::read(setup)?)));

/// Events that are remembered because nobody knows what became of them.
const MOST_UNSURE: usize = 1000;

#[derive(Deserialize)]
struct Settings {
    /// One `To` field with the recipient, for applications that look at no other.
    #[serde(default)]
    add_to: bool,
}

/// One application with Action Mailbox.
#[derive(Debug)]
struct ActionMailbox {
    http: Http,
    authorization: HeaderValue,
    add_to: bool,
    unsure: Mutex<Unsure>,
}

/// The events whose last try ended in 5xx or without an answer, the oldest first.
#[derive(Debug, Default)]
struct Unsure {
    order: VecDeque<EventId>,
    ids: HashSet<EventId>,
}

impl ActionMailbox {
    fn read(mut setup: Setup<'_, '_>) -> Result<Self, ConfigError> {
        let http = Http::with_root(&mut setup)?;
        let secret = setup.secret()?;
        let Settings { add_to } = setup.table.take()?;
        let advice = "it holds what Rails has as action_mailbox.ingress_password or RAILS_INBOUND_EMAIL_PASSWORD";
        let password = setup.secret_text(&secret, advice)?;
        let credentials = Zeroizing::new(format!("actionmailbox:{}", password.text()));
        let credentials = Zeroizing::new(format!("Basic {}", STANDARD.encode(credentials.as_bytes())));
        let authorization = setup.header(&secret, &credentials)?;
        Ok(Self { http, authorization, add_to, unsure: Mutex::default() })
    }

    async fn deliver(&self, event: &Event) -> Result<Answer, AppError> {
        let recipient = event.recipient.address.replace(char::is_control, "");
        let original_to = Bytes::from(format!("X-Original-To: {recipient}\r\n"));
        let wants_to = self.add_to && is_plain(&recipient) && !names(&event.message, &recipient);
        let message = with_last_to(&event.message, if wants_to { std::slice::from_ref(&recipient) } else { &[] });
        let body = RequestBody::of([original_to].into_iter().chain(message));
        let headers = self.http.headers(event, "message/rfc822")?;
        // Noted before: a try that is given up on the way leaves it open, too.
        let was_unsure = self.unsure().add(&event.id);
        let asked = self.ask(headers, body).await;
        // Whatever this try says, an earlier one may have stored it.
        let was_not_seen = match &asked {
            Ok(answer) => answer.status < 500,
            Err(unanswered) => !unanswered.was_sent,
        };
        if was_not_seen && !was_unsure {
            self.unsure().remove(&event.id);
        }
        let answer = asked?;
        if !answer.is_success() || answer.said.is_err() {
            return Err(self.not_taken(&answer));
        }
        self.unsure().remove(&event.id);
        let warning = "an earlier try of this message ended in a fault: the application may hold it unprocessed; in its \
                       console: ActionMailbox::InboundEmail.pending.find_each(&:route_later)";
        let how = "Action Mailbox took it".to_owned();
        Ok(Answer::Delivered { how, warning: was_unsure.then(|| warning.to_owned()) })
    }

    async fn ask(&self, mut headers: HeaderMap, body: RequestBody) -> Result<HttpAnswer, Unanswered> {
        headers.insert(AUTHORIZATION, self.authorization.clone());
        let place = self.http.below_root(&["rails", "action_mailbox", "relay", "inbound_emails"])?;
        self.http.post(&place, headers, body).await
    }

    fn unsure(&self) -> MutexGuard<'_, Unsure> {
        self.unsure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_taken(&self, answer: &HttpAnswer) -> AppError {
        let advice = match answer.status {
            404 => "; set config.action_mailbox.ingress = :relay in the application",
            _ => "",
        };
        answer.not_taken(&self.http.asked()).with_advice(advice)
    }

    /// A text is not a mail: it is refused by its type, after the password was looked at.
    async fn try_password(&self) -> Result<String, String> {
        let asked = async { self.ask(self.http.headers_of_check("text/plain")?, RequestBody::empty()).await };
        self.http.key_tried(asked.await, 415, "the password is accepted, the ingress is :relay", |answer| {
            self.not_taken(answer)
        })
    }
}

impl Unsure {
    /// Adds an event; whether it was there already.
    fn add(&mut self, id: &EventId) -> bool {
        if !self.ids.insert(id.clone()) {
            return true;
        }
        self.order.push_back(id.clone());
        if self.order.len() > MOST_UNSURE
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        false
    }

    fn remove(&mut self, id: &EventId) {
        if self.ids.remove(id) {
            self.order.retain(|known| known != id);
        }
    }
}

impl App for ActionMailbox {
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(self.deliver(event))
    }

    fn refusals(&self) -> Refusals {
        self.http.refusals()
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(self.try_password())
    }
}
