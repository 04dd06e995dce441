//! An application behind mailhatch behind a real Postfix.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::application::{Application, Kind, SECRET};
use crate::support::postfix::{USER, chown};
use crate::support::site::{DOMAIN, Site, Variant};
use crate::support::submission::Submission;

/// The sender whom every application here knows.
pub const JANE: &str = "jane@example.org";

/// All three; they end with it.
pub struct Tracker {
    pub site: Site,
    pub application: Application,
}

/// A mail on its way, and what its recipient is called.
pub struct Mail {
    pub sender: &'static str,
    pub recipient: String,
    pub text: Vec<u8>,
}

impl Mail {
    /// A text from Jane to the application's usual address.
    pub fn new(kind: Kind, subject: &str, more_header: &str, body: &[u8]) -> Self {
        let to = usual_address(kind);
        let header = format!(
            "From: Jane <{JANE}>\r\nTo: {to}\r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\nSubject: {subject}\r\nMessage-ID: <{}@example.org>\r\n{more_header}\r\n",
            subject.replace(' ', "-")
        );
        Self { sender: JANE, recipient: to, text: [header.as_bytes(), body, b"\r\n"].concat() }
    }

    /// To another recipient than the header says.
    pub fn to(mut self, recipient: &str) -> Self {
        self.recipient = recipient.to_owned();
        self
    }
}

/// An address whose mail the application takes, with the key in it, or with a key of its own.
pub fn usual_address(kind: Kind) -> String {
    let local = match kind {
        Kind::ActionMailbox => "incoming+abc",
        Kind::Redmine => "project+general",
        Kind::RequestTracker => "support",
    };
    format!("{local}@{DOMAIN}")
}

impl Tracker {
    /// Everything runs.
    pub fn start(kind: Kind) -> Self {
        Self::around(Application::start(kind), SECRET)
    }

    /// The same with this application, and the secret that mailhatch has.
    pub fn around(application: Application, secret: &str) -> Self {
        let mut site = Site::unwired(Variant::Lmtp);
        if let Some(binary) = std::env::var_os("MAILHATCH_BENCH_BINARY") {
            // What is there is a hard link.
            fs::remove_file(site.program()).unwrap();
            fs::copy(binary, site.program()).unwrap();
        }
        site.wire(&site.program());
        site.postfix.start();
        let tracker = Self { site, application };
        tracker.set_secret(secret);
        tracker.site.write_configuration(&tracker.configuration());
        tracker.site.start_service();
        tracker
    }

    /// Writes the file with the secret.
    pub fn set_secret(&self, secret: &str) {
        let path = self.site.postfix.path("secret");
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, USER);
    }

    /// The configuration: an address with the key in it, a plain one, and one that leads nowhere. The applications here take one
    /// mail at once; sixteen would wait in there longer than `timeout` on a busy machine, and arrive twice.
    pub fn configuration(&self) -> String {
        let (kind, dir) = (self.application.kind, self.site.directory());
        let more = match kind {
            Kind::RequestTracker => "fields = { queue = \"%{key}\", action = \"correspond\" }".to_owned(),
            Kind::Redmine => {
                format!("secret_file = \"{}/secret\"\nrefused_after = \"1s\"", dir.display())
            }
            Kind::ActionMailbox => format!("secret_file = \"{}/secret\"", dir.display()),
        };
        let mailboxes = [
            ("with-key", "incoming+%{key}", ""),
            ("project", "project+%{key}", ""),
            ("support", "support", "key = \"General\""),
            ("nowhere", "nowhere", "key = \"no such queue\""),
        ];
        let mut text = format!(
            "hostname = \"mx.example.com\"\nstate_dir = \"{dir}/state\"\n[listen]\nlmtp = [\"unix:{dir}/run/lmtp.sock\"]\n\
             [auth]\nmethod = \"off\"\n[notice]\nenabled = false\n[log]\nto = \"stderr\"\n\
             [[app]]\nname = \"tracker\"\nkind = \"{}\"\nurl = \"{}\"\nconcurrency = 4\n{more}\n",
            kind.name(),
            self.application.url(),
            dir = dir.display(),
        );
        for (name, local, key) in mailboxes {
            text.push_str(&format!(
                "[[mailbox]]\nname = \"{name}\"\naddress = \"{local}@{DOMAIN}\"\napp = \"tracker\"\n{key}\n"
            ));
        }
        text
    }

    /// Hands a mail to Postfix; gives the queue id.
    pub fn submit(&self, mail: &Mail) -> String {
        self.site.postfix.send(&Submission::new(mail.sender, &[&mail.recipient], mail.text.clone()))
    }

    /// Hands a mail to Postfix, and waits until it is delivered; gives the delivery line.
    #[track_caller]
    pub fn deliver(&self, mail: &Mail) -> String {
        let lines = self.site.postfix.wait_done(&self.submit(mail));
        lines.last().cloned().unwrap_or_else(|| panic!("no delivery line\n{}", self.site.postfix.log()))
    }

    /// What mailhatch logged of the application.
    pub fn check(&self) -> String {
        let output = crate::support::process::run(&mut self.site.mailhatch(&["check"]));
        String::from_utf8(output.stdout).unwrap()
    }
}
