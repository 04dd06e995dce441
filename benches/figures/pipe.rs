//! Mails a second through a real Postfix's pipe(8).

use std::fs;

use tempfile::TempDir;

use crate::Options;
use crate::place::{Kind, Place, Setup};
use crate::postfix::{AT_ONCE, Postfix, Transport};
use crate::report::{Report, at_least, median};
use crate::webhook::Application;

/// The user that pipe(8) runs commands as.
const USER: &str = "nobody";

/// Postfix stops reading a command's output at some 4 KB, and `cat` would end in an error.
const OCTETS: usize = 2048;

pub fn measure(options: &Options, report: &mut Report) {
    if !Postfix::is_possible() {
        return;
    }
    let scratch = TempDir::new_in(&options.dir).unwrap();
    let application = Application::start(&scratch.path().join("app.sock"));
    crate::process::run("chmod", &["755", scratch.path().to_str().unwrap()]);
    let webhook = Place::new(&options.dir, &Setup::new(Kind::Webhook(application.url())));
    let spool = Place::new(&options.dir, &Setup::new(Kind::Spool));
    // Where Postfix's user can run it, wherever it was built.
    let binary = scratch.path().join("mailhatch");
    fs::copy(&options.binary, &binary).unwrap();
    let mailhatch = |place: &Place| {
        place.give_to(USER);
        format!(
            "- n n - {AT_ONCE} pipe flags= user={USER} null_sender= argv={} --config {} pipe --sender=${{sender}} \
             --recipient=incoming+key@app.example.com --client-address=${{client_address}} --queue-id=${{queue_id}}",
            binary.display(),
            place.config().display()
        )
    };
    let transport = |name, service| Transport {
        name,
        service,
        recipient: format!("incoming+0123456789abcdef@{name}.test"),
        nexthop: String::new(),
    };
    let transports = [
        transport("cat", format!("- n n - {AT_ONCE} pipe user={USER} argv=/bin/cat")),
        transport("webhook", mailhatch(&webhook)),
        transport("spool", mailhatch(&spool)),
    ];
    let postfix = Postfix::start(&options.dir, &transports);
    let mails = (options.seconds * 400.0) as usize;
    let mut rates = vec![Vec::new(); transports.len()];
    for _ in 0..options.rounds.min(3) {
        for (rate, Transport { name, recipient, .. }) in rates.iter_mut().zip(&transports) {
            rate.push(mails as f64 / postfix.deliver_queued(name, recipient, mails, OCTETS).as_secs_f64());
        }
    }
    postfix.assert_all_delivered();
    let table = report.table(
        "pipe: mails/s through Postfix",
        &format!("{mails} mails of 2 KB wait in the queue; from `postqueue -f` until it is empty, {AT_ONCE} at once."),
        &["command", "mails/s", "to cat", "target"],
    );
    for (index, Transport { name, .. }) in transports.iter().enumerate() {
        let ratio = median(rates[index].iter().zip(&rates[0]).map(|(this, cat)| this / cat).collect());
        table.row([
            if *name == "cat" { "/bin/cat".to_owned() } else { format!("mailhatch pipe, {name}") },
            format!("{:.0}", median(rates[index].clone())),
            format!("{ratio:.2}"),
            if *name == "webhook" { at_least(ratio, 0.8) } else { String::new() },
        ]);
    }
}
