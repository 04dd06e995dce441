//! What a site feels: mails a second from the first one sent to a real Postfix until its queue is empty.

use tempfile::TempDir;

use crate::Options;
use crate::place::{Kind, Setup, empty};
use crate::postfix::{AT_ONCE, Postfix, Transport};
use crate::report::{Report, at_least, median};
use crate::servers::{self, Target};
use crate::webhook::Application;

/// A server behind Postfix, and what of the floor's rate it is to reach.
struct Destination {
    transport: &'static str,
    target: Target,
    goal: Option<f64>,
}

impl Destination {
    fn recipient(&self) -> String {
        format!("incoming+{}@app.example.com", self.transport)
    }
}

pub fn measure(options: &Options, report: &mut Report) {
    if !Postfix::is_possible() {
        return;
    }
    let scratch = TempDir::new_in(&options.dir).unwrap();
    let application = Application::start(&scratch.path().join("app.sock"));
    let mailhatch = |name, kind| servers::mailhatch(name, &options.binary, &options.dir, &Setup::new(kind));
    let destination = |transport, target, goal| Destination { transport, target, goal };
    let mut destinations = vec![
        destination("floor", servers::floor(&options.dir), None),
        destination("webhook", mailhatch("mailhatch, webhook", Kind::Webhook(application.url())), Some(0.95)),
        destination("spool", mailhatch("mailhatch, spool", Kind::Spool), Some(0.9)),
        destination("gitlab", mailhatch("mailhatch, GitLab", Kind::Gitlab(application.root())), Some(0.95)),
    ];
    destinations.extend(servers::dovecot(&options.dir).map(|target| destination("dovecot", target, None)));
    let transports: Vec<Transport> = destinations
        .iter()
        .map(|destination| Transport::lmtp(destination.transport, destination.recipient(), &destination.target.socket))
        .collect();
    let postfix = Postfix::start(&options.dir, &transports);
    for octets in [4096, 102_400] {
        let mails = (options.seconds * 600.0) as usize;
        let mut rates = vec![Vec::new(); destinations.len()];
        let mut costs = rates.clone();
        for _ in 0..options.rounds {
            for ((rate, cost), destination) in rates.iter_mut().zip(&mut costs).zip(&destinations) {
                let before = destination.target.server.cpu();
                rate.push(mails as f64 / postfix.deliver(&destination.recipient(), mails, octets).as_secs_f64());
                cost.push((destination.target.server.cpu() - before).as_secs_f64() * 1000.0 / mails as f64);
            }
        }
        postfix.assert_all_delivered();
        destinations.iter().filter_map(|destination| destination.target.spool.as_deref()).for_each(empty);
        crate::process::run("sync", &[]);
        let table = report.table(
            &format!("Through Postfix by LMTP, {} KB", octets / 1024),
            &format!(
                "{mails} mails by smtp-source to a private Postfix, {AT_ONCE} deliveries at once; from the first mail sent \
                 until the queue is empty. The CPU time is that of the server behind Postfix."
            ),
            &["behind Postfix", "mails/s", "CPU ms/mail", "to floor", "target"],
        );
        for ((rate, cost), Destination { target, goal, .. }) in rates.iter().zip(costs).zip(&destinations) {
            let ratio = median(rate.iter().zip(&rates[0]).map(|(this, floor)| this / floor).collect());
            table.row([
                target.name.to_owned(),
                format!("{:.0}", median(rate.clone())),
                format!("{:.3}", median(cost)),
                format!("{ratio:.2}"),
                goal.map_or(String::new(), |goal| at_least(ratio, goal)),
            ]);
        }
    }
}
