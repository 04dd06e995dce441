//! `make bench-apps`: mails a second and the time of one mail, beside the application's own script behind pipe(8).
//!
//! Both ways run alternately, through one Postfix into one application. The script runs in the Debian of the application, entered by
//! an unprivileged unshare(1); what that alone takes is in the report too. A third way is the floor: the same mails posted by one
//! curl(1), without Postfix and with nothing between: no way can be faster than the application is.

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
    /// `None`: no Postfix.
    recipient: Option<String>,
    rates: Vec<f64>,
    seconds: Vec<f64>,
    /// Delivery attempts of the mails that waited in the queue.
    tries: usize,
}

#[test]
#[ignore = "measures: make bench-apps"]
fn applications_beside_their_own_scripts() {
    let load = machine_load();
    let mut text = String::from(
        "| application | way | mails/s, each round | mails/s | tries a mail | median s of a mail |\n\
         | --- | --- | ---: | ---: | ---: | ---: |\n",
    );
    for kind in [Kind::ActionMailbox, Kind::Redmine, Kind::RequestTracker] {
        for Way { name, rates, seconds, tries, .. } in measure(kind) {
            let tries = tries as f64 / (ROUNDS * MAILS) as f64;
            let rounds: Vec<String> = rates.iter().map(|rate| format!("{rate:.1}")).collect();
            let (rounds, rate, seconds) = (rounds.join(", "), median(rates), median(seconds));
            writeln!(text, "| {} | {name} | {rounds} | {rate:.1} | {tries:.2} | {seconds:.2} |", kind.name()).unwrap();
        }
    }
    println!("{text}");
    let Some(out) = std::env::var_os("MAILHATCH_BENCH_OUT") else { return };
    let date = String::from_utf8(
        crate::support::process::run(std::process::Command::new("date").args(["-u", "+%Y-%m-%d"])).stdout,
    );
    let page = format!(
        "# Performance with applications\n\nWritten by `make bench-apps` on {}, {} processors, Debian 12. The load of the machine (`/proc/loadavg`, 1 minute) was {load} \
         before and {} behind.\n\n\
         Mails of 0.4 KB into one application, {ROUNDS} rounds, the ways alternately. *mails/s*: {MAILS} mails; with Postfix they wait in its queue, and what counts is\n\
         from `postqueue -f` until it is empty, 20 deliveries at once; the median of the rounds. *tries a mail*: a try more is a second or more of waiting for Postfix.\n\
         *median s of a mail*: {SINGLE} mails a round, one at a time, as Postfix's log has it (`delay=`): from its 250 to the application's yes. *The application alone*: \
         the same mails,\nposted by one curl(1), without Postfix and with nothing between.\n\n\
         Action Mailbox and Redmine run under puma with one thread, Request Tracker under starman with one process, each on SQLite: one mail at a time. mailhatch has\n\
         `concurrency = 4`.\n\n\
         Action Mailbox's script is its task `action_mailbox:ingress:postfix` alone; `bin/rails` would load the application for each mail first. Each script is\n\
         started in the application's Debian by unshare(1), which takes {:.3} s by itself.\n\n{text}",
        date.unwrap().trim(),
        std::thread::available_parallelism().unwrap(),
        machine_load(),
        enter_time(),
    );
    fs::write(out, page).unwrap();
}

fn measure(kind: Kind) -> [Way; 3] {
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
    let way = |name, recipient| Way { name, recipient, rates: Vec::new(), seconds: Vec::new(), tries: 0 };
    let mut ways = [
        way("the application alone", None),
        way("mailhatch", Some(usual_address(kind))),
        way(script_name(kind), Some(format!("general@{SCRIPT}"))),
    ];
    let mut number = 0;
    // The first mail of an application is slower than all others.
    for round in 0..=ROUNDS {
        for way in &mut ways {
            let mut mail = |recipient: &str| {
                number += 1;
                Mail::new(kind, &format!("speed {number}"), "", b"One of many.").to(recipient)
            };
            let Some(recipient) = &way.recipient else {
                let mut post = |mails: usize, at_once: usize| {
                    let mails: Vec<Mail> = (0..mails).map(|_| mail("")).collect();
                    posted(&tracker, &mails, at_once)
                };
                if round == 0 {
                    post(1, 1);
                    continue;
                }
                way.seconds.extend(post(SINGLE, 1).1);
                way.rates.push(MAILS as f64 / post(MAILS, 20).0);
                way.tries += MAILS;
                continue;
            };
            let mut mail = || mail(recipient);
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
            // Before Postfix has read its new settings it may have delivered one.
            let waiting = postfix.wait_for("mails in the queue", || {
                let queued = postfix.queue();
                let gone = ids.iter().filter(|id| postfix.log().contains(&format!(" {id}: removed"))).count();
                let all = queued.len() + gone == MAILS && queued.iter().all(|mail| !mail.delay_reasons.is_empty());
                all.then_some(queued.len())
            });
            postfix.set(&["defer_transports=", "queue_run_delay=1s", "minimal_backoff_time=1s"]);
            std::thread::sleep(Duration::from_millis(500));
            let started = Instant::now();
            postfix.flush();
            postfix.wait_for("an empty queue", || postfix.queue().is_empty().then_some(()));
            way.rates.push(waiting as f64 / started.elapsed().as_secs_f64());
            for id in ids {
                let lines = postfix.deliveries(&id);
                delivered(lines.last().unwrap());
                // That line is of defer_transports.
                way.tries += lines.iter().filter(|line| !line.contains("(deferred transport)")).count();
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

/// The seconds of all, and of each, posted straight to the application by one curl(1), so many at once.
#[track_caller]
fn posted(tracker: &Tracker, mails: &[Mail], at_once: usize) -> (f64, Vec<f64>) {
    let (kind, url) = (tracker.application.kind, tracker.application.url());
    let path = |number: usize| tracker.site.postfix.path(&format!("posted-{number}"));
    let mut requests = Vec::new();
    for (number, mail) in mails.iter().enumerate() {
        let file = path(number);
        fs::write(&file, &mail.text).unwrap();
        let file = file.display();
        requests.push(match kind {
            Kind::ActionMailbox => format!(
                "url = \"{url}/rails/action_mailbox/relay/inbound_emails\"\nuser = \"actionmailbox:{SECRET}\"\n\
                 header = \"Content-Type: message/rfc822\"\ndata-binary = \"@{file}\"\n"
            ),
            Kind::Redmine => format!(
                "url = \"{url}/mail_handler\"\nform = \"key={SECRET}\"\nform = \"issue[project]=general\"\n\
                 form = \"email=<{file};type=text/plain\"\n"
            ),
            Kind::RequestTracker => format!(
                "url = \"{url}/REST/1.0/NoAuth/mail-gateway\"\nform = \"queue=General\"\nform = \"action=correspond\"\n\
                 form = \"message=<{file}\"\n"
            ),
        } + "silent\nfail\noutput = \"/dev/null\"\nwrite-out = \"%{time_total}\\n\"\n");
    }
    let configuration = tracker.site.postfix.path("posted.curl");
    fs::write(&configuration, requests.join("next\n")).unwrap();
    let mut curl = std::process::Command::new("curl");
    curl.arg("--parallel").arg("--parallel-immediate").args(["--parallel-max", &at_once.to_string(), "--config"]);
    let started = Instant::now();
    let output = crate::support::process::run(curl.arg(&configuration));
    let all = started.elapsed().as_secs_f64();
    assert!(output.status.success(), "{output:?}\n{}", tracker.application.log());
    let each: Vec<f64> =
        String::from_utf8(output.stdout).unwrap().lines().map(|seconds| seconds.parse().unwrap()).collect();
    assert_eq!(each.len(), mails.len(), "{each:?}");
    (all, each)
}

/// The load average of the last minute.
fn machine_load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap().to_owned()
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
