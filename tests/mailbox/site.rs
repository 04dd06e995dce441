//! `mailhatch fetch` with a mailbox to read: a place with a configuration, and what it wrote.

use std::process::{Command, ExitStatus, Output, Stdio};

use nix::sys::signal::Signal;

use crate::servers::{Imap, PASSWORD, USER, wait_for};
use crate::support::config::{BASE, SPOOL};
use crate::support::events;
use crate::support::process::Process;
use crate::support::service::{MAILHATCH, Place};

/// The mailbox of the configuration.
pub const DOMAIN: &str = "gitlab.example.com";

/// A key of GitLab's reply form.
pub fn key(number: u64) -> String {
    format!("{number:032x}")
}

/// The address of a key.
pub fn address(number: u64) -> String {
    format!("incoming+{}@{DOMAIN}", key(number))
}

/// A message to an address, with an id and a body of its own.
pub fn message(to: &str, id: &str) -> Vec<u8> {
    format!(
        "From: Jane <jane@example.org>\r\nTo: <{to}>\r\nSubject: {id}\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{id}@example.org>\r\n\r\nHello, this is {id}.\r\n"
    )
    .into_bytes()
}

/// The `[[inbox]]` of a plain connection to a port of this host.
pub fn inbox(port: u16, more: &str) -> String {
    format!(
        "[[inbox]]\nname = \"test\"\nkind = \"imap\"\nhost = \"127.0.0.1\"\nport = {port}\nssl = false\n\
         user = \"{USER}\"\npassword_file = \"{{dir}}/password\"\n{more}\n"
    )
}

/// A place with a configuration that hands mail to a spool, or to what `more` says.
pub struct Site {
    pub place: Place,
}

impl Site {
    /// Into a spool.
    pub fn new(port: u16, more: &str) -> Self {
        Self::with(&format!("{BASE}{SPOOL}{}", inbox(port, more)))
    }

    /// With a whole configuration.
    pub fn with(config: &str) -> Self {
        let site = Self { place: Place::new(config) };
        site.password(PASSWORD);
        site
    }

    /// Replaces the password file.
    pub fn password(&self, password: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.place.path().join("password");
        std::fs::write(&path, format!("{password}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Puts a file where the spool should be: nothing can be handed over.
    pub fn break_spool(&self) {
        std::fs::rename(self.place.path().join("spool"), self.place.path().join("spool.away")).unwrap();
        std::fs::write(self.place.path().join("spool"), "").unwrap();
    }

    /// The spool is as it was.
    pub fn mend_spool(&self) {
        std::fs::remove_file(self.place.path().join("spool")).unwrap();
        std::fs::rename(self.place.path().join("spool.away"), self.place.path().join("spool")).unwrap();
    }

    /// Runs a subcommand to its end.
    pub fn run(&self, arguments: &[&str]) -> Done {
        Done(self.place.run(arguments, b""))
    }

    /// `fetch --once`
    pub fn once(&self) -> Done {
        self.run(&["fetch", "--once"])
    }

    /// The service.
    pub fn fetch(&self) -> Fetch {
        self.fetch_with(&[])
    }

    /// The same with environment variables.
    pub fn fetch_with(&self, environment: &[(&str, &str)]) -> Fetch {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.place.path().join("log")).unwrap();
        let mut command = Command::new(MAILHATCH);
        command.arg("--config").arg(self.place.config()).arg("fetch").envs(environment.iter().copied());
        let process = Process::start(command.stdin(Stdio::null()).stderr(log));
        Fetch { process, place: self.place.path().to_owned() }
    }

    /// The subjects of the events in the spool, sorted.
    pub fn spooled(&self) -> Vec<String> {
        let mut subjects: Vec<_> = self
            .place
            .spooled()
            .iter()
            .map(|id| {
                let event = events::read(&self.place.path().join("spool").join(id));
                event["data"]["message"]["subject"].as_str().unwrap_or_default().to_owned()
            })
            .collect();
        subjects.sort();
        subjects
    }

    /// The keys of the events in the spool, sorted.
    pub fn keys(&self) -> Vec<String> {
        let event = |id: &String| events::read(&self.place.path().join("spool").join(id));
        let spooled = self.place.spooled();
        let mut keys: Vec<_> =
            spooled.iter().map(|id| event(id)["data"]["key"].as_str().unwrap_or_default().to_owned()).collect();
        keys.sort();
        keys
    }

    /// Waits until so many events are in the spool.
    pub fn wait_spooled(&self, count: usize) {
        wait_for(&format!("{count} events"), || (self.place.spooled().len() >= count).then_some(()));
        assert_eq!(self.place.spooled().len(), count);
    }
}

/// A subcommand that has ended.
pub struct Done(pub Output);

impl Done {
    pub fn exit_status(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub fn out(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn err(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// Ended with this status.
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.exit_status(), status, "{}{}", self.out(), self.err());
        self
    }
}

/// A running `mailhatch fetch`.
pub struct Fetch {
    process: Process,
    place: std::path::PathBuf,
}

impl Fetch {
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.place.join("log")).unwrap_or_default()
    }

    /// Waits until it logs something.
    pub fn wait_log(&self, text: &str) {
        wait_for(&format!("{text:?} in the log"), || self.log().contains(text).then_some(()));
    }

    /// Waits until it has logged an event so many times.
    pub fn wait_told(&self, event: &str, count: usize) {
        wait_for(&format!("{event} {count} times"), || (self.waits(event).len() >= count).then_some(()));
    }

    /// How long it waits after each event of this name.
    pub fn waits(&self, event: &str) -> Vec<String> {
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains(&format!("event={event} ")));
        let wait =
            |line: &str| line.split_once("next_try=").and_then(|(_, rest)| rest.split(' ').next().map(str::to_owned));
        lines.filter_map(wait).collect()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// SIGTERM; it must end with 0.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("fetch logged:\n{}", self.log());
        }
    }
}

/// Puts messages into the INBOX, unread.
pub fn append(client: &mut Imap, messages: impl IntoIterator<Item = Vec<u8>>) {
    for message in messages {
        client.append("INBOX", "", None, &message);
    }
}
