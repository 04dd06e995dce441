//! What a ledger that several hosts share costs: one host and two, with it and without, and a process of pipe.

use std::process::Command;
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use crate::lmtp::{message, smtp_source};
use crate::place::{Kind, Place, RECIPIENT, Setup, empty};
use crate::report::{Report, at_least, at_most, median};
use crate::servers::{self, Target};
use crate::support::process::run_with_input;
use crate::support::redis::Redis;
use crate::webhook::Application;
use crate::{Options, support};

const OCTETS: usize = 4096;

/// Over all hosts.
const SESSIONS: usize = 16;

/// Hosts that get mail at the same time.
struct Site {
    name: &'static str,
    hosts: Vec<Target>,
}

pub fn measure(options: &Options, report: &mut Report) {
    if let Some(missing) = support::parts::missing("redis").unwrap() {
        eprintln!("  {missing}: left out");
        return;
    }
    let scratch = TempDir::new_in(&options.dir).unwrap();
    let application = Application::start(&scratch.path().join("app.sock"));
    let redis = Redis::start();
    let setup = |hostname, shared: bool| Setup {
        hostname,
        shared: shared.then(|| redis.url()),
        ..Setup::new(Kind::Webhook(application.url()))
    };
    measure_serve(options, report, &redis, &setup);
    measure_pipe(options, report, &setup);
}

fn measure_serve(options: &Options, report: &mut Report, redis: &Redis, setup: &dyn Fn(&'static str, bool) -> Setup) {
    let host = |name, shared| servers::mailhatch(name, &options.binary, &options.dir, &setup(name, shared));
    let sites = [
        Site { name: "one host", hosts: vec![host("mx1", false)] },
        Site { name: "one host, [shared]", hosts: vec![host("mx1", true)] },
        Site { name: "two hosts", hosts: vec![host("mx1", false), host("mx2", false)] },
        Site { name: "two hosts, [shared]", hosts: vec![host("mx1", true), host("mx2", true)] },
    ];
    let mut rates = vec![Vec::new(); sites.len()];
    let mut cpu = vec![Vec::new(); sites.len()];
    let mut mails = 0;
    for round in 0..=options.rounds {
        for (index, site) in sites.iter().enumerate() {
            redis.ask(&["FLUSHALL"]);
            // The first round finds out how many mails take the time wanted.
            let each = (if round == 0 { 1600 } else { mails }) / site.hosts.len();
            let before: f64 = site.hosts.iter().map(|host| host.server.cpu().as_secs_f64()).sum();
            let started = Instant::now();
            thread::scope(|scope| {
                for host in &site.hosts {
                    scope.spawn(|| smtp_source(&host.socket, SESSIONS / site.hosts.len(), OCTETS, each));
                }
            });
            let (took, count) = (started.elapsed().as_secs_f64(), (each * site.hosts.len()) as f64);
            let after: f64 = site.hosts.iter().map(|host| host.server.cpu().as_secs_f64()).sum();
            if round == 0 {
                mails = if index == 0 { (count / took * options.seconds) as usize / 2 * 2 } else { mails };
            } else {
                rates[index].push(count / took);
                cpu[index].push((after - before) * 1000.0 / count);
            }
        }
    }
    sites.iter().flat_map(|site| &site.hosts).filter_map(|host| host.spool.as_deref()).for_each(empty);
    let table = report.table(
        "A shared ledger: serve",
        &format!(
            "{mails} mails of {} KB over {SESSIONS} sessions in all, to a webhook; Redis on loopback. Load, application,\n\
             Redis and all hosts are on the same processors. The ratio is to the same hosts without `[shared]` in the same\n\
             round.",
            OCTETS / 1024
        ),
        &["site", "mails/s", "CPU ms/mail", "to without", "target"],
    );
    for (index, site) in sites.iter().enumerate() {
        let without = index / 2 * 2;
        let ratio = median(rates[index].iter().zip(&rates[without]).map(|(this, other)| this / other).collect());
        table.row([
            site.name.to_owned(),
            format!("{:.0}", median(rates[index].clone())),
            format!("{:.3}", median(cpu[index].clone())),
            format!("{ratio:.2}"),
            if index == 1 { at_least(ratio, 0.8) } else { String::new() },
        ]);
    }
}

fn measure_pipe(options: &Options, report: &mut Report, setup: &dyn Fn(&'static str, bool) -> Setup) {
    let places = [("mx3", false), ("mx4", true)].map(|(name, shared)| Place::new(&options.dir, &setup(name, shared)));
    let mails = (options.seconds * 40.0) as u64 * options.rounds as u64;
    let mut takes = [Vec::new(), Vec::new()];
    for number in 0..mails {
        for (index, place) in places.iter().enumerate() {
            let text = message(number * 2 + index as u64, OCTETS);
            let mut command = Command::new(&options.binary);
            command.arg("--config").arg(place.config());
            command.args(["pipe", "--sender=jane@example.org", &format!("--recipient={RECIPIENT}")]);
            let started = Instant::now();
            let output = run_with_input(&mut command, &text);
            takes[index].push(started.elapsed().as_secs_f64() * 1000.0);
            assert!(String::from_utf8_lossy(&output.stdout).starts_with("2.0.0 delivered"), "{output:?}");
        }
    }
    let table = report.table(
        "A shared ledger: pipe",
        &format!("One process a mail of {} KB, to a webhook; {mails} of each in turn.", OCTETS / 1024),
        &["pipe", "median ms", "more, ms", "target"],
    );
    let [without, with] = takes.map(median);
    table.row(["without".to_owned(), format!("{without:.2}"), String::new(), String::new()]);
    let more = with - without;
    table.row(["[shared]".to_owned(), format!("{with:.2}"), format!("{more:.2}"), at_most(more, 1.5)]);
}
