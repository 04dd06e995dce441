//! A server as a child process: what it has used of the processors and of memory.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::process::{Process, succeed};

/// Ends with its owner.
pub struct Server {
    process: Process,
}

impl Server {
    /// Starts it with its output in a log file.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        Self { process: Process::start(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log)) }
    }

    /// The same, and waits until its socket takes connections; gives the time that took.
    pub fn start_and_wait(command: &mut Command, log: &Path, socket: &Path) -> (Self, Duration) {
        let started = Instant::now();
        let mut server = Self::start(command, log);
        while UnixStream::connect(socket).is_err() {
            let ended = server.process.ended();
            let log = || fs::read_to_string(log).unwrap_or_default();
            assert!(ended.is_none(), "{command:?} ended with {ended:?}: {}", log());
            assert!(started.elapsed() < Duration::from_secs(60), "{command:?} does not listen: {}", log());
            std::thread::sleep(Duration::from_micros(100));
        }
        (server, started.elapsed())
    }

    /// Processor time of it and of all its children, in user and kernel.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.process.id())
    }

    /// Octets of memory now, and at most so far (VmRSS, VmHWM).
    pub fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let value = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
        };
        (value("VmRSS:"), value("VmHWM:"))
    }

    /// Makes the largest amount of memory so far the present one.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Dovecot's children end with their master only if it can tell them.
        let limit = Instant::now() + Duration::from_secs(5);
        if self.process.ended().is_none() {
            self.process.signal(Signal::SIGTERM);
        }
        while self.process.ended().is_none() && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Processor time of a process and of all its children, in user and kernel.
pub fn cpu_of(process: u32) -> Duration {
    let stats: Vec<Stat> = processes().filter_map(Stat::read).collect();
    let (mut ids, mut ticks) = (vec![process], 0);
    while let Some(id) = ids.pop() {
        ids.extend(stats.iter().filter(|stat| stat.parent == id).map(|stat| stat.id));
        ticks += stats.iter().find(|stat| stat.id == id).map_or(0, |stat| stat.ticks);
    }
    // USER_HZ is 100 on every Linux that Debian runs on.
    Duration::from_millis(ticks * 10)
}

struct Stat {
    id: u32,
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name may hold blanks; behind its bracket stand the state, the parent, and more.
        let fields: Vec<&str> = text[text.rfind(')')? + 2..].split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let ticks = (11..15).filter_map(number).sum();
        Some(Self { id, parent: fields.get(1)?.parse().ok()?, ticks })
    }
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Runs a command that must work, and gives its output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    String::from_utf8_lossy(&succeed(Command::new(program).args(arguments)).stdout).into_owned()
}
