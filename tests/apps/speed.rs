//! `make bench-apps`: mails a second and the time of one mail, beside the application's own script behind pipe(8).
//!
//! Both ways run alternately, through one Postfix into one application. The script runs in the Debian of the application, entered by
//! an unprivileged unshare(1); what that alone takes is in the report too.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::application::{Kind, SECRET, root};
use crate::site::{Mail, Tracker, usual_address};
use crate::support::postfix::USER;

const ROUNDS: usize = 3;
const MAILS: usize = 40;
const SINGLE: usize = 15;

/// The domain whose mail goes to the script.
const SCRIPT: &str = "script.example.com";

/// How mail gets to the application.
struct Way {
    name: &'static str,
    recipient: String,
    rates: Vec<f64>,
    seconds: Vec<f64>,
}

#[test]
#[ignore = "measures: make bench-apps"]
fn applications_beside_their_own_scripts() {
    let mut text = String::from("| application | way | mails/s | median s of a mail |\n| --- | --- | ---: | ---: |\n");
    for kind in [Kind::ActionMailbox, Kind::Redmine, Kind::RequestTracker] {
        for Way { name, rates, seconds, .. } in measure(kind) {
            let (rate, seconds) = (median(rates), median(seconds));
            writeln!(text, "| {} | {name} | {rate:.1} | {seconds:.2} |", kind.name()).unwrap();
        }
    }
    println!("{text}");
    let Some(out) = std::env::var_os("MAILHATCH_BENCH_OUT") else { return };
    let date = String::from_utf8(
        crate::support::process::run(std::process::Command::new("date").args(["-u", "+%Y-%m-%d"])).stdout,
    );
    let page = format!(
        "# Performance with applications\n\nWritten by `make bench-apps` on {}, {} processors, Debian 12; a build of mailhatch without optimisation.\n\n\
         Mails of 0.4 KB through one Postfix into one application, {ROUNDS} rounds, both ways alternately. *mails/s*: {MAILS} mails wait in the queue; from\n\
         `postqueue -f` until it is empty, 20 deliveries at once; the median of the rounds. *median s of a mail*: {SINGLE} mails a round, one at a time, as Postfix's log has\n\
         it (`delay=`): from its 250 to the application's yes. Action Mailbox and Redmine run under puma with one thread, Request Tracker under starman with\n\
         two processes, each on SQLite: the application is what takes the time, and what a process for each mail costs comes on top of it on the same processors.\n\n\
         Action Mailbox's script is its task `action_mailbox:ingress:postfix` alone; `bin/rails` would load the application for each mail first. Each script is\n\
         started in the application's Debian by unshare(1), which takes {:.3} s by itself.\n\n{text}",
        date.unwrap().trim(),
        std::thread::available_parallelism().unwrap(),
        enter_time(),
    );
    fs::write(out, page).unwrap();
}

fn measure(kind: Kind) -> [Way; 2] {
    let tracker = Tracker::start(kind);
    let script = tracker.site.postfix.path("script.sh");
    fs::write(&script, format!("exec {} {}\n", enter(), command(kind, &tracker.application.url()))).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let postfix = &tracker.site.postfix;
    postfix.add_service(&format!("script unix - n n - 20 pipe flags= user={USER} argv=/bin/sh {}", script.display()));
    postfix.route(SCRIPT, "script:");
    postfix.set(&[
        "smtpd_relay_restrictions=check_client_access static:OK, reject_unauth_destination",
        "script_destination_recipient_limit=1",
        "script_destination_concurrency_limit=20",
    ]);
    let way = |name, recipient| Way { name, recipient, rates: Vec::new(), seconds: Vec::new() };
    let mut ways = [way("mailhatch", usual_address(kind)), way(script_name(kind), format!("general@{SCRIPT}"))];
    let mut number = 0;
    // The first mail of an application is slower than all others.
    for round in 0..=ROUNDS {
        for way in &mut ways {
            let mut mail = || {
                number += 1;
                Mail::new(kind, &format!("speed {number}"), "", b"One of many.").to(&way.recipient)
            };
            if round == 0 {
                delivered(&tracker.deliver(&mail()));
                continue;
            }
            for _ in 0..SINGLE {
                way.seconds.push(delivered(&tracker.deliver(&mail())));
            }
            postfix.set(&[
                "defer_transports=script mailhatch-lmtp",
                "queue_run_delay=1000s",
                "minimal_backoff_time=1000s",
            ]);
            let ids: Vec<String> = (0..MAILS).map(|_| tracker.submit(&mail())).collect();
            postfix.wait_for("mails in the queue", || {
                let queued = postfix.queue();
                (queued.len() == MAILS && queued.iter().all(|mail| !mail.delay_reasons.is_empty())).then_some(())
            });
            postfix.set(&["defer_transports=", "queue_run_delay=1s", "minimal_backoff_time=1s"]);
            std::thread::sleep(Duration::from_millis(500));
            let started = Instant::now();
            postfix.flush();
            postfix.wait_for("an empty queue", || postfix.queue().is_empty().then_some(()));
            way.rates.push(MAILS as f64 / started.elapsed().as_secs_f64());
            for id in ids {
                let lines = postfix.deliveries(&id);
                delivered(lines.last().unwrap());
            }
        }
    }
    tracker.site.postfix.assert_nobody_was_written_to();
    assert_eq!(tracker.application.arrived().len(), number, "{}", tracker.application.log());
    ways
}

/// The seconds of a delivery, which must be a good one.
#[track_caller]
fn delivered(line: &str) -> f64 {
    assert!(line.contains("status=sent"), "{line}");
    let delay = line.split(" delay=").nth(1).and_then(|rest| rest.split(',').next());
    delay.and_then(|delay| delay.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

fn enter() -> String {
    format!("unshare --map-root-user --root={} --wd=/", root().display())
}

/// What it takes to enter the Debian of the application.
fn enter_time() -> f64 {
    let times = (0..20).map(|_| {
        let started = Instant::now();
        let mut command = std::process::Command::new("sh");
        crate::support::process::succeed(command.args(["-c", &format!("{} true", enter())]));
        started.elapsed().as_secs_f64()
    });
    median(times.collect())
}

fn script_name(kind: Kind) -> &'static str {
    match kind {
        Kind::ActionMailbox => "rake action_mailbox:ingress:postfix",
        Kind::Redmine => "rdm-mailhandler.rb",
        Kind::RequestTracker => "rt-mailgate",
    }
}

fn command(kind: Kind, url: &str) -> String {
    match kind {
        Kind::ActionMailbox => format!(
            "env HOME=/tmp URL={url}/rails/action_mailbox/relay/inbound_emails INGRESS_PASSWORD={SECRET} ruby -rbase64 -rrake -e '\
             include Rake::DSL; load Gem::Specification.find_by_name(\"actionmailbox\").gem_dir + \"/lib/tasks/ingress.rake\"; \
             Rake::Task[\"action_mailbox:ingress:postfix\"].invoke'"
        ),
        Kind::Redmine => format!(
            "ruby /usr/share/redmine/extra/mail_handler/rdm-mailhandler.rb --url {url} --key {SECRET} --project general"
        ),
        Kind::RequestTracker => {
            format!("perl /usr/bin/rt-mailgate-5 --queue General --action correspond --url {url}")
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
