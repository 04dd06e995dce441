//! Any HTTP application, by Standard Webhooks (<https://www.standardwebhooks.com>): the event as JSON, signed.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue};
use ring::hmac;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::application::{Answer, App, AppError, Refusals};
use super::event::Event;
use super::event_json::EventJson;
use super::http::{Http, IDEMPOTENCY_KEY};
use super::http_answer::HttpAnswer;
use super::request_body::RequestBody;
use super::settings::{Kind, Setup};
use crate::config::{ConfigError, EventPart, Secret};
use crate::printable::one_line;

/// An event of a message up to this size is written as a whole; that of a larger one is written twice, once for the
/// signature and once into the connection, so that it never stands in memory as a whole.
const WRITTEN_WHOLE: u64 = 256 * 1024;

/// The reason for a sender whose application gave none.
const NO_REASON: &str = "the application does not take this message";

/// Longest reason that is passed on, in characters.
const LONGEST_REASON: usize = 500;

/// `kind = "webhook"`
pub(super) const KIND: Kind = Kind::new("webhook", |setup| Ok(Box::new(Webhook::read(setup)?)));

#[derive(Deserialize)]
struct Settings {
    #[serde(default = "default_parts")]
    parts: Vec<EventPart>,
}

fn default_parts() -> Vec<EventPart> {
    vec![EventPart::Body, EventPart::Attachments, EventPart::Reply]
}

/// One application behind a webhook.
#[derive(Debug)]
struct Webhook {
    http: Http,
    key: hmac::Key,
    parts: Vec<EventPart>,
    wants_authentication: bool,
}

/// A body with what its headers need to know.
struct Signed {
    signature: String,
    body: RequestBody,
}

impl Webhook {
    /// Reads the secret file; connects to nothing.
    fn read(mut setup: Setup<'_, '_>) -> Result<Self, ConfigError> {
        let http = Http::new(&mut setup)?;
        let Settings { parts } = setup.table.take()?;
        let secret = setup.secret()?;
        let key = secret.read_only_one().and_then(|secret| read_key(&secret));
        let key = key.map_err(|message| secret.error(setup.config.file(), message))?;
        Ok(Self { http, key, parts, wants_authentication: setup.config.auth.events })
    }

    async fn deliver(&self, event: &Event) -> Result<Answer, AppError> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signed = self.sign(event, timestamp).await?;
        let mut headers = self.http.headers(event, "application/json")?;
        headers.insert("webhook-timestamp", HeaderValue::from(timestamp));
        if let Some(id) = headers.get(IDEMPOTENCY_KEY).cloned() {
            headers.insert("webhook-id", id);
        }
        let signature = HeaderValue::from_str(&signed.signature);
        headers.insert(
            "webhook-signature",
            signature.map_err(|_| self.http.broken("a signature is not a valid header value"))?,
        );
        let answer = self.http.post(self.http.endpoint().url(), headers, signed.body).await?;
        self.understand(&answer)
    }

    fn understand(&self, answer: &HttpAnswer) -> Result<Answer, AppError> {
        let json = answer.json();
        let text = |name: &str| json.and_then(|object| object.get(name)).and_then(Value::as_str);
        match text("result") {
            Some("reject") => {
                let reason = one_line(text("reason").unwrap_or_default(), LONGEST_REASON);
                Ok(Answer::Rejected(if reason.is_empty() { NO_REASON.to_owned() } else { reason }))
            }
            Some("drop") => {
                let reason = one_line(text("reason").unwrap_or_default(), LONGEST_REASON);
                Ok(Answer::dropped(if reason.is_empty() { "the application dropped it".to_owned() } else { reason }))
            }
            _ if answer.is_success() && answer.said.is_ok() => {
                Ok(Answer::delivered(format!("the application answered {}", answer.status)))
            }
            _ => Err(answer.not_taken(&self.http.asked())),
        }
    }

    async fn sign(&self, event: &Event, timestamp: u64) -> Result<Signed, AppError> {
        let mut signer = Signer::new(&self.key, event.id.as_str(), timestamp);
        if event.message.size() <= WRITTEN_WHOLE {
            // The text stands in it twice, once as the reply.
            let mut body = Vec::with_capacity(2 * event.message.size() as usize + 4096);
            EventJson::new(event, &self.parts)
                .write(&mut body)
                .and_then(|()| signer.write_all(&body))
                .map_err(|error| self.http.broken(&format!("the event cannot be written: {error}")))?;
            return Ok(Signed { signature: signer.finish(), body: RequestBody::of([body.into()]) });
        }
        let (event, parts) = (event.clone(), self.parts.clone());
        let (signed, signature) = oneshot::channel();
        let (chunks, receiver) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || write_twice(&event, &parts, signer, signed, chunks));
        // Without an answer the task failed or panicked, and has said why in its own place.
        let written = signature.await.map_err(|_| self.http.broken("the event could not be written"))?;
        let (signature, length) =
            written.map_err(|error| self.http.broken(&format!("the event cannot be written: {error}")))?;
        Ok(Signed { signature, body: RequestBody::written(length, receiver) })
    }
}

impl App for Webhook {
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(self.deliver(event))
    }

    fn refusals(&self) -> Refusals {
        self.http.refusals()
    }

    fn wants_authentication(&self) -> bool {
        self.wants_authentication
    }

    /// OPTIONS (RFC 9110 section 9.3.7) changes nothing, so it shows the way to the application without an event; any
    /// answer will do.
    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async {
            let url = self.http.endpoint().url();
            let asked = self.http.ask(Method::OPTIONS, url, HeaderMap::new(), RequestBody::empty()).await;
            match asked {
                Ok((answer, _)) => Ok(format!("{} answers (OPTIONS: {})", self.http.asked(), answer.status)),
                Err(unanswered) => Err(unanswered.to_string()),
            }
        })
    }
}

fn read_key(secret: &Secret) -> Result<hmac::Key, String> {
    // The specification's own examples leave the padding out.
    let engine = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let advice = "make one with: (printf whsec_; openssl rand -base64 32)";
    let Some(text) = secret.expose().strip_prefix(b"whsec_") else {
        return Err(format!("a webhook secret begins with whsec_: {advice}"));
    };
    let bytes = engine.decode(text).map(Secret::new);
    let bytes = bytes.map_err(|_| format!("what stands behind whsec_ is not valid base64: {advice}"))?;
    match bytes.expose().len() {
        24..=64 => Ok(hmac::Key::new(hmac::HMAC_SHA256, bytes.expose())),
        other => Err(format!("a webhook secret has 24 to 64 bytes, this one {other}: {advice}")),
    }
}

type Written = io::Result<(String, u64)>;

fn write_twice(
    event: &Event,
    parts: &[EventPart],
    mut signer: Signer,
    signed: oneshot::Sender<Written>,
    chunks: mpsc::Sender<io::Result<Bytes>>,
) {
    let json = EventJson::new(event, parts);
    let written = json.write(&mut signer).map(|()| (signer.length, signer.finish())).map(|(n, text)| (text, n));
    let good = written.is_ok();
    if signed.send(written).is_err() || !good {
        return;
    }
    if let Err(error) = json.write(&mut Chunks(&chunks)) {
        // The request has ended, or ends now, short of its Content-Length.
        let _ = chunks.blocking_send(Err(error));
    }
}

/// Signs what is written to it.
struct Signer {
    context: hmac::Context,
    length: u64,
}

impl Signer {
    /// The signed content is `id.timestamp.body`.
    fn new(key: &hmac::Key, id: &str, timestamp: u64) -> Self {
        let mut context = hmac::Context::with_key(key);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        Self { context, length: 0 }
    }

    fn finish(self) -> String {
        format!("v1,{}", STANDARD.encode(self.context.sign()))
    }
}

impl Write for Signer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.context.update(bytes);
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes on what is written to it; waits where the application is slow.
struct Chunks<'a>(&'a mpsc::Sender<io::Result<Bytes>>);

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Ok(Bytes::copy_from_slice(bytes));
        self.0.blocking_send(chunk).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        // The example of the Standard Webhooks reference libraries.
        let key = read_key(&Secret::new(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec())).expect("key");
        let mut signer = Signer::new(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        signer.write_all(br#"{"test": 2432232314}"#).expect("write");
        assert_eq!(signer.finish(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn only_a_secret_of_the_right_form_is_taken() {
        let rows: &[(&str, String, bool)] = &[
            ("24 bytes", format!("whsec_{}", STANDARD.encode([1; 24])), true),
            ("64 bytes", format!("whsec_{}", STANDARD.encode([1; 64])), true),
            ("no padding", format!("whsec_{}", STANDARD.encode([1; 32]).trim_end_matches('=')), true),
            ("23 bytes", format!("whsec_{}", STANDARD.encode([1; 23])), false),
            ("65 bytes", format!("whsec_{}", STANDARD.encode([1; 65])), false),
            ("no prefix", STANDARD.encode([1; 32]), false),
            ("no base64", "whsec_!".into(), false),
            ("empty", String::new(), false),
        ];
        for (name, text, good) in rows {
            assert_eq!(read_key(&Secret::new(text.clone().into_bytes())).is_ok(), *good, "{name}");
        }
    }
}
