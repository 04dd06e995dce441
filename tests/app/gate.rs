//! The gate before an application, on a clock that the test moves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailhatch::app::{App, AppError};
use mailhatch::disposition::Status;

use super::{KEY, Setup, reply};
use crate::support::http_server::{Fault, HttpServer, Reply};

struct Behind {
    server: HttpServer,
    setup: Setup,
    app: Arc<dyn App>,
}

impl Behind {
    fn new(server: HttpServer, more: &str) -> Self {
        let setup = Setup::webhook(server.url(), more);
        let app = setup.app();
        Self { server, setup, app }
    }

    async fn hand_over(&self) -> Result<(), AppError> {
        self.app.hand_over(&self.setup.event(KEY, reply())).await.map(drop)
    }

    fn asked(&self) -> usize {
        self.server.requests().len()
    }
}

fn status(result: &Result<(), AppError>) -> Option<Status> {
    match result {
        Err(AppError::Unavailable { status, .. }) => Some(*status),
        _ => None,
    }
}

#[tokio::test]
async fn five_failures_shut_the_gate_and_a_refusal_does_not() {
    let server = HttpServer::tcp(|_| Reply::json(200, "{}"));
    let behind = Behind::new(server, "");
    for fault in [Fault::Status(422), Fault::Status(500)] {
        behind.server.fault(Some(fault));
        for _ in 0..8 {
            behind.hand_over().await.expect_err("fault");
        }
    }
    assert_eq!(behind.asked(), 8 + 5, "three were not even asked");
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let answers = Mutex::new(0);
    let server = HttpServer::tcp(move |_| {
        *answers.lock().unwrap() += 1;
        Reply::new(503, "text/plain", "").with_header("Retry-After", "3600")
    });
    let behind = Behind::new(server, "");
    for _ in 0..3 {
        let AppError::Unavailable { retry_after, detail, .. } = behind.hand_over().await.expect_err("unavailable")
        else {
            panic!("refused")
        };
        assert!(retry_after > Some(Duration::from_secs(3500)), "{detail}");
    }
    assert_eq!(behind.asked(), 1);
}

#[tokio::test]
async fn not_more_than_concurrency_are_asked_at_once() {
    let at_once = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let seen = at_once.clone();
    let server = HttpServer::tcp(move |_| {
        let now = seen.0.fetch_add(1, Ordering::SeqCst) + 1;
        seen.1.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        seen.0.fetch_sub(1, Ordering::SeqCst);
        Reply::json(200, "{}")
    });
    let behind = Behind::new(server, "concurrency = 3");
    let results = futures_util::future::join_all((0..30).map(|_| behind.hand_over())).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(at_once.1.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn an_application_without_a_free_turn_is_busy() {
    let behind = Behind::new(Fault::Hang.start(), "concurrency = 1\ntimeout = \"400ms\"");
    let (first, second) = tokio::join!(behind.hand_over(), behind.hand_over());
    assert_eq!((status(&first), status(&second)), (Some(Status::NO_ANSWER), Some(Status::CONGESTION)));
    assert_eq!(behind.asked(), 1);
}
