//! How long a mail waits in mailhatch at low load.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::lmtp::{Lmtp, message};
use crate::place::{Kind, RECIPIENT, Setup};
use crate::postfix::{Postfix, Transport};
use crate::report::{Report, at_most, percentile};
use crate::support::dialogue::Dialogue;
use crate::webhook::Application;
use crate::{Options, servers};

/// Between two mails.
const PAUSE: Duration = Duration::from_millis(10);

pub fn measure(options: &Options, report: &mut Report) {
    let scratch = TempDir::new_in(&options.dir).unwrap();
    let application = Application::start(&scratch.path().join("app.sock"));
    let webhook = Setup::new(Kind::Webhook(application.url()));
    let targets = [
        servers::floor(&options.dir),
        servers::null("mailhatch, application that costs nothing", &options.dir, &Setup::new(Kind::Spool)),
        servers::mailhatch("mailhatch, webhook", &options.binary, &options.dir, &webhook),
        servers::mailhatch("mailhatch, spool", &options.binary, &options.dir, &Setup::new(Kind::Spool)),
    ];
    let mails = (options.seconds * 40.0) as u64 * options.rounds as u64;
    let mut takes = vec![Vec::new(); targets.len()];
    let mut clients: Vec<Lmtp> = targets.iter().map(|target| Lmtp::connect(&target.socket)).collect();
    let recipients = [RECIPIENT.to_owned()];
    for number in 0..mails {
        for (take, client) in takes.iter_mut().zip(&mut clients) {
            let text = message(number, 4096);
            let started = Instant::now();
            client.send(None, "jane@example.org", &recipients, &text);
            take.push(started.elapsed().as_secs_f64() * 1000.0);
            std::thread::sleep(PAUSE);
        }
    }
    let table = report.table(
        "Latency by LMTP, no DNS",
        &format!(
            "One mail of 4 KB every {} ms, from MAIL to the final reply; {mails} of each in turn.",
            PAUSE.as_millis()
        ),
        &["server", "median ms", "99 % ms", "median more than the floor, ms", "target"],
    );
    let floor = percentile(&mut takes[0].clone(), 50.0);
    for (target, take) in targets.iter().zip(&mut takes) {
        let median = percentile(take, 50.0);
        let goal = if target.name.ends_with("webhook") { at_most(median - floor, 2.0) } else { String::new() };
        table.row([
            target.name.to_owned(),
            format!("{median:.2}"),
            format!("{:.2}", percentile(take, 99.0)),
            format!("{:.2}", median - floor),
            goal,
        ]);
    }
    through_postfix(options, report, &application);
}

fn through_postfix(options: &Options, report: &mut Report, application: &Application) {
    if !Postfix::is_possible() {
        return;
    }
    let setup = Setup::new(Kind::Webhook(application.url()));
    let target = servers::mailhatch("service", &options.binary, &options.dir, &setup);
    let transport = Transport::lmtp("hatch", "hatch.test".to_owned(), &target.socket);
    let postfix = Postfix::start(&options.dir, &[transport]);
    let mails = (options.seconds * 20.0) as u64 * options.rounds as u64;
    let (mut takes, mut accepted) = (Vec::new(), Smtp::connect(postfix.port()));
    application.requests();
    for number in 0..mails {
        let at = accepted.send(number);
        let limit = Instant::now() + Duration::from_secs(30);
        let arrived = loop {
            if let Some(&first) = application.requests().first() {
                break first;
            }
            assert!(Instant::now() < limit, "no request: {}", postfix.log());
            std::thread::sleep(Duration::from_micros(100));
        };
        takes.push(arrived.saturating_duration_since(at).as_secs_f64() * 1000.0);
        std::thread::sleep(PAUSE);
    }
    let table = report.table(
        "Latency from Postfix's 250 to the application's request",
        &format!(
            "{mails} mails of 4 KB, one at a time, by SMTP to Postfix, LMTP to mailhatch, a webhook on a Unix socket."
        ),
        &["way", "median ms", "99 % ms"],
    );
    table.row([
        "smtpd, cleanup, qmgr, lmtp, mailhatch".to_owned(),
        format!("{:.2}", percentile(&mut takes, 50.0)),
        format!("{:.2}", percentile(&mut takes, 99.0)),
    ]);
}

/// An SMTP client that sees when its mail was accepted.
pub struct Smtp(pub Dialogue);

impl Smtp {
    pub fn connect(port: u16) -> Self {
        let mut client = Self(Dialogue::tcp(("127.0.0.1", port)).unwrap());
        client.0.expect("220");
        client.0.command("EHLO client.example.org", "250");
        client
    }

    fn send(&mut self, number: u64) -> Instant {
        self.0.command("MAIL FROM:<jane@example.org>", "250");
        self.0.command("RCPT TO:<incoming+0123456789abcdef@hatch.test>", "250");
        self.0.command("DATA", "354");
        self.send_text(&message(number, 4096));
        Instant::now()
    }

    /// Sends a message with its dot, which must be taken.
    pub fn send_text(&mut self, text: &[u8]) {
        self.0.write(text).unwrap();
        self.0.expect("250");
    }
}
