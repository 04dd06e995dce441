//! Courier and Cyrus, each with the configuration of its Debian package, in the Debians that `tests/mailbox/imap-servers/root`
//! makes: Debian lets only one IMAP server be installed, and here that is Dovecot.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Imap, free_ports, make_certificate, wait_for_port};
use crate::support::process::Process;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Courier,
    Cyrus,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Courier => "courier",
            Self::Cyrus => "cyrus",
        }
    }
}

/// One that runs, or has run; its mail stays until it is dropped.
pub struct Debian {
    kind: Kind,
    port: u16,
    tls_port: u16,
    changes: TempDir,
    process: Option<Process>,
}

impl Debian {
    /// Starts one, and waits until it listens.
    pub fn start(kind: Kind) -> Self {
        let changes = tempfile::Builder::new().prefix("mh-imap-").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(changes.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let shared = changes.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::copy(file("mailbox/imap-servers").join(kind.name()), shared.join("start")).unwrap();
        make_certificate(&shared);
        let [port, tls_port] = free_ports();
        let mut server = Self { kind, port, tls_port, changes, process: None };
        server.begin();
        server
    }

    /// Starts it again.
    pub fn begin(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(file("apps/enter"));
        command.arg(root().join(self.kind.name())).arg(self.changes.path());
        command.args(["0:0", "/mnt/start", &self.port.to_string(), &self.tls_port.to_string()]).stdin(Stdio::null());
        self.process = Some(Process::start(command.stdout(log.try_clone().unwrap()).stderr(log)));
        wait_for_port(self.port);
        wait_for_port(self.tls_port);
    }

    /// SIGKILL for all of its processes.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// The port for plain text and STARTTLS.
    pub fn imap(&self) -> u16 {
        self.port
    }

    /// The port for TLS.
    pub fn imaps(&self) -> u16 {
        self.tls_port
    }

    /// Its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.changes.path().join("shared/tls.pem")
    }

    /// A connection to look with.
    pub fn client(&self) -> Imap {
        Imap::connect(self.port)
    }

    fn log_file(&self) -> PathBuf {
        self.changes.path().join("log")
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("{:?} wrote:\n{}", self.kind, fs::read_to_string(self.log_file()).unwrap_or_default());
        }
    }
}

/// Where the Debians are.
fn root() -> PathBuf {
    let root = std::env::var_os("MAILHATCH_IMAP_SERVERS_ROOT").map(PathBuf::from);
    root.expect("MAILHATCH_IMAP_SERVERS_ROOT names what tests/mailbox/imap-servers/root made: make test-imap-servers")
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}
