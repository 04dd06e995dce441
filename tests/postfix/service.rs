//! mailhatch behind the private Postfix with the spool application: how the tests of the wiring use [`Site`].

use crate::support::name_server::NameServer;
pub use crate::support::site::{DOMAIN, Delivered, Site, Variant};
use crate::support::submission::Submission;
use crate::support::wait::wait_until;

/// The mailbox of most tests.
pub const INCOMING: &str = r#"
[[mailbox]]
name = "incoming"
address = "incoming+%{key}@mail.example.com"
app = "spool"
"#;

impl Site {
    /// A site that runs, with the usual mailbox.
    pub fn start(variant: Variant) -> Self {
        Self::start_with(variant, INCOMING)
    }

    /// A site that runs, with other mailboxes or further sections.
    pub fn start_with(variant: Variant, sections: &str) -> Self {
        let site = Self::prepare(variant);
        site.configure(sections);
        site.start_service();
        site
    }

    /// A site that runs, with the usual mailbox, and works out who the sender is by this name server.
    pub fn start_with_name_server(variant: Variant, names: &NameServer) -> Self {
        let site = Self::prepare(variant);
        site.configure_with(&format!("nameservers = [\"{}\"]", names.address()), INCOMING);
        site.start_service();
        site
    }

    /// Postfix runs and is wired; mailhatch is neither configured nor running.
    pub fn prepare(variant: Variant) -> Self {
        let mut site = Self::unwired(variant);
        site.wire(&site.program());
        site.postfix.start();
        site
    }

    /// Writes the configuration; no sender is proven.
    pub fn configure(&self, sections: &str) {
        self.configure_with("method = \"off\"", sections);
    }

    /// Writes the configuration, with these lines in `[auth]`.
    pub fn configure_with(&self, auth: &str, sections: &str) {
        self.write_configuration(&format!(
            r#"hostname = "mx.example.com"
state_dir = "{dir}/state"
[listen]
lmtp = ["unix:{dir}/run/lmtp.sock"]
[[app]]
name = "spool"
kind = "spool"
path = "{dir}/spool"
[auth]
{auth}
[notice]
smtp = "127.0.0.1:{smtp}"
[log]
to = "{log}"
{sections}"#,
            dir = self.directory().display(),
            smtp = self.postfix.port(),
            log = if self.variant == Variant::Lmtp { "stderr" } else { "syslog" },
        ));
    }

    /// Has the service read its configuration again, and waits until it has.
    #[track_caller]
    pub fn reload(&self) {
        let reloaded = || self.service_log().matches("configuration reloaded").count();
        let before = reloaded();
        self.reload_service();
        wait_until("the reload", || reloaded() > before);
    }

    /// Sends a message, and waits until Postfix is done with it; gives the reply of mailhatch to each recipient, as
    /// Postfix logs it.
    #[track_caller]
    pub fn send(&self, submission: &Submission) -> Vec<String> {
        let queue_id = self.postfix.send(submission);
        let lines = self.postfix.wait_done(&queue_id);
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line.contains("status=sent")),
            "{lines:#?}\n{}",
            self.service_log()
        );
        lines
    }

    /// The same, for a message that gives one event.
    #[track_caller]
    pub fn send_one(&self, submission: &Submission) -> Delivered {
        let replies = self.send(submission);
        let mut delivered = self.delivered();
        assert_eq!(delivered.len(), 1, "{replies:#?}\n{}", self.service_log());
        delivered.remove(0)
    }

    /// Says that the reply to the one recipient begins so. With pipe, Postfix does not look at the output of a
    /// program that ended well, so there is nothing to see.
    #[track_caller]
    pub fn assert_reply(&self, replies: &[String], beginning: &str) {
        if self.variant == Variant::Lmtp {
            let expected = format!("said: {beginning}");
            let expected = [expected, format!("({beginning}")];
            assert!(
                replies.len() == 1 && expected.iter().any(|part| replies[0].contains(part)),
                "no {beginning}: {replies:#?}"
            );
        }
    }
}

/// A message of its own for each name; its header says nothing of a key.
pub fn message(name: &str) -> String {
    message_with(name, "")
}

/// The same with further header fields, each with its CRLF.
pub fn message_with(name: &str, fields: &str) -> String {
    format!(
        "From: Jane <jane@example.org>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@example.org>\r\n\
         Subject: {name}\r\n{fields}\r\nThe text of {name}.\r\n"
    )
}

/// Defines a test that is run over LMTP and over pipe.
macro_rules! over_lmtp_and_pipe {
    ($(#[doc = $doc:literal])* fn $name:ident($variant:ident) $body:block) => {
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "not each test needs all")]
            use super::*;

            fn test($variant: crate::service::Variant) $body

            #[crate::support::needs(postfix, root)]
            #[test]
            fn lmtp() {
                test(crate::service::Variant::Lmtp);
            }

            #[crate::support::needs(postfix, root)]
            #[test]
            fn pipe() {
                test(crate::service::Variant::Pipe);
            }
        }
    };
}
pub(crate) use over_lmtp_and_pipe;
