//! A private Postfix: its own configuration, queue, log and port; gone when dropped.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::run;
use super::submission::{Refused, Submission};
use super::wait::{wait_for, wait_for_or};

/// The user that pipe(8) and the service run as: it exists everywhere and is neither root nor Postfix's own.
pub const USER: &str = "nobody";

/// A running Postfix.
pub struct Postfix {
    dir: TempDir,
    port: u16,
    running: bool,
}

/// One line of `postqueue -j`.
#[derive(Debug)]
pub struct Queued {
    pub queue_id: String,
    pub delay_reasons: Vec<String>,
}

/// A mail that Postfix sent to the outside world: a bounce, a report, a notice.
#[derive(Debug)]
pub struct Outgoing {
    pub sender: String,
    pub recipient: String,
    pub message: String,
}

impl Postfix {
    /// Prepares the directory and the configuration; does not start yet, so that it can be wired first.
    pub fn prepare() -> Self {
        Self::prepare_in(Path::new("/tmp"))
    }

    /// The same below another directory; its path is to be short, because those of Unix sockets are.
    pub fn prepare_in(parent: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("mh").rand_bytes(5).tempdir_in(parent).unwrap();
        // Postfix's and the pipe's user must reach what is below.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut postfix = Self { dir, port: 0, running: false };
        for (name, owner) in [("etc", "root"), ("q", "root"), ("data", "postfix"), ("out", USER)] {
            fs::create_dir(postfix.path(name)).unwrap();
            chown(&postfix.path(name), owner);
        }
        fs::write(postfix.path("outbox.sh"), OUTBOX).unwrap();
        postfix.choose_port();
        fs::write(postfix.path("etc/main.cf"), postfix.main_cf()).unwrap();
        postfix
    }

    /// A path in the instance's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directory of main.cf.
    pub fn config_dir(&self) -> PathBuf {
        self.path("etc")
    }

    /// The port of its SMTP server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets parameters in main.cf; reloads if it runs.
    pub fn set(&self, parameters: &[&str]) {
        if !parameters.is_empty() {
            self.command("postconf", &[&["-e"], parameters].concat());
        }
        if self.running {
            self.command("postfix", &["reload"]);
        }
    }

    /// Sends the mail of a domain another way, beside what is routed already.
    pub fn route(&self, domain: &str, nexthop: &str) {
        let before = String::from_utf8(self.command("postconf", &["-h", "transport_maps"]).stdout).unwrap();
        self.set(&[&format!("transport_maps={}, inline:{{{domain}={nexthop}}}", before.trim())]);
    }

    /// Adds a service to master.cf; reloads if it runs.
    pub fn add_service(&self, line: &str) {
        let path = self.path("etc/master.cf");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{before}{line}\n")).unwrap();
        self.set(&[]);
    }

    /// Sets a field of a service in master.cf (`NAME/TYPE/FIELD=VALUE`), and restarts that it is in force.
    pub fn change_master(&mut self, field: &str) {
        self.command("postconf", &["-F", field]);
        self.command("postfix", &["stop"]);
        self.start();
    }

    /// Runs `mailhatch-postfix` on this instance.
    pub fn wire(&self, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("postfix/mailhatch-postfix");
        run(Command::new(script).arg("-c").arg(self.config_dir()).args(arguments))
    }

    /// Starts it and waits until it greets.
    pub fn start(&mut self) {
        self.command("postfix", &["start"]);
        self.running = true;
        wait_for("Postfix to greet", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// Sends a message through its SMTP server; gives the queue id.
    pub fn submit(&self, submission: &Submission) -> Result<String, Refused> {
        submission.send(self.port)
    }

    /// Sends a message that must be taken.
    pub fn send(&self, submission: &Submission) -> String {
        self.submit(submission).unwrap_or_else(|refused| panic!("{refused:?}\n{}", self.log()))
    }

    /// Its whole log.
    pub fn log(&self) -> String {
        fs::read(self.path("mail.log")).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// The log lines of one message that report a delivery (`status=…`).
    pub fn deliveries(&self, queue_id: &str) -> Vec<String> {
        let mark = format!(" {queue_id}: to=<");
        self.log().lines().filter(|line| line.contains(&mark)).map(str::to_owned).collect()
    }

    /// What is in the queue.
    pub fn queue(&self) -> Vec<Queued> {
        let output = self.command("postqueue", &["-j"]);
        let read = |line: &str| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            let reason = |recipient: &serde_json::Value| recipient["delay_reason"].as_str().map(str::to_owned);
            Queued {
                queue_id: entry["queue_id"].as_str().unwrap().to_owned(),
                delay_reasons: entry["recipients"].as_array().unwrap().iter().filter_map(reason).collect(),
            }
        };
        String::from_utf8(output.stdout).unwrap().lines().map(read).collect()
    }

    /// Has the whole queue tried now.
    pub fn flush(&self) {
        self.command("postqueue", &["-f"]);
    }

    /// Waits until the message has left the queue, trying it again as often as needed; gives its delivery lines.
    pub fn wait_done(&self, queue_id: &str) -> Vec<String> {
        let mark = format!(" {queue_id}: removed");
        let mut last_flush = Instant::now();
        self.wait_for(&format!("{queue_id} to leave the queue"), || {
            if last_flush.elapsed() > Duration::from_secs(2) {
                self.flush();
                last_flush = Instant::now();
            }
            self.log().contains(&mark).then_some(())
        });
        self.deliveries(queue_id)
    }

    /// Waits until the message was deferred; gives that delivery line. Under soft_bounce, Postfix logs the deferral of
    /// what it would have bounced as SOFTBOUNCE.
    pub fn wait_deferred(&self, queue_id: &str) -> String {
        self.wait_for(&format!("{queue_id} to be deferred"), || {
            self.deliveries(queue_id)
                .into_iter()
                .find(|line| line.contains("status=deferred") || line.contains("status=SOFTBOUNCE"))
        })
    }

    /// Waits for something, and shows the log if it never comes.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        wait_for_or(what, look, || self.log())
    }

    /// Whether any recipient of any message was bounced.
    pub fn bounced(&self) -> bool {
        self.log().contains("status=bounced") || self.log().contains("sender non-delivery notification")
    }

    /// All that went out to the world.
    pub fn outgoing(&self) -> Vec<Outgoing> {
        let read = |path: PathBuf| {
            let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
            let mut parts = text.splitn(3, '\n').map(str::to_owned);
            let mut part = || parts.next().unwrap();
            Outgoing { sender: part(), recipient: part(), message: part() }
        };
        let entries = fs::read_dir(self.path("out")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|end| end == "mail")).map(read).collect()
    }

    /// Says that nobody was written to, after everything has left the queue.
    pub fn assert_nobody_was_written_to(&self) {
        self.wait_for("an empty queue", || self.queue().is_empty().then_some(()));
        let outgoing = self.outgoing();
        assert!(outgoing.is_empty(), "written to somebody: {outgoing:#?}\n{}", self.log());
        assert!(!self.bounced(), "{}", self.log());
    }

    /// Runs one of Postfix's commands on this instance; it may fail.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        run(Command::new(program).arg("-c").arg(self.config_dir()).args(arguments))
    }

    /// The same; it must succeed.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Output {
        let output = self.run(program, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {error}\n{}", self.log());
        output
    }

    fn choose_port(&mut self) {
        self.port = free_port();
        fs::write(self.path("etc/master.cf"), self.master_cf()).unwrap();
    }

    fn main_cf(&self) -> String {
        let dir = self.dir.path().display();
        format!(
            "compatibility_level = 3.6
queue_directory = {dir}/q
data_directory = {dir}/data
maillog_file = {dir}/mail.log
maillog_file_prefixes = {dir}
myhostname = mx.example.com
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = all
alias_maps =
recipient_delimiter = +
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
default_transport = outbox:
minimal_backoff_time = 1s
queue_run_delay = 1s
transport_retry_time = 1s
"
        )
    }

    fn master_cf(&self) -> String {
        let (port, dir) = (self.port, self.dir.path().display());
        format!(
            "127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
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
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
outbox unix - n n - 5 pipe flags=q user={USER} null_sender= argv=/bin/sh {dir}/outbox.sh {dir}/out ${{queue_id}} ${{sender}} ${{recipient}}
"
        )
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if self.running {
            // `stop` would wait for deliveries that a test may have left hanging.
            let _ = self.run("postfix", &["abort"]);
        }
        if std::thread::panicking() && std::env::var_os("MAILHATCH_TEST_KEEP").is_some() {
            self.dir.disable_cleanup(true);
            eprintln!("kept {}", self.dir.path().display());
        }
    }
}

/// Keeps what Postfix sends to the outside world: sender, recipient, message. Renamed at the end, so that no half mail is read.
const OUTBOX: &str = r#"set -e
file="$1/$2.$$"
{ printf '%s\n%s\n' "$3" "$4"; cat; } >"$file.part"
mv "$file.part" "$file.mail"
"#;

/// A loopback port that nobody uses now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Gives a file to a user.
pub fn chown(path: &Path, user: &str) {
    let user = nix::unistd::User::from_name(user).unwrap().unwrap_or_else(|| panic!("there is no user {user}"));
    nix::unistd::chown(path, Some(user.uid), Some(user.gid)).unwrap();
}
