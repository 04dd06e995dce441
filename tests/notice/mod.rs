//! The reject notice: may it be written, what it says, and how it is handed over, with a real name server, a real ledger
//! and an SMTP server that does what it is told.

mod dns_bounds;
mod end_to_end;
mod flood;
mod hostile;
mod policy;
mod proof;
mod rendering;
mod submission;
mod templates;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mailhatch::auth::Authenticator;
use mailhatch::config::Config;
use mailhatch::event_id::{EventId, MessageDigest};
use mailhatch::ledger::Ledger;
use mailhatch::mail::{Client, Content, Envelope, Message, Recipient, Sender};
use mailhatch::notice::{NoticeOutcome, Notifier, Rejected};
use mailhatch::route::Routes;
use mailhatch::screen;
use mailhatch::trail::Trail;
use mailhatch::verdict::{Deferral, Rejection};
use tokio::time::Instant;

use crate::support::name_server::{NameServer, Zone};
use crate::support::smtp_server::SmtpServer;

const CLIENT: &str = "203.0.113.7";

/// Everything that a notice needs.
struct Desk {
    mta: SmtpServer,
    _names: NameServer,
    place: tempfile::TempDir,
    authenticator: Authenticator,
    notifier: Notifier,
    routes: Routes,
    ledger: Ledger,
}

/// A message that nobody takes.
#[derive(Clone)]
struct Mail {
    sender: Sender,
    client: &'static str,
    recipient: Recipient,
    rejection: Rejection,
    message: Vec<u8>,
}

fn zone() -> Zone {
    Zone::new()
        .txt("example.org", "v=spf1 ip4:203.0.113.7 -all")
        .txt("bücher.example", "v=spf1 ip4:203.0.113.7 -all")
        .txt("xn--bcher-kva.example", "v=spf1 ip4:203.0.113.7 -all")
        .txt("example.net", "v=spf1 ip4:203.0.113.7 -all")
        .txt("mail.example.com", "v=spf1 ip4:203.0.113.7 -all")
        .txt("mx.example.com", "v=spf1 ip4:203.0.113.7 -all")
        .txt("all.example.org", "v=spf1 +all")
        .txt("_dmarc.strict.example", "v=DMARC1; p=reject")
}

impl Desk {
    fn new() -> Self {
        Self::with("", "")
    }

    /// With more lines in `[notice]`, and more sections.
    fn with(notice: &str, sections: &str) -> Self {
        Self::open(tempfile::tempdir().unwrap(), notice, sections)
    }

    fn open(place: tempfile::TempDir, notice: &str, sections: &str) -> Self {
        let mta = SmtpServer::start();
        let smtp = mta.address();
        Self::open_at(place, mta, smtp, notice, sections)
    }

    /// With another address for the MTA.
    fn open_at(
        place: tempfile::TempDir,
        mta: SmtpServer,
        smtp: std::net::SocketAddr,
        notice: &str,
        sections: &str,
    ) -> Self {
        let names = NameServer::start(zone());
        let text = format!(
            "hostname = \"mx.example.com\"\nstate_dir = \"{state}\"\n[[mailbox]]\nname = \"m\"\n\
             address = \"incoming+%{{key}}@mail.example.com\"\nactions = \"any\"\napp = \"a\"\n[[app]]\nname = \"a\"\nkind = \"spool\"\n\
             path = \"/nonexistent\"\n[auth]\nnameservers = [\"{names}\"]\n[notice]\nsmtp = \"{smtp}\"\n{notice}\n{sections}",
            state = place.path().join("state").display(),
            names = names.address(),
        );
        let config = Config::parse(Path::new("test.toml"), &text).unwrap_or_else(|error| panic!("{error}"));
        Self {
            authenticator: Authenticator::new(&config).unwrap(),
            notifier: Notifier::new(&config).unwrap(),
            routes: Routes::new(&config).unwrap(),
            ledger: Ledger::new(&config),
            mta,
            _names: names,
            place,
        }
    }

    /// Rejects a message; nothing takes longer than the deadline.
    async fn reject_within(&self, mail: &Mail, deadline: Duration) -> Result<NoticeOutcome, Deferral> {
        let message = Message::parse(Content::whole(mail.message.clone()));
        let envelope = Envelope {
            sender: mail.sender.clone(),
            recipients: vec![mail.recipient.clone()],
            client: Client {
                address: mail.client.parse().ok(),
                helo: Some("helo.example.org".to_owned()),
                name: Some("mail.example.org".to_owned()),
            },
            queue_id: None,
            origin: mailhatch::mail::Origin::Smtp,
        };
        let id = mail.id();
        let findings = screen::examine(&envelope, &message, Trail::off());
        let rejected = Rejected {
            id: &id,
            envelope: &envelope,
            message: &message,
            recipient: &mail.recipient,
            rejection: &mail.rejection,
            findings: &findings,
            routes: &self.routes,
        };
        let authentication = async { Arc::new(self.authenticator.examine(&envelope, &message).await) };
        self.notifier.notify(rejected, authentication, &self.ledger, Instant::now() + deadline).await
    }

    async fn reject(&self, mail: &Mail) -> Result<NoticeOutcome, Deferral> {
        self.reject_within(mail, Duration::from_secs(60)).await
    }

    /// The notice for a message that must get one.
    #[track_caller]
    fn notice(&self, mail: &Mail) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(self.reject(mail));
        assert!(matches!(outcome, Ok(NoticeOutcome::Sent { .. })), "{outcome:?}");
        self.mta.taken().pop().unwrap().message
    }
}

impl Mail {
    /// From a proven sender, with some header fields more, each with its CRLF.
    fn new(sender: &str, fields: &str) -> Self {
        let header = "From: Jane <jane@example.org>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
                      Message-ID: <1@example.org>\r\nSubject: hello\r\n";
        Self {
            sender: Sender::from_path(sender),
            client: CLIENT,
            recipient: Recipient::new("nobody@mail.example.com"),
            rejection: Rejection { rule: "unknown-address", reason: "The address is not known here.".to_owned() },
            message: format!("{header}{fields}\r\nTHE BODY\r\n").into_bytes(),
        }
    }

    /// The event's.
    fn id(&self) -> EventId {
        let message = Message::parse(Content::whole(self.message.clone()));
        EventId::of("", &self.recipient.address, &MessageDigest::of(&message, None).unwrap())
    }

    fn jane() -> Self {
        Self::new("jane@example.org", "")
    }

    fn message(mut self, message: impl Into<Vec<u8>>) -> Self {
        self.message = message.into();
        self
    }

    fn rejected(mut self, rule: &'static str, reason: &str) -> Self {
        self.rejection = Rejection { rule, reason: reason.to_owned() };
        self
    }

    fn to(mut self, address: &str, original: Option<&str>) -> Self {
        self.recipient = Recipient { address: address.to_owned(), original: original.map(str::to_owned) };
        self
    }
}
