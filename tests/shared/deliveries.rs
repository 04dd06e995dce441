//! The same messages on two hosts.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::hosts::{
    JANE, application, handed_over, host, lines, message, messages, pipe, place, recipient, send, send_all, shared,
};
use crate::support::http_server::{HttpServer, Reply};
use crate::support::needs;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::service::Service;
use crate::support::wait::wait_until;

#[needs(redis)]
#[test]
fn what_one_host_has_delivered_is_a_duplicate_on_the_other() {
    let (redis, application) = (Redis::start(), application());
    let (one, two) = (host("mx1", &application, &shared(&redis)), host("mx2", &application, &shared(&redis)));
    assert!(send(&one, 1).starts_with("250 2.0.0 delivered"), "{}", one.log());
    assert!(send(&two, 1).starts_with("250 2.0.0 duplicate"), "{}", two.log());
    assert!(send(&one, 1).starts_with("250 2.0.0 duplicate"), "{}", one.log());
    assert_eq!(handed_over(&application).into_values().collect::<Vec<_>>(), [1]);
    assert_eq!(lines(&one.log(), &["verdict=delivered", "shared=claimed"]).len(), 1, "{}", one.log());
    assert_eq!(lines(&two.log(), &["verdict=duplicate", "detail=\"delivered by mx1 at "]).len(), 1, "{}", two.log());
    assert_eq!(redis.keys("d").len(), 1);
}

#[needs(redis)]
#[test]
fn two_hosts_with_the_same_messages_at_once_hand_each_over_once() {
    let (redis, application, messages) = (Redis::start(), application(), messages(400));
    application.drop_bodies();
    let (one, two) = (host("mx1", &application, &shared(&redis)), host("mx2", &application, &shared(&redis)));
    let (of_one, of_two) = thread::scope(|scope| {
        let senders = [&one, &two].map(|host| scope.spawn(move || send_all(host, messages, 8)));
        let [of_one, of_two] = senders.map(|sender| sender.join().unwrap());
        (of_one, of_two)
    });
    let ids = handed_over(&application);
    assert_eq!(ids.len(), messages);
    assert!(ids.values().all(|times| *times == 1), "{ids:?}");
    let replies: Vec<_> = of_one.values().chain(of_two.values()).collect();
    let count = |verdict: &str| replies.iter().filter(|reply| reply.contains(verdict)).count();
    let by_host = [&of_one, &of_two].map(|of| of.values().filter(|reply| reply.contains("delivered")).count());
    println!("{messages} messages: {} delivered {by_host:?}, {} duplicate", count("delivered"), count("duplicate"));
    assert_eq!((count("delivered"), count("duplicate")), (messages, messages));
    assert!(by_host.iter().all(|&count| count > 0), "they did not meet: {by_host:?}");
}

#[needs(redis)]
#[test]
fn while_redis_is_killed_again_and_again_nothing_is_lost_and_each_double_has_its_line() {
    // With everysec, a server that is killed while its disk is busy has answered what it has not written: no host could know.
    let mut redis = Redis::start_with(&["--appendfsync", "always"]);
    let (application, messages) = (application(), messages(1500));
    application.drop_bodies();
    let shared = shared(&redis);
    let (one, two) = (host("mx1", &application, &shared), host("mx2", &application, &shared));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let senders = [scope.spawn(|| send_all(&one, messages, 8)), scope.spawn(|| send_all(&two, messages, 8))];
        let redis = &mut redis;
        let is_over = &is_over;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                redis.kill();
                redis.start_again();
                thread::sleep(Duration::from_secs(2));
            }
        });
        for sender in senders {
            assert_eq!(sender.join().unwrap().len(), messages);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let (ids, logs) = (handed_over(&application), one.log() + &two.log());
    assert_eq!(ids.len(), messages, "no id is missing");
    let doubled: BTreeSet<_> = ids.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id.clone()).collect();
    for id in &doubled {
        assert!(!lines(&logs, &[&format!("id={id}"), "shared=down"]).is_empty(), "{id}: {:#?}", lines(&logs, &[id]));
    }
    println!("{messages} messages on two hosts: {} handed over twice, each with a shared=down line", doubled.len());
}

#[needs(redis)]
#[test]
fn a_copy_waits_while_another_host_is_at_it() {
    let redis = Redis::start();
    let (asked, answered) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let (ask, answer) = (std::sync::Mutex::new(asked.0), std::sync::Mutex::new(answered.1));
    let application = HttpServer::tcp(move |_| {
        ask.lock().unwrap().send(()).unwrap();
        answer.lock().unwrap().recv().unwrap();
        Reply::json(503, "{}")
    });
    let (one, two) = (host("mx1", &application, &shared(&redis)), host("mx2", &application, &shared(&redis)));
    let mut lmtp = one.lmtp();
    lmtp.begin(JANE, &[&recipient(1)]);
    lmtp.write(crate::support::service::stuffed(&message(1)));
    asked.1.recv_timeout(Duration::from_secs(60)).unwrap();
    let reply = send(&two, 1);
    assert!(reply.starts_with("451 4.3.0 deferred: in-flight"), "{reply}");
    answered.0.send(()).unwrap();
    assert!(lmtp.reply().starts_with("451"), "{}", one.log());
    // The application did not take it: the claim is given back, and the other host need not wait for its end.
    wait_until("the claim to be given back", || redis.keys("d").is_empty());
    answered.0.send(()).unwrap();
    let reply = send(&two, 1);
    assert!(reply.starts_with("451") && !reply.contains("in-flight"), "{reply}");
}

#[needs(redis)]
#[test]
fn pipe_shares_too_and_connects_when_it_claims_not_before() {
    let (redis, application) = (Redis::start(), application());
    let (one, two) = (place("mx1", &application, &shared(&redis)), place("mx2", &application, &shared(&redis)));
    let connections = || {
        let info = redis.ask(&["INFO", "stats"]);
        let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap().to_owned();
        line.trim().parse::<usize>().unwrap()
    };
    // One of the test's own for each question.
    let before = connections();
    let ignored = one.run(
        &["pipe", "--sender=", "--recipient=incoming+key@mail.example.com"],
        b"From: a@example.org\r\nMessage-ID: <0@example.org>\r\nAuto-Submitted: auto-replied\r\n\r\nx\r\n",
    );
    assert!(String::from_utf8_lossy(&ignored.stdout).starts_with("2.0.0 ignored"), "{ignored:?}");
    assert_eq!(connections() - before, 1, "a message that nobody is asked about");
    let before = connections();
    assert!(pipe(&one, 1).starts_with("2.0.0 delivered"));
    assert_eq!(connections() - before, 2, "one connection a message");
    assert!(pipe(&two, 1).starts_with("2.0.0 duplicate"));
    assert_eq!(handed_over(&application).into_values().collect::<Vec<_>>(), [1]);
    assert_eq!(waiting(&one), 0, "what the other hosts know does not wait");
}

/// Rows of `unshared`.
pub fn waiting(place: &crate::support::place::Place) -> i64 {
    let ledger = rusqlite::Connection::open(place.path().join("state/ledger.sqlite")).unwrap();
    ledger.query_row("SELECT count(*) FROM unshared", [], |row| row.get(0)).unwrap()
}

/// Whom a program connects to, with what it is given.
fn connects(place: &crate::support::place::Place) -> Vec<String> {
    let trace = place.path().join("trace");
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=connect", "-o"]).arg(&trace).arg(crate::support::place::MAILHATCH);
    command.arg("--config").arg(place.config());
    command.args(["pipe", &format!("--sender={JANE}"), &format!("--recipient={}", recipient(1))]);
    let output = crate::support::process::run_with_input(&mut command, &message(1));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("2.0.0 delivered"), "{output:?}");
    let trace = std::fs::read_to_string(trace).unwrap();
    trace.lines().filter(|line| line.contains("connect(")).map(str::to_owned).collect()
}

#[needs(redis, strace)]
#[test]
fn without_a_shared_ledger_nobody_is_connected_to_but_the_application() {
    let (redis, application) = (Redis::start(), application());
    let alone = connects(&place("mx1", &application, ""));
    assert_eq!(alone.len(), 1, "the application: {alone:#?}");
    let sharing = connects(&place("mx1", &application, &shared(&redis)));
    assert_eq!(sharing.len(), 2, "and the store, where there is one: {sharing:#?}");
}

/// Whom a running service connects to while it gets mail, after something has happened.
fn peers(service: &Service, numbers: std::ops::Range<usize>, happens: impl FnOnce()) -> BTreeSet<String> {
    let trace = service.place.path().join("trace");
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=connect", "-p", &service.id().to_string(), "-o"]).arg(&trace);
    let mut strace = Process::start(&mut command);
    let is_traced = |task: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    let tasks = format!("/proc/{}/task", service.id());
    wait_until("strace", || std::fs::read_dir(&tasks).unwrap().all(is_traced));
    happens();
    for number in numbers {
        assert!(send(service, number).starts_with("250 2.0.0 delivered"), "{}", service.log());
    }
    strace.signal(nix::sys::signal::Signal::SIGINT);
    strace.wait();
    let trace = std::fs::read_to_string(trace).unwrap();
    let address = |line: &str| Some(line.split_once("connect(")?.1.split_once('{')?.1.split_once('}')?.0.to_owned());
    trace.lines().filter_map(address).collect()
}

#[needs(redis, root, strace)]
#[test]
fn a_running_service_without_a_shared_ledger_connects_to_nobody_else() {
    let (redis, application) = (Redis::start(), application());
    let alone = peers(&host("mx1", &application, ""), 1..10, || {});
    assert_eq!(alone.len(), 1, "the application: {alone:#?}");
    // Its connection is older than the trace.
    let close = || drop(redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]));
    let sharing = peers(&host("mx2", &application, &shared(&redis)), 11..20, close);
    assert_eq!(sharing.len(), 2, "and the store, where there is one: {sharing:#?}");
    assert!(sharing.is_superset(&alone), "{alone:#?} {sharing:#?}");
}
