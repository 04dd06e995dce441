//! One campaign: mail goes in while everything fails; then everything works, the queues drain, and the books are made up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::application::Application;
use crate::evidence::Evidence;
use crate::mail::Mail;
use crate::report::Report;
use crate::sender::send;
use crate::site::{Host, Site, until};
use crate::support::process::run as run_command;
use crate::support::redis::Redis;
use crate::support::site::Variant;
use crate::trouble::{Played, trouble_everything_else, trouble_the_application, trouble_the_store};

/// The way of mail to mailhatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Lmtp,
    Pipe,
    /// LMTP on two hosts, each with a Postfix and a ledger of its own, and one Redis. Much mail comes in on both.
    TwoHosts,
}

/// What a campaign is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub way: Way,
    pub seed: u64,
    pub messages: usize,
    /// How fast mail comes in.
    pub per_second: usize,
}

impl Plan {
    /// The hosts that message `number` comes in on, one after the other.
    pub fn hosts(&self, number: usize, mail: &Mail) -> Vec<usize> {
        let second = (mail.comes_twice || number % 4 < 2).then_some(1 - number % 2);
        match self.way {
            Way::TwoHosts => [number % 2].into_iter().chain(second).collect(),
            Way::Lmtp | Way::Pipe => vec![0; 1 + usize::from(mail.comes_twice)],
        }
    }
}

/// Connections that mail comes in by.
const SENDERS: usize = 6;

/// How long the queue may take to drain when everything works again; the gate before an application alone may take one.
pub const DRAIN: Duration = Duration::from_secs(240);

/// Runs it.
pub fn run(plan: Plan) -> Report {
    let Plan { way, seed, messages, .. } = plan;
    println!("seed {seed}: {messages} messages over {way:?}");
    let started = Instant::now();
    let (mut sites, mut store) = prepare(way);
    let application = Application::start(&sites[0].postfix.path("run"), seed);
    sites.iter_mut().for_each(Site::start);
    let (stop, submissions) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut played = thread::scope(|scope| {
        let (stop, application, store) = (&stop, &application, &mut store);
        let systems: Vec<_> = sites
            .iter()
            .zip(seed..)
            .map(|(site, seed)| scope.spawn(move || trouble_everything_else(site, application, seed, stop)))
            .collect();
        let of_application = scope.spawn(|| trouble_the_application(application, seed, stop));
        let of_store =
            scope.spawn(|| store.as_mut().map(|redis| trouble_the_store(redis, seed, stop)).unwrap_or_default());
        send_all(&plan, &sites, &submissions);
        stop.store(true, Ordering::SeqCst);
        let mut played = Played::new();
        for troubles in systems.into_iter().chain([of_application, of_store]) {
            for (name, times) in troubles.join().unwrap() {
                *played.entry(name).or_default() += times;
            }
        }
        played
    });
    played.retain(|_, times| *times > 0);
    let troubled = started.elapsed();
    sites.iter().for_each(drain);
    sites.iter().for_each(|site| site.stop_service());
    let mut evidence = Evidence::gather(&sites, &application, plan);
    if played.contains_key("ClockAhead") && evidence.jumps == 0 {
        evidence.wrong.push("nobody noticed that the clock jumped".to_owned());
    }
    Report { plan, submissions: submissions.into_inner(), played, troubled, whole: started.elapsed(), evidence }
}

/// The hosts, not running, and what they share.
fn prepare(way: Way) -> (Vec<Site>, Option<Redis>) {
    let variant = if way == Way::Pipe { Variant::Pipe } else { Variant::Lmtp };
    if way != Way::TwoHosts {
        return (vec![Site::prepare(variant, Host::alone(String::new()))], None);
    }
    // With everysec, a server that is killed while its disk is busy has answered what it has not written: no host could know.
    let redis = Redis::start_with(&["--appendfsync", "always"]);
    let sections = format!("[shared]\nurl = \"{}\"", redis.url());
    let one = Site::prepare(variant, Host { name: "mx1", application: None, sections: sections.clone() });
    let application = Some(one.postfix.path("run"));
    let two = Site::prepare(variant, Host { name: "mx2", application, sections });
    (vec![one, two], Some(redis))
}

/// Sends every message, at the planned pace.
fn send_all(plan: &Plan, sites: &[Site], submissions: &AtomicUsize) {
    let (start, next) = (Instant::now(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= plan.messages {
                        return;
                    }
                    let turn = start + Duration::from_millis((number * 1000 / plan.per_second) as u64);
                    thread::sleep(turn.saturating_duration_since(Instant::now()));
                    let mail = Mail::new(plan.seed, number);
                    for host in plan.hosts(number, &mail) {
                        submissions.fetch_add(send(sites[host].postfix.port(), &mail), Ordering::SeqCst);
                    }
                }
            });
        }
    });
}

/// Everything works; waits until nothing is left to do.
pub fn drain(site: &Site) {
    let mut flushed = Instant::now();
    let empty = until(DRAIN, || {
        site.start_service();
        if flushed.elapsed() > Duration::from_secs(2) {
            site.postfix.flush();
            flushed = Instant::now();
        }
        site.postfix.queue().is_empty()
    });
    if !empty {
        println!("the queue did not drain in {DRAIN:?}: {:#?}", site.postfix.queue());
    }
    // A process whose Postfix was stopped goes on without it.
    until(Duration::from_secs(60), || site.pipe_processes().is_empty());
    // What waits for the application is handed over by the service; with pipe alone, by a timer.
    let handed_over = until(DRAIN, || {
        if site.variant == Variant::Pipe {
            run_command(&mut site.mailhatch(&["held", "release", "--waiting"]));
        }
        !site.held().contains("held: patience")
    });
    if !handed_over {
        println!("held messages were not handed over in {DRAIN:?}:\n{}", site.held());
    }
}
