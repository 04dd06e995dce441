//! Postfix and mailhatch for a campaign: everything that can be broken, and mended again.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::instance::{Postfix, USER, chown, wait_for};
use crate::mail::{DOMAIN, MESSAGE_SIZE};
use crate::support::http_server::HttpServer;
use crate::support::http_server::Reply;
use crate::support::name_server::{Fault, NameServer, Zone};

/// How Postfix hands mail over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Lmtp,
    Pipe,
}

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

/// Postfix and mailhatch, wired together; its state is on a small disk of its own.
pub struct Site {
    pub way: Way,
    service: Mutex<Option<Child>>,
    kills: Mutex<Vec<Kill>>,
    names: NameServer,
    untrusted: HttpServer,
    pub postfix: Postfix,
}

const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const GITLAB_SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Enough for all that a campaign holds, little enough to be filled in no time.
const DISK: &str = "size=160m";

impl Site {
    /// Prepared, not running: [`Site::directory`] has a place for the application's socket.
    pub fn prepare(way: Way) -> Self {
        let postfix = Postfix::prepare();
        for name in ["run", "state"] {
            fs::create_dir(postfix.path(name)).unwrap();
        }
        succeed(Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(postfix.path("state")));
        for name in ["run", "state"] {
            chown(&postfix.path(name), USER);
        }
        let untrusted = HttpServer::tls(|_| Reply::json(200, r#"{"success":true}"#));
        let site = Self {
            way,
            service: Mutex::default(),
            kills: Mutex::default(),
            names: NameServer::start(zone()),
            untrusted,
            postfix,
        };
        site.write_secret("webhook.secret", WEBHOOK_SECRET);
        site.write_secret("gitlab.secret", GITLAB_SECRET);
        // A copy that the user can reach, and by whose path its processes are known.
        fs::copy(env!("CARGO_BIN_EXE_mailhatch"), site.program()).unwrap();
        let wrapper = format!("#!/bin/sh\nexec {} \"$@\" 2>>{}\n", site.program().display(), site.log_file().display());
        fs::write(site.wrapper(), wrapper).unwrap();
        fs::set_permissions(site.wrapper(), Permissions::from_mode(0o755)).unwrap();
        site.configure(Mistake::None);
        site
    }

    /// Starts everything.
    pub fn start(&mut self) {
        let socket = format!("unix:{}", self.postfix.path("run/lmtp.sock").display());
        let program = format!("{} --config {}", self.wrapper().display(), self.config().display());
        let arguments: &[&str] = match self.way {
            Way::Lmtp => &["enable", "--yes", "--variant", "lmtp", "--socket", &socket, DOMAIN],
            Way::Pipe => &["enable", "--yes", "--variant", "pipe", "--program", &program, "--user", USER, DOMAIN],
        };
        let output = self.postfix.wire(arguments);
        assert!(output.status.success(), "{output:?}");
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
        self.postfix.start();
        self.start_service();
    }

    pub fn directory(&self) -> PathBuf {
        self.postfix.path("run")
    }

    pub fn state(&self) -> PathBuf {
        self.postfix.path("state")
    }

    fn program(&self) -> PathBuf {
        self.postfix.path("mailhatch")
    }

    /// What Postfix runs for pipe: the program, with its log lines in a file instead of its output.
    fn wrapper(&self) -> PathBuf {
        self.postfix.path("mailhatch.sh")
    }

    fn log_file(&self) -> PathBuf {
        self.postfix.path("run/mailhatch.log")
    }

    fn config(&self) -> PathBuf {
        self.postfix.path("mailhatch.toml")
    }

    fn write_secret(&self, name: &str, text: &str) {
        let path = self.postfix.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        chown(&path, USER);
    }

    /// Replaces the configuration in one step: a pipe process may read it at any time.
    pub fn configure(&self, mistake: Mistake) {
        let real = format!("http+unix://{}", self.postfix.path("run/app.sock").display());
        let (gitlab, webhook) = match mistake {
            Mistake::None => (real.clone(), format!("{real}:/hook")),
            Mistake::Broken => ("what".to_owned(), "no URL".to_owned()),
            Mistake::UnknownHost => ("http://app.invalid".to_owned(), "http://app.invalid/hook".to_owned()),
            Mistake::UntrustedCertificate => (self.untrusted.url().to_owned(), self.untrusted.url().to_owned()),
        };
        let text = format!(
            r#"hostname = "mx.example.com"
state_dir = "{dir}/state"
[listen]
lmtp = ["unix:{dir}/run/lmtp.sock"]
[limits]
message_size = "{MESSAGE_SIZE}B"
deadline = "20s"
# A refusal is one of the faults, and a fault must not put a message aside.
unexplained_refusals = "4h"
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
"#,
            dir = self.postfix.path("run").parent().unwrap().display(),
            names = self.names.address(),
            smtp = self.postfix.port(),
        );
        let new = self.postfix.path("mailhatch.toml.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.config()).unwrap();
    }

    /// Whether the name server answers.
    pub fn silence_names(&self, silent: bool) {
        self.names.set_zone(if silent {
            (0..500).fold(Zone::new(), |zone, n| zone.fault(&format!("d{n}.example.org"), Fault::Silence))
        } else {
            zone()
        });
    }

    fn service(&self) -> MutexGuard<'_, Option<Child>> {
        self.service.lock().unwrap()
    }

    /// Starts the service if it does not run, and waits for its socket. Nothing to do for pipe.
    pub fn start_service(&self) {
        if self.way == Way::Pipe {
            return;
        }
        let mut service = self.service();
        if service.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none()) {
            return;
        }
        let user = nix::unistd::User::from_name(USER).unwrap().unwrap();
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(self.program());
        command.arg("--config").arg(self.config()).arg("serve").current_dir("/");
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        wait_for("the LMTP socket", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "mailhatch serve ended with {ended:?}:\n{}", self.service_log());
            UnixStream::connect(self.postfix.path("run/lmtp.sock")).ok()
        });
        *service = Some(child);
    }

    /// SIGKILL: the service, or one of the pipe processes that run now.
    pub fn kill(&self, choice: u64) {
        match self.way {
            Way::Lmtp => self.kill_service(),
            Way::Pipe => {
                let running = self.pipe_processes();
                if !running.is_empty() {
                    self.kill_pipe(&running[choice as usize % running.len()]);
                }
            }
        }
    }

    /// SIGKILL: the process that has the message of which the application knows this.
    pub fn kill_at(&self, whose: &str) {
        let key = format!("+{}", &whose[..=whose.find('@').unwrap()]);
        match self.way {
            Way::Lmtp => self.kill_service(),
            Way::Pipe => {
                self.pipe_processes()
                    .iter()
                    .filter(|(_, recipient)| recipient.contains(&key))
                    .for_each(|p| self.kill_pipe(p));
            }
        }
    }

    fn kill_service(&self) {
        if let Some(mut child) = self.service().take() {
            child.kill().unwrap();
            child.wait().unwrap();
            self.kills.lock().unwrap().push(Kill { at: Instant::now(), recipient: None });
        }
    }

    fn kill_pipe(&self, (pid, recipient): &(i32, String)) {
        let at = Instant::now();
        if nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL).is_ok() {
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

    /// SIGTERM, and waits for its end.
    pub fn stop_service(&self) {
        if let Some(mut child) = self.service().take() {
            signal(&child, nix::sys::signal::Signal::SIGTERM);
            let status = child.wait().unwrap();
            assert!(status.success(), "SIGTERM ended mailhatch with {status}:\n{}", self.service_log());
        }
    }

    /// SIGHUP.
    pub fn reload_service(&self) {
        if let Some(child) = &*self.service() {
            signal(child, nix::sys::signal::Signal::SIGHUP);
        }
    }

    pub fn kills(&self) -> Vec<Kill> {
        self.kills.lock().unwrap().clone()
    }

    /// What the service logged.
    pub fn service_log(&self) -> String {
        fs::read(self.log_file()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// Stops Postfix, or aborts it.
    pub fn end_postfix(&self, how: &str) {
        succeed(&mut self.postfix_command(how));
    }

    /// Starts it again; in vain as long as its old master process is not gone.
    pub fn start_postfix(&self) {
        let started =
            until(Duration::from_secs(30), || self.postfix_command("start").output().unwrap().status.success());
        assert!(started, "Postfix does not start again:\n{}", self.postfix.log());
    }

    fn postfix_command(&self, command: &str) -> Command {
        let mut postfix = Command::new("postfix");
        postfix.arg("-c").arg(self.postfix.config_dir()).arg(command);
        postfix
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.service().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = Command::new("postfix").arg("-c").arg(self.postfix.config_dir()).arg("abort").output();
        let _ = Command::new("umount").arg("-l").arg(self.state()).status();
    }
}

fn zone() -> Zone {
    Zone::new().txt("*.example.org", "v=spf1 ip4:198.51.100.1 -all")
}

fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until something is so.
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
