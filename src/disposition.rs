//! How a verdict is said: LMTP reply, exit status, log line (DESIGN section 2.4).
//!
//! No verdict is answered with 5xx: a 5xx would make the MTA write to a sender that nobody has proven. Whatever a stranger, an
//! application or another system wrote is said through the outcome's mask, which cuts keys out of it.

use std::time::Duration;

use crate::ledger::SharedState;
use crate::log_line::{Level, LogLine};
use crate::mail::{Envelope, Message};
use crate::outcome::{Destination, Outcome};
use crate::printable::clipped;
use crate::verdict::Verdict;

impl Outcome {
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
            text.push_str(&format!(" ({})", clipped(&self.mask.text(detail), 200)));
        }
        if let Some(Destination { mailbox, action: Some(action), key, .. }) = &self.destination
            && matches!(self.verdict, Verdict::Delivered | Verdict::Duplicate)
        {
            text.push_str(&format!(": {mailbox} {action} {key}"));
        }
        if let Some(notice) = &self.effects.notice {
            text.push_str(&format!(", notice {}", clipped(&self.mask.text(&notice.to_string()), 120)));
        }
        if let Some(id) = &self.id {
            text.push_str(&format!(" id={id}"));
        }
        text
    }

    /// What the rule saw, as the log may say it.
    pub fn detail(&self) -> String {
        let elsewhere = self.effects.delivered_elsewhere.as_deref();
        self.mask.text(elsewhere.unwrap_or_else(|| self.verdict.detail()))
    }

    /// The log line. The message is missing where it could not be read.
    pub fn log_line(&self, envelope: &Envelope, message: Option<&Message>, delay: Duration) -> LogLine {
        let (destination, effects, mask) = (self.destination.as_ref(), &self.effects, &self.mask);
        let mut line = LogLine::new(level(&self.verdict));
        line.put_some("queue_id", envelope.queue_id.as_ref());
        if let Some(mailbox) = envelope.origin.mailbox() {
            line.put("inbox", &mailbox.inbox);
            line.put(mailbox.item.field(), &mailbox.item);
        }
        line.put_some("message_id", message.and_then(Message::message_id).map(|id| mask.address(&id)));
        line.put_some("sender", envelope.sender.as_text().map(|sender| mask.address(sender)));
        line.put_some("client", envelope.client.address);
        line.put_some("size", message.map(Message::size));
        line.put("delay", format_args!("{:.3}", delay.as_secs_f64()));
        line.put("to", mask.recipient(&self.recipient));
        line.put("verdict", self.verdict.name());
        line.put_some("reason", self.verdict.rule());
        line.put("status", self.verdict.status());
        line.put_some("mailbox", destination.map(|found| &found.mailbox));
        line.put_some("action", destination.and_then(|found| found.action.as_ref()));
        line.put_some("key", destination.map(|found| &found.key));
        line.put_some("source", destination.map(|found| found.matched.source.name()));
        line.put_some("app", effects.app.as_ref());
        line.put_some("id", self.id.as_ref());
        line.put_some("notice", effects.notice.as_ref().map(|notice| mask.text(&notice.to_string())));
        if effects.held {
            line.put("held", "yes");
        }
        line.put_some("shared", effects.shared.map(SharedState::name));
        line.put_some("detail", Some(self.detail()).filter(|detail| !detail.is_empty()));
        line.put_some("warning", effects.warning.as_ref().map(|warning| mask.text(warning)));
        line
    }
}

/// How urgent a verdict is for the administrator.
fn level(verdict: &Verdict) -> Level {
    match verdict {
        Verdict::Deferred(deferral) if deferral.alarm => Level::Error,
        Verdict::Deferred(_) => Level::Warning,
        Verdict::Held { .. } => Level::Error,
        _ => Level::Info,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::AddressSource;
    use crate::route::{Key, Matched};
    use crate::verdict::{Deferral, Rejection, Status};

    fn deferred() -> Verdict {
        Verdict::Deferred(Deferral {
            status: Status::NO_ANSWER,
            cause: "app",
            public: "the application gave no answer".into(),
            detail: "gitlab: connect to /run/gitlab.sock: Connection refused".into(),
            alarm: false,
            retry_after: None,
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
            let outcome = Outcome::new(verdict.clone(), "x@example.com", Arc::default());
            assert_eq!(outcome.reply(), *reply);
            assert_eq!(outcome.exit_status(), *exit, "{reply}");
            assert_eq!(format!("250 {}", outcome.pipe_line())[4..], reply[4..], "{reply}");
        }
    }

    #[test]
    fn a_reply_does_not_show_what_only_the_log_gets() {
        let outcome = Outcome::new(deferred(), "x@example.com", Arc::default());
        assert!(!outcome.reply().contains("gitlab.sock"));
    }

    #[test]
    fn a_key_is_never_shown_whole() {
        let mut outcome = Outcome::new(Verdict::Delivered, "x@example.com", Arc::default());
        outcome.destination = Some(Destination {
            mailbox: "incoming_email".into(),
            action: Some("reply".into()),
            key: Key::new("59d8df8370b7e95c5a49fbf86aeb2c93").expect("key"),
            matched: Matched { source: AddressSource::To, address: "x@example.com".into() },
        });
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
