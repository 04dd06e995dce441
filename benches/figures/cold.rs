//! What one process a mail costs: start it, hand it the mail, wait for its end.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use tempfile::TempDir;

use crate::lmtp::message;
use crate::place::{Kind, Place, RECIPIENT, Setup};
use crate::report::{Report, at_most, percentile};
use crate::webhook::Application;
use crate::{Options, servers};

struct Candidate {
    name: &'static str,
    program: String,
    config: Option<String>,
    takes: Vec<f64>,
    cpu: f64,
}

pub fn measure(options: &Options, report: &mut Report) {
    let scratch = TempDir::new_in(&options.dir).unwrap();
    let application = Application::start(&scratch.path().join("app.sock"));
    let webhook = Place::new(&options.dir, &Setup::new(Kind::Webhook(application.url())));
    let spool = Place::new(&options.dir, &Setup::new(Kind::Spool));
    let served = Setup::new(Kind::Webhook(application.url()));
    // A service beside it keeps the ledger open, as on a host that uses both.
    let service = servers::mailhatch("service", &options.binary, &options.dir, &served);
    let binary = options.binary.to_str().unwrap();
    let candidate = |name, program: &str, place: Option<&Place>| Candidate {
        name,
        program: program.to_owned(),
        config: place.map(|place| place.config().to_str().unwrap().to_owned()),
        takes: Vec::new(),
        cpu: 0.0,
    };
    let mut candidates = [
        candidate("/bin/true", "/bin/true", None),
        candidate("/bin/cat", "/bin/cat", None),
        candidate("mailhatch pipe, webhook", binary, Some(&webhook)),
        candidate("mailhatch pipe, webhook, ledger open elsewhere", binary, Some(service.place())),
        candidate("mailhatch pipe, spool", binary, Some(&spool)),
    ];
    let rounds = (options.seconds * 40.0) as u64 * options.rounds as u64;
    for number in 0..rounds {
        for (index, candidate) in candidates.iter_mut().enumerate() {
            candidate.run(&message(number * 16 + index as u64, 8192), number >= 3);
        }
    }
    let table = report.table(
        "pipe: the cold cost of one mail",
        &format!("Spawn, 8 KB on standard input, wait; {rounds} of each in turn."),
        &["command", "median ms", "99 % ms", "CPU ms", "to /bin/true", "target"],
    );
    let floor = percentile(&mut candidates[0].takes.clone(), 50.0);
    for candidate in &mut candidates {
        let median = percentile(&mut candidate.takes, 50.0);
        let goal = match candidate.name {
            "mailhatch pipe, webhook" => at_most(median / floor, 4.0),
            _ => String::new(),
        };
        table.row([
            candidate.name.to_owned(),
            format!("{median:.2}"),
            format!("{:.2}", percentile(&mut candidate.takes, 99.0)),
            format!("{:.2}", candidate.cpu / candidate.takes.len() as f64),
            format!("{:.2}", median / floor),
            goal,
        ]);
    }
}

impl Candidate {
    fn run(&mut self, message: &[u8], counts: bool) {
        let mut command = Command::new(&self.program);
        if let Some(config) = &self.config {
            command.args(["--config", config, "pipe", "--sender=jane@example.org", "--queue-id=4XyZ"]);
            command.arg(format!("--recipient={RECIPIENT}")).arg("--client-address=8.8.4.4");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let (before, started) = (children_cpu(), Instant::now());
        let mut child = command.spawn().unwrap();
        // /bin/true does not read.
        let _ = child.stdin.take().unwrap().write_all(message);
        let status = child.wait().unwrap();
        let took = started.elapsed().as_secs_f64() * 1000.0;
        assert!(status.success(), "{}: {status}", self.name);
        if counts {
            self.takes.push(took);
            self.cpu += children_cpu() - before;
        }
    }
}

/// Milliseconds that children that have ended used of the processors.
fn children_cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() as f64 * 1000.0 + time.tv_usec() as f64 / 1000.0)
        .sum()
}
