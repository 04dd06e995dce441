//! A temporary place on the disk that is measured, with a configuration.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The one application of every configuration.
pub const APP: &str = "app";

/// The recipient that every load generator writes to.
pub const RECIPIENT: &str = "incoming+0123456789abcdef@app.example.com";

/// What stands in the configuration.
#[derive(Clone, Debug)]
pub struct Setup {
    pub app: Kind,
    pub mailboxes: usize,
    pub name_server: Option<SocketAddr>,
    pub notices: Option<SocketAddr>,
    pub hostname: &'static str,
    /// The URL of the shared ledger.
    pub shared: Option<String>,
}

/// The application.
#[derive(Clone, Debug)]
pub enum Kind {
    Gitlab(String),
    Spool,
    Webhook(String),
}

impl Setup {
    pub fn new(app: Kind) -> Self {
        Self { app, mailboxes: 1, name_server: None, notices: None, hostname: "mx.example.com", shared: None }
    }

    fn text(&self, dir: &Path) -> String {
        let dir = dir.display();
        let mut text = format!(
            "hostname = \"{}\"\nstate_dir = \"{dir}/state\"\n\
             [listen]\nlmtp = [\"unix:{dir}/lmtp.sock\"]\n[log]\nto = \"stderr\"\n",
            self.hostname
        );
        if let Some(url) = &self.shared {
            writeln!(text, "[shared]\nurl = \"{url}\"").unwrap();
        }
        match self.name_server {
            None => text.push_str("[auth]\nmethod = \"off\"\n"),
            Some(address) => writeln!(text, "[auth]\nnameservers = [\"{address}\"]").unwrap(),
        }
        match self.notices {
            None => text.push_str("[notice]\nenabled = false\n"),
            Some(address) => writeln!(
                text,
                "[notice]\nfrom = \"mailhatch <postmaster@mx.example.com>\"\nsmtp = \"{address}\"\n\
                 per_domain_per_hour = 4000000000\ntotal_per_hour = 4000000000"
            )
            .unwrap(),
        }
        text.push_str("[held]\nmax_size = \"100GiB\"\n");
        let app = match &self.app {
            Kind::Gitlab(url) => format!("kind = \"gitlab\"\nurl = \"{url}\"\nsecret_file = \"{dir}/gitlab.secret\""),
            Kind::Spool => format!("kind = \"spool\"\npath = \"{dir}/spool\""),
            Kind::Webhook(url) => {
                format!("kind = \"webhook\"\nurl = \"{url}\"\nsecret_file = \"{dir}/webhook.secret\"")
            }
        };
        writeln!(text, "[[app]]\nname = \"{APP}\"\n{app}\nconcurrency = 100").unwrap();
        for number in 0..self.mailboxes {
            let address = match number + 1 == self.mailboxes {
                true => "incoming+%{key}@app.example.com".to_owned(),
                false => format!("team{number}+%{{key}}@host{}.example.com", number % 100),
            };
            writeln!(
                text,
                "[[mailbox]]\nname = \"box{number}\"\naddress = \"{address}\"\nactions = \"any\"\napp = \"{APP}\""
            )
            .unwrap();
        }
        text
    }
}

/// The place; gone when dropped.
pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn new(base: &Path, setup: &Setup) -> Self {
        let dir = tempfile::Builder::new().prefix("mh-bench-").tempdir_in(base).unwrap();
        // The user of a pipe transport must reach what is below.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = Self { dir };
        for (name, secret) in [
            ("webhook.secret", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"),
            ("gitlab.secret", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ] {
            fs::write(place.path(name), secret).unwrap();
            fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o640)).unwrap();
        }
        fs::create_dir(place.path("spool")).unwrap();
        fs::write(place.config(), setup.text(place.dir.path())).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("mailhatch.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.path("lmtp.sock")
    }

    /// Lets another user work here: the one that Postfix's pipe(8) runs commands as.
    pub fn give_to(&self, user: &str) {
        let path = self.dir.path().to_str().unwrap();
        // With his group: an entry of a spool gets the group of its directory.
        crate::process::run("chown", &["-R", &format!("{user}:"), path]);
    }
}

/// Removes what is in a directory.
pub fn empty(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.map(|entry| entry.unwrap().path()) {
        let _ = if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
    }
}
