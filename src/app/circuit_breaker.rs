//! The circuit breaker before an application: not more at once than it can take, and not again before it wants to be asked.
//!
//! An application that is down is told from a message that it cannot digest: a poison message waits alone, and opens nothing.
//! All this lives in one process: `serve` has one circuit breaker an application; a process of `pipe` has one message and needs
//! none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::application::{Answer, App, AppError, Refusals};
use super::event::Event;
use super::poison::FailedMessages;
use crate::event_id::EventId;
use crate::verdict::Status;

/// So many unavailable answers in a row open the circuit.
const FAILURES_TO_OPEN: u32 = 5;

/// An application that answered somebody so short a time ago is not down.
const STILL_UP: Duration = Duration::from_secs(5);

/// How long the circuit is open at first; twice as long after each trial that fails.
const SHORTEST_OPEN: Duration = Duration::from_secs(1);

/// The longest it is open for failures alone.
const LONGEST_OPEN: Duration = Duration::from_secs(60);

/// The longest that an event waits for its turn.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An application behind its circuit breaker.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    name: String,
    app: Arc<dyn App>,
    turns: Semaphore,
    wait: Duration,
    known: Arc<Known>,
}

/// What is known of an application; it outlives a reload of the configuration.
#[derive(Debug)]
pub(super) struct Known {
    state: Mutex<State>,
    /// One poison message is asked about at a time, so that those that hang leave the turns to the others.
    poison_turn: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    circuit: Circuit,
    /// The application asked not to be asked before then (Retry-After).
    unwanted_until: Option<Instant>,
    /// Why nobody is let through.
    why: String,
    /// Events that it answered, and when it last did.
    answered: u64,
    last_answered: Option<Instant>,
    failed: FailedMessages,
}

/// The names are those of the pattern: a closed circuit lets everything through.
#[derive(Clone, Copy, Debug)]
enum Circuit {
    Closed {
        /// Unavailable answers in a row.
        failures: u32,
    },
    /// Nobody is let through until then.
    Open { until: Instant, open_for: Duration },
    /// One is let through, to try whether the application is back.
    HalfOpen { open_for: Duration },
}

/// Let through. An event that is given up on the way has failed, and must not leave the circuit half-open.
struct Pass<'b> {
    breaker: &'b CircuitBreaker,
    id: &'b EventId,
    is_trial: bool,
    is_told: bool,
}

impl CircuitBreaker {
    /// `concurrency` events at once; `patience` is the time that one request may take.
    pub fn new(name: String, app: Arc<dyn App>, concurrency: usize, patience: Duration, known: Arc<Known>) -> Self {
        let turns = Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS));
        Self { name, app, turns, wait: (patience / 4).min(LONGEST_WAIT), known }
    }

    async fn through(&self, event: &Event) -> Result<Answer, AppError> {
        // Looked at twice: an open circuit answers at once, and it may open while an event waits for its turn.
        let is_poison = self.admit(&self.state(), &event.id)?;
        let _alone = match is_poison {
            true => Some(self.known.poison_turn.try_acquire().map_err(|_| self.busy_with_poison())?),
            false => None,
        };
        let Ok(Ok(_turn)) = timeout(self.wait, self.turns.acquire()).await else { return Err(self.busy()) };
        let pass = self.enter(&event.id)?;
        let answer = self.app.hand_over(event).await;
        pass.told(answer)
    }

    /// Whether an event may be handed over now; says whether it is a poison message.
    fn admit(&self, state: &State, id: &EventId) -> Result<bool, AppError> {
        let now = Instant::now();
        let open_until = match state.circuit {
            Circuit::Open { until, .. } => Some(until),
            Circuit::Closed { .. } | Circuit::HalfOpen { .. } => None,
        };
        let is_poison = state.failed.is_poison(id);
        match open_until.max(state.unwanted_until) {
            Some(until) if until > now => Err(self.not_asked(state, until - now)),
            _ if matches!(state.circuit, Circuit::HalfOpen { .. }) => Err(self.not_asked(state, SHORTEST_OPEN)),
            // It would say nothing of the application.
            _ if is_poison && matches!(state.circuit, Circuit::Open { .. }) => {
                Err(self.not_asked(state, SHORTEST_OPEN))
            }
            _ => match state.failed.left(id) {
                Some(left) => Err(self.waits_alone(left)),
                None => Ok(is_poison),
            },
        }
    }

    fn enter<'b>(&'b self, id: &'b EventId) -> Result<Pass<'b>, AppError> {
        let mut state = self.state();
        self.admit(&state, id)?;
        let is_trial = match state.circuit {
            Circuit::Open { open_for, .. } => {
                state.circuit = Circuit::HalfOpen { open_for };
                true
            }
            Circuit::Closed { .. } | Circuit::HalfOpen { .. } => false,
        };
        Ok(Pass { breaker: self, id, is_trial, is_told: false })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.known.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_asked(&self, state: &State, left: Duration) -> AppError {
        let seconds = left.as_secs_f32().ceil();
        AppError::Unavailable {
            status: Status::NOT_ACCEPTING,
            public: "the application does not take messages at the moment".to_owned(),
            detail: format!("{} is not asked again for {seconds} s: {}", self.name, state.why),
            retry_after: Some(left),
            alarm: false,
        }
    }

    fn waits_alone(&self, left: Duration) -> AppError {
        let seconds = left.as_secs_f32().ceil();
        AppError::Unavailable {
            status: Status::NOT_ACCEPTING,
            public: "the application does not take this message at the moment".to_owned(),
            detail: format!(
                "{} is not asked again about this message for {seconds} s: it failed {POISON}; look at what {} logs of it",
                self.name, self.name
            ),
            retry_after: Some(left),
            alarm: true,
        }
    }

    fn busy_with_poison(&self) -> AppError {
        AppError::Unavailable {
            status: Status::CONGESTION,
            public: "the application does not take this message at the moment".to_owned(),
            detail: format!("{} is being asked about another message that failed {POISON}", self.name),
            retry_after: None,
            alarm: false,
        }
    }

    fn busy(&self) -> AppError {
        AppError::Unavailable {
            status: Status::CONGESTION,
            public: "the application is busy".to_owned(),
            detail: format!(
                "{} has as many requests at once as its concurrency allows; raise it if the application can take more",
                self.name
            ),
            retry_after: None,
            alarm: false,
        }
    }
}

/// What a poison message has done, for log lines.
const POISON: &str = "three times or more while others passed";

impl Pass<'_> {
    fn told(mut self, answer: Result<Answer, AppError>) -> Result<Answer, AppError> {
        self.is_told = true;
        let mut state = self.breaker.state();
        match answer {
            Err(AppError::Unavailable { status, public, mut detail, retry_after, mut alarm }) => {
                if state.failed(self.id, self.is_trial, retry_after, &detail) {
                    detail.push_str(&format!("; this message failed {POISON}: it waits alone"));
                    alarm = true;
                }
                Err(AppError::Unavailable { status, public, detail, retry_after, alarm })
            }
            // It answered: also a refusal shows that it works. Its own wish to be left alone stays in force.
            answered @ (Ok(_) | Err(AppError::Refused { .. })) => {
                state.answered(self.id);
                answered
            }
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.breaker.state().failed(self.id, self.is_trial, None, "the last request was given up");
        }
    }
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Default for Known {
    fn default() -> Self {
        Self { state: Mutex::default(), poison_turn: Semaphore::new(1) }
    }
}

impl State {
    fn answered(&mut self, id: &EventId) {
        self.circuit = Circuit::default();
        self.answered += 1;
        self.last_answered = Some(Instant::now());
        self.failed.passed(id);
    }

    /// Counts a failure; whether it is one of a poison message, which says nothing of the application.
    fn failed(&mut self, id: &EventId, was_trial: bool, retry_after: Option<Duration>, why: &str) -> bool {
        let now = Instant::now();
        let is_poison = self.failed.failed(id, self.answered, retry_after);
        if is_poison && !was_trial {
            return true;
        }
        let open = |open_for: Duration| Some(Circuit::Open { until: now + open_for, open_for });
        let is_up = self.last_answered.is_some_and(|last| now - last < STILL_UP);
        let next = match self.circuit {
            Circuit::Closed { failures } if is_up || failures + 1 < FAILURES_TO_OPEN => {
                Some(Circuit::Closed { failures: failures.saturating_add(1) })
            }
            Circuit::Closed { .. } => open(SHORTEST_OPEN),
            Circuit::HalfOpen { open_for } if was_trial => open((open_for * 2).min(LONGEST_OPEN)),
            // Requests that were under way when the circuit opened say nothing new.
            Circuit::Open { .. } | Circuit::HalfOpen { .. } => None,
        };
        if next.is_some() || retry_after.is_some() {
            why.clone_into(&mut self.why);
        }
        self.circuit = next.unwrap_or(self.circuit);
        self.unwanted_until = self.unwanted_until.max(retry_after.map(|wait| now + wait));
        is_poison
    }
}

impl App for CircuitBreaker {
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(self.through(event))
    }

    fn wants_authentication(&self) -> bool {
        self.app.wants_authentication()
    }

    fn refusals(&self) -> Refusals {
        self.app.refusals()
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        self.app.check()
    }
}

#[cfg(test)]
mod tests;
