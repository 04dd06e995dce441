//! mailhatch behind a private Postfix, as packaged: a user of its own, its configuration, its service, what it wrote.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::events;
use super::place::MAILHATCH;
use super::postfix::{Postfix, USER, chown};
use super::process::{Process, run, succeed};
use super::wait::wait_for;

/// How Postfix hands mail over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Lmtp,
    Pipe,
}

/// The domain that goes to mailhatch.
pub const DOMAIN: &str = "mail.example.com";

/// Postfix and mailhatch; both end with it.
pub struct Site {
    service: Mutex<Option<Process>>,
    /// Of every process of mailhatch that is started here.
    pub environment: Vec<(&'static str, String)>,
    pub variant: Variant,
    pub postfix: Postfix,
}

/// What the spool application got.
#[derive(Debug)]
pub struct Delivered {
    pub event: serde_json::Value,
    pub message: Vec<u8>,
}

impl Delivered {
    /// A text in `data`, by JSON pointer; `None` for null or nothing.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.event.pointer(&format!("/data{pointer}")).and_then(serde_json::Value::as_str)
    }
}

impl Site {
    /// Its directories and the program are there; Postfix neither knows of it nor runs.
    pub fn unwired(variant: Variant) -> Self {
        Self::unwired_with(variant, Path::new(MAILHATCH))
    }

    /// The same with another build of the program.
    pub fn unwired_with(variant: Variant, program: &Path) -> Self {
        let postfix = Postfix::prepare();
        for name in ["run", "state", "spool"] {
            fs::create_dir(postfix.path(name)).unwrap();
            chown(&postfix.path(name), USER);
        }
        let site = Self { service: Mutex::default(), environment: Vec::new(), variant, postfix };
        // A copy that the user can reach, and by whose path its processes are known: a checkout may lie in a closed home.
        if fs::hard_link(program, site.program()).is_err() {
            fs::copy(program, site.program()).unwrap();
        }
        site
    }

    /// Has Postfix hand over the domain's mail, to the socket or to the program.
    pub fn wire(&self, program: &Path) {
        let socket = format!("unix:{}", self.socket().display());
        let program = format!("{} --config {}", program.display(), self.config().display());
        let arguments: &[&str] = match self.variant {
            Variant::Lmtp => &["enable", "--yes", "--variant", "lmtp", "--socket", &socket, DOMAIN],
            Variant::Pipe => &["enable", "--yes", "--variant", "pipe", "--program", &program, "--user", USER, DOMAIN],
        };
        let output = self.postfix.wire(arguments);
        assert!(output.status.success(), "{output:?}");
    }

    /// Where everything is.
    pub fn directory(&self) -> PathBuf {
        self.postfix.path("run").parent().unwrap().to_owned()
    }

    /// The binary under test.
    pub fn program(&self) -> PathBuf {
        self.postfix.path("mailhatch")
    }

    pub fn config(&self) -> PathBuf {
        self.postfix.path("mailhatch.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.postfix.path("run/lmtp.sock")
    }

    pub fn log_file(&self) -> PathBuf {
        self.postfix.path("run/mailhatch.log")
    }

    /// Writes any text as the configuration, in one step: a pipe process may read it at any time.
    pub fn write_configuration(&self, text: &str) {
        let new = self.config().with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.config()).unwrap();
    }

    /// A mailhatch command on this site's configuration, as mailhatch's user.
    pub fn mailhatch(&self, arguments: &[&str]) -> Command {
        let user = nix::unistd::User::from_name(USER).unwrap().unwrap();
        let mut command = Command::new(self.program());
        command.arg("--config").arg(self.config()).args(arguments);
        command.current_dir("/").uid(user.uid.as_raw()).gid(user.gid.as_raw());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The process of the service, if it runs.
    pub fn service_id(&self) -> Option<u32> {
        self.service().as_ref().map(Process::id)
    }

    fn service(&self) -> MutexGuard<'_, Option<Process>> {
        self.service.lock().unwrap()
    }

    /// Starts the service if it does not run, and waits for its socket; nothing to do for pipe.
    #[track_caller]
    pub fn start_service(&self) {
        let mut service = self.service();
        if self.variant == Variant::Pipe || service.as_mut().is_some_and(|process| process.ended().is_none()) {
            return;
        }
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.mailhatch(&["serve"]);
        let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
        wait_for("the LMTP socket", || {
            let ended = process.ended();
            assert!(ended.is_none(), "mailhatch serve ended with {ended:?}:\n{}", self.service_log());
            UnixStream::connect(self.socket()).ok()
        });
        *service = Some(process);
    }

    /// SIGKILL, as a crash would end the service; whether it ran.
    pub fn kill_service(&self) -> bool {
        self.service().take().is_some()
    }

    /// Lets the service have so many octets of memory more than now, for at most so long, while it gets something to do;
    /// whether it ended of it.
    pub fn starve_service<T>(&self, more: u64, time: Duration, something_to_do: impl FnOnce() -> T) -> bool {
        let mut service = self.service();
        let Some(process) = service.as_mut() else { return false };
        if process.ended().is_some() {
            return false;
        }
        process.starve(more);
        let _until_its_end = something_to_do();
        let limit = Instant::now() + time;
        while process.ended().is_none() {
            if Instant::now() > limit {
                process.feed();
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// SIGTERM, and waits for its end, which must be a good one.
    #[track_caller]
    pub fn stop_service(&self) {
        if let Some(mut process) = self.service().take() {
            process.signal(Signal::SIGTERM);
            let status = process.wait();
            assert!(status.success(), "SIGTERM ended mailhatch with {status}:\n{}", self.service_log());
        }
    }

    /// SIGHUP.
    pub fn reload_service(&self) {
        if let Some(process) = &*self.service() {
            process.signal(Signal::SIGHUP);
        }
    }

    /// SIGSTOP, and waits until each thread of the service stands still.
    #[track_caller]
    pub fn pause_service(&self) {
        let service = self.service();
        let process = service.as_ref().unwrap();
        process.signal(Signal::SIGSTOP);
        let tasks = format!("/proc/{}/task", process.id());
        let stands = |task: std::io::Result<fs::DirEntry>| {
            let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        };
        wait_for("the service to stand still", || fs::read_dir(&tasks).unwrap().all(stands).then_some(()));
    }

    /// SIGCONT.
    pub fn resume_service(&self) {
        if let Some(process) = &*self.service() {
            process.signal(Signal::SIGCONT);
        }
    }

    /// What the service logged.
    pub fn service_log(&self) -> String {
        fs::read(self.log_file()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// The copies kept back, as `held list` shows them.
    #[track_caller]
    pub fn held(&self) -> String {
        String::from_utf8(succeed(&mut self.mailhatch(&["held", "list"])).stdout).unwrap()
    }

    /// Everything that the spool application got.
    pub fn delivered(&self) -> Vec<Delivered> {
        let whole = |path: &PathBuf| {
            // A name that begins otherwise is an event that is being written.
            path.file_name().is_some_and(|name| name.as_encoded_bytes().first().is_some_and(u8::is_ascii_hexdigit))
        };
        let Ok(entries) = fs::read_dir(self.postfix.path("spool")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(whole).collect();
        paths.sort();
        let read = |path: &PathBuf| Delivered {
            event: events::read(path),
            message: fs::read(path.join("message.eml")).unwrap(),
        };
        paths.iter().map(read).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of mailhatch:\n{}", self.service_log());
        }
    }
}
