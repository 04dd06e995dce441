//! The circuit breaker before an application: not more at once than it can take, and not again before it wants to be asked.
//!
//! It lives in one process: `serve` has one an application; a process of `pipe` has one message and needs none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::application::{Answer, App, AppError};
use super::event::Event;
use crate::verdict::Status;

/// So many unavailable answers in a row open the circuit.
const FAILURES_TO_OPEN: u32 = 5;

/// How long it is open at first; twice as long after each trial that fails.
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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    circuit: Circuit,
    /// The application asked not to be asked before then (Retry-After).
    unwanted_until: Option<Instant>,
    /// Why nobody is let through.
    why: String,
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

/// Let through; a trial that is given up on the way must not leave the circuit half-open.
struct Pass<'b> {
    breaker: &'b CircuitBreaker,
    is_trial: bool,
}

impl CircuitBreaker {
    /// `concurrency` events at once; `patience` is the time that one request may take.
    pub fn new(name: String, app: Arc<dyn App>, concurrency: usize, patience: Duration) -> Self {
        Self {
            name,
            app,
            turns: Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS)),
            wait: (patience / 4).min(LONGEST_WAIT),
            state: Mutex::default(),
        }
    }

    async fn through(&self, event: &Event) -> Result<Answer, AppError> {
        // Looked at twice: an open circuit answers at once, and it may open while an event waits for its turn.
        self.refusal(&self.state())?;
        let Ok(Ok(_turn)) = timeout(self.wait, self.turns.acquire()).await else { return Err(self.busy()) };
        let pass = self.enter()?;
        let answer = self.app.hand_over(event).await;
        pass.told(&answer);
        answer
    }

    fn refusal(&self, state: &State) -> Result<(), AppError> {
        let now = Instant::now();
        let open_until = match state.circuit {
            Circuit::Open { until, .. } => Some(until),
            Circuit::Closed { .. } | Circuit::HalfOpen { .. } => None,
        };
        match open_until.max(state.unwanted_until) {
            Some(until) if until > now => Err(self.not_asked(state, until - now)),
            _ if matches!(state.circuit, Circuit::HalfOpen { .. }) => Err(self.not_asked(state, SHORTEST_OPEN)),
            _ => Ok(()),
        }
    }

    fn enter(&self) -> Result<Pass<'_>, AppError> {
        let mut state = self.state();
        self.refusal(&state)?;
        let Circuit::Open { open_for, .. } = state.circuit else { return Ok(Pass { breaker: self, is_trial: false }) };
        state.circuit = Circuit::HalfOpen { open_for };
        Ok(Pass { breaker: self, is_trial: true })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut state = self.breaker.state();
        let was_trial = std::mem::take(&mut self.is_trial);
        match answer {
            Err(AppError::Unavailable { retry_after, detail, .. }) => {
                state.failed(was_trial, *retry_after, detail);
            }
            // It answered: also a refusal shows that it works. Its own wish to be left alone stays in force.
            Ok(_) | Err(AppError::Refused { .. }) => state.circuit = Circuit::default(),
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            self.breaker.state().failed(true, None, "the last trial was given up");
        }
    }
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl State {
    fn failed(&mut self, was_trial: bool, retry_after: Option<Duration>, why: &str) {
        let now = Instant::now();
        let open = |open_for: Duration| Circuit::Open { until: now + open_for, open_for };
        let next = match self.circuit {
            Circuit::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => {
                Some(Circuit::Closed { failures: failures + 1 })
            }
            Circuit::Closed { .. } => Some(open(SHORTEST_OPEN)),
            Circuit::HalfOpen { open_for } if was_trial => Some(open((open_for * 2).min(LONGEST_OPEN))),
            // Requests that were under way when the circuit opened say nothing new.
            Circuit::Open { .. } | Circuit::HalfOpen { .. } => None,
        };
        if next.is_some() || retry_after.is_some() {
            why.clone_into(&mut self.why);
        }
        self.circuit = next.unwrap_or(self.circuit);
        self.unwanted_until = self.unwanted_until.max(retry_after.map(|wait| now + wait));
    }
}

impl App for CircuitBreaker {
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
    use crate::event_id::{EventId, MessageDigest};
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
        breaker: CircuitBreaker,
        event: Event,
    }

    impl Test {
        fn new(app: Scripted) -> Self {
            Self::with_concurrency(app, 100)
        }

        fn with_concurrency(app: Scripted, concurrency: usize) -> Self {
            let app = Arc::new(app);
            let breaker = CircuitBreaker::new("app".to_owned(), app.clone(), concurrency, Duration::from_secs(30));
            Self { app, breaker, event: event() }
        }

        async fn ask(&self) -> Result<Answer, AppError> {
            self.breaker.hand_over(&self.event).await
        }

        fn asked(&self) -> usize {
            self.app.asked.swap(0, Ordering::SeqCst)
        }

        async fn open(&self) {
            for _ in 0..FAILURES_TO_OPEN {
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
            id: EventId::of("m", "k", &MessageDigest::of(&message, None).expect("digest")),
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
    async fn it_is_open_for_a_second_then_twice_as_long_up_to_a_minute() {
        let test = Test::new(Scripted::default());
        test.open().await;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            advance(Duration::from_secs(seconds) - Duration::from_millis(10)).await;
            test.ask().await.expect_err("open");
            assert_eq!(test.asked(), 0, "still open after {seconds} s");
            advance(Duration::from_millis(10)).await;
            test.ask().await.expect_err("trial");
            assert_eq!(test.asked(), 1, "one trial after {seconds} s");
        }
        advance(LONGEST_OPEN).await;
        test.app.works.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            test.ask().await.expect("closed again");
        }
        test.asked();
        // It begins anew.
        test.app.works.store(false, Ordering::SeqCst);
        test.open().await;
        advance(SHORTEST_OPEN).await;
        test.ask().await.expect_err("trial");
        assert_eq!(test.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_one_tries_whether_the_application_is_back() {
        let test = Test::new(Scripted { takes: Duration::from_secs(1), ..Scripted::default() });
        test.open().await;
        advance(SHORTEST_OPEN).await;
        test.app.works.store(true, Ordering::SeqCst);
        let answers = futures_util::future::join_all((0..20).map(|_| test.ask())).await;
        assert_eq!(test.asked(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        test.ask().await.expect("closed again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_given_up_does_not_leave_it_half_open() {
        let test = Test::new(Scripted { takes: Duration::from_secs(10), ..Scripted::default() });
        test.open().await;
        advance(SHORTEST_OPEN).await;
        timeout(Duration::from_secs(1), test.ask()).await.expect_err("given up");
        assert_eq!(test.asked(), 1);
        test.ask().await.expect_err("open");
        assert_eq!(test.asked(), 0);
        test.app.works.store(true, Ordering::SeqCst);
        advance(SHORTEST_OPEN * 2).await;
        test.ask().await.expect("closed again");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_fail_together_count_once() {
        let test = Test::new(Scripted { takes: Duration::from_millis(10), ..Scripted::default() });
        futures_util::future::join_all((0..60).map(|_| test.ask())).await;
        test.asked();
        advance(SHORTEST_OPEN).await;
        test.ask().await.expect_err("trial");
        assert_eq!(test.asked(), 1, "it was open for the shortest time only");
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
        test.ask().await.expect("closed again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_does_not_open_it() {
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
