//! Waiting with an end: a test that waits in vain fails, and says what it waited for.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Only a failing test waits so long, so no fast machine is asked for.
pub const LIMIT: Duration = Duration::from_secs(180);

/// Looks again and again until there is something.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_for_or(what, look, String::new)
}

/// The same; where it never comes, `explanation` is shown too, a log for example.
#[track_caller]
pub fn wait_for_or<T>(what: &str, mut look: impl FnMut() -> Option<T>, explanation: impl FnOnce() -> String) -> T {
    let (start, mut pause) = (Instant::now(), Duration::from_millis(1));
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "waited in vain for {what}\n{}", explanation());
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Waits until something is so.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// What a future gives.
pub async fn awaited<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
