//! The servers that are compared: mailhatch, the floor (smtp-sink throws mail away), and Dovecot's LMTP into a Maildir.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::place::{Place, Setup};
use crate::process::{Server, run};

/// One server under load.
pub struct Target {
    pub name: &'static str,
    pub socket: PathBuf,
    pub server: Server,
    /// What to empty between two measurements.
    pub spool: Option<PathBuf>,
    _place: Keep,
}

/// Directories live as long as their server.
pub enum Keep {
    Directory(#[expect(dead_code, reason = "removed at its drop")] TempDir),
    Place(Place),
}

/// smtp-sink -L: takes mail and throws it away.
pub fn floor(base: &Path) -> Target {
    let dir = tempfile::Builder::new().prefix("mh-sink-").tempdir_in(base).unwrap();
    let socket = dir.path().join("sink.sock");
    let mut command = Command::new("smtp-sink");
    command.args(["-L", "-u", "root"]).arg(format!("unix:{}", socket.display())).arg("256");
    let (server, _) = Server::start_and_wait(&mut command, &dir.path().join("log"), &socket);
    // Postfix's user is to reach it too.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    Target { name: "smtp-sink -L", socket, server, spool: None, _place: Keep::Directory(dir) }
}

/// The real binary.
pub fn mailhatch(name: &'static str, binary: &Path, base: &Path, setup: &Setup) -> Target {
    start(name, Command::new(binary), base, setup, |command, config| {
        command.arg("--config").arg(config).arg("serve");
    })
    .0
}

/// The same; and how long it took to start.
pub fn mailhatch_timed(binary: &Path, base: &Path, setup: &Setup) -> (Target, Duration) {
    start("mailhatch", Command::new(binary), base, setup, |command, config| {
        command.arg("--config").arg(config).arg("serve");
    })
}

/// mailhatch with an application that costs nothing.
pub fn null(name: &'static str, base: &Path, setup: &Setup) -> Target {
    let command = Command::new(std::env::current_exe().unwrap());
    start(name, command, base, setup, |command, config| {
        command.arg("--serve-null").arg(config);
    })
    .0
}

fn start(
    name: &'static str,
    mut command: Command,
    base: &Path,
    setup: &Setup,
    arguments: impl FnOnce(&mut Command, &Path),
) -> (Target, Duration) {
    let place = Place::new(base, setup);
    arguments(&mut command, &place.config());
    let (server, took) = Server::start_and_wait(&mut command, &place.path("log"), &place.socket());
    let (socket, spool) = (place.socket(), place.path("spool"));
    (Target { name, socket, server, spool: Some(spool), _place: Keep::Place(place) }, took)
}

impl Target {
    /// Where mailhatch's files are.
    pub fn place(&self) -> &Place {
        match &self._place {
            Keep::Place(place) => place,
            Keep::Directory(_) => panic!("no mailhatch"),
        }
    }
}

/// Dovecot's LMTP into a Maildir, with Debian's settings where they matter; `None` if the package is not there.
pub fn dovecot(base: &Path) -> Option<Target> {
    if !Path::new("/usr/lib/dovecot/lmtp").exists() {
        eprintln!("  no dovecot-lmtpd here: its rows are left out");
        return None;
    }
    let dir = tempfile::Builder::new().prefix("mh-dovecot-").tempdir_in(base).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (path, socket) = (dir.path().display(), dir.path().join("lmtp.sock"));
    let config = format!(
        "protocols = lmtp
base_dir = {path}/run
state_dir = {path}/state
instance_name = bench
log_path = {path}/log
ssl = no
auth_mechanisms = plain
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:{path}/mail/Maildir
recipient_delimiter = +
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={path}/mail allow_all_users=yes
}}
service lmtp {{
  process_min_avail = 16
  unix_listener {} {{
    mode = 0666
  }}
}}
service stats {{
  client_limit = 1000
}}
",
        socket.display()
    );
    for name in ["run", "state", "mail"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    run("chown", &["nobody:nogroup", &format!("{path}/mail")]);
    fs::write(dir.path().join("dovecot.conf"), config).unwrap();
    let mut command = Command::new("dovecot");
    command.arg("-F").arg("-c").arg(dir.path().join("dovecot.conf"));
    let (server, _) = Server::start_and_wait(&mut command, &dir.path().join("out"), &socket);
    let spool = Some(dir.path().join("mail/Maildir/new"));
    Some(Target { name: "Dovecot LMTP, Maildir", socket, server, spool, _place: Keep::Directory(dir) })
}
