//! One campaign: mail goes in while everything fails; then everything works, the queue drains, and the books are made up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::application::Application;
use crate::evidence::Evidence;
use crate::mail::Mail;
use crate::report::Report;
use crate::sender::send;
use crate::site::{Site, until};
use crate::support::process::run as run_command;
use crate::support::site::Variant;
use crate::trouble::{trouble_everything_else, trouble_the_application};

/// What a campaign is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub variant: Variant,
    pub seed: u64,
    pub messages: usize,
    /// How fast mail comes in.
    pub per_second: usize,
}

/// Connections that mail comes in by.
const SENDERS: usize = 6;

/// How long the queue may take to drain when everything works again; the gate before an application alone may take one.
pub const DRAIN: Duration = Duration::from_secs(240);

/// Runs it.
pub fn run(plan: Plan) -> Report {
    let Plan { variant, seed, messages, .. } = plan;
    println!("seed {seed}: {messages} messages over {variant:?}");
    let started = Instant::now();
    let mut site = Site::prepare(variant);
    let application = Application::start(&site.postfix.path("run"), seed);
    site.start();
    let (stop, submissions) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut played = thread::scope(|scope| {
        let system = scope.spawn(|| trouble_everything_else(&site, &application, seed, &stop));
        let of_application = scope.spawn(|| trouble_the_application(&application, seed, &stop));
        send_all(&plan, site.postfix.port(), &submissions);
        stop.store(true, Ordering::SeqCst);
        let mut played = system.join().unwrap();
        played.extend(of_application.join().unwrap());
        played
    });
    played.retain(|_, times| *times > 0);
    let troubled = started.elapsed();
    drain(&site);
    let mut evidence = Evidence::gather(&site, &application, plan);
    if played.contains_key("ClockAhead") && evidence.jumps == 0 {
        evidence.wrong.push("nobody noticed that the clock jumped".to_owned());
    }
    Report { plan, submissions: submissions.into_inner(), played, troubled, whole: started.elapsed(), evidence }
}

/// Sends every message, at the planned pace.
fn send_all(plan: &Plan, port: u16, submissions: &AtomicUsize) {
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
                    for _ in 0..1 + usize::from(mail.comes_twice) {
                        submissions.fetch_add(send(port, &mail), Ordering::SeqCst);
                    }
                }
            });
        }
    });
}

/// Everything works; waits until nothing is left to do, and stops mailhatch in good order.
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
    site.stop_service();
}
