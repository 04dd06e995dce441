//! The fault campaign: mail through a real Postfix to an application while everything around fails, at random and from a
//! seed. At the end nothing is lost, nothing doubled without a reason, nothing bounced.
//!
//! `make faults` runs it in full size; a small one is a test like any other. `MAILHATCH_FAULTS_SEED` repeats the plan of a
//! run (the mail, and which fault follows which); its timing is the machine's own.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may panic, and prints its result"
)]

mod application;
mod campaign;
mod evidence;
mod links;
mod mail;
mod report;
mod seed;
mod sender;
mod servers;
mod site;
mod soak;
#[path = "../support/mod.rs"]
mod support;
mod trouble;

use campaign::{Plan, Way, run};
use support::needs;

/// The seed of the small campaigns, which must be the same everywhere.
const FIXED_SEED: u64 = 20_261_122;

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// A campaign in full size; the seed is the environment's, or the time's.
fn full(way: Way, messages: usize) {
    let random = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let seed = from_environment("MAILHATCH_FAULTS_SEED").unwrap_or_else(random);
    let messages = from_environment("MAILHATCH_FAULTS_MESSAGES").unwrap_or(messages);
    let per_second = if way == Way::Lmtp { 32 } else { 8 };
    run(Plan { way, seed, messages, per_second }).print_and_judge();
}

#[needs(faketime, mounts, postfix, root)]
#[test]
fn small_campaign_over_lmtp() {
    run(Plan { way: Way::Lmtp, seed: FIXED_SEED, messages: 300, per_second: 8 }).print_and_judge();
}

#[needs(faketime, mounts, postfix, root)]
#[test]
fn small_campaign_over_pipe() {
    run(Plan { way: Way::Pipe, seed: FIXED_SEED, messages: 100, per_second: 3 }).print_and_judge();
}

#[needs(faketime, mounts, postfix, redis, root)]
#[test]
fn small_campaign_on_two_hosts() {
    run(Plan { way: Way::TwoHosts, seed: FIXED_SEED, messages: 150, per_second: 4 }).print_and_judge();
}

#[test]
#[ignore = "takes minutes: make faults"]
fn full_campaign_over_lmtp() {
    full(Way::Lmtp, 5000);
}

#[test]
#[ignore = "takes minutes: make faults"]
fn full_campaign_over_pipe() {
    full(Way::Pipe, 1000);
}

#[test]
#[ignore = "takes minutes: make faults-hosts"]
fn two_hosts_in_full_size() {
    full(Way::TwoHosts, 1000);
}

#[needs(dovecot_imap, mounts, postfix, root)]
#[test]
#[ignore = "takes an hour: make soak"]
fn soak_over_all_ways() {
    let seconds = from_environment("MAILHATCH_SOAK_SECONDS").unwrap_or(3600);
    let program = from_environment("MAILHATCH_BINARY").unwrap_or_else(|| support::place::MAILHATCH.into());
    let directory = from_environment("MAILHATCH_SOAK_DIRECTORY").unwrap_or_else(|| "target/soak".into());
    soak::run(soak::Plan { seconds, seed: from_environment("MAILHATCH_FAULTS_SEED").unwrap_or(1), program, directory });
}
