//! A host with encrypted credentials: the real `systemd-creds` in a mount namespace, where `/run` is in memory, and what is
//! written to `/etc` and `/var/lib/systemd` is the test's own.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::place::{MAILHATCH, Place};
use super::process::{run, run_with_input};

/// What must be found nowhere.
pub const SECRET: &str = "correct-horse-battery";

/// A host of its own: what a command leaves in `/etc` is there for the next.
pub struct Host {
    pub place: Place,
    /// On a disk: systemd-creds takes no key of a host that is in memory.
    pub disk: TempDir,
}

impl Host {
    pub fn new(config: &str) -> Self {
        let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for directory in ["upper", "work", "systemd", "run"] {
            std::fs::create_dir(disk.path().join(directory)).unwrap();
        }
        Self { place: Place::new(config), disk }
    }

    /// A command on this host; `$host` is its directory on the disk.
    pub fn command(&self, program: &[&str]) -> Command {
        let script = r#"set -e
            mount -t tmpfs none /run
            mount -t overlay overlay -o "lowerdir=/etc,upperdir=$host/upper,workdir=$host/work" /etc
            mount --bind "$host/systemd" /var/lib/systemd
            exec "$@""#;
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).args(program);
        command.env("host", self.disk.path()).env("EDITOR", "true");
        command
    }

    pub fn mailhatch(&self, arguments: &[&str]) -> Command {
        let config = self.place.config();
        self.command(&[&[MAILHATCH, "--config", config.to_str().unwrap()], arguments].concat())
    }

    /// `credential edit` with an editor that is a line of shell: `$1` is the file.
    pub fn edit(&self, name: &str, editor: &str) -> Output {
        let script = format!("sh -c '{editor}' sh");
        run(self.mailhatch(&["credential", "edit", name]).env("EDITOR", script))
    }

    /// A credential with a user and a password.
    pub fn set(&self, name: &str, toml: &str) -> String {
        said(run_with_input(&mut self.mailhatch(&["credential", "set", name]), toml.as_bytes()), true)
    }

    /// A file below `/etc` that is not the real host's.
    pub fn etc(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.disk.path().join("upper").join(path)).ok()
    }
}

/// What a command printed; its exit status must be as expected.
#[track_caller]
pub fn said(output: Output, success: bool) -> String {
    let text = String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned();
    assert_eq!(output.status.success(), success, "{text}");
    assert!(!text.contains(SECRET), "a secret was printed: {text}");
    text
}

/// Every line of strace in which a secret stands.
pub fn traced(trace: &Path, secret: &str) -> Vec<String> {
    let text = std::fs::read(trace).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.contains("execve("), "strace traced nothing: {text}");
    text.lines().filter(|line| line.contains(secret)).map(str::to_owned).collect()
}

/// What a program can give bytes away with, and with what it is started.
pub const CALLS: &str = "--trace=execve,execveat,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,splice,vmsplice,\
                     sendfile,copy_file_range,symlink,symlinkat,rename,renameat,renameat2,openat,open,mkdir,mkdirat";
