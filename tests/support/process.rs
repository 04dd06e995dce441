//! Child processes: each is killed with its guard, and each wait for one has an end.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::{LIMIT, wait_for};

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The command, for what is said when something goes wrong.
    name: String,
}

impl Process {
    /// Starts it. Its standard input is empty if the command does not say otherwise before.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        Self { child: command.spawn().unwrap_or_else(|error| panic!("{name}: {error}")), name }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it have hardly more memory than it has now: so many octets (setrlimit(2), RLIMIT_DATA; what malloc has reserved counts for RLIMIT_AS).
    #[track_caller]
    pub fn starve(&self, more: u64) {
        let size: u64 = self.status("VmData:").parse().unwrap();
        self.limit_memory(&(size * 1024 + more).to_string());
    }

    /// Takes that limit away.
    #[track_caller]
    pub fn feed(&self) {
        self.limit_memory("unlimited");
    }

    fn limit_memory(&self, octets: &str) {
        let [user, group] = ["Uid:", "Gid:"].map(|name| self.status(name).parse().unwrap());
        // As itself: root may have no right to change the limits of others. The soft limit, so that it can be taken away.
        let mut prlimit = Command::new("prlimit");
        prlimit.args([format!("--pid={}", self.id()), format!("--data={octets}:")]);
        succeed(prlimit.uid(user).gid(group));
    }

    /// The first value of a line of `/proc/PID/status`.
    fn status(&self, name: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    }

    /// Its standard input, which must be piped. Dropped, it is closed.
    #[track_caller]
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a piped standard input")
    }

    /// The lines of its standard output, which must be piped.
    #[track_caller]
    pub fn lines(&mut self) -> Lines {
        let output = self.child.stdout.take().expect("a piped standard output");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Lines { lines, name: self.name.clone() }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait_for(&what, || self.ended())
    }

    /// Waits for its end; gives what it wrote to the pipes that it has.
    #[track_caller]
    pub fn into_output(mut self) -> Output {
        let pipes = (collect(self.child.stdout.take()), collect(self.child.stderr.take()));
        let whole = |pipe: Receiver<Vec<u8>>| {
            // Or somebody whom it started holds the pipe.
            pipe.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("waited in vain for the end of {}", self.name))
        };
        let (stdout, stderr) = (whole(pipes.0), whole(pipes.1));
        Output { status: self.wait(), stdout, stderr }
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// SIGKILL; it is gone afterwards.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        // Nothing can stop a SIGKILL.
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// What a child says, line by line.
#[derive(Debug)]
pub struct Lines {
    lines: Receiver<String>,
    name: String,
}

impl Lines {
    /// The next line.
    #[track_caller]
    pub fn next(&mut self) -> String {
        self.lines.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("no further line of {}: {error}", self.name))
    }
}

/// Runs a command to its end, with an empty standard input.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())).into_output()
}

/// Runs a command to its end, with this on its standard input.
#[track_caller]
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let (mut stdin, input) = (process.stdin(), input.to_vec());
    // A child that ends without reading closes the pipe: its own business.
    thread::spawn(move || stdin.write_all(&input));
    process.into_output()
}

/// Runs a command that must succeed.
#[track_caller]
pub fn succeed(command: &mut Command) -> Output {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}
