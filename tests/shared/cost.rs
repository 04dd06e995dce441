//! What a shared ledger costs. Not part of `make test`: it says how fast a machine is.

use std::time::{Duration, Instant};

use crate::hosts::{application, host, pipe, place, send_all, shared};
use crate::support::needs;
use crate::support::redis::Redis;

/// The middle one of some times.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[needs(redis)]
#[test]
#[ignore = "takes a while, and says how fast a machine is"]
fn what_pipe_costs_more() {
    const MESSAGES: usize = 300;
    let (redis, application) = (Redis::start(), application());
    let alone = place("mx1", &application, "");
    let sharing = place("mx2", &application, &shared(&redis));
    let mut times = [Vec::new(), Vec::new()];
    // In turns, so that what else the machine does is in both.
    for number in 0..MESSAGES {
        for (place, times) in [&alone, &sharing].into_iter().zip(&mut times) {
            let number = if std::ptr::eq(place, &alone) { number } else { MESSAGES + number };
            let began = Instant::now();
            assert!(pipe(place, number).starts_with("2.0.0 delivered"));
            times.push(began.elapsed());
        }
    }
    let [alone, sharing] = times.map(median);
    println!("pipe, median of {MESSAGES}: {alone:.2?} without [shared], {sharing:.2?} with it");
}

#[needs(redis)]
#[test]
#[ignore = "takes a while, and says how fast a machine is"]
fn what_serve_costs_more() {
    const MESSAGES: usize = 3000;
    let (redis, application) = (Redis::start(), application());
    application.drop_bodies();
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        for (lines, rates) in [String::new(), shared(&redis)].iter().zip(&mut rates) {
            redis.ask(&["FLUSHALL"]);
            let one = host("mx1", &application, lines);
            let began = Instant::now();
            assert_eq!(send_all(&one, MESSAGES, 16).len(), MESSAGES);
            rates.push(MESSAGES as f64 / began.elapsed().as_secs_f64());
        }
    }
    let best = |rates: &[f64]| rates.iter().copied().fold(0.0, f64::max);
    let (alone, sharing) = (best(&rates[0]), best(&rates[1]));
    println!(
        "serve, 16 sessions, best of 3: {alone:.0}/s without [shared], {sharing:.0}/s with it: {:.2}",
        sharing / alone
    );
    let (one, two) = (host("mx1", &application, &shared(&redis)), host("mx2", &application, &shared(&redis)));
    redis.ask(&["FLUSHALL"]);
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| send_all(&one, MESSAGES, 8));
        send_all(&two, MESSAGES, 8)
    });
    println!(
        "two hosts, the same {MESSAGES} messages each: {:.0}/s answered",
        2.0 * MESSAGES as f64 / began.elapsed().as_secs_f64()
    );
}
