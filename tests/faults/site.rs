//! Postfix and mailhatch for a campaign: everything that can be broken, and repaired again.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::links::Victim;
use crate::mail::MESSAGE_SIZE;
use crate::support::config::{GITLAB_SECRET, WEBHOOK_SECRET};
use crate::support::http_server::{HttpServer, Reply};
use crate::support::name_server::{Fault, NameServer, Zone};
use crate::support::postfix::{USER, chown};
use crate::support::process::{run, succeed};
use crate::support::site::{DOMAIN, Site as WiredSite, Variant};
use crate::support::wait::wait_until;

/// What is wrong with the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    None,
    /// It does not parse.
    Broken,
    /// The application's host has no address.
    UnknownHost,
    /// The application's certificate is not trusted.
    UntrustedCertificate,
}

/// A kill: when, and for pipe whose message the process had.
#[derive(Clone, Debug)]
pub struct Kill {
    pub at: Instant,
    pub recipient: Option<String>,
}

/// What one host has that another has not.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: &'static str,
    /// Where the application's socket is; `None`: here, in `run/`.
    pub application: Option<PathBuf>,
    /// More sections of the configuration.
    pub sections: String,
}

impl Host {
    /// The only one.
    pub fn alone(sections: String) -> Self {
        Self { name: "mx.example.com", application: None, sections }
    }
}

/// Postfix and mailhatch, wired together; its state is on a small disk of its own.
pub struct Site {
    pub host: Host,
    site: WiredSite,
    kills: Mutex<Vec<Kill>>,
    names: NameServer,
    untrusted: HttpServer,
}

/// How long mail is deferred at all (`limits.patience`).
pub const PATIENCE: Duration = Duration::from_secs(6);

/// Enough for all that a campaign holds, little enough to be filled in no time.
const DISK: &str = "size=160m";

impl Site {
    /// Prepared, not running: `run/` has a place for the application's socket.
    pub fn prepare(variant: Variant, host: Host) -> Self {
        let mut wired = WiredSite::unwired(variant);
        wired.environment = clock_environment(&wired.postfix.path("clock"));
        let site = Self::with(wired, host);
        site.set_clock("+0");
        succeed(Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(site.state()));
        chown(&site.state(), USER);
        site
    }

    /// The same for a soak, in which neither the clock nor the disk fails: with this program, and these sections.
    pub fn prepare_soak(program: &Path, sections: String) -> Self {
        let mut wired = WiredSite::unwired_with(Variant::Lmtp, program);
        // As the units of the package have it.
        wired.environment = vec![("MALLOC_ARENA_MAX", "2".into())];
        let site = Self::with(wired, Host::alone(sections));
        // The processes of pipe write to the log of the service.
        File::create(site.log_file()).unwrap();
        chown(&site.log_file(), USER);
        site
    }

    fn with(site: WiredSite, host: Host) -> Self {
        let untrusted = HttpServer::tls(|_| Reply::json(200, r#"{"success":true}"#));
        let names = NameServer::start(zone());
        let site = Self { host, site, kills: Mutex::default(), names, untrusted };
        Victim::prepare(&site.victim());
        site.write_secret("webhook.secret", WEBHOOK_SECRET);
        site.write_secret("gitlab.secret", GITLAB_SECRET);
        let (program, log) = (site.program(), site.log_file());
        let exports: String =
            site.environment.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        let wrapper = format!("#!/bin/sh\n{exports}exec {} \"$@\" 2>>{}\n", program.display(), log.display());
        fs::write(site.wrapper(), wrapper).unwrap();
        fs::set_permissions(site.wrapper(), Permissions::from_mode(0o755)).unwrap();
        site.configure(Mistake::None);
        site
    }

    /// Starts everything.
    pub fn start(&mut self) {
        self.wire(&self.wrapper());
        self.postfix.set(&[
            // Mail that waits is tried again at once, not after hours.
            "maximal_backoff_time=3s",
            "in_flow_delay=0s",
            // A fault shall meet many messages at once, and one fault must not slow all that follows.
            "initial_destination_concurrency=20",
            "default_destination_concurrency_failed_cohort_limit=100",
            "default_destination_concurrency_negative_feedback=0",
        ]);
        // After an abort postsuper, as Postfix's user, has things to say, and does not start Postfix if it cannot.
        let log = self.postfix.path("mail.log");
        File::create(&log).unwrap();
        fs::set_permissions(&log, Permissions::from_mode(0o666)).unwrap();
        self.site.postfix.start();
        self.start_service();
    }

    pub fn state(&self) -> PathBuf {
        self.postfix.path("state")
    }

    /// What the links of somebody else lead to.
    pub fn victim(&self) -> PathBuf {
        self.postfix.path("victim")
    }

    /// Sets the wall clock of mailhatch: `+40d`, `-40d`, `+0`.
    pub fn set_clock(&self, offset: &str) {
        let (path, new) = (self.postfix.path("clock"), self.postfix.path("clock.new"));
        fs::write(&new, format!("{offset}\n")).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// What Postfix runs for pipe: the program, with its log lines in a file instead of its output.
    pub fn wrapper(&self) -> PathBuf {
        self.postfix.path("mailhatch.sh")
    }

    pub fn write_secret(&self, name: &str, text: &str) {
        let path = self.postfix.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        chown(&path, USER);
    }

    /// Replaces the configuration.
    pub fn configure(&self, mistake: Mistake) {
        let application = self.host.application.clone().unwrap_or_else(|| self.postfix.path("run"));
        let real = format!("http+unix://{}", application.join("app.sock").display());
        let (gitlab, webhook) = match mistake {
            Mistake::None => (real.clone(), format!("{real}:/hook")),
            Mistake::Broken => ("what".to_owned(), "no URL".to_owned()),
            Mistake::UnknownHost => ("http://app.invalid".to_owned(), "http://app.invalid/hook".to_owned()),
            Mistake::UntrustedCertificate => (self.untrusted.url().to_owned(), self.untrusted.url().to_owned()),
        };
        self.write_configuration(&format!(
            r#"hostname = "{name}"
state_dir = "{dir}/state"
[listen]
lmtp = ["unix:{dir}/run/lmtp.sock"]
[limits]
message_size = "{MESSAGE_SIZE}B"
deadline = "20s"
# A refusal is one of the faults, and a fault must not put a message aside.
unexplained_refusals = "4h"
# What has waited so long is held, and handed over by itself.
patience = "{patience}s"
[[mailbox]]
name = "hook"
address = "hook+%{{key}}@{DOMAIN}"
app = "hook"
[[mailbox]]
name = "incoming_email"
address = "gitlab+%{{key}}@{DOMAIN}"
actions = "any"
app = "gitlab"
[[app]]
name = "hook"
kind = "webhook"
url = "{webhook}"
secret_file = "{dir}/webhook.secret"
timeout = "3s"
[[app]]
name = "gitlab"
kind = "gitlab"
url = "{gitlab}"
secret_file = "{dir}/gitlab.secret"
timeout = "3s"
[auth]
nameservers = ["{names}"]
[notice]
smtp = "127.0.0.1:{smtp}"
[log]
to = "stderr"
{sections}
"#,
            name = self.host.name,
            dir = self.directory().display(),
            names = self.names.address(),
            smtp = self.postfix.port(),
            patience = PATIENCE.as_secs(),
            sections = self.host.sections.replace("{dir}", &self.directory().display().to_string()),
        ));
    }

    /// Whether the name server answers.
    pub fn silence_names(&self, silent: bool) {
        self.names.set_zone(if silent {
            (0..500).fold(Zone::new(), |zone, n| zone.fault(&format!("d{n}.example.org"), Fault::Silence))
        } else {
            zone()
        });
    }

    /// SIGKILL: the service, or one of the pipe processes that run now.
    pub fn kill(&self, choice: u64) {
        match self.variant {
            Variant::Lmtp => self.kill_service_now(),
            Variant::Pipe => self.kill_a_pipe(choice),
        }
    }

    /// SIGKILL: one of the pipe processes that run now.
    pub fn kill_a_pipe(&self, choice: u64) {
        let running = self.pipe_processes();
        if !running.is_empty() {
            self.kill_pipe(&running[choice as usize % running.len()]);
        }
    }

    /// SIGKILL: the process that has the message of which the application knows this.
    pub fn kill_at(&self, whose: &str) {
        let key = format!("+{}", &whose[..=whose.find('@').unwrap()]);
        match self.variant {
            Variant::Lmtp => self.kill_service_now(),
            Variant::Pipe => {
                self.pipe_processes()
                    .iter()
                    .filter(|(_, recipient)| recipient.contains(&key))
                    .for_each(|p| self.kill_pipe(p));
            }
        }
    }

    fn kill_service_now(&self) {
        if self.kill_service() {
            self.note_kill();
        }
    }

    /// A process that may have had any message was killed.
    pub fn note_kill(&self) {
        self.kills.lock().unwrap().push(Kill { at: Instant::now(), recipient: None });
    }

    /// The service runs out of memory in the middle of what it does; whether it ended of it.
    pub fn starve(&self, more: u64, time: Duration) -> bool {
        let has_ended = self.starve_service(more, time, || self.crowd());
        if has_ended {
            self.note_kill();
        }
        has_ended
    }

    /// Clients that each begin a message and never end it.
    fn crowd(&self) -> Vec<UnixStream> {
        let begun = format!(
            "LHLO client.example.com\r\nMAIL FROM:<>\r\nRCPT TO:<hook+crowd@{DOMAIN}>\r\nDATA\r\n{}",
            "words\r\n".repeat(8000)
        );
        let begin = |mut stream: UnixStream| {
            stream.set_nonblocking(true).ok()?;
            let _ = stream.write(begun.as_bytes());
            Some(stream)
        };
        (0..100).filter_map(|_| UnixStream::connect(self.socket()).ok().and_then(begin)).collect()
    }

    fn kill_pipe(&self, (pid, recipient): &(i32, String)) {
        let at = Instant::now();
        if nix::sys::signal::kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok() {
            self.kills.lock().unwrap().push(Kill { at, recipient: Some(recipient.clone()) });
        }
    }

    /// The processes of this site's own copy of the program, with their recipients.
    pub fn pipe_processes(&self) -> Vec<(i32, String)> {
        let ours = |entry: fs::DirEntry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let is_ours = fs::read_link(entry.path().join("exe")).ok()? == self.program();
            let arguments = String::from_utf8(fs::read(entry.path().join("cmdline")).ok()?).ok()?;
            let recipient = arguments.split('\0').find_map(|argument| argument.strip_prefix("--recipient="))?;
            is_ours.then(|| (pid, recipient.to_owned()))
        };
        fs::read_dir("/proc").unwrap().flatten().filter_map(ours).collect()
    }

    pub fn kills(&self) -> Vec<Kill> {
        self.kills.lock().unwrap().clone()
    }

    /// Stops Postfix, or aborts it.
    pub fn end_postfix(&self, how: &str) {
        self.postfix.command("postfix", &[how]);
    }

    /// Starts it again; in vain as long as its old master process is not gone.
    pub fn start_postfix(&self) {
        wait_until("Postfix to start again", || self.postfix.run("postfix", &["start"]).status.success());
    }
}

impl Deref for Site {
    type Target = WiredSite;

    fn deref(&self) -> &WiredSite {
        &self.site
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill_service();
        let _ = self.postfix.run("postfix", &["abort"]);
        let _ = run(Command::new("umount").arg("-l").arg(self.state()));
        remove_what_libfaketime_left();
    }
}

/// The shared memory of processes that were killed.
fn remove_what_libfaketime_left() {
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let pid = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// libfaketime: the wall clock is what a file says, all other clocks are the machine's.
fn clock_environment(file: &Path) -> Vec<(&'static str, String)> {
    let library =
        fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let library = library.into_iter().find(|path| path.exists()).expect("libfaketime");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    vec![
        ("LD_PRELOAD", text(&library)),
        ("FAKETIME_TIMESTAMP_FILE", text(file)),
        ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ]
}

fn zone() -> Zone {
    Zone::new().txt("*.example.org", "v=spf1 ip4:198.51.100.1 -all")
}

/// Waits until something is so, as long as that may take; whether it is.
pub fn until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

/// Fills the disk that a path is on, until dropped.
pub struct FullDisk(PathBuf);

impl FullDisk {
    pub fn fill(directory: &Path) -> Self {
        let path = directory.join("in-the-way");
        let mut file = File::create(&path).unwrap();
        let block = vec![0; 1024 * 1024];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        Self(path)
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
