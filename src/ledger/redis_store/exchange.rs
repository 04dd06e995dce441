//! Questions and their answers, over one connection: what waits while Redis is asked goes to it together, in the next
//! pipeline, and what is asked of the same script in one call.
//!
//! So sixteen sessions cost Redis and this process little more than one, and one WAIT is for all records of a pipeline. A
//! question that nobody waits for any more is not sent.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use super::super::shared_store::StoreError;
use super::connection::{Connected, Dialer, ask_all};
use super::script::{Call, Keys, Naming};
use crate::config::{SharedConfig, SharedServer};

/// How long replicas may take. A replica that is gone costs this much for each pipeline with records.
const REPLICATION: Duration = Duration::from_millis(100);

/// Calls in one pipeline, unless one question alone has more: Redis does nothing else meanwhile.
const PIPELINE: usize = 500;

/// A call, as soon as it is known how the keys of this connection are written.
pub(super) type MakeCall = Box<dyn Fn(&Keys) -> Call + Send + Sync>;

/// What Redis says to a question.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    /// One for each call.
    pub(super) values: Vec<Value>,
    /// How many replicas have it, if it was waited for them.
    pub(super) replicas: u64,
}

/// The connection to Redis, and what waits for it.
pub(super) struct Exchange {
    config: SharedConfig,
    pub(super) dialer: Dialer,
    connection: Mutex<Option<Arc<Connected>>>,
    /// Counts connections, so that a failure on an old one does not close the new one.
    opened: AtomicU64,
    queue: SyncMutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Question>,
    /// A task sends what waits, until nothing does.
    is_served: bool,
}

struct Question {
    calls: Vec<MakeCall>,
    /// Whether replicas must have it.
    waits: bool,
    answer: oneshot::Sender<Result<Answered, StoreError>>,
}

impl Exchange {
    /// Connects to nothing yet.
    pub(super) fn new(config: &SharedConfig) -> Self {
        Self {
            config: config.clone(),
            dialer: Dialer::new(config),
            connection: Mutex::new(None),
            opened: AtomicU64::new(0),
            queue: SyncMutex::default(),
        }
    }

    /// Calls scripts, then waits for replicas if it should, within `shared.timeout`, connecting included.
    ///
    /// # Errors
    /// Any call failed, or there is no answer. Some of the calls may have been done.
    pub(super) async fn ask(self: &Arc<Self>, calls: Vec<MakeCall>, waits: bool) -> Result<Answered, StoreError> {
        let (answer, answered) = oneshot::channel();
        let is_served = {
            let mut queue = self.queue();
            queue.waiting.push(Question { calls, waits: waits && self.config.replicas > 0, answer });
            std::mem::replace(&mut queue.is_served, true)
        };
        if !is_served {
            tokio::spawn(Serving { exchange: Arc::clone(self), is_over: false }.serve());
        }
        match timeout(self.config.timeout, answered).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => Err(self.dialer.said("the connection was given up")),
            Err(_) => Err(self.too_late()),
        }
    }

    /// Sends what waits, one pipeline after the other.
    async fn serve(&self) {
        loop {
            // Whoever is ready to ask something asks it now.
            tokio::task::yield_now().await;
            let Some(questions) = self.next_pipeline() else { return };
            let answered = timeout(self.config.timeout, self.exchange(&questions)).await;
            let answers = answered.unwrap_or_else(|_| Err(self.too_late()));
            if answers.as_ref().map_or(true, |answers| answers.iter().any(Result::is_err)) {
                *self.connection.lock().await = None;
            }
            let mut answers = answers.map(Vec::into_iter);
            for question in questions {
                let answer = match &mut answers {
                    Ok(answers) => answers.next().unwrap_or_else(|| Err(self.too_late())),
                    Err(why) => Err(why.clone()),
                };
                // Who has stopped waiting gets no answer.
                let _ = question.answer.send(answer);
            }
        }
    }

    /// What goes to Redis together; `None` if nothing waits, and nobody serves from now on.
    fn next_pipeline(&self) -> Option<Vec<Question>> {
        let mut queue = self.queue();
        queue.waiting.retain(|question| !question.answer.is_closed());
        let mut calls = 0;
        let mut fits = |question: &Question| {
            calls += question.calls.len();
            calls <= PIPELINE
        };
        let count = queue.waiting.iter().map_while(|question| fits(question).then_some(())).count();
        let count = count.max(1).min(queue.waiting.len());
        let questions: Vec<_> = queue.waiting.drain(..count).collect();
        queue.is_served = !questions.is_empty();
        queue.is_served.then_some(questions)
    }

    /// One pipeline and its answers. A connection that was idle may have been closed by the server since: that is no failure.
    async fn exchange(&self, questions: &[Question]) -> Result<Vec<Result<Answered, StoreError>>, StoreError> {
        let said = |error: &RedisError| self.dialer.said(&self.dialer.explained(error));
        loop {
            let (connected, number, is_new) = self.connected().await?;
            let calls: Vec<Call> =
                questions.iter().flat_map(|question| &question.calls).map(|make| make(&connected.keys)).collect();
            let waits = questions.iter().any(|question| question.waits);
            let (answers, replicas) = match self.send(&connected, &calls, waits).await {
                Ok(answers) => answers,
                Err(error) if !is_new && error.is_connection_dropped() => {
                    self.forget(number).await;
                    continue;
                }
                Err(error) => return Err(said(&error)),
            };
            let is_replicated = !waits || replicas >= u64::from(self.config.replicas);
            if !is_replicated && matches!(self.config.url.value.server, SharedServer::Sentinel { .. }) {
                // It may be a master that the others have left behind: the sentinels know.
                self.forget(number).await;
            }
            let mut answers = answers.into_iter();
            let of_question = |question: &Question| {
                let answers: Vec<_> = answers.by_ref().take(question.calls.len()).collect();
                let values: Result<Vec<_>, _> = answers.into_iter().collect();
                Ok(Answered { values: values.map_err(|error| said(&error))?, replicas })
            };
            return Ok(questions.iter().map(of_question).collect());
        }
    }

    /// An answer for each call, and how many replicas have heard of them.
    async fn send(
        &self,
        connected: &Connected,
        calls: &[Call],
        waits: bool,
    ) -> Result<(Vec<Result<Value, RedisError>>, u64), RedisError> {
        let groups = Call::grouped(calls);
        let mut answers: Vec<_> = groups.iter().map(|_| Ok(Value::Nil)).collect();
        let (mut asked, mut replicas): (Vec<usize>, u64) = ((0..groups.len()).collect(), 0);
        for naming in [Naming::Hash, Naming::Text] {
            let mut pipeline = redis::pipe();
            for &group in &asked {
                pipeline.add_command(groups[group].0.command(naming));
            }
            if waits {
                let patience = REPLICATION.min(self.config.timeout / 2);
                pipeline.cmd("WAIT").arg(self.config.replicas).arg(patience.as_millis() as u64);
            }
            let mut values = ask_all(connected, &pipeline, asked.len() + usize::from(waits)).await?;
            if let Some(value) = values.pop_if(|_| waits) {
                replicas = redis::from_redis_value(value?)?;
            }
            for (&group, value) in asked.iter().zip(values) {
                answers[group] = value;
            }
            // Redis has forgotten them, or never knew them: it gets their text.
            asked.retain(|&group| {
                let no_script = ErrorKind::Server(ServerErrorKind::NoScript);
                answers[group].as_ref().is_err_and(|error| error.kind() == no_script)
            });
            if asked.is_empty() {
                break;
            }
        }
        let mut of_calls: Vec<_> = calls.iter().map(|_| Ok(Value::Nil)).collect();
        for ((_, members), answer) in groups.iter().zip(answers) {
            let values = match answer {
                Ok(Value::Array(values)) if members.len() == values.len() && calls[members[0]].script.takes_many => {
                    values.into_iter().map(Ok).collect()
                }
                answer => vec![answer; members.len()],
            };
            for (&member, value) in members.iter().zip(values) {
                of_calls[member] = value;
            }
        }
        Ok((of_calls, replicas))
    }

    /// The connection, its number, and whether it was opened now.
    pub(super) async fn connected(&self) -> Result<(Arc<Connected>, u64, bool), StoreError> {
        let mut connection = self.connection.lock().await;
        if let Some(connected) = &*connection {
            return Ok((Arc::clone(connected), self.opened.load(Ordering::Relaxed), false));
        }
        let connected = connection.insert(Arc::new(self.dialer.connect().await?));
        Ok((Arc::clone(connected), self.opened.fetch_add(1, Ordering::Relaxed) + 1, true))
    }

    /// Closes it, unless there is a newer one.
    pub(super) async fn forget(&self, number: u64) {
        let mut connection = self.connection.lock().await;
        if self.opened.load(Ordering::Relaxed) == number {
            *connection = None;
        }
    }

    pub(super) fn too_late(&self) -> StoreError {
        let patience = humantime::format_duration(self.config.timeout);
        self.dialer.said(&format!("no answer within {patience} (shared.timeout)"))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("dialer", &self.dialer).finish_non_exhaustive()
    }
}

/// The task that sends what waits. Should it end in the middle, the next question starts another.
struct Serving {
    exchange: Arc<Exchange>,
    is_over: bool,
}

impl Serving {
    async fn serve(mut self) {
        self.exchange.serve().await;
        self.is_over = true;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.is_over {
            self.exchange.queue().is_served = false;
        }
    }
}
