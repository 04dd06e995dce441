//! Many messages to addresses that nobody has, through the running service: those that prove nothing make no notice, those
//! that do make no more than the limits allow, and each that gets none has its reason in the log.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use crate::support::name_server::{NameServer, Zone};
use crate::support::service::{Place, Service};
use crate::support::smtp_server::SmtpServer;

/// Messages of one kind.
const MESSAGES: usize = 10_000;
const SENDERS: usize = 100;
const SESSIONS: usize = 4;

struct Flood {
    service: Service,
    mta: SmtpServer,
    _names: NameServer,
}

impl Flood {
    fn start() -> Self {
        let mut zone = Zone::new().txt("proven.example", "v=spf1 ip4:203.0.113.7 -all");
        // The domains that are forged: with each kind of record, and with none.
        for (number, record) in ["-all", "~all", "?all", "ip4:192.0.2.1", "+all", "moo"].iter().enumerate() {
            zone = zone.txt(&format!("victim{number}.example"), &format!("v=spf1 {record}"));
        }
        let names = NameServer::start(zone);
        let mta = SmtpServer::start();
        let config = format!(
            "hostname = \"mx.example.com\"\nstate_dir = \"{{dir}}/state\"\n[listen]\nlmtp = [\"unix:{{dir}}/lmtp.sock\"]\n\
             [[mailbox]]\nname = \"m\"\naddress = \"incoming+%{{key}}@mail.example.com\"\nactions = \"any\"\napp = \"spool\"\n\
             [[app]]\nname = \"spool\"\nkind = \"spool\"\npath = \"{{dir}}/spool\"\n\
             [held]\nmax_size = \"40MiB\"\n[auth]\nnameservers = [\"{}\"]\n[notice]\nsmtp = \"{}\"\n[log]\nto = \"stderr\"\n",
            names.address(),
            mta.address(),
        );
        Self { service: Service::start_in(Place::in_memory(&config), &[]), mta, _names: names }
    }

    /// Sends that many messages, over several sessions at once; gives how many log lines have which `notice`.
    fn send(&self, sender: impl Fn(usize) -> String + Sync) -> BTreeMap<String, usize> {
        let before = self.service.log().len();
        let started = Instant::now();
        std::thread::scope(|scope| {
            for session in 0..SESSIONS {
                let sender = &sender;
                scope.spawn(move || {
                    let mut lmtp = self.service.lmtp();
                    for number in (session..MESSAGES).step_by(SESSIONS) {
                        let xforward = "XFORWARD ADDR=203.0.113.7 NAME=mail.example.org HELO=proven.example";
                        lmtp.command(xforward, "250");
                        let from = sender(number);
                        let message = format!(
                            "From: <{from}>\r\nMessage-ID: <{number}@x.example>\r\nSubject: {number}\r\n\r\nhello\r\n"
                        );
                        let recipient = format!("nobody{number}@mail.example.com");
                        let reply = lmtp.send(&from, &[&recipient], message.as_bytes()).remove(0);
                        assert!(
                            reply.starts_with("250 2.0.0 rejected: unknown-address"),
                            "{reply}\n{}",
                            self.service.log().lines().last().unwrap_or_default()
                        );
                    }
                });
            }
        });
        let log = self.service.log();
        let mut counts = BTreeMap::new();
        for line in log[before..].lines().filter(|line| line.contains(" verdict=rejected ")) {
            let notice = line.split(" notice=").nth(1).expect("a reason");
            let reason = match notice.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next().unwrap_or_default(),
                None => notice.split(' ').next().unwrap_or_default(),
            };
            *counts.entry(reason.to_owned()).or_insert(0) += 1;
        }
        // Past the capture of the test runner: the counts are to be seen.
        let mut out = std::io::stderr().lock();
        let seconds = started.elapsed().as_secs_f64();
        writeln!(out, "flood: {MESSAGES} messages in {seconds:.1} s, by what became of their notice:").unwrap();
        for (reason, count) in &counts {
            writeln!(out, "flood: {count:>7}  {reason}").unwrap();
        }
        counts
    }
}

#[test]
fn spoofed_senders_get_nothing_and_proven_ones_no_more_than_the_limits_allow() {
    let flood = Flood::start();
    let counts = flood.send(|number| format!("person{number}@victim{}.example", number % 8));
    assert_eq!(counts.values().sum::<usize>(), MESSAGES, "{counts:?}");
    assert!(counts.keys().all(|reason| reason.starts_with("withheld: spf=")), "{counts:?}");
    assert_eq!(flood.mta.taken().len(), 0, "notices to spoofed senders");

    let counts = flood.send(|number| format!("person{}@proven.example", number % SENDERS));
    let of = |reason: &str| counts.get(reason).copied().unwrap_or_default();
    // notice.per_domain_per_hour is 20 by default: so many senders get one, and their other messages none.
    let (sent, per_sender) = (20, MESSAGES / SENDERS);
    assert_eq!(of("sent"), sent, "{counts:?}");
    assert_eq!(of("withheld: sender had a notice within the interval"), sent * (per_sender - 1), "{counts:?}");
    assert_eq!(
        of("withheld: limit for the sender's domain reached"),
        (SENDERS - sent) * per_sender,
        "every one that is withheld has its reason: {counts:?}"
    );
    assert_eq!(flood.mta.taken().len(), sent);
    let mut recipients: Vec<String> = flood.mta.taken().into_iter().flat_map(|taken| taken.rcpt).collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!(recipients.len(), sent, "one each");
}
