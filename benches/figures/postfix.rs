//! A private Postfix: its own configuration, queue, log and port; gone when dropped.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::run;

pub struct Postfix {
    dir: TempDir,
    port: u16,
}

impl Postfix {
    /// Starts one with these transports beside Postfix's own; mail to `NAME.test` goes to the transport NAME.
    pub fn start(base: &Path, transports: &[(&str, String)]) -> Self {
        let dir = tempfile::Builder::new().prefix("mh-postfix-").tempdir_in(base).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let postfix = Self { dir, port: free_port() };
        for name in ["etc", "q", "data"] {
            fs::create_dir(postfix.path(name)).unwrap();
        }
        run("chown", &["postfix", postfix.path("data").to_str().unwrap()]);
        let (path, port) = (postfix.dir.path().display(), postfix.port);
        let mut master = format!("127.0.0.1:{port} inet n - n - - smtpd\n{MASTER}");
        let (mut domains, mut names) = (String::new(), String::new());
        for (name, line) in transports {
            master.push_str(&format!("{name} unix {line}\n"));
            domains.push_str(&format!("{name}.test {name}:\n"));
            names.push_str(&format!("{name}_destination_recipient_limit = 1\n"));
        }
        fs::write(postfix.path("etc/master.cf"), master).unwrap();
        fs::write(postfix.path("etc/transport"), domains).unwrap();
        let main = format!(
            "compatibility_level = 3.6
queue_directory = {path}/q
data_directory = {path}/data
maillog_file = {path}/mail.log
maillog_file_prefixes = {path}
myhostname = mx.example.com
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
alias_maps =
transport_maps = texthash:{path}/etc/transport
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
minimal_backoff_time = 1000s
queue_run_delay = 1000s
defer_transports =
{names}"
        );
        fs::write(postfix.path("etc/main.cf"), main).unwrap();
        postfix.command("postfix", &["start"]);
        let limit = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", postfix.port)).is_err() {
            assert!(Instant::now() < limit, "Postfix does not listen: {}", postfix.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        postfix
    }

    /// The directory of main.cf.
    pub fn config_dir(&self) -> PathBuf {
        self.path("etc")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("mail.log")).unwrap_or_default()
    }

    /// Puts mails for a transport into the queue, and gives the time until they are all delivered once they may be.
    pub fn deliver_queued(&self, transport: &str, mails: usize, octets: usize) -> Duration {
        self.command("postconf", &["-e", &format!("defer_transports = {transport}")]);
        self.command("postfix", &["reload"]);
        std::thread::sleep(Duration::from_millis(300));
        let sent = Command::new("smtp-source")
            .args(["-s", "10", "-l", &octets.to_string(), "-m", &mails.to_string()])
            .args(["-f", "jane@example.org", "-t", &format!("incoming+0123456789abcdef@{transport}.test")])
            .arg(format!("inet:127.0.0.1:{}", self.port))
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(sent.success());
        self.wait(&format!("{mails} mails in the queue"), || self.queued() == (0, mails));
        self.command("postconf", &["-e", "defer_transports ="]);
        self.command("postfix", &["reload"]);
        std::thread::sleep(Duration::from_millis(500));
        let started = Instant::now();
        self.command("postqueue", &["-f"]);
        self.wait("an empty queue", || self.queued() == (0, 0));
        started.elapsed()
    }

    /// Mails on their way, and mails that wait.
    fn queued(&self) -> (usize, usize) {
        let count = |name: &str| files(&self.path("q").join(name));
        // In the order in which a mail may move, so that none is overlooked.
        let waiting = count("deferred");
        (count("maildrop") + count("incoming") + count("active"), waiting)
    }

    fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let limit = Instant::now() + Duration::from_secs(180);
        while !done() {
            assert!(Instant::now() < limit, "waited in vain for {what}: {:?}\n{}", self.queued(), tail(&self.log()));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: &str, arguments: &[&str]) {
        let config = self.path("etc");
        run(program, &[&["-c", config.to_str().unwrap()], arguments].concat());
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = Command::new("postfix").arg("-c").arg(self.path("etc")).arg("abort").output();
    }
}

const MASTER: &str = "pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

fn files(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// A loopback port that nobody uses now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
