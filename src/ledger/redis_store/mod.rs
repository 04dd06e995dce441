//! The shared store on Redis 6 or later, or Valkey.
//!
//! One connection for all sessions; their questions go over it one behind the other, without waiting for each other's
//! answers. Where replicas are waited for, one WAIT is for all records that came in meanwhile, because it holds the connection.

mod check;
mod connection;
mod script;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use self::connection::{Connected, Dialer, ask_all};
use self::script::{CLAIM, Call, Keys, LEASE, NOTICE, Naming, RECORD};
use super::delivery_log::NoticeRequest;
use super::shared_store::{
    Answer, Claimed, DeliveredBy, Nonce, NoticeLimits, Recorded, Reserved, SharedRecord, SharedWhat, Store, StoreError,
    StoreFinding,
};
use crate::config::{Config, SharedConfig, SharedServer};
use crate::event_id::EventId;

/// As long as each host's own database keeps a delivery.
const KEEP: Duration = Duration::from_secs(10 * 24 * 3600);

/// How long replicas may take. A replica that is gone costs this much for each batch of records.
const REPLICATION: Duration = Duration::from_millis(100);

/// Redis, as one host asks it.
#[derive(Debug)]
pub(super) struct RedisStore {
    config: SharedConfig,
    hostname: String,
    dialer: Dialer,
    connection: Mutex<Option<Arc<Connected>>>,
    /// Counts connections, so that a failure on an old one does not close the new one.
    opened: AtomicU64,
    waiting: SyncMutex<Vec<WaitingRecords>>,
    recording: Mutex<()>,
}

/// Records that wait for the batch before them.
#[derive(Debug)]
struct WaitingRecords {
    records: Vec<SharedRecord>,
    answer: oneshot::Sender<Result<Recorded, StoreError>>,
}

impl RedisStore {
    /// Names the store; connects to nothing.
    pub(super) fn new(config: &Config, shared: &SharedConfig) -> Self {
        Self {
            config: shared.clone(),
            hostname: config.hostname.clone(),
            dialer: Dialer::new(shared),
            connection: Mutex::new(None),
            opened: AtomicU64::new(0),
            waiting: SyncMutex::default(),
            recording: Mutex::default(),
        }
    }

    /// Calls scripts, in order, then waits for replicas if it should; one answer each. Within `timeout`, connecting included.
    async fn call(&self, calls: impl Fn(&Keys) -> Vec<Call>, waits: bool) -> Result<Vec<Value>, StoreError> {
        let deadline = self.config.timeout;
        let mut used = None;
        let answered = timeout(deadline, async {
            // A connection that was idle may have been closed by the server since: that is no failure of the store.
            for is_last_try in [false, true] {
                let (connected, number, is_new) = self.connected().await?;
                used = Some(number);
                match self.send(&connected, &calls(&connected.keys), waits).await {
                    Ok(answers) => return Ok(answers),
                    Err(error) if !is_last_try && !is_new && error.is_connection_dropped() => self.forget(number).await,
                    Err(error) => return Err(self.dialer.said(&self.dialer.explained(&error))),
                }
            }
            Err(self.dialer.said("the connection ended twice"))
        });
        let answered = answered.await.unwrap_or_else(|_| {
            let text = format!("no answer within {} (shared.timeout)", humantime::format_duration(deadline));
            Err(self.dialer.said(&text))
        });
        if let (Err(_), Some(number)) = (&answered, used) {
            self.forget(number).await;
        }
        answered
    }

    async fn send(&self, connected: &Connected, calls: &[Call], waits: bool) -> Result<Vec<Value>, RedisError> {
        let pipeline = |naming| {
            let mut pipeline = redis::pipe();
            for call in calls {
                pipeline.add_command(call.command(naming));
            }
            if waits {
                let patience = REPLICATION.min(self.config.timeout / 2);
                pipeline.cmd("WAIT").arg(self.config.replicas).arg(patience.as_millis() as u64);
            }
            pipeline
        };
        let count = calls.len() + usize::from(waits);
        match ask_all(connected, &pipeline(Naming::Hash), count).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                ask_all(connected, &pipeline(Naming::Text), count).await
            }
            answered => answered,
        }
    }

    /// The connection, its number, and whether it was opened now.
    async fn connected(&self) -> Result<(Arc<Connected>, u64, bool), StoreError> {
        let mut connection = self.connection.lock().await;
        if let Some(connected) = &*connection {
            return Ok((Arc::clone(connected), self.opened.load(Ordering::Relaxed), false));
        }
        let connected = connection.insert(Arc::new(self.dialer.connect().await?));
        Ok((Arc::clone(connected), self.opened.fetch_add(1, Ordering::Relaxed) + 1, true))
    }

    async fn forget(&self, number: u64) {
        let mut connection = self.connection.lock().await;
        if self.opened.load(Ordering::Relaxed) == number {
            *connection = None;
        }
    }

    /// The only answer of a single call, as text.
    async fn answer(&self, call: impl Fn(&Keys) -> Call) -> Result<Value, StoreError> {
        let answers = self.call(|keys| vec![call(keys)], false).await?;
        answers.into_iter().next().ok_or_else(|| self.nonsense(&Value::Nil))
    }

    fn text(&self, value: &Value) -> Result<String, StoreError> {
        redis::from_redis_value_ref(value).map_err(|_| self.nonsense(value))
    }

    fn nonsense(&self, value: &Value) -> StoreError {
        self.dialer.said(&format!("an answer that none of our scripts gives: {value:?}"))
    }

    fn claim_text(&self, nonce: &Nonce) -> String {
        format!("c:{}:{}", self.hostname, nonce.as_str())
    }

    fn reservation_text(&self, nonce: &Nonce) -> String {
        format!("{}:{}", self.hostname, nonce.as_str())
    }

    /// Our record, or the event that it is about.
    fn record_call(&self, record: &SharedRecord, keys: &Keys) -> Call {
        let (age, left) = (record.age.as_secs(), KEEP.saturating_sub(record.age).as_secs().max(1));
        match &record.what {
            SharedWhat::Delivered => Call {
                script: &RECORD,
                keys: vec![keys.delivery(&record.id)],
                arguments: vec![self.hostname.clone(), age.to_string(), left.to_string()],
            },
            SharedWhat::NoticeSent { canonical, domain, interval } => {
                let request = NoticeRequest {
                    id: record.id.clone(),
                    canonical: canonical.clone(),
                    person: canonical.clone(),
                    domain: domain.clone(),
                };
                let left = left.max(interval.saturating_sub(record.age).as_secs());
                let arguments = ["confirm", record.id.as_str(), &self.hostname].map(str::to_owned);
                let times = [age, left, interval.as_secs()].map(|seconds| seconds.to_string());
                Call { script: &NOTICE, keys: keys.notice(&request), arguments: [arguments, times].concat() }
            }
        }
    }

    async fn record_now(&self, records: &[SharedRecord]) -> Result<Recorded, StoreError> {
        let waits = self.config.replicas > 0;
        let calls = |keys: &Keys| records.iter().map(|record| self.record_call(record, keys)).collect();
        let mut answers = self.call(calls, waits).await?;
        let replicas: u64 = match answers.pop_if(|_| waits) {
            Some(value) => redis::from_redis_value_ref(&value).map_err(|_| self.nonsense(&value))?,
            None => 0,
        };
        let is_replicated = replicas >= u64::from(self.config.replicas);
        if !is_replicated && matches!(self.config.url.value.server, SharedServer::Sentinel { .. }) {
            // It may be a master that the others have left behind: the sentinels know.
            *self.connection.lock().await = None;
        }
        let mut doubled = Vec::new();
        for (record, answer) in records.iter().zip(&answers) {
            if matches!(record.what, SharedWhat::Delivered)
                && let Some(by) = delivered_by(&self.text(answer)?)
            {
                doubled.push((record.id.clone(), by));
            }
        }
        Ok(Recorded { doubled, is_replicated })
    }

    /// With all that came in while the batch before was on its way.
    async fn record_in_a_batch(&self, records: &[SharedRecord]) -> Result<Recorded, StoreError> {
        let (answer, mut waiting) = oneshot::channel();
        self.waiting().push(WaitingRecords { records: records.to_vec(), answer });
        let _turn = self.recording.lock().await;
        if let Ok(answered) = waiting.try_recv() {
            return answered;
        }
        let batch = std::mem::take(&mut *self.waiting());
        let all: Vec<_> = batch.iter().flat_map(|waiting| waiting.records.iter().cloned()).collect();
        let recorded = self.record_now(&all).await;
        for waiting in batch {
            let own = recorded.clone().map(|recorded| Recorded {
                doubled: recorded
                    .doubled
                    .into_iter()
                    .filter(|(id, _)| waiting.records.iter().any(|record| record.id == *id))
                    .collect(),
                ..recorded
            });
            let _ = waiting.answer.send(own);
        }
        waiting.try_recv().unwrap_or_else(|_| Err(self.dialer.said("whoever asked for all was given up")))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<WaitingRecords>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for RedisStore {
    fn claim<'a>(&'a self, id: &'a EventId, nonce: &'a Nonce, lease: Duration) -> Answer<'a, Claimed> {
        async move {
            let call = |keys: &Keys| Call {
                script: &CLAIM,
                keys: vec![keys.delivery(id)],
                arguments: vec![self.claim_text(nonce), milliseconds(lease)],
            };
            let there = self.answer(call).await?;
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
            let call = |keys: &Keys| Call {
                script: &LEASE,
                keys: vec![keys.delivery(id)],
                arguments: vec![self.claim_text(nonce), milliseconds(lease)],
            };
            let answer = self.answer(call).await?;
            redis::from_redis_value_ref(&answer).map_err(|_| self.nonsense(&answer))
        }
        .boxed()
    }

    fn release<'a>(&'a self, id: &'a EventId, nonce: &'a Nonce) -> Answer<'a, ()> {
        self.renew(id, nonce, Duration::ZERO).map(|released| released.map(drop)).boxed()
    }

    fn record<'a>(&'a self, records: &'a [SharedRecord]) -> Answer<'a, Recorded> {
        match self.config.replicas {
            0 => self.record_now(records).boxed(),
            _ => self.record_in_a_batch(records).boxed(),
        }
    }

    fn reserve<'a>(
        &'a self,
        request: &'a NoticeRequest,
        nonce: &'a Nonce,
        limits: NoticeLimits,
        lease: Duration,
    ) -> Answer<'a, Reserved> {
        async move {
            let call = |keys: &Keys| Call {
                script: &NOTICE,
                keys: keys.notice(request),
                arguments: vec![
                    "reserve".to_owned(),
                    request.id.to_string(),
                    self.reservation_text(nonce),
                    milliseconds(lease),
                    limits.per_domain_per_hour.to_string(),
                    limits.total_per_hour.to_string(),
                ],
            };
            let waits = self.config.replicas > 0;
            let mut answers = self.call(|keys| vec![call(keys)], waits).await?;
            let replicas = answers.pop_if(|_| waits);
            let answer = answers.pop().unwrap_or(Value::Nil);
            let (word, there): (String, String) =
                redis::from_redis_value_ref(&answer).map_err(|_| self.nonsense(&answer))?;
            if let ("granted", Some(value)) = (word.as_str(), replicas) {
                let replicas: u64 = redis::from_redis_value_ref(&value).map_err(|_| self.nonsense(&value))?;
                if replicas < u64::from(self.config.replicas) {
                    return Err(self.dialer.said(&format!(
                        "{replicas} replicas have the reservation, and shared.replicas wants {}",
                        self.config.replicas
                    )));
                }
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
            let call = |keys: &Keys| Call {
                script: &NOTICE,
                keys: keys.notice(request),
                arguments: vec!["cancel".to_owned(), request.id.to_string(), self.reservation_text(nonce)],
            };
            self.answer(call).await.map(drop)
        }
        .boxed()
    }

    fn read_inbox<'a>(&'a self, inbox: &'a str, nonce: &'a Nonce, lease: Duration) -> Answer<'a, Option<String>> {
        async move {
            let call = |keys: &Keys| Call {
                script: &CLAIM,
                keys: vec![keys.reader(inbox)],
                arguments: vec![self.claim_text(nonce), milliseconds(lease)],
            };
            let there = self.answer(call).await?;
            let there = self.text(&there)?;
            let host = there.strip_prefix("c:").and_then(|claim| claim.rsplit_once(':')).map(|(host, _)| host);
            Ok((!there.is_empty()).then(|| host.unwrap_or("another host").to_owned()))
        }
        .boxed()
    }

    fn leave_inbox<'a>(&'a self, inbox: &'a str, nonce: &'a Nonce) -> Answer<'a, ()> {
        async move {
            let call = |keys: &Keys| Call {
                script: &LEASE,
                keys: vec![keys.reader(inbox)],
                arguments: vec![self.claim_text(nonce), milliseconds(Duration::ZERO)],
            };
            self.answer(call).await.map(drop)
        }
        .boxed()
    }

    fn probe(&self) -> Answer<'_, ()> {
        self.probe_now().boxed()
    }

    fn check(&self) -> BoxFuture<'_, Vec<StoreFinding>> {
        self.check_now().boxed()
    }
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
