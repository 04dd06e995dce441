//! The shared store on Redis 6 or later, or Valkey: what each question is to it.

mod check;
mod connection;
mod exchange;
mod script;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::Value;

use self::exchange::{Answered, Exchange, MakeCall};
use self::script::{CLAIM, Call, Keys, LEASE, NOTICE, RECORD, Script};
use super::delivery_log::NoticeRequest;
use super::shared_store::{
    Answer, Claimed, DeliveredBy, Nonce, NoticeLimits, Recorded, Reserved, SharedRecord, SharedWhat, Store, StoreError,
    StoreFinding,
};
use crate::config::{Config, SharedConfig};
use crate::event_id::EventId;

/// As long as each host's own database keeps a delivery.
const KEEP: Duration = Duration::from_secs(10 * 24 * 3600);

/// Redis, as one host asks it.
#[derive(Debug)]
pub(super) struct RedisStore {
    config: SharedConfig,
    hostname: String,
    exchange: Arc<Exchange>,
}

impl RedisStore {
    /// Names the store; connects to nothing.
    pub(super) fn new(config: &Config, shared: &SharedConfig) -> Self {
        Self { config: shared.clone(), hostname: config.hostname.clone(), exchange: Arc::new(Exchange::new(shared)) }
    }

    /// The answer of a script about one key that holds a claim of ours, or may.
    async fn leased(
        &self,
        script: &'static Script,
        key: impl Fn(&Keys) -> String + Send + Sync + 'static,
        nonce: &Nonce,
        lease: Duration,
    ) -> Result<Value, StoreError> {
        let arguments = vec![self.claim_text(nonce), milliseconds(lease)];
        let call = move |keys: &Keys| Call { script, keys: vec![key(keys)], arguments: arguments.clone() };
        let answered = self.exchange.ask(vec![Box::new(call)], false).await?;
        answered.values.into_iter().next().ok_or_else(|| self.nonsense(&Value::Nil))
    }

    fn claim_text(&self, nonce: &Nonce) -> String {
        format!("c:{}:{}", self.hostname, nonce.as_str())
    }

    fn text(&self, value: &Value) -> Result<String, StoreError> {
        redis::from_redis_value_ref(value).map_err(|_| self.nonsense(value))
    }

    fn nonsense(&self, value: &Value) -> StoreError {
        self.exchange.dialer.said(&format!("an answer that none of our scripts gives: {value:?}"))
    }

    fn reservation_text(&self, nonce: &Nonce) -> String {
        format!("{}:{}", self.hostname, nonce.as_str())
    }

    /// Our record, or the notice that it is about.
    fn record_call(&self, record: &SharedRecord) -> MakeCall {
        let (age, left) = (record.age.as_secs(), KEEP.saturating_sub(record.age).as_secs().max(1));
        let id = record.id.clone();
        match &record.what {
            SharedWhat::Delivered => {
                let arguments = vec![self.hostname.clone(), age.to_string(), left.to_string()];
                Box::new(move |keys| Call {
                    script: &RECORD,
                    keys: vec![keys.delivery(&id)],
                    arguments: arguments.clone(),
                })
            }
            SharedWhat::NoticeSent { canonical, domain, interval } => {
                let left = left.max(interval.saturating_sub(record.age).as_secs());
                let arguments = ["confirm", id.as_str(), &self.hostname].map(str::to_owned);
                let times = [age, left, interval.as_secs()].map(|seconds| seconds.to_string());
                let arguments = [arguments, times].concat();
                let (canonical, domain) = (canonical.clone(), domain.clone());
                let request = NoticeRequest { id, person: canonical.clone(), canonical, domain };
                Box::new(move |keys| Call {
                    script: &NOTICE,
                    keys: keys.notice(&request),
                    arguments: arguments.clone(),
                })
            }
        }
    }
}

impl Store for RedisStore {
    fn claim<'a>(&'a self, id: &'a EventId, nonce: &'a Nonce, lease: Duration) -> Answer<'a, Claimed> {
        async move {
            let there = self.leased(&CLAIM, of_event(id), nonce, lease).await?;
            let there = self.text(&there)?;
            Ok(match (there.as_str(), delivered_by(&there)) {
                ("", _) => Claimed::Ours,
                (_, Some(by)) => Claimed::Delivered(by),
                (_, None) => Claimed::InFlight,
            })
        }
        .boxed()
    }

    fn renew<'a>(&'a self, id: &'a EventId, nonce: &'a Nonce, lease: Duration) -> Answer<'a, bool> {
        async move {
            let answer = self.leased(&LEASE, of_event(id), nonce, lease).await?;
            redis::from_redis_value_ref(&answer).map_err(|_| self.nonsense(&answer))
        }
        .boxed()
    }

    fn release<'a>(&'a self, id: &'a EventId, nonce: &'a Nonce) -> Answer<'a, ()> {
        self.renew(id, nonce, Duration::ZERO).map(|released| released.map(drop)).boxed()
    }

    fn record<'a>(&'a self, records: &'a [SharedRecord]) -> Answer<'a, Recorded> {
        async move {
            let calls = records.iter().map(|record| self.record_call(record)).collect();
            let Answered { values, replicas } = self.exchange.ask(calls, true).await?;
            let mut doubled = Vec::new();
            for (record, answer) in records.iter().zip(&values) {
                if matches!(record.what, SharedWhat::Delivered)
                    && let Some(by) = delivered_by(&self.text(answer)?)
                {
                    doubled.push((record.id.clone(), by));
                }
            }
            Ok(Recorded { doubled, is_replicated: replicas >= u64::from(self.config.replicas) })
        }
        .boxed()
    }

    fn reserve<'a>(
        &'a self,
        request: &'a NoticeRequest,
        nonce: &'a Nonce,
        limits: NoticeLimits,
        lease: Duration,
    ) -> Answer<'a, Reserved> {
        async move {
            let arguments = vec![
                "reserve".to_owned(),
                request.id.to_string(),
                self.reservation_text(nonce),
                milliseconds(lease),
                limits.per_domain_per_hour.to_string(),
                limits.total_per_hour.to_string(),
            ];
            let Answered { values, replicas } = self.exchange.ask(vec![about(request, arguments)], true).await?;
            let answer = values.into_iter().next().unwrap_or(Value::Nil);
            let (word, there): (String, String) =
                redis::from_redis_value_ref(&answer).map_err(|_| self.nonsense(&answer))?;
            if word == "granted" && replicas < u64::from(self.config.replicas) {
                return Err(self.exchange.dialer.said(&format!(
                    "{replicas} replicas have the reservation, and shared.replicas wants {}",
                    self.config.replicas
                )));
            }
            Ok(match word.as_str() {
                "granted" => Reserved::Granted,
                "sent" => Reserved::AlreadySent,
                "in-flight" => Reserved::InFlight,
                "too-soon" => Reserved::TooSoon(time_in(&there).unwrap_or_else(SystemTime::now)),
                "domain" => Reserved::DomainLimit,
                "total" => Reserved::TotalLimit,
                _ => return Err(self.nonsense(&answer)),
            })
        }
        .boxed()
    }

    fn cancel<'a>(&'a self, request: &'a NoticeRequest, nonce: &'a Nonce) -> Answer<'a, ()> {
        async move {
            let arguments = vec!["cancel".to_owned(), request.id.to_string(), self.reservation_text(nonce)];
            self.exchange.ask(vec![about(request, arguments)], false).await.map(drop)
        }
        .boxed()
    }

    fn read_inbox<'a>(&'a self, inbox: &'a str, nonce: &'a Nonce, lease: Duration) -> Answer<'a, Option<String>> {
        async move {
            let there = self.leased(&CLAIM, of_inbox(inbox), nonce, lease).await?;
            let there = self.text(&there)?;
            let host = there.strip_prefix("c:").and_then(|claim| claim.rsplit_once(':')).map(|(host, _)| host);
            Ok((!there.is_empty()).then(|| host.unwrap_or("another host").to_owned()))
        }
        .boxed()
    }

    fn leave_inbox<'a>(&'a self, inbox: &'a str, nonce: &'a Nonce) -> Answer<'a, ()> {
        async move { self.leased(&LEASE, of_inbox(inbox), nonce, Duration::ZERO).await.map(drop) }.boxed()
    }

    fn probe(&self) -> Answer<'_, ()> {
        self.probe_now().boxed()
    }

    fn check(&self) -> BoxFuture<'_, Vec<StoreFinding>> {
        self.check_now().boxed()
    }
}

fn of_event(id: &EventId) -> impl Fn(&Keys) -> String + Send + Sync + 'static {
    let id = id.clone();
    move |keys| keys.delivery(&id)
}

fn of_inbox(inbox: &str) -> impl Fn(&Keys) -> String + Send + Sync + 'static {
    let inbox = inbox.to_owned();
    move |keys| keys.reader(&inbox)
}

fn about(request: &NoticeRequest, arguments: Vec<String>) -> MakeCall {
    let request = request.clone();
    Box::new(move |keys| Call { script: &NOTICE, keys: keys.notice(&request), arguments: arguments.clone() })
}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Reads `d:SECONDS:HOST`.
fn delivered_by(text: &str) -> Option<DeliveredBy> {
    let (seconds, host) = text.strip_prefix("d:")?.split_once(':')?;
    Some(DeliveredBy { host: host.to_owned(), at: time(seconds)? })
}

/// Reads `s:SECONDS`.
fn time_in(text: &str) -> Option<SystemTime> {
    time(text.strip_prefix("s:")?)
}

fn time(seconds: &str) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))
}
