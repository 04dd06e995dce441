//! What becomes of a message for one recipient, and how that is said: the one table from verdict to LMTP reply, exit
//! status and log line (DESIGN section 2.4).
//!
//! No verdict is answered with 5xx: a 5xx would make the MTA write to a sender that nobody has proven.

use std::fmt;

use crate::app::EventId;
use crate::notice::{Foreseen, NoticeOutcome};
use crate::route::{Key, Matched};
use crate::telemetry::{Level, LogLine};
use crate::trail::Step;

/// An enhanced status code (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u8, pub u8, pub u8);

impl Status {
    /// Other or undefined status: done.
    pub const DONE: Self = Self(2, 0, 0);
    /// Other or undefined mail system status.
    pub const SYSTEM: Self = Self(4, 3, 0);
    /// Mail system full.
    pub const SYSTEM_FULL: Self = Self(4, 3, 1);
    /// System not accepting network messages.
    pub const NOT_ACCEPTING: Self = Self(4, 3, 2);
    /// System incorrectly configured.
    pub const CONFIGURATION: Self = Self(4, 3, 5);
    /// No answer from host.
    pub const NO_ANSWER: Self = Self(4, 4, 1);
    /// Bad connection.
    pub const BAD_CONNECTION: Self = Self(4, 4, 2);
    /// Directory server failure.
    pub const DIRECTORY: Self = Self(4, 4, 3);
    /// Mail system congestion.
    pub const CONGESTION: Self = Self(4, 4, 5);
    /// Delivery time expired.
    pub const TIME_EXPIRED: Self = Self(4, 4, 7);
    /// Other or undefined protocol status.
    pub const PROTOCOL: Self = Self(4, 5, 0);
    /// Other or undefined security status.
    pub const SECURITY: Self = Self(4, 7, 0);
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Why a message is not taken yet, in two texts: one that a stranger may read, one for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// 4.x.x
    pub status: Status,
    /// The cause's name, such as `app`, `ledger`, `deadline`.
    pub cause: &'static str,
    /// What a stranger may read: it stands in the reply, and a reply can travel back to a sender.
    pub public: String,
    /// What only the log gets, with what to do.
    pub detail: String,
    /// Somebody must act.
    pub alarm: bool,
}

/// What becomes of a message for one recipient. Every verdict that is not plain success carries its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is lost: the MTA keeps it and tries again.
    Deferred(Deferral),
    /// The application acknowledged it.
    Delivered,
    /// The same message for the same key was delivered before.
    Duplicate,
    /// Kept back for a person to look at.
    Held {
        /// `unexplained-refusal` or `unproven-sender`.
        rule: &'static str,
        /// What the rule saw.
        detail: String,
    },
    /// Machine-made, or dropped by the application.
    Ignored {
        /// The screen rule, or `app-drop`.
        rule: &'static str,
        /// What the rule saw.
        detail: String,
    },
    /// Nobody takes it.
    Rejected(Rejection),
}

/// Why nobody takes a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// `unknown-address`, `too-large` or `app-reject`.
    pub rule: &'static str,
    /// A sentence for the sender.
    pub reason: String,
}

impl Verdict {
    /// Its name in replies, logs, metrics and `explain`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Deferred(_) => "deferred",
            Self::Delivered => "delivered",
            Self::Duplicate => "duplicate",
            Self::Held { .. } => "held",
            Self::Ignored { .. } => "ignored",
            Self::Rejected(_) => "rejected",
        }
    }

    /// The name of the rule that made it; `None` for delivered and duplicate.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Deferred(deferral) => Some(deferral.cause),
            Self::Delivered | Self::Duplicate => None,
            Self::Held { rule, .. } | Self::Ignored { rule, .. } => Some(rule),
            Self::Rejected(rejection) => Some(rejection.rule),
        }
    }

    /// Its enhanced status code.
    pub fn status(&self) -> Status {
        match self {
            Self::Deferred(deferral) => deferral.status,
            _ => Status::DONE,
        }
    }

    /// What the rule saw, for the log.
    pub fn detail(&self) -> &str {
        match self {
            Self::Deferred(deferral) => &deferral.detail,
            other => other.public_detail().unwrap_or_default(),
        }
    }

    fn public_detail(&self) -> Option<&str> {
        match self {
            Self::Deferred(deferral) => Some(&deferral.public),
            Self::Delivered | Self::Duplicate => None,
            Self::Held { detail, .. } | Self::Ignored { detail, .. } => Some(detail),
            Self::Rejected(rejection) => Some(&rejection.reason),
        }
    }

    fn level(&self) -> Level {
        match self {
            Self::Deferred(deferral) if deferral.alarm => Level::Error,
            Self::Deferred(_) => Level::Warning,
            Self::Held { .. } => Level::Error,
            _ => Level::Info,
        }
    }
}

/// The verdict for one recipient with all that is said about it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What becomes of it.
    pub verdict: Verdict,
    /// The recipient with a key in it masked.
    pub recipient: String,
    /// The id of the event, and of the held copy.
    pub id: Option<EventId>,
    /// The mailbox, if one was found.
    pub mailbox: Option<String>,
    /// The application's name, if it was asked.
    pub app: Option<String>,
    /// The action of the key.
    pub action: Option<String>,
    /// The key.
    pub key: Option<Key>,
    /// Where the key was found.
    pub matched: Option<Matched>,
    /// For `rejected`: whether a notice went out, or why not.
    pub notice: Option<NoticeOutcome>,
    /// For `explain`: whether a notice would go out.
    pub foreseen_notice: Option<Foreseen>,
    /// Whether a copy is held.
    pub held: bool,
    /// Something went wrong that does not change the verdict.
    pub warning: Option<String>,
    /// Every step, for `explain`.
    pub trail: Vec<Step>,
}

impl Outcome {
    /// A verdict about which nothing else is known.
    pub fn new(verdict: Verdict, recipient: impl Into<String>) -> Self {
        Self {
            verdict,
            recipient: recipient.into(),
            id: None,
            mailbox: None,
            app: None,
            action: None,
            key: None,
            matched: None,
            notice: None,
            foreseen_notice: None,
            held: false,
            warning: None,
            trail: Vec::new(),
        }
    }

    /// The LMTP reply: code, enhanced status code and text, without the line end.
    pub fn reply(&self) -> String {
        let code = if self.verdict.status().0 == 2 { "250" } else { "451" };
        reply_line(&format!("{code} {} {}", self.verdict.status(), self.text()))
    }

    /// The exit status of `pipe`. Every other status but 71 would make Postfix bounce the mail (pipe_command(3)).
    pub fn exit_status(&self) -> u8 {
        if self.verdict.status().0 == 2 { 0 } else { EX_TEMPFAIL }
    }

    /// The first output line of `pipe`.
    pub fn pipe_line(&self) -> String {
        reply_line(&format!("{} {}", self.verdict.status(), self.text()))
    }

    fn text(&self) -> String {
        let mut text = self.verdict.name().to_owned();
        if let Some(rule) = self.verdict.rule() {
            text.push_str(&format!(": {rule}"));
        }
        if let Some(detail) = self.verdict.public_detail().filter(|detail| !detail.is_empty()) {
            text.push_str(&format!(" ({})", clipped(detail, 200)));
        }
        if let (Some(mailbox), Some(action), Some(key)) = (&self.mailbox, &self.action, &self.key)
            && matches!(self.verdict, Verdict::Delivered | Verdict::Duplicate)
        {
            text.push_str(&format!(": {mailbox} {action} {key}"));
        }
        if let Some(notice) = &self.notice {
            text.push_str(&format!(", notice {}", clipped(&notice.to_string(), 120)));
        }
        if let Some(id) = &self.id {
            text.push_str(&format!(" id={id}"));
        }
        text
    }

    /// The log line's own fields; the caller puts those of the message before them.
    pub fn log_line(&self) -> LogLine {
        let mut line = LogLine::new(self.verdict.level());
        line.put("to", &self.recipient);
        line.put("verdict", self.verdict.name());
        line.put_some("reason", self.verdict.rule());
        line.put("status", self.verdict.status());
        line.put_some("mailbox", self.mailbox.as_ref());
        line.put_some("action", self.action.as_ref());
        line.put_some("key", self.key.as_ref());
        line.put_some("source", self.matched.as_ref().map(|matched| matched.source.name()));
        line.put_some("app", self.app.as_ref());
        line.put_some("id", self.id.as_ref());
        line.put_some("notice", self.notice.as_ref());
        if self.held {
            line.put("held", "yes");
        }
        line.put_some("detail", Some(self.verdict.detail()).filter(|detail| !detail.is_empty()));
        line.put_some("warning", self.warning.as_ref());
        line
    }
}

/// The only exit status besides 0 that `pipe` may give (sysexits.h).
pub const EX_TEMPFAIL: u8 = 75;

/// RFC 5321 section 4.5.3.1.5: a reply line has at most 512 octets, its CRLF included.
const REPLY_LINE: usize = 510;

/// A reply line of printable ASCII in at most 512 octets with its line end.
pub fn reply_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => line.push(c),
            '…' => line.push_str("..."),
            _ => line.push('?'),
        }
    }
    // The id at the end must survive clipping: it is what the administrator looks for.
    if line.len() > REPLY_LINE {
        let tail = line.rfind(" id=").map(|at| line[at..].to_owned()).unwrap_or_default();
        line.truncate(REPLY_LINE.saturating_sub(tail.len() + 3));
        line.push_str("...");
        line.push_str(&tail);
        line.truncate(REPLY_LINE);
    }
    line
}

fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deferred() -> Verdict {
        Verdict::Deferred(Deferral {
            status: Status::NO_ANSWER,
            cause: "app",
            public: "the application gave no answer".into(),
            detail: "gitlab: connect to /run/gitlab.sock: Connection refused".into(),
            alarm: false,
        })
    }

    #[test]
    fn every_verdict_has_its_reply_and_its_exit_status() {
        let rejection = Rejection { rule: "unknown-address", reason: "nobody here has this address".into() };
        let rows: &[(Verdict, &str, u8)] = &[
            (Verdict::Delivered, "250 2.0.0 delivered", 0),
            (Verdict::Duplicate, "250 2.0.0 duplicate", 0),
            (
                Verdict::Ignored { rule: "auto-submitted", detail: "Auto-Submitted: auto-replied".into() },
                "250 2.0.0 ignored: auto-submitted (Auto-Submitted: auto-replied)",
                0,
            ),
            (Verdict::Rejected(rejection), "250 2.0.0 rejected: unknown-address (nobody here has this address)", 0),
            (
                Verdict::Held { rule: "unproven-sender", detail: "spf=none".into() },
                "250 2.0.0 held: unproven-sender (spf=none)",
                0,
            ),
            (deferred(), "451 4.4.1 deferred: app (the application gave no answer)", 75),
        ];
        for (verdict, reply, exit) in rows {
            let outcome = Outcome::new(verdict.clone(), "x@example.com");
            assert_eq!(outcome.reply(), *reply);
            assert_eq!(outcome.exit_status(), *exit, "{reply}");
            assert_eq!(format!("250 {}", outcome.pipe_line())[4..], reply[4..], "{reply}");
        }
    }

    #[test]
    fn a_reply_does_not_show_what_only_the_log_gets() {
        let outcome = Outcome::new(deferred(), "x@example.com");
        assert!(!outcome.reply().contains("gitlab.sock"));
    }

    #[test]
    fn a_key_is_never_shown_whole() {
        let mut outcome = Outcome::new(Verdict::Delivered, "x@example.com");
        outcome.mailbox = Some("incoming_email".into());
        outcome.action = Some("reply".into());
        outcome.key = Key::new("59d8df8370b7e95c5a49fbf86aeb2c93");
        assert_eq!(outcome.reply(), "250 2.0.0 delivered: incoming_email reply 59d8...");
    }

    #[test]
    fn a_reply_keeps_to_512_octets_of_printable_ascii_and_keeps_its_id() {
        let long = format!("{}\r\n250 forged ü", "x".repeat(900));
        let line = reply_line(&format!("250 2.0.0 ignored: rule ({long}) id=0123"));
        assert_eq!(line.len(), REPLY_LINE);
        assert!(line.ends_with("... id=0123"));
        assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)));
    }
}
