//! A directory with a configuration and what it names, and the real binary that is run with it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::config::{http_app, secret_of};
use super::process::run_with_input;

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

    /// With an application over HTTP, and its secret; `base` is the rest of the configuration.
    pub fn with_http_app(base: &str, kind: &str, url: &str) -> Self {
        let place = Self::new(&format!("{base}{}", http_app(kind, url, "")));
        place.write_secret("secret", secret_of(kind));
        place
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

    /// Writes a file that only we may read; gives its path.
    pub fn write_secret(&self, name: &str, secret: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
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

    /// A subcommand with this configuration, to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(MAILHATCH);
        command.arg("--config").arg(self.config()).args(arguments);
        command
    }

    /// Runs a subcommand to its end.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        self.run_with(arguments, input, &[])
    }

    /// The same with environment variables.
    pub fn run_with(&self, arguments: &[&str], input: &[u8], environment: &[(&str, &str)]) -> Output {
        run_with_input(self.command(arguments).envs(environment.iter().copied()), input)
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
