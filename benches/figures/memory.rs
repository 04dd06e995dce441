//! Memory, size and start-up time.

use std::os::unix::net::UnixStream;

use tempfile::TempDir;

use crate::lmtp::{Lmtp, message, message_with_attachment, smtp_source};
use crate::place::{Kind, RECIPIENT, Setup};
use crate::report::{Report, at_most, mebibytes, median};
use crate::webhook::Application;
use crate::{Options, servers};

const LARGE: usize = 25 * 1024 * 1024;

pub fn measure(options: &Options, report: &mut Report) {
    let scratch = TempDir::new_in(&options.dir).unwrap();
    let application = Application::start(&scratch.path().join("app.sock"));
    let mut rows = Vec::new();
    let mib = |octets: u64| octets as f64 / 1024.0 / 1024.0;
    let size = std::fs::metadata(&options.binary).unwrap().len();
    rows.push(["size of the binary".to_owned(), mebibytes(size), String::new()]);

    let setup = Setup::new(Kind::Spool);
    let starts = (0..options.rounds.max(3) * 2).map(|_| {
        let (_target, took) = servers::mailhatch_timed(&options.binary, &options.dir, &setup);
        took.as_secs_f64() * 1000.0
    });
    rows.push([
        "start until the socket answers".to_owned(),
        format!("{:.1} ms", median(starts.collect())),
        String::new(),
    ]);

    let target = servers::mailhatch("idle", &options.binary, &options.dir, &setup);
    let idle = target.server.memory().0;
    rows.push(["memory, idle after start".to_owned(), mebibytes(idle), at_most(mib(idle), 12.0)]);
    let mut client = Lmtp::connect(&target.socket);
    client.send(None, "jane@example.org", &[RECIPIENT.to_owned()], &message(0, 4096));
    let warm = target.server.memory().0;
    rows.push(["memory, idle after one mail".to_owned(), mebibytes(warm), at_most(mib(warm), 12.0)]);
    let connections: Vec<UnixStream> = (0..199).map(|_| UnixStream::connect(&target.socket).unwrap()).collect();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let crowded = target.server.memory().0;
    rows.push(["memory, 200 connections open".to_owned(), mebibytes(crowded), String::new()]);
    drop(connections);
    drop(client);

    let count = (options.seconds * 10_000.0) as usize;
    let mut after = Vec::new();
    for part in 0..4 {
        smtp_source(&target.socket, 50, 4096, count / 4);
        crate::place::empty(target.spool.as_ref().unwrap());
        let now = target.server.memory().0;
        after.push(now);
        let mails = (part + 1) * count / 4;
        rows.push([format!("memory after {mails} mails, 50 sessions"), mebibytes(now), String::new()]);
    }

    let gitlab = Setup::new(Kind::Gitlab(application.root()));
    let webhook = Setup::new(Kind::Webhook(application.url()));
    let large = message_with_attachment(1, LARGE);
    for (name, setup, raw) in [("spool", setup, true), ("gitlab", gitlab, true), ("webhook", webhook, false)] {
        let target = servers::mailhatch("large", &options.binary, &options.dir, &setup);
        let mut client = Lmtp::connect(&target.socket);
        client.send(None, "jane@example.org", &[RECIPIENT.to_owned()], &message(0, 4096));
        let before = target.server.memory().0;
        target.server.forget_peak();
        client.send(None, "jane@example.org", &[RECIPIENT.to_owned()], &large);
        let more = target.server.memory().1.saturating_sub(before);
        let goal = if raw { at_most(mib(more), 40.0) } else { String::new() };
        rows.push([format!("more at the peak for a mail of 25 MiB, {name}"), mebibytes(more), goal]);
    }
    let table = report.table(
        "Memory, size, start",
        "Resident memory of the process (VmRSS, VmHWM).",
        &["what", "figure", "target"],
    );
    rows.into_iter().for_each(|row| table.row(row));
}
