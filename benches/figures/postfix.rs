//! The private Postfix of the tests, with transports to be measured; gone when dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::postfix::Postfix as PrivatePostfix;
pub use crate::support::postfix::free_port;
use crate::support::process::succeed;
use crate::support::wait::LIMIT;

/// Deliveries of one transport at once.
pub const AT_ONCE: usize = 20;

/// One way out of Postfix.
pub struct Transport {
    pub name: &'static str,
    /// Its line in master.cf behind the type.
    pub service: String,
    /// Whose mail goes this way.
    pub recipient: String,
    /// Where to; empty for pipe(8).
    pub nexthop: String,
}

impl Transport {
    /// By LMTP to a socket.
    pub fn lmtp(name: &'static str, recipient: String, socket: &Path) -> Self {
        let service = format!("- - n - {AT_ONCE} lmtp -o lmtp_send_xforward_command=yes");
        Self { name, service, recipient, nexthop: format!("unix:{}", socket.display()) }
    }
}

pub struct Postfix(PrivatePostfix);

impl Postfix {
    /// Whether this user may start one; says so if not.
    pub fn is_possible() -> bool {
        let is_root = nix::unistd::Uid::effective().is_root();
        if !is_root {
            eprintln!("  a Postfix of our own needs root: left out");
        }
        is_root
    }

    /// Starts one with these transports beside Postfix's own.
    pub fn start(base: &Path, transports: &[Transport]) -> Self {
        let mut postfix = PrivatePostfix::prepare_in(base);
        let mut routes = String::new();
        for Transport { name, service, recipient, nexthop } in transports {
            postfix.add_service(&format!("{name} unix {service}"));
            postfix.set(&[
                &format!("{name}_destination_recipient_limit=1"),
                // From the first mail on, as a site's is that has been up for a while.
                &format!("{name}_initial_destination_concurrency={AT_ONCE}"),
                &format!("{name}_destination_concurrency_limit={AT_ONCE}"),
            ]);
            routes.push_str(&format!("{recipient} {name}:{nexthop}\n"));
        }
        fs::write(postfix.config_dir().join("transport"), routes).unwrap();
        postfix.set(&[
            "transport_maps=texthash:$config_directory/transport",
            "smtp_dns_support_level=disabled",
            "smtpd_client_connection_count_limit=0",
            "in_flow_delay=0",
            // Nothing is tried again while it is measured.
            "minimal_backoff_time=1000s",
            "queue_run_delay=1000s",
            "transport_retry_time=60s",
        ]);
        postfix.start();
        Self(postfix)
    }

    /// The directory of main.cf.
    pub fn config_dir(&self) -> PathBuf {
        self.0.config_dir()
    }

    pub fn port(&self) -> u16 {
        self.0.port()
    }

    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Sends mails for a recipient; gives the time from the first one until the queue is empty.
    pub fn deliver(&self, recipient: &str, mails: usize, octets: usize) -> Duration {
        let started = Instant::now();
        self.send(recipient, mails, octets);
        self.wait_empty();
        started.elapsed()
    }

    /// Puts mails for a transport into the queue, and gives the time until they are all delivered once they may be.
    pub fn deliver_queued(&self, transport: &str, recipient: &str, mails: usize, octets: usize) -> Duration {
        self.0.set(&[&format!("defer_transports={transport}")]);
        std::thread::sleep(Duration::from_millis(300));
        self.send(recipient, mails, octets);
        self.wait(&format!("{mails} mails in the queue"), || self.queued() == (0, mails));
        self.0.set(&["defer_transports="]);
        std::thread::sleep(Duration::from_millis(500));
        let started = Instant::now();
        self.0.flush();
        self.wait_empty();
        started.elapsed()
    }

    fn send(&self, recipient: &str, mails: usize, octets: usize) {
        let mut source = Command::new("smtp-source");
        source
            .args(["-s", "10", "-l", &octets.to_string(), "-m", &mails.to_string()])
            .args(["-f", "jane@example.org", "-t", recipient])
            .arg(format!("inet:127.0.0.1:{}", self.port()));
        succeed(&mut source);
    }

    /// Fails if a mail was not delivered at once.
    pub fn assert_all_delivered(&self) {
        let log = self.log();
        let missed = |line: &&str| line.contains("status=deferred (temporary") || line.contains("status=bounced");
        if let Some(line) = log.lines().find(missed) {
            panic!("a mail was not delivered: {line}");
        }
    }

    /// Waits until no mail is on its way any more.
    pub fn wait_empty(&self) {
        self.wait("an empty queue", || self.queued() == (0, 0));
    }

    /// Mails on their way, and mails that wait.
    fn queued(&self) -> (usize, usize) {
        let count = |name: &str| files(&self.0.path("q").join(name));
        // In the order in which a mail may move, so that none is overlooked.
        let waiting = count("deferred");
        (count("maildrop") + count("incoming") + count("active"), waiting)
    }

    /// Looks more often than a test does: the time counts.
    fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let started = Instant::now();
        while !done() {
            assert!(started.elapsed() < LIMIT, "waited in vain for {what}: {:?}\n{}", self.queued(), tail(&self.log()));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn files(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
