//! Notices of two hosts: one to a sender, and limits that count all hosts together.

use std::thread;

use crate::hosts::shared;
use crate::support::name_server::{NameServer, Zone};
use crate::support::needs;
use crate::support::place::Place;
use crate::support::redis::Redis;
use crate::support::service::Service;
use crate::support::smtp_server::SmtpServer;

fn host(name: &str, names: &NameServer, mta: &SmtpServer, shared: &str, limits: &str) -> Service {
    let config = format!(
        "hostname = \"{name}\"\nstate_dir = \"{{dir}}/state\"\n[listen]\nlmtp = [\"unix:{{dir}}/lmtp.sock\"]\n\
         [[mailbox]]\nname = \"m\"\naddress = \"incoming+%{{key}}@mail.example.com\"\nactions = \"gitlab\"\napp = \"spool\"\n\
         [[app]]\nname = \"spool\"\nkind = \"spool\"\npath = \"{{dir}}/spool\"\n\
         [auth]\nnameservers = [\"{}\"]\n[notice]\nsmtp = \"{}\"\n{limits}\n[shared]\n{shared}\n[log]\nto = \"stderr\"\n",
        names.address(),
        mta.address(),
    );
    Service::start_in(Place::new(&config), &[])
}

/// One message to an address that nobody has.
fn refused(host: &Service, sender: &str, number: usize) {
    let mut lmtp = host.lmtp();
    lmtp.command("XFORWARD ADDR=203.0.113.7 NAME=mail.example.org HELO=mail.example.org", "250");
    let message = format!("From: <{sender}>\r\nMessage-ID: <{number}@x.example>\r\nSubject: {number}\r\n\r\nhello\r\n");
    loop {
        let reply = lmtp.send(sender, &["nobody@mail.example.com"], message.as_bytes()).remove(0);
        if reply.starts_with("250 2.0.0 rejected: unknown-address") {
            return;
        }
        // Another copy's notice is being sent.
        assert!(reply.starts_with("451"), "{reply}: {}", host.log());
        lmtp.command("XFORWARD ADDR=203.0.113.7 NAME=mail.example.org HELO=mail.example.org", "250");
    }
}

fn names() -> NameServer {
    NameServer::start(Zone::new().txt("proven.example", "v=spf1 ip4:203.0.113.7 -all"))
}

#[needs(redis)]
#[test]
fn a_hundred_refusals_on_two_hosts_make_one_notice_to_their_sender() {
    let (redis, names, mta) = (Redis::start(), names(), SmtpServer::start());
    let hosts = ["mx1", "mx2"].map(|name| host(name, &names, &mta, &shared(&redis), ""));
    thread::scope(|scope| {
        for (at, host) in hosts.iter().enumerate() {
            scope.spawn(move || (0..50).for_each(|number| refused(host, "jane@proven.example", number * 2 + at)));
        }
    });
    assert_eq!(mta.taken().len(), 1);
    assert!(redis.keys("a").iter().all(|key| !key.contains("jane")), "{:?}", redis.keys("a"));
    assert_eq!(redis.keys("n").len(), 1);
}

#[needs(redis)]
#[test]
fn the_limit_in_total_counts_the_notices_of_all_hosts() {
    let (redis, names, mta) = (Redis::start(), names(), SmtpServer::start());
    let limits = "total_per_hour = 10\nper_domain_per_hour = 100";
    let hosts = ["mx1", "mx2"].map(|name| host(name, &names, &mta, &shared(&redis), limits));
    thread::scope(|scope| {
        for (at, host) in hosts.iter().enumerate() {
            scope.spawn(move || {
                for number in 0..20 {
                    let number = number * 2 + at;
                    refused(host, &format!("sender{number}@proven.example"), number);
                }
            });
        }
    });
    assert_eq!(mta.taken().len(), 10);
}

#[needs(redis)]
#[test]
fn while_redis_is_away_each_host_counts_for_itself() {
    let (mut redis, names, mta) = (Redis::start(), names(), SmtpServer::start());
    let hosts = ["mx1", "mx2"].map(|name| host(name, &names, &mta, &shared(&redis), ""));
    redis.kill();
    for (number, host) in hosts.iter().enumerate() {
        refused(host, "jane@proven.example", number);
        refused(host, "jane@proven.example", 10 + number);
    }
    assert_eq!(mta.taken().len(), 2, "one from each host");
}
