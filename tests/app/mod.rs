//! Each application's contract against a real server, a real socket or a real directory.

mod acknowledgement;
mod action_mailbox;
mod discourse;
mod events;
mod faults;
mod forms;
mod gitlab;
mod gitlab_lookup;
mod osticket;
mod redmine;
mod request_tracker;
mod spool;
mod webhook;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mailhatch::app::{App, Apps, Event};
use mailhatch::config::{AddressSource, Config, ConfigError};
use mailhatch::event_id::{EventId, MessageDigest};
use mailhatch::mail::{Client, Content, Envelope, Message, Recipient, Sender};
use mailhatch::route::{Key, Matched, Route};

use crate::support::config::{GITLAB_SECRET, WEBHOOK_SECRET};

/// A reply key.
pub const KEY: &str = "59d8df8370b7e95c5a49fbf86aeb2c93";

/// A configuration with one application, `app`, and the files it names.
pub struct Setup {
    pub config: Config,
    pub directory: tempfile::TempDir,
}

impl Setup {
    /// `settings` are lines of `[[app]]`; `SECRET` and `DIR` in them stand for a secret file with that text and for the
    /// directory.
    pub fn new(settings: &str, secret: &str) -> Self {
        Self::with_address("incoming+%{key}@gitlab.example.com", settings, secret)
    }

    pub fn with_address(address: &str, settings: &str, secret: &str) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let file = write_file(directory.path(), "secret", secret.as_bytes());
        let settings = settings
            .replace("SECRET", &format!("secret_file = {:?}", file.display().to_string()))
            .replace("DIR", &directory.path().display().to_string());
        // A machine that is busy with other things must not turn into a fault of the application.
        let timeout = if settings.contains("timeout") { "" } else { "timeout = \"1h\"\n" };
        let text = format!(
            "[[mailbox]]\nname = \"incoming_email\"\naddress = \"{address}\"\napp = \"app\"\n\
             [[app]]\nname = \"app\"\n{settings}\n{timeout}"
        );
        let config = Config::parse(Path::new("mailhatch.toml"), &text).expect("configuration");
        Self { config, directory }
    }

    pub fn gitlab(url: &str) -> Self {
        Self::new(&format!("kind = \"gitlab\"\nurl = \"{url}\"\nSECRET\n"), GITLAB_SECRET)
    }

    pub fn webhook(url: &str, more: &str) -> Self {
        Self::new(&format!("kind = \"webhook\"\nurl = \"{url}\"\nSECRET\n{more}"), WEBHOOK_SECRET)
    }

    pub fn app(&self) -> Arc<dyn App> {
        Apps::new(&self.config).expect("applications").get("app").expect("app").clone()
    }

    pub fn error(&self) -> ConfigError {
        Apps::new(&self.config).expect_err("an error")
    }

    /// An event of a message for a key.
    pub fn event(&self, key: &str, message: impl Into<bytes::Bytes>) -> Event {
        let mailbox = Arc::new(self.config.mailboxes[0].clone());
        let message = Message::parse(Content::whole(message));
        let address = mailbox.address.value.replace("%{key}", key);
        let recipient = Recipient { address: address.clone(), original: None };
        Event {
            id: EventId::of(&mailbox.name.value, key, &MessageDigest::of(&message, None).unwrap()),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_341_600_123),
            route: Route {
                mailbox,
                action: "reply".to_owned(),
                key: Key::new(key).expect("key"),
                captures: [("part".to_owned(), "rs".to_owned())].into(),
                matched: Matched { source: AddressSource::Envelope, address },
            },
            envelope: Arc::new(Envelope {
                sender: Sender::from_path("jane@example.org"),
                recipients: vec![recipient.clone()],
                client: Client {
                    address: Some("203.0.113.7".parse().expect("address")),
                    helo: Some("mail.example.org".to_owned()),
                    name: None,
                },
                queue_id: Some("4Abc".to_owned()),
                origin: mailhatch::mail::Origin::Smtp,
            }),
            recipient,
            message,
            authentication: None,
        }
    }
}

/// A file that only we may read.
pub fn write_file(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, bytes).expect("write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    path
}

/// A short message to the key's address.
pub fn reply() -> String {
    format!("From: jane@example.org\r\nTo: incoming+{KEY}@gitlab.example.com\r\nSubject: Re: x\r\n\r\nYes.\r\n")
}
