//! The gate before an application: not more at once than it can take, and not again before it wants to be asked.
//!
//! It lives in one process: `serve` has one gate an application; a process of `pipe` has one message and needs none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::{Answer, App, AppError, Event};
use crate::verdict::Status;

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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::SystemTime;

    use tokio::time::{advance, sleep};

    use super::*;
    use crate::config::{AddressSource, Config};
    use crate::event_id::EventId;
    use crate::mail::{Client, Content, Envelope, Message, Recipient, Sender};
    use crate::route::{Key, Matched, Route};

    /// An application that works or not, as the test says, after the time that it takes.
    #[derive(Debug, Default)]
    struct Scripted {
        works: AtomicBool,
        refuses: bool,
        takes: Duration,
        retry_after: Option<Duration>,
        asked: AtomicUsize,
        at_once: AtomicUsize,
        most_at_once: AtomicUsize,
    }

    impl App for Scripted {
        fn hand_over<'a>(&'a self, _event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
            Box::pin(async {
                self.asked.fetch_add(1, Ordering::SeqCst);
                let works = self.works.load(Ordering::SeqCst);
                let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
                self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
                sleep(self.takes).await;
                self.at_once.fetch_sub(1, Ordering::SeqCst);
                if works {
                    return Ok(Answer::Delivered(String::new()));
                }
                if self.refuses {
                    return Err(AppError::Refused { public: String::new(), detail: String::new() });
                }
                Err(AppError::Unavailable {
                    status: Status::NO_ANSWER,
                    public: String::new(),
                    detail: "no answer".to_owned(),
                    retry_after: self.retry_after,
                    alarm: false,
                })
            })
        }

        fn wants_authentication(&self) -> bool {
            true
        }
    }

    struct Test {
        app: Arc<Scripted>,
        gate: Gate,
        event: Event,
    }

    impl Test {
        fn new(app: Scripted) -> Self {
            Self::with_concurrency(app, 100)
        }

        fn with_concurrency(app: Scripted, concurrency: usize) -> Self {
            let app = Arc::new(app);
            let gate = Gate::new("app", app.clone(), concurrency, Duration::from_secs(30));
            Self { app, gate, event: event() }
        }

        async fn ask(&self) -> Result<Answer, AppError> {
            self.gate.hand_over(&self.event).await
        }

        fn asked(&self) -> usize {
            self.app.asked.swap(0, Ordering::SeqCst)
        }

        async fn shut(&self) {
            for _ in 0..FAILURES_TO_SHUT {
                self.ask().await.expect_err("unavailable");
            }
            assert_eq!(self.asked(), 5);
        }
    }

    fn event() -> Event {
        let text = "[[mailbox]]\nname = \"m\"\naddress = \"m+%{key}@h\"\napp = \"a\"\n\
                    [[app]]\nname = \"a\"\nkind = \"spool\"\npath = \"/\"\n";
        let config = Config::parse(Path::new("mailhatch.toml"), text).expect("configuration");
        let message = Message::parse(Content::whole("Subject: x\r\n\r\n"));
        let matched = Matched { source: AddressSource::Envelope, address: "m+k@h".to_owned() };
        Event {
            id: EventId::of("m", "k", &message),
            time: SystemTime::UNIX_EPOCH,
            route: Route {
                mailbox: Arc::new(config.mailboxes[0].clone()),
                action: "message".to_owned(),
                key: Key::new("k").expect("key"),
                captures: [].into(),
                matched,
            },
            envelope: Arc::new(Envelope {
                sender: Sender::Null,
                recipients: Vec::new(),
                client: Client::default(),
                queue_id: None,
            }),
            recipient: Recipient::new("m+k@h"),
            message,
            authentication: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_shut_for_a_second_then_twice_as_long_up_to_a_minute() {
        let test = Test::new(Scripted::default());
        test.shut().await;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            advance(Duration::from_secs(seconds) - Duration::from_millis(10)).await;
            test.ask().await.expect_err("shut");
            assert_eq!(test.asked(), 0, "still shut after {seconds} s");
            advance(Duration::from_millis(10)).await;
            test.ask().await.expect_err("trial");
            assert_eq!(test.asked(), 1, "one trial after {seconds} s");
        }
        advance(LONGEST_SHUT).await;
        test.app.works.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            test.ask().await.expect("open again");
        }
        test.asked();
        // It begins anew.
        test.app.works.store(false, Ordering::SeqCst);
        test.shut().await;
        advance(SHORTEST_SHUT).await;
        test.ask().await.expect_err("trial");
        assert_eq!(test.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_one_tries_whether_the_application_is_back() {
        let test = Test::new(Scripted { takes: Duration::from_secs(1), ..Scripted::default() });
        test.shut().await;
        advance(SHORTEST_SHUT).await;
        test.app.works.store(true, Ordering::SeqCst);
        let answers = futures_util::future::join_all((0..20).map(|_| test.ask())).await;
        assert_eq!(test.asked(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        test.ask().await.expect("open again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_given_up_does_not_shut_it_for_ever() {
        let test = Test::new(Scripted { takes: Duration::from_secs(10), ..Scripted::default() });
        test.shut().await;
        advance(SHORTEST_SHUT).await;
        timeout(Duration::from_secs(1), test.ask()).await.expect_err("given up");
        assert_eq!(test.asked(), 1);
        test.ask().await.expect_err("shut");
        assert_eq!(test.asked(), 0);
        test.app.works.store(true, Ordering::SeqCst);
        advance(SHORTEST_SHUT * 2).await;
        test.ask().await.expect("open again");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_fail_together_count_once() {
        let test = Test::new(Scripted { takes: Duration::from_millis(10), ..Scripted::default() });
        futures_util::future::join_all((0..60).map(|_| test.ask())).await;
        test.asked();
        advance(SHORTEST_SHUT).await;
        test.ask().await.expect_err("trial");
        assert_eq!(test.asked(), 1, "it was shut for the shortest time only");
    }

    #[tokio::test(start_paused = true)]
    async fn its_wish_to_be_left_alone_outlives_the_success_of_another() {
        let wish = Some(Duration::from_secs(100));
        let test = Test::new(Scripted { takes: Duration::from_secs(1), retry_after: wish, ..Scripted::default() });
        let failed = async {
            test.ask().await.expect_err("with a wish");
        };
        let worked = async {
            sleep(Duration::from_millis(500)).await;
            test.app.works.store(true, Ordering::SeqCst);
            test.ask().await.expect("works");
        };
        tokio::join!(failed, worked);
        test.asked();
        advance(Duration::from_secs(99)).await;
        let AppError::Unavailable { retry_after, .. } = test.ask().await.expect_err("left alone") else {
            panic!("refused")
        };
        assert_eq!((test.asked(), retry_after), (0, Some(Duration::from_millis(500))));
        advance(Duration::from_secs(1)).await;
        test.ask().await.expect("open again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_does_not_shut_it() {
        let test = Test::new(Scripted { refuses: true, ..Scripted::default() });
        for _ in 0..20 {
            let error = test.ask().await.expect_err("refused");
            assert!(matches!(error, AppError::Refused { .. }), "{error:?}");
        }
        assert_eq!(test.asked(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn not_more_than_concurrency_are_asked_at_once() {
        let works = AtomicBool::new(true);
        let takes = Duration::from_millis(100);
        let test = Test::with_concurrency(Scripted { works, takes, ..Scripted::default() }, 3);
        let answers = futures_util::future::join_all((0..30).map(|_| test.ask())).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(test.app.most_at_once.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_without_a_turn_in_time_finds_the_application_busy() {
        let works = AtomicBool::new(true);
        let takes = Duration::from_secs(20);
        let test = Test::with_concurrency(Scripted { works, takes, ..Scripted::default() }, 1);
        let (first, second) = tokio::join!(test.ask(), test.ask());
        first.expect("it has its turn");
        let AppError::Unavailable { status, .. } = second.expect_err("busy") else { panic!("refused") };
        assert_eq!((status, test.asked()), (Status::CONGESTION, 1));
    }
}
