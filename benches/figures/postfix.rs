//! The private Postfix of the tests, with transports to be measured; gone when dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::postfix::Postfix as PrivatePostfix;
pub use crate::support::postfix::free_port;
use crate::support::process::succeed;
use crate::support::wait::LIMIT;

pub struct Postfix(PrivatePostfix);

impl Postfix {
    /// Starts one with these transports beside Postfix's own; mail to `NAME.test` goes to the transport NAME.
    pub fn start(base: &Path, transports: &[(&str, String)]) -> Self {
        let mut postfix = PrivatePostfix::prepare_in(base);
        let mut domains = String::new();
        for (name, line) in transports {
            postfix.add_service(&format!("{name} unix {line}"));
            postfix.set(&[&format!("{name}_destination_recipient_limit=1")]);
            domains.push_str(&format!("{name}.test {name}:\n"));
        }
        fs::write(postfix.config_dir().join("transport"), domains).unwrap();
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

    /// Puts mails for a transport into the queue, and gives the time until they are all delivered once they may be.
    pub fn deliver_queued(&self, transport: &str, mails: usize, octets: usize) -> Duration {
        self.0.set(&[&format!("defer_transports={transport}")]);
        std::thread::sleep(Duration::from_millis(300));
        let mut source = Command::new("smtp-source");
        source
            .args(["-s", "10", "-l", &octets.to_string(), "-m", &mails.to_string()])
            .args(["-f", "jane@example.org", "-t", &format!("incoming+0123456789abcdef@{transport}.test")])
            .arg(format!("inet:127.0.0.1:{}", self.port()));
        succeed(&mut source);
        self.wait(&format!("{mails} mails in the queue"), || self.queued() == (0, mails));
        self.0.set(&["defer_transports="]);
        std::thread::sleep(Duration::from_millis(500));
        let started = Instant::now();
        self.0.flush();
        self.wait("an empty queue", || self.queued() == (0, 0));
        started.elapsed()
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
