//! The marks of bounces, beside the report types: the null sender, and what old mail servers and gateways write.

use super::rule::{Evidence, Rule, shortened};
use crate::mail::{NamedAddress, Sender};

/// `<>`. `MAILER-DAEMON` without a domain is what pipe(8) makes of it where `null_sender=` is not set.
pub(super) fn null_sender(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    match &evidence.envelope.sender {
        Sender::Null => Some("envelope sender <>".to_owned()),
        Sender::Unreadable(name) if name.eq_ignore_ascii_case("MAILER-DAEMON") => {
            Some("envelope sender MAILER-DAEMON: pipe(8) without null_sender=".to_owned())
        }
        Sender::Unreadable(_) | Sender::Unknown | Sender::Address(_) => None,
    }
}

/// `Return-Path: <>` in place of an envelope sender that is not known. It counts where final delivery writes it: above
/// all `Received` fields.
pub(super) fn null_return_path(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    if evidence.envelope.sender != Sender::Unknown {
        return None;
    }
    let mut trace = evidence.message.fields().filter(|field| field.is("Return-Path") || field.is("Received"));
    let first = trace.next().filter(|field| field.is("Return-Path"))?;
    let path: String = first.text().split_ascii_whitespace().collect();
    (path == "<>").then(|| "Return-Path: <>".to_owned())
}

/// `Content-Class: urn:content-classes:dsn`, `X-MAPI-Message-Class: REPORT.IPM.Note.NDR`
pub(super) fn message_class(rule: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    rule.first(evidence, |value| {
        let value = value.to_ascii_lowercase();
        value == "urn:content-classes:dsn" || (value.starts_with("report.") && value.ends_with(".ndr"))
    })
}

/// `Message-Type: Delivery Report`, which an X.400 gateway writes.
pub(super) fn x400_report(rule: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    rule.first(evidence, |value| value.eq_ignore_ascii_case("delivery report"))
}

/// The boundary that InterScan puts into each of its notices, and nowhere else.
pub(super) fn interscan(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    let boundary = evidence.content_type.as_ref()?.parameter("boundary")?;
    boundary.ends_with("InterScan_NT_MIME_Boundary").then(|| shortened(format!("Content-Type: boundary={boundary}")))
}

/// Mail from the mailer daemon: the name is that of no person anywhere.
pub(super) fn mailer_daemon(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    let author = author(evidence)?;
    let local = author.local();
    let hit = ["mailer-daemon", "mailerdaemon", "mail-daemon", "maildaemon"].contains(&local.as_str());
    hit.then(|| shortened(format!("From: {}", author.address)))
}

/// `From: Mail System <>`: the author is nobody, which no person's program writes.
pub(super) fn empty_from(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    let from = evidence.message.first("From")?;
    let text = from.text();
    let compact: String = text.split_ascii_whitespace().collect();
    (compact.ends_with("<>") && !compact.contains('@')).then(|| shortened(format!("From: {text}")))
}

/// A mail server as the author, and the subject of a bounce. Either alone is not enough: postmasters are people, and
/// people write about bounces.
pub(super) fn bounce_subject(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    let author = author(evidence).filter(Author::is_mail_server)?;
    let subject =
        evidence.message.subject().map(|subject| subject.text).filter(|subject| is_bounce_subject(subject))?;
    Some(shortened(format!("From: {}, Subject: {subject}", author.address)))
}

/// The first author.
struct Author {
    name: String,
    address: String,
}

fn author(evidence: &Evidence<'_>) -> Option<Author> {
    let field = evidence.message.first("From")?;
    let first = field.addresses().into_iter().next();
    let (name, address) = match first {
        Some(NamedAddress { name, address: Some(address) }) => (name.unwrap_or_default(), address.to_string()),
        // A bare name.
        Some(NamedAddress { name: Some(name), .. }) => (String::new(), name),
        _ => (String::new(), field.text().into_owned()),
    };
    Some(Author { name: name.to_lowercase(), address })
}

impl Author {
    /// The local part in lower case, without quotes.
    fn local(&self) -> String {
        let local = self.address.rsplit_once('@').map_or(self.address.as_str(), |(local, _)| local);
        local.trim().trim_matches(['"', '<', '>']).to_lowercase()
    }

    /// Whether it is a mail server, by the name of its account.
    fn is_mail_server(&self) -> bool {
        let local = self.local();
        let accounts = ["postmaster", "post_master", "post-master", "mdaemon", "system administrator"];
        let names =
            ["mail delivery system", "mail delivery subsystem", "mail delivery service", "system administrator"];
        accounts.iter().any(|account| local.starts_with(account))
            || local.split(|c: char| !c.is_alphanumeric()).any(|word| word == "smtp")
            || names.contains(&self.name.trim())
    }
}

/// What mail servers write about mail that could not be delivered, in lower case.
const BOUNCE_SUBJECTS: [&str; 37] = [
    "automatically rejected mail",
    "could not be delivered",
    "could not deliver",
    "could not send message",
    "delayed mail",
    "delivery delayed",
    "delivery error",
    "delivery failed",
    "delivery failure",
    "delivery has failed",
    "delivery notification",
    "delivery problem",
    "delivery report",
    "delivery status",
    "delivery warning",
    "failed delivery",
    "failed mail",
    "failure delivery",
    "failure notice",
    "has not yet been delivered",
    "mail delivery",
    "mail error",
    "mail failed",
    "mail system error",
    "message delayed",
    "nicht zustellbar",
    "non remis",
    "non-delivery",
    "nondeliverable",
    "not delivered",
    "onbestelbaar",
    "returned mail",
    "returned to sender",
    "returning message to sender",
    "undeliver",
    "unzustellbar",
    "user unknown",
];

fn is_bounce_subject(subject: &str) -> bool {
    let subject = subject.to_lowercase();
    // An answer to a bounce, or a bounce that somebody passes on, is written by a person.
    let is_answer = subject.split_once(':').is_some_and(|(prefix, _)| {
        ["re", "aw", "sv", "antw", "fw", "fwd", "wg", "tr"].contains(&prefix.trim().trim_start_matches('['))
    });
    !is_answer && BOUNCE_SUBJECTS.iter().any(|words| subject.contains(words))
}
