//! A site whose state belongs to a user of its own, and the others around it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::config::{BASE, SPOOL};
use crate::support::process::{run, run_with_input};
use crate::support::service::Place;

/// The service's user and its group: nobody.
pub const SERVICE: u32 = 65534;

/// Another user of the machine.
pub const OTHER: u32 = 65533;

pub const MESSAGE: &[u8] = b"From: jane@example.org\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n";

/// What nobody but root may read or change.
const SECRET: &str = "From: root@example.org\r\n\r\nof root alone\r\n";

/// A site whose state belongs to the service's user, and what root has beside it.
pub struct Site {
    pub place: Place,
    pub of_root: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Self {
        let place = Place::new(&format!("{BASE}{SPOOL}"));
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(place.path().join("state")).unwrap();
        for name in ["state", "spool"] {
            chown(place.path().join(name), Some(SERVICE), Some(SERVICE)).unwrap();
        }
        fs::set_permissions(place.path().join("state"), fs::Permissions::from_mode(0o750)).unwrap();
        let of_root = tempfile::tempdir().unwrap();
        fs::set_permissions(of_root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let site = Self { place, of_root };
        site.root_has("file");
        site
    }

    pub fn state(&self) -> PathBuf {
        self.place.path().join("state")
    }

    /// A file of root's alone.
    pub fn root_has(&self, name: &str) -> PathBuf {
        let path = self.of_root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, SECRET).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// One message by pipe, as the service's user; gives the id of the copy.
    pub fn hold_one(&self) -> String {
        let output = self.pipe("nobody@example.com");
        assert!(output.status.success(), "{output:?}");
        let mut held = self.place.held();
        assert_eq!(held.len(), 1);
        held.remove(0)
    }

    pub fn pipe(&self, recipient: &str) -> Output {
        self.pipe_message(recipient, MESSAGE)
    }

    pub fn pipe_message(&self, recipient: &str, message: &[u8]) -> Output {
        let recipient = format!("--recipient={recipient}");
        let mut command = self.place.command(&["pipe", "--sender=jane@example.org", &recipient]);
        run_with_input(command.uid(SERVICE).gid(SERVICE), message)
    }

    /// A shell script as the service's user, in the state directory.
    pub fn plants(&self, script: &str, root_file: &Path) {
        let output = shell(SERVICE, SERVICE, &self.state(), script, root_file);
        assert!(output.status.success(), "{script}: {output:?}");
    }

    /// A command as root; what root has must be as before, and the spool must not have got it.
    pub fn root_runs(&self, name: &str, arguments: &[&str]) -> Output {
        let output = self.place.run(arguments, b"");
        let said = format!("{name}: {}{}", lossy(&output.stdout), lossy(&output.stderr));
        assert!(!said.contains("of root alone"), "{said}");
        for file in walk(self.of_root.path()) {
            let metadata = fs::symlink_metadata(&file).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (0, 0), "{name}: {} was given away", file.display());
            if metadata.is_file() {
                assert_eq!(fs::read_to_string(&file).unwrap(), SECRET, "{name}: {} was changed", file.display());
                assert_eq!(metadata.mode() & 0o777, 0o600, "{name}: {}", file.display());
            }
        }
        for file in walk(&self.place.path().join("spool")) {
            let text = fs::read(&file).unwrap_or_default();
            assert!(!lossy(&text).contains("of root alone"), "{name}: {} holds root's file", file.display());
        }
        output
    }
}

pub fn shell(user: u32, group: u32, directory: &Path, script: &str, argument: &Path) -> Output {
    let mut command = Command::new("sh");
    command.args(["-ec", script, "sh"]).arg(argument).current_dir(directory).uid(user).gid(group);
    run(&mut command)
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Everything below a directory; links are not followed.
pub fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}
