//! Failovers by Sentinel under load: what was confirmed is known to the new master.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::hosts::{JANE, application, handed_over, host, lines, message, recipient, send};
use crate::support::namespace::Namespace;
use crate::support::needs;
use crate::support::redis::{Redis, Sentinels};
use crate::support::wait::{wait_for, wait_for_or, wait_until};

#[needs(redis)]
#[test]
fn a_failover_doubles_nothing_that_was_confirmed() {
    let master = Redis::start();
    let replica = Redis::start_with(&["--replicaof", &format!("127.0.0.1 {}", master.port())]);
    wait_until("the replica to follow", || master.ask(&["INFO", "replication"]).contains("state=online"));
    let sentinels = Sentinels::watch(&master, 1);
    let mut master = Some(master);
    doubles_nothing_that_was_confirmed(&sentinels, || {
        // Cut off: it hears nothing, and confirms nothing.
        replica.signal(Signal::SIGSTOP);
        thread::sleep(Duration::from_secs(2));
        // What the replica has not heard is gone with its master.
        master = None;
        replica.signal(Signal::SIGCONT);
        wait_for_or("the failover", || (sentinels.master()? == replica.port()).then_some(()), || sentinels.log());
    });
}

/// The replica and the Sentinels are in a network of their own. While its cable is pulled, they have a new master, and the old
/// one goes on taking what the hosts tell it: all that is lost when the cable is back.
#[needs(iproute2, network_namespaces, redis, root)]
#[test]
fn a_cut_network_with_a_master_on_each_side_doubles_nothing_that_was_confirmed() {
    let network = Arc::new(Namespace::with_cable());
    let (outside, inside) = (network.outside(), network.inside());
    let master = Redis::start_at(&outside, None, &["--repl-timeout", "5"]);
    let follow = format!("{outside} {}", master.port());
    let replica = Redis::start_at(&inside, Some(Arc::clone(&network)), &["--replicaof", &follow]);
    wait_until("the replica to follow", || master.ask(&["INFO", "replication"]).contains("state=online"));
    let sentinels = Sentinels::watch_from(&inside, Some(&network), &master, 1);
    doubles_nothing_that_was_confirmed(&sentinels, || {
        network.cut();
        wait_for_or(
            "a new master on the other side",
            || sentinels.log().contains("+switch-master").then_some(()),
            || sentinels.log(),
        );
        assert!(master.ask(&["ROLE"]).contains("master"), "the old one does not know");
        network.fix();
        wait_for_or("the failover", || (sentinels.master()? == replica.port()).then_some(()), || sentinels.log());
        wait_for_or(
            "the old master to follow the new one",
            || master.ask(&["ROLE"]).contains("slave").then_some(()),
            || sentinels.log(),
        );
    });
}

/// One host delivers mail while something happens; then another gets the same mail.
fn doubles_nothing_that_was_confirmed(sentinels: &Sentinels, happens: impl FnOnce()) {
    let application = application();
    application.drop_bodies();
    let shared = format!("url = \"{}\"\nreplicas = 1", sentinels.url());
    let (one, two) = (host("mx1", &application, &shared), host("mx2", &application, &shared));
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let delivered = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut lmtp = one.lmtp();
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let reply = lmtp.send(JANE, &[&recipient(number)], &message(number)).remove(0);
                    assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}: {}", one.log());
                    delivered.lock().unwrap().insert(number, reply);
                    // Not faster than the second host will ask.
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
        thread::sleep(Duration::from_secs(2));
        happens();
        thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
    });
    let delivered = delivered.into_inner().unwrap();
    let log = one.log();
    let (mut confirmed, mut unconfirmed, mut doubled) = (0, 0, 0);
    for (number, reply) in &delivered {
        let id = reply.rsplit("id=").next().unwrap();
        let is_confirmed = !lines(&log, &["verdict=delivered", "shared=claimed", &format!("id={id}")]).is_empty();
        // Of one that is not, the new master may know the claim alone: the copy waits, until the first host has told the rest.
        let no_longer_waits = |answer: &String| is_confirmed || !answer.starts_with("451 4.3.0 deferred: in-flight");
        let answer = wait_for("the first host to tell", || Some(send(&two, *number)).filter(no_longer_waits));
        let is_doubled = answer.starts_with("250 2.0.0 delivered");
        assert!(is_doubled || answer.starts_with("250 2.0.0 duplicate"), "{answer}");
        assert!(!(is_confirmed && is_doubled), "{number} was confirmed: {:#?}", lines(&log, &[id]));
        confirmed += usize::from(is_confirmed);
        unconfirmed += usize::from(!is_confirmed);
        doubled += usize::from(is_doubled);
    }
    println!("{} messages: {confirmed} confirmed, {unconfirmed} not, {doubled} handed over twice", delivered.len());
    assert!(confirmed > 0 && unconfirmed > 0, "{confirmed} confirmed, {unconfirmed} not: the failover met no load");
    assert_eq!(handed_over(&application).len(), delivered.len(), "no id is missing");
}
