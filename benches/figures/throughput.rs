//! Mails a second by LMTP, and what each costs the processors.

use std::time::Instant;

use tempfile::TempDir;

use crate::Options;
use crate::lmtp::{Lmtp, message, smtp_source};
use crate::place::{Kind, Setup, empty};
use crate::report::{Report, at_least, median};
use crate::servers::{self, Target};
use crate::support::name_server::{NameServer, Zone};
use crate::webhook::Application;

/// One measurement.
#[derive(Clone, Copy)]
struct Sample {
    rate: f64,
    cpu: f64,
}

const NULL: &str = "mailhatch, application that costs nothing";
const SPOOL: &str = "mailhatch, spool";

pub fn measure(options: &Options, report: &mut Report) {
    let scratch = TempDir::new_in(&options.dir).unwrap();
    let application = Application::start(&scratch.path().join("app.sock"));
    let mut targets = vec![
        servers::floor(&options.dir),
        servers::null(NULL, &options.dir, &Setup::new(Kind::Spool)),
        servers::mailhatch(SPOOL, &options.binary, &options.dir, &Setup::new(Kind::Spool)),
        servers::mailhatch(
            "mailhatch, webhook",
            &options.binary,
            &options.dir,
            &Setup::new(Kind::Webhook(application.url())),
        ),
    ];
    targets.extend(servers::dovecot(&options.dir));
    for (sessions, octets) in [(1, 4096), (16, 4096), (50, 4096), (1, 102_400), (16, 102_400), (50, 102_400)] {
        let samples = alternate(options, &targets, sessions, octets);
        let table = report.table(
            &format!("LMTP, {sessions} sessions, {} KB", octets / 1024),
            "smtp-source -L -d; the ratio is to the floor in the same round, the last columns to Dovecot and the target.",
            &["server", "mails/s", "CPU ms/mail", "to floor", "to Dovecot", "target"],
        );
        let dovecot = targets.iter().position(|target| target.name.starts_with("Dovecot"));
        for (index, target) in targets.iter().enumerate() {
            let ratio = |to: usize| {
                median(samples[index].iter().zip(&samples[to]).map(|(this, other)| this.rate / other.rate).collect())
            };
            let goal = match (target.name, dovecot) {
                (NULL, _) if sessions == 16 && octets == 4096 => {
                    let goals = [Some(at_least(ratio(0), 1.0)), dovecot.map(|d| at_least(ratio(d), 10.0))];
                    goals.into_iter().flatten().collect::<Vec<_>>().join(", ")
                }
                (SPOOL, Some(dovecot)) if sessions == 16 => at_least(ratio(dovecot), 2.0),
                _ => String::new(),
            };
            table.row([
                target.name.to_owned(),
                format!("{:.0}", median(samples[index].iter().map(|sample| sample.rate).collect())),
                format!("{:.3}", median(samples[index].iter().map(|sample| sample.cpu).collect())),
                format!("{:.2}", ratio(0)),
                dovecot.map_or(String::new(), |dovecot| format!("{:.1}", ratio(dovecot))),
                goal,
            ]);
        }
    }
}

/// All servers in turn, as often as there are rounds.
fn alternate(options: &Options, targets: &[Target], sessions: usize, octets: usize) -> Vec<Vec<Sample>> {
    let mut samples = vec![Vec::new(); targets.len()];
    let mut counts = vec![0; targets.len()];
    for _ in 0..options.rounds {
        for (index, target) in targets.iter().enumerate() {
            if counts[index] == 0 {
                let probe = (sessions * 10).max(100);
                let took = smtp_source(&target.socket, sessions, octets, probe);
                let wanted = probe as f64 / took.as_secs_f64() * options.seconds;
                // What a spool holds until all rounds are over must not fill the disk.
                counts[index] = (wanted as usize).clamp(probe, 2_000_000_000 / octets);
            }
            let before = target.server.cpu();
            let took = smtp_source(&target.socket, sessions, octets, counts[index]);
            let cpu = (target.server.cpu() - before).as_secs_f64() * 1000.0 / counts[index] as f64;
            samples[index].push(Sample { rate: counts[index] as f64 / took.as_secs_f64(), cpu });
        }
    }
    // Not between two measurements: the disk would work at it while the next server is measured.
    targets.iter().filter_map(|target| target.spool.as_deref()).for_each(empty);
    crate::process::run("sync", &[]);
    samples
}

/// Every mail is rejected and its sender told: a held copy, SPF, DMARC, the ledger's reservation, and a mail to the MTA.
pub fn measure_notices(options: &Options, report: &mut Report) {
    // A public address: SPF is not asked about clients of documentation networks.
    let zone = Zone::new().txt("example.org", "v=spf1 ip4:8.8.4.0/24 -all");
    let name_server = NameServer::start(zone);
    let port = crate::postfix::free_port();
    let mut sink = std::process::Command::new("smtp-sink");
    sink.args(["-u", "root", &format!("127.0.0.1:{port}"), "256"]);
    let scratch = TempDir::new_in(&options.dir).unwrap();
    let _sink = crate::process::Server::start(&mut sink, &scratch.path().join("log"));
    let mut setup = Setup::new(Kind::Spool);
    setup.name_server = Some(name_server.address());
    setup.notices = Some(([127, 0, 0, 1], port).into());
    let target =
        servers::mailhatch("mailhatch, each mail rejected with a notice", &options.binary, &options.dir, &setup);
    let sessions = 16;
    let each = (options.seconds * 60.0) as u64 + 1;
    let started = Instant::now();
    std::thread::scope(|scope| {
        for session in 0..sessions {
            let socket = &target.socket;
            scope.spawn(move || {
                let mut client = Lmtp::connect(socket);
                for number in 0..each {
                    let sender = format!("user{session}-{number}@example.org");
                    let text = String::from_utf8(message(session * 1_000_000 + number, 4096)).unwrap();
                    let text = text.replace("incoming+0123456789abcdef@app.example.com", "nobody@app.example.com");
                    let recipients = ["nobody@app.example.com".to_owned()];
                    let client_address = "ADDR=8.8.4.4 NAME=mail.example.org HELO=mail.example.org";
                    client.send(Some(client_address), &sender, &recipients, text.as_bytes());
                }
            });
        }
    });
    let (took, mails) = (started.elapsed().as_secs_f64(), (sessions * each) as f64);
    let log = std::fs::read_to_string(target.place().path("log")).unwrap();
    let sent = log.matches("notice=sent").count();
    let table = report.table(
        "LMTP with notices, 16 sessions, 4 KB",
        "Unknown recipients, SPF passes against a loopback name server, the notice goes to smtp-sink.",
        &["server", "mails/s", "CPU ms/mail", "notices sent"],
    );
    table.row([
        target.name.to_owned(),
        format!("{:.0}", mails / took),
        format!("{:.3}", target.server.cpu().as_secs_f64() * 1000.0 / mails),
        format!("{sent} of {mails}"),
    ]);
}
