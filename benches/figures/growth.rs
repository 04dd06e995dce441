//! How the cost of a mail grows with its size and its recipients, and that it does not with mailboxes and the ledger.

use std::path::Path;
use std::time::Instant;

use crate::Options;
use crate::lmtp::{Lmtp, message, message_with_attachment};
use crate::place::{Kind, RECIPIENT, Setup};
use crate::process::run;
use crate::report::{Report, at_most, median};
use crate::servers::{self, Target};

/// Milliseconds of the processors and of the clock for one mail.
#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

pub fn measure(options: &Options, report: &mut Report) {
    let null = servers::null("null", &options.dir, &Setup::new(Kind::Spool));
    let spool = servers::mailhatch("spool", &options.binary, &options.dir, &Setup::new(Kind::Spool));
    let table = report.table(
        "Growth with the size of a mail",
        "One session; CPU of mailhatch a mail, with an application that costs nothing and with a spool.",
        &["size", "null CPU ms", "null ms", "spool CPU ms", "spool ms", "spool MiB/s"],
    );
    for (name, octets) in SIZES {
        let make = |number| message(number, octets);
        let (at_null, at_spool) = (cost(options, &null, 1, &make), cost(options, &spool, 1, &make));
        table.row([
            name.to_owned(),
            format!("{:.3}", at_null.cpu),
            format!("{:.2}", at_null.wall),
            format!("{:.3}", at_spool.cpu),
            format!("{:.2}", at_spool.wall),
            format!("{:.0}", octets as f64 / 1048.576 / at_spool.wall),
        ]);
    }
    let table = report.table(
        "Growth with an attachment",
        "The same with a base64 attachment; a spool's event carries no attachments, so they stand in message.eml only.",
        &["size", "null CPU ms", "null ms", "spool CPU ms", "spool ms"],
    );
    for (name, octets) in SIZES.into_iter().skip(2) {
        let make = |number| message_with_attachment(number, octets);
        let (at_null, at_spool) = (cost(options, &null, 1, &make), cost(options, &spool, 1, &make));
        table.row([
            name.to_owned(),
            format!("{:.3}", at_null.cpu),
            format!("{:.2}", at_null.wall),
            format!("{:.3}", at_spool.cpu),
            format!("{:.2}", at_spool.wall),
        ]);
    }
    let table = report.table(
        "Growth with recipients",
        "One mail of 4 KB to so many keys: each is an event of its own.",
        &["recipients", "null CPU ms", "null ms", "CPU ms a recipient", "spool ms"],
    );
    for recipients in [1, 2, 5, 10, 50, 100] {
        let make = |number| message(number, 4096);
        let (at_null, at_spool) = (cost(options, &null, recipients, &make), cost(options, &spool, recipients, &make));
        table.row([
            recipients.to_string(),
            format!("{:.3}", at_null.cpu),
            format!("{:.2}", at_null.wall),
            format!("{:.3}", at_null.cpu / recipients as f64),
            format!("{:.2}", at_spool.wall),
        ]);
    }
    with_mailboxes(options, report);
    with_ledger(options, report);
}

const SIZES: [(&str, usize); 6] = [
    ("1 KB", 1 << 10),
    ("10 KB", 10 << 10),
    ("100 KB", 100 << 10),
    ("1 MB", 1 << 20),
    ("10 MB", 10 << 20),
    ("49 MB", 49 << 20),
];

fn with_mailboxes(options: &Options, report: &mut Report) {
    let targets: Vec<(usize, Target, f64)> = [1, 100, 10_000]
        .map(|mailboxes| {
            let mut setup = Setup::new(Kind::Spool);
            setup.mailboxes = mailboxes;
            let target = servers::null("mailboxes", &options.dir, &setup);
            let (_, took) = servers::mailhatch_timed(&options.binary, &options.dir, &setup);
            (mailboxes, target, took.as_secs_f64() * 1000.0)
        })
        .into();
    let costs = alternate(options, targets.iter().map(|(_, target, _)| target));
    let table = report.table(
        "Growth with mailboxes",
        "An application that costs nothing, 4 KB, one session; the mailbox that matches is the last one.",
        &["mailboxes", "CPU ms/mail", "ms/mail", "to the smallest", "start ms", "MiB", "target"],
    );
    for (index, (mailboxes, target, start)) in targets.iter().enumerate() {
        let ratio = costs[index].cpu / costs[0].cpu;
        table.row([
            mailboxes.to_string(),
            format!("{:.3}", costs[index].cpu),
            format!("{:.2}", costs[index].wall),
            format!("{ratio:.2}"),
            format!("{start:.0}"),
            format!("{:.0}", target.server.memory().0 as f64 / 1048576.0),
            if index + 1 == targets.len() { at_most(ratio, 1.5) } else { String::new() },
        ]);
    }
}

fn with_ledger(options: &Options, report: &mut Report) {
    let sizes = [0, options.ledger / 100, options.ledger];
    let targets: Vec<(u64, Target)> = sizes
        .map(|entries| {
            let target = servers::null("ledger", &options.dir, &Setup::new(Kind::Spool));
            // The first question makes the ledger.
            cost_of(&target, 1, 1, 1 << 40, &|number| message(number, 4096));
            fill_ledger(&target.place().path("state/ledger.sqlite"), entries);
            (entries, target)
        })
        .into();
    let costs = alternate(options, targets.iter().map(|(_, target)| target));
    let table = report.table(
        "Growth with the ledger",
        "An application that costs nothing, 4 KB, one session, deliveries already in the ledger.",
        &["entries", "CPU ms/mail", "ms/mail", "to the smallest", "ledger MiB", "process MiB", "target"],
    );
    for (index, (entries, target)) in targets.iter().enumerate() {
        let ratio = costs[index].cpu / costs[0].cpu;
        let file = std::fs::metadata(target.place().path("state/ledger.sqlite")).unwrap().len();
        table.row([
            entries.to_string(),
            format!("{:.3}", costs[index].cpu),
            format!("{:.2}", costs[index].wall),
            format!("{ratio:.2}"),
            format!("{:.0}", file as f64 / 1048576.0),
            format!("{:.0}", target.server.memory().0 as f64 / 1048576.0),
            if index + 1 == targets.len() { at_most(ratio, 1.5) } else { String::new() },
        ]);
    }
}

fn fill_ledger(path: &Path, entries: u64) {
    let mut connection = rusqlite::Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let now: i64 = run("date", &["+%s"]).trim().parse().unwrap();
    let transaction = connection.transaction().unwrap();
    transaction
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT OR IGNORE INTO delivery (id, begun, delivered) SELECT randomblob(16), ?2, ?2 FROM n WHERE ?1 > 0",
            (entries as i64, now),
        )
        .unwrap();
    transaction.commit().unwrap();
    connection.pragma_query(None, "wal_checkpoint", |_| Ok(())).unwrap();
}

/// Several servers in turn, each with mails of 4 KB.
fn alternate<'t>(options: &Options, targets: impl Iterator<Item = &'t Target> + Clone) -> Vec<Cost> {
    let mut costs = vec![Vec::new(); targets.clone().count()];
    for round in 0..options.rounds as u64 {
        for (index, target) in targets.clone().enumerate() {
            let mails = (options.seconds * 1000.0) as u64;
            costs[index].push(cost_of(target, 1, mails, round << 32, &|number| message(number, 4096)));
        }
    }
    costs.into_iter().map(middle).collect()
}

fn cost(options: &Options, target: &Target, recipients: usize, make: &dyn Fn(u64) -> Vec<u8>) -> Cost {
    let started = Instant::now();
    cost_of(target, recipients, 1, fresh(), make);
    let one = started.elapsed().as_secs_f64();
    let mails = (options.seconds / one).clamp(3.0, 2000.0) as u64;
    middle((0..options.rounds.min(3)).map(|_| cost_of(target, recipients, mails, fresh(), make)).collect())
}

fn middle(costs: Vec<Cost>) -> Cost {
    Cost {
        cpu: median(costs.iter().map(|cost| cost.cpu).collect()),
        wall: median(costs.iter().map(|cost| cost.wall).collect()),
    }
}

/// A number that no mail had before.
fn fresh() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    (1 << 50) + (NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) << 20)
}

fn cost_of(target: &Target, recipients: usize, mails: u64, first: u64, make: &dyn Fn(u64) -> Vec<u8>) -> Cost {
    let recipients: Vec<String> =
        (0..recipients).map(|number| RECIPIENT.replace("+", &format!("+{number}-"))).collect();
    let mut client = Lmtp::connect(&target.socket);
    let before = target.server.cpu();
    let mut wall = 0.0;
    for number in 0..mails {
        let data = make(first + number);
        let started = Instant::now();
        client.send(None, "jane@example.org", &recipients, &data);
        wall += started.elapsed().as_secs_f64() * 1000.0;
    }
    let cpu = (target.server.cpu() - before).as_secs_f64() * 1000.0;
    if let Some(spool) = &target.spool {
        crate::place::empty(spool);
    }
    Cost { cpu: cpu / mails as f64, wall: wall / mails as f64 }
}
