//! `mailhatch fetch` on two hosts: one reads, the other stands by.

use nix::sys::signal::Signal;

use crate::servers::Dovecot;
use crate::site::{Site, address, append, inbox, message};
use crate::support::config::{BASE, SPOOL};
use crate::support::needs;
use crate::support::redis::Redis;
use crate::support::wait::wait_until;

fn host(name: &str, server: &Dovecot, redis: &Redis) -> Site {
    let base = BASE.replace("mx.example.com", name);
    let inbox = inbox(server.imap(), "since = \"all\"");
    Site::with(&format!("{base}{SPOOL}{inbox}[shared]\nurl = \"{}\"\n", redis.url()))
}

#[needs(dovecot_imap, redis, root)]
#[test]
fn one_host_reads_and_the_other_takes_over_when_it_is_killed() {
    let (server, redis) = (Dovecot::start(), Redis::start());
    let mut client = server.client();
    append(&mut client, [message(&address(1), "one")]);
    let (one, two) = (host("mx1", &server, &redis), host("mx2", &server, &redis));
    let first = one.fetch();
    wait_until("the first message", || one.spooled() == ["one"]);
    let once = two.once().expect(1);
    assert!(once.err().contains("host mx1"), "{}", once.err());
    let second = two.fetch();
    wait_until("the stand-by", || second.log().contains("event=stand-by"));
    append(&mut client, [message(&address(2), "two")]);
    wait_until("the second message", || one.spooled().len() == 2);
    first.kill();
    append(&mut client, [message(&address(3), "three")]);
    wait_until("the stand-by to take over", || two.spooled() == ["three"]);
    assert!(second.log().contains("event=takes-over"), "{}", second.log());
}

#[needs(crash_points, dovecot_imap, redis, root)]
#[test]
fn a_reader_that_is_stopped_beyond_its_lease_is_taken_over_and_stands_by_when_it_goes_on() {
    let (server, redis) = (Dovecot::start(), Redis::start());
    let mut client = server.client();
    append(&mut client, [message(&address(1), "one")]);
    let (one, two) = (host("mx1", &server, &redis), host("mx2", &server, &redis));
    // The lease is 3 s instead of 30.
    let environment = [("MAILHATCH_SECOND", "100")];
    let first = one.fetch_with(&environment);
    wait_until("the first message", || one.spooled() == ["one"]);
    let second = two.fetch_with(&environment);
    wait_until("the stand-by", || second.log().contains("event=stand-by"));
    first.signal(Signal::SIGSTOP);
    append(&mut client, [message(&address(2), "two")]);
    wait_until("the stand-by to take over", || two.spooled() == ["two"]);
    assert!(second.log().contains("event=takes-over"), "{}", second.log());
    first.signal(Signal::SIGCONT);
    wait_until("the first to stand by", || first.log().contains("event=stand-by"));
    append(&mut client, [message(&address(3), "three")]);
    wait_until("the third message", || two.spooled().len() == 2);
    // Whatever the first host did before it knew: nothing is handed over twice.
    assert_eq!(one.spooled(), ["one"], "{}", first.log());
    let mut of_two = two.spooled();
    of_two.sort();
    assert_eq!(of_two, ["three", "two"], "{}", second.log());
}
