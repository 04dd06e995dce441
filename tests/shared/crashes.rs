//! A host that is killed between the application's yes and what the others know.

use std::os::unix::process::ExitStatusExt;

use crate::deliveries::waiting;
use crate::hosts::{JANE, application, handed_over, host, message, place, recipient, send, shared};
use crate::support::http_server::HttpServer;
use crate::support::needs;
use crate::support::place::Place;
use crate::support::redis::Redis;
use crate::support::service::{Service, stuffed};
use crate::support::wait::{wait_for, wait_until};

/// Kills host 1 at a crash point while it has the message.
fn killed_at(point: &str, application: &HttpServer, shared: &str) -> Place {
    let service = Service::start_in(place("mx1", application, shared), &[("MAILHATCH_CRASH", point)]);
    let mut lmtp = service.lmtp();
    lmtp.begin(JANE, &[&recipient(1)]);
    lmtp.write(stuffed(&message(1)));
    lmtp.rest();
    let (status, place) = service.ended();
    assert_eq!(status.signal(), Some(9), "{point}: {status}");
    place
}

#[needs(crash_points, redis)]
#[test]
fn killed_before_its_record_a_host_leaves_a_lease_and_a_copy_goes_out_with_the_same_id() {
    let (redis, application) = (Redis::start(), application());
    let _one = killed_at("app-acknowledged", &application, &shared(&redis));
    let two = host("mx2", &application, &shared(&redis));
    let reply = send(&two, 1);
    assert!(reply.starts_with("451 4.3.0 deferred: in-flight"), "within the lease: {reply}");
    let keys = redis.keys("d");
    assert_eq!(keys.len(), 1);
    // The lease ends by itself; nobody waits for that here.
    assert!(redis.ask(&["PEXPIRE", &keys[0], "1"]).starts_with(":1"));
    wait_until("the lease to end", || redis.keys("d").is_empty());
    let reply = send(&two, 1);
    assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
    assert_eq!(handed_over(&application).into_values().collect::<Vec<_>>(), [2], "twice, with one id");
}

#[needs(crash_points, redis)]
#[test]
fn killed_before_the_others_know_a_host_tells_them_when_it_starts_again() {
    let (redis, application) = (Redis::start(), application());
    let one = killed_at("delivery-unshared", &application, &shared(&redis));
    assert_eq!(waiting(&one), 1);
    let two = host("mx2", &application, &shared(&redis));
    let reply = send(&two, 1);
    assert!(reply.starts_with("451 4.3.0 deferred: in-flight"), "within the lease: {reply}");
    let one = Service::start_in(one, &[]);
    let reply = wait_for("the other host to be told", || Some(send(&two, 1)).filter(|reply| reply.starts_with("250")));
    assert!(reply.starts_with("250 2.0.0 duplicate"), "{reply}");
    wait_until("the row to go", || waiting(&one.place) == 0);
    assert_eq!(handed_over(&application).into_values().collect::<Vec<_>>(), [1]);
}

#[needs(crash_points, redis)]
#[test]
fn killed_after_the_others_know_a_host_changes_nothing() {
    let (redis, application) = (Redis::start(), application());
    let _one = killed_at("delivery-recorded", &application, &shared(&redis));
    let two = host("mx2", &application, &shared(&redis));
    let reply = send(&two, 1);
    assert!(reply.starts_with("250 2.0.0 duplicate"), "{reply}");
    assert_eq!(handed_over(&application).into_values().collect::<Vec<_>>(), [1]);
}
