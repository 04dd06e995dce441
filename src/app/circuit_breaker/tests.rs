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
    /// Messages for this key fail, whatever becomes of the others.
    poison: &'static str,
    refuses: bool,
    takes: Duration,
    retry_after: Option<Duration>,
    asked: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl App for Scripted {
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let works = self.works.load(Ordering::SeqCst);
            let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
            sleep(self.takes).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            if works && event.route.key.reveal() != self.poison {
                return Ok(Answer::delivered(String::new()));
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
        let breaker =
            CircuitBreaker::new("app".to_owned(), app.clone(), concurrency, Duration::from_secs(30), Arc::default());
        Self { app, breaker, event: event("k", 0) }
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

/// An event of its own for each number.
fn event(key: &str, number: usize) -> Event {
    let text = "[[mailbox]]\nname = \"m\"\naddress = \"m+%{key}@h\"\napp = \"a\"\n\
                [[app]]\nname = \"a\"\nkind = \"spool\"\npath = \"/\"\n";
    let config = Config::parse(Path::new("mailhatch.toml"), text).expect("configuration");
    let message = Message::parse(Content::whole(format!("Subject: {number}\r\n\r\n")));
    let matched = Matched { source: AddressSource::Envelope, address: "m+k@h".to_owned() };
    Event {
        id: EventId::of("m", key, &MessageDigest::of(&message, None).expect("digest")),
        time: SystemTime::UNIX_EPOCH,
        route: Route {
            mailbox: Arc::new(config.mailboxes[0].clone()),
            action: "message".to_owned(),
            key: Key::new(key).expect("key"),
            captures: [].into(),
            matched,
        },
        envelope: Arc::new(Envelope {
            sender: Sender::Null,
            recipients: Vec::new(),
            client: Client::default(),
            queue_id: None,
            origin: crate::mail::Origin::Smtp,
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
    // It begins anew, once it does not answer any more.
    advance(STILL_UP).await;
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

#[tokio::test(start_paused = true)]
async fn poison_messages_do_not_keep_an_application_from_the_others() {
    let works = AtomicBool::new(true);
    let test = Test::new(Scripted { works, poison: "poison", ..Scripted::default() });
    let poison: Vec<_> = (0..5).map(|number| event("poison", number)).collect();
    let mut asked_about_poison = 0;
    test.breaker.hand_over(&event("good", 1000)).await.expect("it is up");
    test.asked();
    // A minute of five poison mails a second, each tried again every second, and one good mail.
    for second in 0..60 {
        for event in &poison {
            test.breaker.hand_over(event).await.expect_err("poison");
        }
        asked_about_poison += test.asked();
        test.breaker.hand_over(&event("good", second)).await.expect("a good one passes at once");
        test.asked();
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(asked_about_poison, 3 * 5, "three times each, then each waits a minute");
    // And the same with five new ones each second.
    for second in 0..60 {
        for number in 0..5 {
            test.breaker.hand_over(&event("poison", 1000 + second * 5 + number)).await.expect_err("poison");
        }
        test.breaker.hand_over(&event("good", second)).await.expect("a good one passes at once");
        advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_poison_message_says_so_and_is_no_trial() {
    let works = AtomicBool::new(true);
    let test = Test::new(Scripted { works, poison: "poison", ..Scripted::default() });
    let poison = event("poison", 0);
    let mut last = String::new();
    for number in 0..3 {
        test.breaker.hand_over(&event("good", number)).await.expect("good");
        last = test.breaker.hand_over(&poison).await.expect_err("poison").to_string();
    }
    assert!(last.contains("three times or more while others passed: it waits alone"), "{last}");
    let AppError::Unavailable { alarm, detail, .. } = test.breaker.hand_over(&poison).await.expect_err("waits") else {
        panic!("refused")
    };
    assert!(alarm && detail.contains("not asked again about this message for 60 s"), "{detail}");
    // The application goes down, and the circuit is open when the poison message has waited.
    test.app.works.store(false, Ordering::SeqCst);
    advance(Duration::from_secs(60)).await;
    test.asked();
    test.open().await;
    advance(SHORTEST_OPEN).await;
    test.breaker.hand_over(&poison).await.expect_err("not asked");
    assert_eq!(test.asked(), 0, "a trial with it would say nothing of the application");
    test.app.works.store(true, Ordering::SeqCst);
    test.ask().await.expect("closed again");
}

#[tokio::test(start_paused = true)]
async fn poison_messages_that_hang_take_one_turn() {
    let works = AtomicBool::new(true);
    let takes = Duration::from_secs(20);
    let test = Test::with_concurrency(Scripted { works, poison: "poison", takes, ..Scripted::default() }, 3);
    let poison: Vec<_> = (0..3).map(|number| event("poison", number)).collect();
    for number in 0..3 {
        for event in &poison {
            test.breaker.hand_over(event).await.expect_err("poison");
        }
        test.breaker.hand_over(&event("good", number)).await.expect("good");
    }
    advance(Duration::from_secs(3600)).await;
    test.asked();
    let answers = futures_util::future::join_all(poison.iter().map(|event| test.breaker.hand_over(event))).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(test.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_given_up_has_failed() {
    let test = Test::new(Scripted { takes: Duration::from_secs(100), ..Scripted::default() });
    for _ in 0..FAILURES_TO_OPEN {
        timeout(Duration::from_secs(60), test.ask()).await.expect_err("the deadline");
    }
    assert_eq!(test.asked(), 5);
    test.ask().await.expect_err("open");
    assert_eq!(test.asked(), 0);
}
