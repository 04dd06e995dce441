//! A running mailhatch: `serve` with a configuration and a state directory of its own.

use std::os::unix::net::UnixStream;
use std::process::{ExitStatus, Stdio};

pub use super::lmtp_client::{Lmtp, stuffed};
pub use super::place::{MAILHATCH, Place};
use super::process::Process;
use super::wait::{wait_for, wait_for_or};

/// `mailhatch serve` in a place of its own; killed when dropped.
pub struct Service {
    process: Process,
    pub place: Place,
}

impl Service {
    /// Starts it and waits until its socket answers.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        Self::start_in(Place::new(config), &[])
    }

    /// The same in a place that is there, with environment variables.
    #[track_caller]
    pub fn start_in(place: Place, environment: &[(&str, &str)]) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(place.path().join("log")).unwrap();
        let mut command = place.command(&["serve"]);
        let process = Process::start(command.envs(environment.iter().copied()).stdin(Stdio::null()).stderr(log));
        let mut service = Self { process, place };
        wait_for("mailhatch serve to listen", || {
            let ended = service.process.ended();
            assert!(ended.is_none(), "mailhatch serve ended with {ended:?}: {}", service.log());
            UnixStream::connect(service.place.socket()).ok()
        });
        service
    }

    /// What it logged to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A session with it.
    pub fn lmtp(&self) -> Lmtp {
        Lmtp::connect(&self.place.socket())
    }

    /// Its peak resident memory in octets (VmHWM).
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Lets it have so many octets of memory more than now.
    #[track_caller]
    pub fn starve(&self, more: u64) {
        self.process.starve(more);
    }

    /// Sends a signal by its name: `HUP`, `TERM`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        self.process.signal(format!("SIG{name}").parse().unwrap());
    }

    /// Sends SIGHUP and waits until the configuration is reloaded.
    #[track_caller]
    pub fn reload(&self) {
        let reloaded = || self.log().matches("configuration reloaded").count();
        let before = reloaded();
        self.signal("HUP");
        wait_for_or("the reload", || (reloaded() > before).then_some(()), || self.log());
    }

    /// SIGKILL; the place stays.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits for its end; the place stays.
    #[track_caller]
    pub fn ended(mut self) -> (ExitStatus, Place) {
        (self.process.wait(), self.place)
    }
}
