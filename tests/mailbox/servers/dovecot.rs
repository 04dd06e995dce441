//! A private Dovecot: its own configuration, ports, mail and certificate. It ends with the test, also where that is killed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Imap, PASSWORD, USER, free_ports, make_certificate, wait_for};
use crate::support::process::{Process, run};

/// A running Dovecot.
pub struct Dovecot {
    dir: TempDir,
    master: Process,
    imap: u16,
    imaps: u16,
}

impl Dovecot {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// With more lines of configuration.
    pub fn start_with(more: &str) -> Self {
        Self::start_with_files(more, |_| ())
    }

    /// With more lines of configuration, in which `{dir}` is its directory, and files that they name.
    pub fn start_with_files(more: &str, make_files: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::Builder::new().prefix("mhd").rand_bytes(5).tempdir_in("/tmp").unwrap();
        // Dovecot's users must reach what is below.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        make_certificate(dir.path());
        let mail = dir.path().join("mail");
        fs::create_dir(&mail).unwrap();
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        chown(&mail, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
        fs::write(dir.path().join("users"), format!("{USER}:{{PLAIN}}{PASSWORD}\nann:{{PLAIN}}{PASSWORD}\n")).unwrap();
        make_files(dir.path());
        // A port may be taken between asking for it and listening there.
        let (master, imap, imaps) = wait_for("Dovecot", || {
            let [imap, imaps] = free_ports();
            let configuration = format!("{CONFIGURATION}\n{more}\n")
                .replace("{imap}", &imap.to_string())
                .replace("{imaps}", &imaps.to_string())
                .replace("{dir}", dir.path().to_str().unwrap());
            fs::write(dir.path().join("dovecot.conf"), configuration).unwrap();
            start(dir.path()).map(|master| (master, imap, imaps))
        });
        Self { dir, master, imap, imaps }
    }

    /// The port for plain text and STARTTLS.
    pub fn imap(&self) -> u16 {
        self.imap
    }

    /// The port for TLS.
    pub fn imaps(&self) -> u16 {
        self.imaps
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A connection to look with.
    pub fn client(&self) -> Imap {
        Imap::connect(self.imap)
    }

    /// Ends every session of the user.
    pub fn kick(&self) {
        let done = run(Command::new("doveadm").arg("-c").arg(self.path("dovecot.conf")).args(["kick", USER]));
        assert!(done.status.success() || done.status.code() == Some(68), "{done:?}");
    }

    /// The ids of the processes that serve sessions of IMAP.
    pub fn sessions(&self) -> Vec<i32> {
        let master = self.master.id();
        let found = run(Command::new("pgrep").args(["-P", &master.to_string(), "-x", "imap"]));
        String::from_utf8(found.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Gives it another certificate. Sessions end.
    pub fn change_certificate(&self) {
        make_certificate(self.dir.path());
        self.master.signal(Signal::SIGHUP);
        self.kick();
    }

    /// Stops and starts it; sessions end.
    pub fn restart(&mut self) {
        self.stop();
        self.begin();
    }

    pub fn stop(&mut self) {
        end(&mut self.master);
    }

    pub fn begin(&mut self) {
        self.master = wait_for("Dovecot", || start(self.dir.path()));
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// From now on the user may read the INBOX, and not change it (RFC 4314). Sessions end.
    pub fn make_read_only(&self) {
        fs::write(self.path("mail/joe/dovecot-acl"), "user=joe lr\n").unwrap();
    }

    /// Puts many messages into the INBOX at once, as a delivery would have: unread.
    pub fn fill(&self, messages: impl Iterator<Item = Vec<u8>>) {
        for (index, message) in messages.enumerate() {
            self.deliver(index, &message);
        }
    }

    /// Delivers one message into the INBOX, as a delivery agent does: no session is needed for it.
    pub fn deliver(&self, number: usize, message: &[u8]) {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        let owner = (Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw()));
        let maildir = self.path("mail/joe");
        for name in ["", "cur", "new", "tmp"] {
            if fs::create_dir(maildir.join(name)).is_ok() {
                chown(maildir.join(name), owner.0, owner.1).unwrap();
            }
        }
        let name = format!("1700000000.M{number:06}.test");
        let [written, delivered] = ["tmp", "new"].map(|directory| maildir.join(directory).join(&name));
        fs::write(&written, message).unwrap();
        chown(&written, owner.0, owner.1).unwrap();
        fs::rename(written, delivered).unwrap();
    }
}

/// Ends with the thread that started it. `None`: it did not start, because somebody else listens at its port.
///
/// Its own log says that it listens; that a connection is taken may be somebody else's doing.
fn start(dir: &Path) -> Option<Process> {
    let starts = || fs::read_to_string(dir.join("log")).unwrap_or_default().matches(" starting up for ").count();
    let before = starts();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "dovecot", "-F", "-c"]).arg(dir.join("dovecot.conf"));
    let mut master = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()));
    let listens = || master.ended().map(|_| false).or_else(|| (starts() > before).then_some(true));
    wait_for("Dovecot to listen, or to end", listens).then_some(master)
}

/// Its children end with it only where it can tell them.
fn end(master: &mut Process) {
    if master.ended().is_none() {
        master.signal(Signal::SIGTERM);
        master.wait();
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        end(&mut self.master);
        if std::thread::panicking() {
            eprintln!("Dovecot's log:\n{}", self.log());
        }
    }
}

const CONFIGURATION: &str = r#"
base_dir = {dir}/run
state_dir = {dir}/run
log_path = {dir}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{dir}/tls.pem
ssl_key = <{dir}/tls.key
disable_plaintext_auth = no
# So that a test with a wrong password need not wait.
auth_failure_delay = 0
mail_location = maildir:{dir}/mail/%u
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 100
service imap-login {
  chroot =
  inet_listener imap {
    port = {imap}
  }
  inet_listener imaps {
    port = {imaps}
    ssl = yes
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
passdb {
  driver = passwd-file
  args = username_format=%u {dir}/users
}
userdb {
  driver = static
  args = home={dir}/mail/%u
}
mail_plugins = acl
plugin {
  acl = vfile
}
namespace inbox {
  inbox = yes
  separator = /
  mailbox Trash {
    special_use = \Trash
  }
}
"#;
