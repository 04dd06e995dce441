//! A running mailhatch: the real binary with a configuration and a state directory of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The binary under test.
pub const MAILHATCH: &str = env!("CARGO_BIN_EXE_mailhatch");

/// A temporary place with a configuration. `{dir}` in its text is the place.
pub struct Place {
    directory: TempDir,
}

impl Place {
    /// Writes the configuration; `spool/` is there.
    pub fn new(config: &str) -> Self {
        Self::in_directory(tempfile::Builder::new().prefix("mh-").tempdir().unwrap(), config)
    }

    /// The same in memory where the system has such a place: for very many messages, each of which is synced.
    pub fn in_memory(config: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        Self::in_directory(tempfile::Builder::new().prefix("mh-").tempdir_in(parent).unwrap(), config)
    }

    fn in_directory(directory: TempDir, config: &str) -> Self {
        std::fs::create_dir(directory.path().join("spool")).unwrap();
        let place = Self { directory };
        place.configure(config);
        place
    }

    /// Replaces the configuration.
    pub fn configure(&self, config: &str) {
        let text = config.replace("{dir}", self.path().to_str().unwrap());
        std::fs::write(self.config(), text).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("mailhatch.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join("lmtp.sock")
    }

    /// Ids of the events in the spool, sorted.
    pub fn spooled(&self) -> Vec<String> {
        names(&self.path().join("spool"))
    }

    /// Ids of the held copies, sorted.
    pub fn held(&self) -> Vec<String> {
        names(&self.path().join("state/held"))
    }

    /// Runs a subcommand to its end.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        self.run_with(arguments, input, &[])
    }

    /// The same with environment variables.
    pub fn run_with(&self, arguments: &[&str], input: &[u8], environment: &[(&str, &str)]) -> Output {
        let mut child = Command::new(MAILHATCH)
            .arg("--config")
            .arg(self.config())
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A child that ends without reading closes the pipe: its own business.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // A dot hides what is being written.
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

/// `mailhatch serve` in a place of its own.
pub struct Service {
    pub place: Place,
    child: Child,
}

impl Service {
    /// Starts it and waits until its socket answers.
    pub fn start(config: &str) -> Self {
        Self::start_in(Place::new(config), &[])
    }

    /// The same in a place that is there, with environment variables.
    pub fn start_in(place: Place, environment: &[(&str, &str)]) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(place.path().join("log")).unwrap();
        let child = Command::new(MAILHATCH)
            .arg("--config")
            .arg(place.config())
            .arg("serve")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut service = Self { place, child };
        let limit = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(service.place.socket()).is_err() {
            let ended = service.child.try_wait().unwrap();
            assert!(ended.is_none(), "mailhatch serve ended with {ended:?}: {}", service.log());
            assert!(Instant::now() < limit, "mailhatch serve does not listen: {}", service.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        service
    }

    /// What it logged to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A session with it.
    pub fn lmtp(&self) -> Lmtp {
        Lmtp::connect(&self.place.socket())
    }

    /// Its peak resident memory in octets (VmHWM).
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Sends SIGHUP and waits until the configuration is reloaded.
    pub fn reload(&self) {
        let reloaded = || self.log().matches("configuration reloaded").count();
        let (before, limit) = (reloaded(), Instant::now() + Duration::from_secs(20));
        self.signal("HUP");
        while reloaded() == before {
            assert!(Instant::now() < limit, "no reload: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end; the place stays.
    pub fn ended(mut self) -> (std::process::ExitStatus, Place) {
        let status = self.child.wait().unwrap();
        let place = std::mem::replace(&mut self.place, Place { directory: tempfile::tempdir().unwrap() });
        (status, place)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An LMTP client that sends exactly the octets it is given.
pub struct Lmtp {
    stream: BufReader<UnixStream>,
}

impl Lmtp {
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let mut client = Self { stream: BufReader::new(stream) };
        assert!(client.reply().starts_with("220 "));
        client.command("LHLO client.example.com", "250");
        client
    }

    /// Sends one command; its reply must start with `code`.
    pub fn command(&mut self, command: &str, code: &str) -> String {
        self.write(format!("{command}\r\n").as_bytes());
        let reply = self.reply();
        assert!(reply.starts_with(code), "{command}: {reply}");
        reply
    }

    /// Sends one message; gives one reply a recipient. The message's line ends are sent as they are.
    pub fn send(&mut self, sender: &str, recipients: &[&str], message: &[u8]) -> Vec<String> {
        self.begin(sender, recipients);
        self.write(&stuffed(message));
        recipients.iter().map(|_| self.reply()).collect()
    }

    /// Everything up to the 354.
    pub fn begin(&mut self, sender: &str, recipients: &[&str]) {
        self.command(&format!("MAIL FROM:<{sender}>"), "250");
        for recipient in recipients {
            self.command(&format!("RCPT TO:<{recipient}>"), "250");
        }
        self.command("DATA", "354");
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// The last line of a reply.
    pub fn reply(&mut self) -> String {
        loop {
            let line = self.line().expect("a reply");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    /// One line; `None` where the service hung up.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }

    /// Everything until the service hangs up.
    pub fn rest(mut self) -> String {
        let mut rest = String::new();
        let _ = self.stream.read_to_string(&mut rest);
        rest
    }
}

/// A message as DATA carries it (RFC 5321 section 4.5.2), with the end.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(message.len() + 16);
    let mut line_start = true;
    for &byte in message {
        if line_start && byte == b'.' {
            data.push(b'.');
        }
        data.push(byte);
        line_start = byte == b'\n';
    }
    if !data.is_empty() && !data.ends_with(b"\r\n") {
        data.extend_from_slice(b"\r\n");
    }
    data.extend_from_slice(b".\r\n");
    data
}
