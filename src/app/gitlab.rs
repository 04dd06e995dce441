//! A stock GitLab, by the API that mail_room uses: `POST /api/v4/internal/mail_room/MAILBOX`, the raw message as the body.
//!
//! GitLab only ever says "queued". Whatever it finds wrong later, it tells the sender itself; so do not we.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use url::Url;

use super::application::{Answer, App, AppError, Refusals};
use super::event::Event;
use super::gitlab_lookup::{KeyNotWritable, missing_addresses};
use super::http::Http;
use super::http_answer::HttpAnswer;
use super::request_body::RequestBody;
use super::settings::{Kind, Setup};
use super::to_field::with_last_to;
use crate::config::{ConfigError, Secret};
use crate::mail::Message;
use crate::printable::one_line;
use crate::route::Route;

/// GitLab refuses a token that is one second ahead of its own clock, and takes one that is up to five minutes old.
const BACK_DATED: Duration = Duration::from_secs(5);

/// Seconds that our clock may be ahead of GitLab's, with [`BACK_DATED`] taken off.
const TOKEN_AHEAD: i64 = 5;

/// Seconds that it may be behind: five minutes, less [`BACK_DATED`].
const TOKEN_OLDEST: i64 = 295;

/// In a message up to so many octets looking for an address costs less than to ask another thread.
const LOOKED_AT_HERE: u64 = 64 * 1024;

/// What a sender is told whose key GitLab could not even read.
const UNKNOWN: &str = "The address is not known here: what stands in it has no form that the application understands.";

/// `kind = "gitlab"`
pub(super) const KIND: Kind = Kind::new("gitlab", |setup| Ok(Box::new(Gitlab::read(setup)?)));

/// One GitLab.
#[derive(Debug)]
struct Gitlab {
    http: Http,
    key: hmac::Key,
    random: SystemRandom,
    /// The mailboxes that are handed to it, for [`App::check`].
    mailboxes: Vec<String>,
}

impl Gitlab {
    /// Reads the secret file; connects to nothing.
    fn read(mut setup: Setup<'_, '_>) -> Result<Self, ConfigError> {
        let http = Http::with_root(&mut setup)?;
        let config = setup.config;
        let secret = setup.secret()?;
        let key = secret.read_only_one().and_then(|secret| read_key(&secret)).map_err(|message| {
            let advice = "it is the file that GitLab's incoming_email secret_file names";
            secret.error(config.file(), format!("{message}; {advice}"))
        })?;
        let own = config.mailboxes.iter().filter(|mailbox| mailbox.app.value == setup.name.value);
        let mailboxes = own.map(|mailbox| mailbox.name.value.clone()).collect();
        Ok(Self { http, key, random: SystemRandom::new(), mailboxes })
    }

    async fn deliver(&self, event: &Event) -> Result<Answer, AppError> {
        let mailbox = event.route.mailbox.name.value.as_str();
        let url = self.place_of(mailbox)?;
        let Ok(pieces) = self.pieces(event).await? else { return Ok(Answer::Rejected(UNKNOWN.to_owned())) };
        let mut headers = self.http.headers(event, "text/plain")?;
        headers.insert("gitlab-mailroom-api-request", self.token(SystemTime::now())?);
        let answer = self.http.post(&url, headers, RequestBody::of(pieces)).await?;
        self.understand(&answer)
    }

    /// The message with the `To` that GitLab needs. Of a large one that is looked for on a thread that may be busy for a while.
    async fn pieces(&self, event: &Event) -> Result<Result<[Bytes; 3], KeyNotWritable>, AppError> {
        let look = |message: &Message, route: &Route| {
            missing_addresses(message, route).map(|addresses| with_last_to(message, &addresses))
        };
        if event.message.size() <= LOOKED_AT_HERE {
            return Ok(look(&event.message, &event.route));
        }
        let (message, route) = (event.message.clone(), event.route.clone());
        let looked = tokio::task::spawn_blocking(move || look(&message, &route)).await;
        looked.map_err(|_| self.http.broken("the message could not be looked at"))
    }

    fn place_of(&self, mailbox: &str) -> Result<Url, AppError> {
        self.http.below_root(&["api", "v4", "internal", "mail_room", mailbox])
    }

    fn understand(&self, answer: &HttpAnswer) -> Result<Answer, AppError> {
        let json = answer.json();
        let success = json.and_then(|object| object.get("success")).and_then(Value::as_bool);
        match (answer.status, success) {
            (200..=299, Some(true)) => Ok(Answer::delivered("GitLab queued it".to_owned())),
            (400, Some(false)) => {
                let reason = json.and_then(|object| object.get("message")).and_then(Value::as_str);
                let reason = one_line(reason.unwrap_or("without a reason"), 200);
                Ok(Answer::delivered(format!("GitLab refused it and has told the sender itself: {reason}")))
            }
            (401, _) => {
                let advice = "; GitLab answers so, too, where incoming e-mail is not enabled, or the mailbox is neither \
                              incoming_email nor service_desk_email, or has no secret_file there";
                Err(answer.not_taken(&self.http.asked()).with_advice(advice))
            }
            _ => Err(answer.not_taken(&self.http.asked())),
        }
    }

    fn token(&self, now: SystemTime) -> Result<HeaderValue, AppError> {
        let mut nonce = [0; 12];
        self.random.fill(&mut nonce).map_err(|_| self.http.broken("the system gives no random numbers"))?;
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let issued_at = (now - BACK_DATED).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut value = HeaderValue::from_str(&sign(&self.key, &nonce, issued_at))
            .map_err(|_| self.http.broken("no token can be made"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Posts an empty message: GitLab checks the token, answers as for any message, and drops what is empty without a word
    /// to anybody.
    async fn try_mailbox(&self, mailbox: &str) -> Result<String, String> {
        let url = self.place_of(mailbox).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let now = SystemTime::now();
        headers.insert("gitlab-mailroom-api-request", self.token(now).map_err(|error| error.to_string())?);
        let asked = self.http.ask(Method::POST, &url, headers, RequestBody::empty()).await;
        let (answer, date) = asked.map_err(|unanswered| unanswered.to_string())?;
        let clock = date.map(|date| clock_difference(now, date));
        let understood = self.understand(&answer).map_err(|error| error.to_string());
        match clock {
            Some(seconds) if !(-TOKEN_OLDEST..=TOKEN_AHEAD).contains(&seconds) => Err(format!(
                "{}: this host's clock is {} GitLab's, so that GitLab refuses every token: set both by NTP",
                self.http.asked(),
                clock_text(seconds),
            )),
            Some(seconds) => understood.map(|_| format!("{mailbox} accepted, clock {} GitLab's", clock_text(seconds))),
            None => understood.map(|_| format!("{mailbox} accepted, clock unknown (no Date field)")),
        }
    }
}

impl App for Gitlab {
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(self.deliver(event))
    }

    fn refusals(&self) -> Refusals {
        self.http.refusals()
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async {
            let mut seen = Vec::new();
            for mailbox in &self.mailboxes {
                seen.push(self.try_mailbox(mailbox).await?);
            }
            Ok(format!("{}: {}", self.http.asked(), seen.join("; ")))
        })
    }
}

/// Seconds that our clock is ahead of the other; a Date field knows no parts of a second, so half of one is added to it.
fn clock_difference(ours: SystemTime, theirs: SystemTime) -> i64 {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    #[allow(clippy::cast_possible_truncation, reason = "a difference of clocks in seconds")]
    let difference = (seconds(ours) - seconds(theirs) - 0.5).round() as i64;
    difference
}

fn clock_text(seconds: i64) -> String {
    match seconds {
        -1..=1 => "the same as".to_owned(),
        ..-1 => format!("{} s behind", -seconds),
        _ => format!("{seconds} s ahead of"),
    }
}

/// GitLab itself takes strict base64 that decodes to exactly 32 bytes, and answers 500 to everything else.
fn read_key(secret: &Secret) -> Result<hmac::Key, String> {
    let bytes = STANDARD.decode(secret.expose()).map(Secret::new).map_err(|_| "the secret file is not valid base64")?;
    match bytes.expose().len() {
        32 => Ok(hmac::Key::new(hmac::HMAC_SHA256, bytes.expose())),
        other => Err(format!("the secret has {other} bytes, but GitLab takes only 32")),
    }
}

/// A JSON Web Token (RFC 7519) by HS256, with the claims in mail_room's order.
fn sign(key: &hmac::Key, nonce: &str, issued_at: u64) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"nonce":"{nonce}","iat":{issued_at},"iss":"gitlab-mailroom"}}"#));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes 0 to 31.
    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn the_token_is_the_one_that_ruby_jwt_makes() {
        let key = read_key(&Secret::new(SECRET.into())).expect("key");
        assert_eq!(
            sign(&key, "0123456789abcdef01234567", 1_700_000_000),
            "eyJhbGciOiJIUzI1NiJ9.eyJub25jZSI6IjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2NyIsImlhdCI6MTcwMDAwMDAwMCwiaXNzIjoiZ2l0bGFi\
             LW1haWxyb29tIn0.HhTjssJHC1BSDOr5AKYIQXBy4Q9W-dbzXWLTCiPLkgU"
        );
    }

    #[test]
    fn only_a_secret_that_gitlab_takes_is_taken() {
        let rows: &[(&str, &str, bool)] = &[
            ("32 bytes", SECRET, true),
            ("31 bytes", &STANDARD.encode([1; 31]), false),
            ("33 bytes", &STANDARD.encode([1; 33]), false),
            ("no padding", SECRET.trim_end_matches('='), false),
            ("URL alphabet", &STANDARD.encode([0xff; 32]).replace('/', "_"), false),
            ("a blank", &format!(" {SECRET}"), false),
            ("empty", "", false),
        ];
        for (name, text, good) in rows {
            assert_eq!(read_key(&Secret::new((*text).into())).is_ok(), *good, "{name}");
        }
    }
}
