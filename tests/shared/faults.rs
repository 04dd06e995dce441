//! A shared store that is away, wrong, slow, empty or a replica; a host that is stopped, and one whose clock is wrong.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::deliveries::waiting;
use crate::hosts::{JANE, application, handed_over, host, lines, message, pipe, place, recipient, send, shared};
use crate::support::http_server::{HttpServer, Reply};
use crate::support::needs;
use crate::support::redis::{Network, Redis};
use crate::support::service::{Service, stuffed};
use crate::support::wait::{wait_for, wait_for_or, wait_until};

/// What the log says when the store is left alone: once, however much mail comes.
const DOWN: &str = "event=shared-ledger-down";

#[needs(redis)]
#[test]
fn while_redis_is_away_a_host_goes_on_alone_and_tells_the_others_later() {
    let (mut redis, application) = (Redis::start(), application());
    let (one, two) = (host("mx1", &application, &shared(&redis)), host("mx2", &application, &shared(&redis)));
    redis.kill();
    for number in 1..=5 {
        assert!(send(&one, number).starts_with("250 2.0.0 delivered"), "{}", one.log());
    }
    assert_eq!(lines(&one.log(), &["verdict=delivered", "shared=down"]).len(), 5, "{}", one.log());
    assert_eq!(lines(&one.log(), &[DOWN]).len(), 1, "{}", one.log());
    // What comes in on both meanwhile is handed over twice.
    assert!(send(&two, 1).starts_with("250 2.0.0 delivered"), "{}", two.log());
    redis.start_again();
    wait_until("the facts to be told", || redis.keys("d").len() == 5 && waiting(&one.place) == 0);
    wait_until("the return", || !lines(&one.log(), &["event=shared-ledger-up"]).is_empty());
    // The other host has asked twice: whether it left the store alone then depends on when it last looked.
    wait_until("the return", || {
        lines(&two.log(), &["event=shared-ledger-up"]).len() == lines(&two.log(), &[DOWN]).len()
    });
    for number in 2..=5 {
        assert!(send(&two, number).starts_with("250 2.0.0 duplicate"), "{}", two.log());
    }
    let mut times: Vec<_> = handed_over(&application).into_values().collect();
    times.sort_unstable();
    assert_eq!(times, [1, 1, 1, 1, 2]);
}

#[needs(redis)]
#[test]
fn with_defer_mail_waits_for_redis() {
    let (mut redis, application) = (Redis::start(), application());
    let shared = format!("{}\nwhen_down = \"defer\"", shared(&redis));
    let one = host("mx1", &application, &shared);
    redis.kill();
    let reply = send(&one, 1);
    assert!(reply.starts_with("451 4.3.2 deferred: shared-ledger"), "{reply}");
    assert!(!reply.contains("127.0.0.1"), "where the store is concerns no stranger: {reply}");
    assert!(application.requests().is_empty());
    let two = place("mx2", &application, &shared);
    assert!(pipe(&two, 1).starts_with("4.3.2 deferred: shared-ledger"));
    redis.start_again();
    let reply = wait_for("Redis to be asked again", || Some(send(&one, 1)).filter(|reply| reply.starts_with("250")));
    assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
}

/// What is wrong with a store, and what the log says of it.
type Wrong = (&'static str, fn(&Redis), &'static str);

#[needs(redis)]
#[test]
fn a_store_that_cannot_keep_what_it_is_told_is_as_one_that_is_away() {
    let rows: &[Wrong] = &[
        ("a replica", |redis| drop(redis.ask(&["REPLICAOF", "127.0.0.1", "1"])), "it is a replica"),
        ("evicts", |redis| drop(redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])), "evicts keys"),
        ("wants a password", |redis| drop(redis.ask(&["CONFIG", "SET", "requirepass", "hush"])), "it wants a password"),
        ("is full", |redis| drop(redis.ask(&["CONFIG", "SET", "maxmemory", "1"])), "its memory is full"),
        (
            "forbids scripts",
            |redis| drop(redis.ask(&["ACL", "SETUSER", "default", "-eval", "-evalsha"])),
            "the user may not do that",
        ),
    ];
    for (name, make_wrong, text) in rows {
        let (redis, application) = (Redis::start(), application());
        make_wrong(&redis);
        let one = host("mx1", &application, &shared(&redis));
        let is_down = || lines(&one.log(), &[DOWN]).into_iter().next();
        let mut number = 0;
        let line = wait_for_or(
            "the store to be left alone",
            || {
                number += 1;
                assert!(send(&one, number).starts_with("250 2.0.0 delivered"), "{name}: {}", one.log());
                is_down()
            },
            || one.log(),
        );
        assert!(line.contains(text), "{name}: {line}");
        assert!(lines(&one.log(), &["verdict=delivered", "shared=claimed"]).is_empty(), "{name}: {}", one.log());
    }
}

#[needs(redis)]
#[test]
fn the_password_counts_and_a_wrong_one_is_said() {
    let (redis, application) = (Redis::start_with(&["--requirepass", "hush"]), application());
    let shared = format!("{}\nsecret_file = \"{{dir}}/redis\"", shared(&redis));
    let good = place("mx1", &application, &shared);
    good.write_secret("redis", "hush\n");
    assert!(pipe(&good, 1).starts_with("2.0.0 delivered"));
    assert_eq!(redis.keys("d").len(), 1);
    let wrong = place("mx2", &application, &shared);
    wrong.write_secret("redis", "mistyped\n");
    let output =
        wrong.run(&["pipe", &format!("--sender={JANE}"), &format!("--recipient={}", recipient(2))], &message(2));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("2.0.0 delivered"), "{output:?}");
    assert_eq!(lines(&log, &[DOWN, "shared.secret_file"]).len(), 1, "{log}");
    assert_eq!(lines(&log, &["verdict=delivered", "shared=down"]).len(), 1, "{log}");
    assert!(!log.contains("mistyped") && !log.contains("hush"), "{log}");
}

#[needs(redis)]
#[test]
fn tls_with_a_private_authority() {
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&cert, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let redis = Redis::with_tls(cert, key);
    let application = application();
    let url = format!("url = \"rediss://127.0.0.1:{}\"", redis.port());
    let trusting = host("mx1", &application, &format!("{url}\nca_file = \"{cert}\""));
    assert!(send(&trusting, 1).starts_with("250 2.0.0 delivered"));
    assert_eq!(lines(&trusting.log(), &["shared=claimed"]).len(), 1, "{}", trusting.log());
    let two = host("mx2", &application, &format!("{url}\nca_file = \"{cert}\""));
    assert!(send(&two, 1).starts_with("250 2.0.0 duplicate"), "{}", two.log());
    let strange = host("mx3", &application, &url);
    assert!(send(&strange, 2).starts_with("250 2.0.0 delivered"));
    assert_eq!(lines(&strange.log(), &["shared=down"]).len(), 1, "nobody is trusted unasked: {}", strange.log());
}

#[needs(redis)]
#[test]
fn a_store_that_takes_ten_seconds_holds_no_message_up() {
    let (redis, application) = (Redis::start(), application());
    let network = Network::to(redis.port());
    network.delay(Duration::from_secs(10));
    let one = host("mx1", &application, &format!("url = \"redis://127.0.0.1:{}\"", network.port()));
    for number in 1..=6 {
        let began = Instant::now();
        assert!(send(&one, number).starts_with("250 2.0.0 delivered"), "{}", one.log());
        // Twice shared.timeout is one second; the store takes ten for one octet.
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}: {}", began.elapsed(), one.log());
    }
    assert_eq!(lines(&one.log(), &["verdict=delivered", "shared=down"]).len(), 6, "{}", one.log());
    assert_eq!(lines(&one.log(), &[DOWN, "no answer within 500ms"]).len(), 1, "{}", one.log());
}

#[needs(redis)]
#[test]
fn scripts_that_redis_has_forgotten_are_given_to_it_again() {
    let (redis, application) = (Redis::start(), application());
    let one = host("mx1", &application, &shared(&redis));
    for number in 1..=3 {
        assert!(send(&one, number).starts_with("250 2.0.0 delivered"));
        assert!(redis.ask(&["SCRIPT", "FLUSH"]).starts_with("+OK"));
    }
    assert_eq!(lines(&one.log(), &["verdict=delivered", "shared=claimed"]).len(), 3, "{}", one.log());
}

#[needs(redis)]
#[test]
fn a_connection_that_redis_has_closed_costs_nothing() {
    let (redis, application) = (Redis::start(), application());
    let one = host("mx1", &application, &shared(&redis));
    for number in 1..=3 {
        assert!(send(&one, number).starts_with("250 2.0.0 delivered"));
        redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
    assert_eq!(lines(&one.log(), &["verdict=delivered", "shared=claimed"]).len(), 3, "{}", one.log());
}

#[needs(redis)]
#[test]
fn what_redis_has_been_made_to_forget_goes_out_again_with_the_same_id() {
    let (redis, application) = (Redis::start(), application());
    let (one, two) = (host("mx1", &application, &shared(&redis)), host("mx2", &application, &shared(&redis)));
    assert!(send(&one, 1).starts_with("250 2.0.0 delivered"));
    assert!(redis.ask(&["FLUSHALL"]).starts_with("+OK"));
    assert!(send(&one, 1).starts_with("250 2.0.0 duplicate"), "each host's own ledger is the truth: {}", one.log());
    assert!(send(&two, 1).starts_with("250 2.0.0 delivered"), "{}", two.log());
    assert_eq!(handed_over(&application).into_values().collect::<Vec<_>>(), [2]);
}

#[needs(redis)]
#[test]
fn a_host_that_is_stopped_beyond_its_lease_records_its_answer_and_says_that_it_is_a_double() {
    let redis = Redis::start();
    let (asked, answer) = (mpsc::channel(), mpsc::channel::<()>());
    let (ask, answers) = (Mutex::new(asked.0), Mutex::new(answer.1));
    let application = HttpServer::tcp(move |request| {
        if request.header("user-agent").is_empty() || !request.body.is_empty() {
            ask.lock().unwrap().send(()).unwrap();
            answers.lock().unwrap().recv().unwrap();
        }
        Reply::json(200, "{}")
    });
    let (one, two) = (host("mx1", &application, &shared(&redis)), host("mx2", &application, &shared(&redis)));
    let mut lmtp = one.lmtp();
    lmtp.begin(JANE, &[&recipient(1)]);
    lmtp.write(stuffed(&message(1)));
    asked.1.recv_timeout(Duration::from_secs(60)).unwrap();
    one.signal("STOP");
    let keys = redis.keys("d");
    assert_eq!(keys.len(), 1);
    // The lease ends by itself; nobody waits for that here.
    assert!(redis.ask(&["PEXPIRE", &keys[0], "1"]).starts_with(":1"));
    wait_until("the lease to end", || redis.keys("d").is_empty());
    // Both requests are answered: the other host's too.
    answer.0.send(()).unwrap();
    answer.0.send(()).unwrap();
    assert!(send(&two, 1).starts_with("250 2.0.0 delivered"), "{}", two.log());
    one.signal("CONT");
    assert!(lmtp.reply().starts_with("250 2.0.0 delivered"), "{}", one.log());
    let warned = lines(&one.log(), &["verdict=delivered", "warning=\"delivered by mx2 at ", "twice"]);
    assert_eq!(warned.len(), 1, "{}", one.log());
}

#[needs(crash_points, redis)]
#[test]
fn a_claim_is_renewed_while_the_application_is_asked() {
    let redis = Redis::start();
    let (asked, answer) = (mpsc::channel(), mpsc::channel::<()>());
    let (ask, answers) = (Mutex::new(asked.0), Mutex::new(answer.1));
    let application = HttpServer::tcp(move |_| {
        ask.lock().unwrap().send(()).unwrap();
        answers.lock().unwrap().recv().unwrap();
        Reply::json(200, "{}")
    });
    // Every 600 ms instead of every 30 s.
    let one = Service::start_in(place("mx1", &application, &shared(&redis)), &[("MAILHATCH_SECOND", "20")]);
    let two = host("mx2", &application, &shared(&redis));
    let mut lmtp = one.lmtp();
    lmtp.begin(JANE, &[&recipient(1)]);
    lmtp.write(stuffed(&message(1)));
    asked.1.recv_timeout(Duration::from_secs(60)).unwrap();
    let keys = redis.keys("d");
    assert_eq!(keys.len(), 1);
    let left = || redis.ask(&["PTTL", &keys[0]]).trim_start_matches(':').trim().parse::<i64>().unwrap();
    // Twice, so that one is from a renewal that came after another.
    for _ in 0..2 {
        assert!(redis.ask(&["PEXPIRE", &keys[0], "20000"]).starts_with(":1"));
        wait_until("the claim to be renewed", || left() > 30_000);
    }
    let reply = send(&two, 1);
    assert!(reply.starts_with("451 4.3.0 deferred: in-flight"), "{reply}");
    answer.0.send(()).unwrap();
    assert!(lmtp.reply().starts_with("250 2.0.0 delivered"), "{}", one.log());
    assert!(send(&two, 1).starts_with("250 2.0.0 duplicate"), "{}", two.log());
}

#[needs(faketime, redis)]
#[test]
fn a_clock_that_is_an_hour_wrong_changes_nothing() {
    const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    let (mut redis, application) = (Redis::start(), application());
    for (wrong, number) in [("+1h", 1), ("-1h", 11)] {
        let environment = [("LD_PRELOAD", LIBRARY), ("FAKETIME", wrong), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        let one = Service::start_in(place("mx1", &application, &shared(&redis)), &environment);
        let two = host("mx2", &application, &shared(&redis));
        assert!(send(&one, number).starts_with("250 2.0.0 delivered"));
        assert!(send(&two, number).starts_with("250 2.0.0 duplicate"), "{}", two.log());
        assert!(send(&two, number + 1).starts_with("250 2.0.0 delivered"));
        assert!(send(&one, number + 1).starts_with("250 2.0.0 duplicate"), "{}", one.log());
        // What waits is told by its age, not by its time.
        redis.kill();
        assert!(send(&one, number + 2).starts_with("250 2.0.0 delivered"));
        redis.start_again();
        wait_until("the fact to be told", || waiting(&one.place) == 0);
        wait_until("the return", || send(&two, number + 2).starts_with("250 2.0.0 duplicate"));
        let by = lines(&two.log(), &["delivered by mx1 at "]);
        let now = time::OffsetDateTime::now_utc();
        for line in by {
            let at = line.split("delivered by mx1 at ").nth(1).unwrap()[..20].to_owned();
            let at = time::OffsetDateTime::parse(&at, &time::format_description::well_known::Rfc3339).unwrap();
            assert!((now - at).abs() < time::Duration::minutes(5), "by Redis's clock: {line}");
        }
    }
}
