//! Redmine, by the web service for incoming e-mail (`POST /mail_handler`, what `rdm-mailhandler.rb` asks).
//!
//! The mail is a part without a file name, typed ISO-8859-1: so every octet passes. Typed otherwise, or urlencoded as
//! `rdm-mailhandler.rb` sends it, a mail with 8-bit octets that are not UTF-8 is answered 400 (run, Redmine 5.0.4).

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ring::rand::SystemRandom;
use serde::Deserialize;

use super::application::{AfterRefusals, Answer, App, AppError, Refusals};
use super::event::Event;
use super::fields::Fields;
use super::http::Http;
use super::http_answer::HttpAnswer;
use super::multipart::Form;
use super::settings::{Kind, SecretText, Setup};
use crate::config::{ConfigError, Located};

/// `kind = "redmine"`. Redmine refuses mail for good, and says so with 422 alone.
pub(super) const KIND: Kind = Kind {
    refusals: Refusals {
        after: Some(Duration::from_secs(15 * 60)),
        then: AfterRefusals::Reject(
            "The tracker does not take this message: it does not know the sender or the project, or the sender may \
             not write there.",
        ),
    },
    ..Kind::new("redmine", |setup| Ok(Box::new(Redmine::read(setup)?)))
};

/// What Redmine reads the mail as: a charset in which every octet is a character.
const EVERY_OCTET: &str = "text/plain; charset=ISO-8859-1";

#[derive(Deserialize)]
struct Settings {
    fields: Option<Located<BTreeMap<String, String>>>,
}

/// One Redmine.
#[derive(Debug)]
struct Redmine {
    http: Http,
    key: SecretText,
    /// `None`: the project is the key, where the address has one.
    fields: Option<Fields>,
    project: Fields,
    random: SystemRandom,
}

impl Redmine {
    fn read(mut setup: Setup<'_, '_>) -> Result<Self, ConfigError> {
        let http = Http::with_root(&mut setup)?;
        let secret = setup.secret()?;
        let Settings { fields } = setup.table.take()?;
        let fields = fields.map(|fields| Fields::read(&setup, &fields, &["key", "email"])).transpose()?;
        let key = setup.secret_text(&secret, "it holds the API key of Administration, Settings, Incoming emails")?;
        Ok(Self { http, key, fields, project: Fields::key("issue[project]"), random: SystemRandom::new() })
    }

    async fn deliver(&self, event: &Event) -> Result<Answer, AppError> {
        let mut form = self.form()?;
        let fields = match &self.fields {
            Some(fields) => fields.of(event),
            None if event.route.mailbox.address.value.contains("%{key}") => self.project.of(event),
            None => Vec::new(),
        };
        fields.iter().for_each(|(name, text)| form.field(name, text));
        form.mail("email", EVERY_OCTET, [event.message.bytes().clone()]);
        let headers = self.http.headers(event, &form.content_type())?;
        let answer = self.http.post(&self.http.below_root(&["mail_handler"])?, headers, form.finish()).await?;
        match answer.status {
            201 if answer.said.is_ok() => Ok(Answer::delivered("Redmine took it")),
            _ => Err(self.not_taken(&answer)),
        }
    }

    fn form(&self) -> Result<Form, AppError> {
        let mut form = Form::new(&self.random).map_err(|_| self.http.broken("the system gives no random numbers"))?;
        form.field("key", self.key.text());
        Ok(form)
    }

    fn not_taken(&self, answer: &HttpAnswer) -> AppError {
        let advice = match answer.status {
            403 => "; Redmine answers so, too, where the web service for incoming emails is not enabled",
            422 => {
                "; Redmine does not say why: an unknown sender or project, no permission, a closed project, a reply to \
                 nothing, or a fault of its own: look at its log"
            }
            _ => "",
        };
        answer.not_taken(&self.http.asked()).with_advice(advice)
    }

    /// An empty mail is refused, after the key was looked at.
    async fn try_key(&self) -> Result<String, String> {
        let asked = async {
            let mut form = self.form()?;
            form.field("email", "");
            let headers = self.http.headers_of_check(&form.content_type())?;
            self.http.post(&self.http.below_root(&["mail_handler"])?, headers, form.finish()).await
        };
        self.http.key_tried(asked.await, 422, "the key is accepted", |answer| self.not_taken(answer))
    }
}

impl App for Redmine {
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
