//! Request Tracker, by its mail gateway (`/REST/1.0/NoAuth/mail-gateway`, what `rt-mailgate` asks).
//!
//! The gateway has no password: it is kept to this host by the web server's configuration. It answers 200 whatever comes, and
//! says in its body what became of the mail.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ring::rand::SystemRandom;
use serde::Deserialize;

use super::application::{Answer, App, AppError, Refusals};
use super::event::Event;
use super::fields::Fields;
use super::http::{Http, Unanswered};
use super::http_answer::{HttpAnswer, Said};
use super::multipart::Form;
use super::settings::{Kind, Setup};
use crate::config::{ConfigError, Located};
use crate::printable::one_line;
use crate::verdict::Status;

/// `kind = "request-tracker"`. With a locked database it answers `ok` after 44 s (run, 5.0.3), and a second try is a second
/// ticket: so it has all the time that Postfix gives a message.
pub(super) const KIND: Kind = Kind {
    timeout: Duration::from_secs(55),
    ..Kind::new("request-tracker", |setup| Ok(Box::new(RequestTracker::read(setup)?)))
};

const WARNING: &str =
    "Request Tracker answers so for mail that it does not want, and for faults of its own: look at its log";

#[derive(Deserialize)]
struct Settings {
    fields: Option<Located<BTreeMap<String, String>>>,
}

/// One Request Tracker.
#[derive(Debug)]
struct RequestTracker {
    http: Http,
    fields: Fields,
    /// The keys of the mailboxes that have one of their own, with the mailboxes' names; for [`App::check`].
    mailboxes: Vec<(String, Option<String>)>,
    random: SystemRandom,
}

/// What the gateway says.
enum Gateway {
    Taken,
    Dropped(String),
    Temporary(String),
}

impl RequestTracker {
    fn read(mut setup: Setup<'_, '_>) -> Result<Self, ConfigError> {
        let http = Http::with_root(&mut setup)?;
        let Settings { fields } = setup.table.take()?;
        let fields = match fields {
            Some(fields) => Fields::read(&setup, &fields, &["message"])?,
            None => Fields::key("queue").and("action", "correspond"),
        };
        let own = setup.config.mailboxes.iter().filter(|mailbox| mailbox.app.value == setup.name.value);
        let mailboxes =
            own.map(|mailbox| (mailbox.name.value.clone(), mailbox.key.as_ref().map(|key| key.value.clone())));
        Ok(Self { http, fields, mailboxes: mailboxes.collect(), random: SystemRandom::new() })
    }

    async fn deliver(&self, event: &Event) -> Result<Answer, AppError> {
        let mut form = self.form()?;
        self.fields.of(event).iter().for_each(|(name, text)| form.field(name, text));
        form.mail("message", "application/octet-stream", [event.message.bytes().clone()]);
        let headers = self.http.headers(event, &form.content_type())?;
        let answer = self.http.post(&self.place()?, headers, form.finish()).await?;
        match self.understand(&answer)? {
            Gateway::Taken => Ok(Answer::delivered("Request Tracker took it")),
            Gateway::Dropped(why) => Ok(Answer::Dropped { why, warning: Some(WARNING.to_owned()) }),
            Gateway::Temporary(why) => Err(self.temporary(&why)),
        }
    }

    fn form(&self) -> Result<Form, AppError> {
        Form::new(&self.random).map_err(|_| self.http.broken("the system gives no random numbers"))
    }

    fn place(&self) -> Result<url::Url, AppError> {
        self.http.below_root(&["REST", "1.0", "NoAuth", "mail-gateway"])
    }

    fn understand(&self, answer: &HttpAnswer) -> Result<Gateway, AppError> {
        let text = match (answer.status, &answer.said) {
            (200, Ok(Said::Text(text))) => one_line(text, 200),
            _ => return Err(answer.not_taken(&self.http.asked())),
        };
        let begins = |word: &str| text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        if begins("ok") {
            Ok(Gateway::Taken)
        } else if begins("not ok") {
            Ok(Gateway::Dropped(format!("Request Tracker answered: {text}")))
        } else if begins("temporary failure") {
            Ok(Gateway::Temporary(text))
        } else {
            Err(answer.not_taken(&self.http.asked()))
        }
    }

    fn temporary(&self, text: &str) -> AppError {
        AppError::Unavailable {
            status: Status::CONFIGURATION,
            public: "the application does not take messages at the moment".to_owned(),
            detail: format!(
                "{} answered: {text}; it does not know the queue or the action in fields, or has a fault: look at its log",
                self.http.asked()
            ),
            retry_after: None,
            alarm: true,
        }
    }

    /// An empty mail is refused, after queue and action were looked at.
    async fn try_queue(&self, mailbox: &str, key: Option<&str>) -> Result<String, String> {
        let fields = self.fields.without_event(key);
        let asked = async {
            let mut form = self.form()?;
            for (name, text) in &fields {
                text.iter().for_each(|text| form.field(name, text));
            }
            form.field("message", "");
            let headers = self.http.headers_of_check(&form.content_type())?;
            self.http.post(&self.place()?, headers, form.finish()).await
        };
        let answer = asked.await.map_err(|error: Unanswered| error.to_string())?;
        let shown = fields.iter().map(|(name, text)| match text {
            Some(text) => format!("{name}={text}"),
            None => format!("{name} (comes from the message, not tried)"),
        });
        match self.understand(&answer).map_err(|error| error.to_string())? {
            Gateway::Taken | Gateway::Dropped(_) => Ok(format!("{mailbox}: {}", shown.collect::<Vec<_>>().join(", "))),
            Gateway::Temporary(text) => Err(format!("{mailbox}: {}", self.temporary(&text))),
        }
    }
}

impl App for RequestTracker {
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(self.deliver(event))
    }

    fn refusals(&self) -> Refusals {
        self.http.refusals()
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async {
            let mut seen = Vec::new();
            for (mailbox, key) in &self.mailboxes {
                seen.push(self.try_queue(mailbox, key.as_deref()).await?);
            }
            Ok(format!("{} knows {}", self.http.asked(), seen.join("; ")))
        })
    }
}
