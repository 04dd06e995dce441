//! The gate before an application: not more at once than it can take, and not again before it wants to be asked.
//!
//! It lives in one process: `serve` has one gate an application; a process of `pipe` has one message and needs none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::{Answer, App, AppError, Event};
use crate::disposition::Status;

/// So many unavailable answers in a row shut the gate.
const FAILURES_TO_SHUT: u32 = 5;

/// How long it is shut at first; twice as long after each trial that fails.
const SHORTEST_SHUT: Duration = Duration::from_secs(1);

/// The longest it is shut for failures alone.
const LONGEST_SHUT: Duration = Duration::from_secs(60);

/// The longest that an event waits for its turn.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An application behind its gate.
#[derive(Debug)]
pub(super) struct Gate {
    name: String,
    app: Arc<dyn App>,
    turns: Semaphore,
    wait: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Unavailable answers in a row.
    failures: u32,
    /// How long the gate was shut last for failures.
    shut_for: Duration,
    /// It is shut for failures until then.
    shut_until: Option<Instant>,
    /// The application asked not to be asked before then (Retry-After).
    unwanted_until: Option<Instant>,
    /// Why nobody is let through.
    why: String,
    /// One is let through, to try whether the application is back.
    trial: bool,
}

/// Let through; an event that is given up on the way must not leave the gate waiting for its trial.
struct Pass<'g> {
    gate: &'g Gate,
    is_trial: bool,
}

impl Gate {
    /// `concurrency` events at once; `patience` is the time that one request may take.
    pub fn new(name: &str, app: Arc<dyn App>, concurrency: usize, patience: Duration) -> Self {
        Self {
            name: name.to_owned(),
            app,
            turns: Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS)),
            wait: (patience / 4).min(LONGEST_WAIT),
            state: Mutex::default(),
        }
    }

    async fn through(&self, event: &Event) -> Result<Answer, AppError> {
        // Looked at twice: a shut gate answers at once, and it may shut while an event waits for its turn.
        self.refusal(&self.state())?;
        let Ok(Ok(_turn)) = timeout(self.wait, self.turns.acquire()).await else { return Err(self.busy()) };
        let pass = self.enter()?;
        let answer = self.app.hand_over(event).await;
        pass.told(&answer);
        answer
    }

    fn refusal(&self, state: &State) -> Result<(), AppError> {
        let now = Instant::now();
        match state.shut_until.max(state.unwanted_until) {
            Some(until) if until > now => Err(self.shut(state, until - now)),
            _ if state.trial => Err(self.shut(state, SHORTEST_SHUT)),
            _ => Ok(()),
        }
    }

    fn enter(&self) -> Result<Pass<'_>, AppError> {
        let mut state = self.state();
        self.refusal(&state)?;
        state.trial = state.failures >= FAILURES_TO_SHUT;
        Ok(Pass { gate: self, is_trial: state.trial })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shut(&self, state: &State, left: Duration) -> AppError {
        let seconds = left.as_secs_f32().ceil();
        AppError::Unavailable {
            status: Status::NOT_ACCEPTING,
            public: "the application does not take messages at the moment".to_owned(),
            detail: format!("{} is not asked again for {seconds} s: {}", self.name, state.why),
            retry_after: Some(left),
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

impl Pass<'_> {
    fn told(mut self, answer: &Result<Answer, AppError>) {
        let mut state = self.gate.state();
        let was_trial = std::mem::take(&mut self.is_trial);
        match answer {
            Err(AppError::Unavailable { retry_after, detail, .. }) => {
                state.failed(was_trial, *retry_after, detail);
            }
            // It answered: also a refusal shows that it works. Its own wish to be left alone stays in force.
            Ok(_) | Err(AppError::Refused { .. }) => {
                *state = State { unwanted_until: state.unwanted_until, why: state.why.clone(), ..State::default() };
            }
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            self.gate.state().failed(true, None, "the last trial was given up");
        }
    }
}

impl State {
    fn failed(&mut self, was_trial: bool, retry_after: Option<Duration>, why: &str) {
        let now = Instant::now();
        // Requests that were under way when the gate shut say nothing new.
        let is_shut = self.trial || self.shut_until.is_some_and(|until| until > now);
        if was_trial || !is_shut {
            self.failures = self.failures.saturating_add(1);
            self.why = why.to_owned();
            if self.failures >= FAILURES_TO_SHUT {
                self.shut_for = (self.shut_for * 2).clamp(SHORTEST_SHUT, LONGEST_SHUT);
                self.shut_until = Some(now + self.shut_for);
            }
        }
        if was_trial {
            self.trial = false;
        }
        if let Some(wait) = retry_after {
            self.unwanted_until = self.unwanted_until.max(Some(now + wait));
            self.why = why.to_owned();
        }
    }
}

impl App for Gate {
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(self.through(event))
    }

    fn wants_authentication(&self) -> bool {
        self.app.wants_authentication()
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        self.app.check()
    }
}
