//! A real application of the tests' own: started, stopped and started again in the Debian that `tests/apps/root` makes.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::postfix::free_port;
use crate::support::process::{Process, run};
use crate::support::wait::wait_for_or;

/// The password of the ingress, and the key of Redmine's web service (`tests/apps/prepare.rb` sets it).
pub const SECRET: &str = "the-key-of-redmine";

/// Which application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ActionMailbox,
    Redmine,
    RequestTracker,
}

impl Kind {
    /// `kind` in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::ActionMailbox => "action-mailbox",
            Self::Redmine => "redmine",
            Self::RequestTracker => "request-tracker",
        }
    }
}

/// One that runs, or has run; what it stored stays until it is dropped.
pub struct Application {
    pub kind: Kind,
    port: u16,
    changes: TempDir,
    process: Option<Process>,
}

impl Application {
    /// Starts one, and waits until it answers.
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, "")
    }

    /// The same behind a command of the shell, such as `export NAME=value;`.
    pub fn start_with(kind: Kind, before: &str) -> Self {
        let changes = tempfile::Builder::new().prefix("mh-app-").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(changes.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut application = Self { kind, port: free_port(), changes, process: None };
        let shared = application.shared("");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        fs::copy(file("action_mailbox.ru"), shared.join("config.ru")).unwrap();
        application.start_again_with(before);
        application
    }

    /// Starts it again.
    pub fn start_again(&mut self) {
        self.start_again_with("");
    }

    fn start_again_with(&mut self, before: &str) {
        let address = format!("127.0.0.1:{}", self.port);
        // One thread, and one process: while SQLite waits for a lock, its Ruby driver lets no other thread go on to give the lock up,
        // and two of Request Tracker wait for each other for the better part of a minute.
        let program = match self.kind {
            Kind::ActionMailbox => {
                format!(
                    "cd /mnt && STATE=/mnt RAILS_ENV=production RAILS_INBOUND_EMAIL_PASSWORD={SECRET} exec puma -t 1:1 -b tcp://{address} config.ru"
                )
            }
            Kind::Redmine => format!(
                "cd /usr/share/redmine && X_DEBIAN_SITEID=default RAILS_ENV=production \
                 exec puma -t 1:1 -e production -b tcp://{address} config.ru"
            ),
            Kind::RequestTracker => {
                format!("exec starman --workers 1 --listen {address} /usr/share/request-tracker5/libexec/rt-server")
            }
        };
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(file("enter"));
        command.arg(root()).arg(self.changes.path()).args(["www-data:www-data", "sh", "-c"]);
        command.arg(format!("{before} {program}")).stdin(Stdio::null());
        let mut process = Process::start(command.stdout(log.try_clone().unwrap()).stderr(log));
        let answers = || {
            let ended = process.ended();
            assert!(ended.is_none(), "{:?} ended with {ended:?}:\n{}", self.kind, self.log());
            // The first answer of a Rails takes longer than its port does.
            let mut ask = Command::new("curl");
            ask.args(["--silent", "--output", "/dev/null", "--max-time", "60", &self.url()]);
            run(&mut ask).status.success().then_some(())
        };
        wait_for_or("the application to answer", answers, || self.log());
        self.process = Some(process);
    }

    /// SIGKILL for all of its processes.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Its root.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A file of its system that it has changed.
    pub fn stored(&self, path: &str) -> PathBuf {
        self.changes.path().join("upper").join(path)
    }

    /// A file of the directory that is the application's and ours: Action Mailbox has all its state there.
    pub fn shared(&self, name: &str) -> PathBuf {
        self.changes.path().join("shared").join(name)
    }

    pub fn log(&self) -> String {
        fs::read(self.log_file()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.changes.path().join("log")
    }
}

/// The Debian with the applications in it.
pub fn root() -> PathBuf {
    let root = std::env::var_os("MAILHATCH_APPS_ROOT").map(PathBuf::from);
    let root = root.expect("MAILHATCH_APPS_ROOT names what tests/apps/root made: make test-apps");
    assert!(root.is_dir(), "{} is not there: make test-apps", root.display());
    root
}

/// A file beside this one.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps").join(name)
}
