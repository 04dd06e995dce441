//! May we write? The conditions of the contract in their order; the first that fails is the reason.
//!
//! Grounds: RFC 5429 section 2.1 (no report to a forged sender; log why), RFC 3834 section 2 (no answer to automatic mail, none
//! to role addresses), RFC 5230 section 4.6 (no answer to lists).

use std::fmt;
use std::time::{Duration, SystemTime};

use super::canonical::canonical_sender;
use super::rejected::Rejected;
use crate::auth::{Authentication, ProvenEnvelopeSender};
use crate::mail::{Address, InMailbox, Message, Recipient, Sender};
use crate::screen::marks;

/// The field that every notice of ours carries.
pub(super) const MARK: &str = "X-Mailhatch-Notice";

/// Why no notice is written; the first condition that fails (DESIGN section 2.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// `notice.enabled = false`
    Off,
    /// `notices = false` of the inbox that the message lay in.
    OffForInbox,
    /// It lay in a mailbox before the first run.
    FirstRun,
    /// It came into its mailbox longer ago than an answer makes sense.
    TooOld,
    /// The envelope sender is null: nobody to write to.
    NullSender,
    /// The MTA did not tell the envelope sender.
    UnknownSender,
    /// The envelope sender is no address that can be written to.
    UnwritableSender,
    /// The message carries a mark of machine-made or list mail, which is named.
    Machine(String),
    /// A spam filter marked the message; the rule that saw it is named.
    Spam(&'static str),
    /// It is one of our own notices.
    OurNotice,
    /// The envelope sender is a role or a robot.
    Role(String),
    /// The envelope sender is one of our mailboxes or of our domains, or what notices come from.
    Own,
    /// The From domain asks to reject or quarantine what fails DMARC, and this fails.
    Dmarc,
    /// Neither SPF nor DKIM proves the envelope sender.
    Unproven(String),
    /// The sender got a notice within `notice.interval`.
    Interval,
    /// The sender's domain got `notice.per_domain_per_hour`.
    DomainLimit,
    /// All together got `notice.total_per_hour`.
    TotalLimit,
    /// The local MTA refused the notice for good, for `limits.undecided`: what it said.
    Refused(String),
}

impl Withheld {
    /// A short name for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Off | Self::OffForInbox => "off",
            Self::FirstRun => "first-run",
            Self::TooOld => "too-old",
            Self::NullSender => "null-sender",
            Self::UnknownSender => "unknown-sender",
            Self::UnwritableSender => "unwritable-sender",
            Self::Machine(_) => "machine-made",
            Self::Spam(_) => "spam",
            Self::OurNotice => "our-notice",
            Self::Role(_) => "role-address",
            Self::Own => "own-address",
            Self::Dmarc => "dmarc-fail",
            Self::Unproven(_) => "unproven",
            Self::Interval => "interval",
            Self::DomainLimit => "domain-limit",
            Self::TotalLimit => "total-limit",
            Self::Refused(_) => "refused",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("notices are off"),
            Self::OffForInbox => f.write_str("notices are off for this inbox"),
            Self::FirstRun => f.write_str("the message was there before the first run"),
            Self::TooOld => f.write_str("the message came in more than a day ago"),
            Self::NullSender => f.write_str("null sender"),
            Self::UnknownSender => f.write_str("unknown sender"),
            Self::UnwritableSender => f.write_str("sender cannot be written to"),
            Self::Machine(mark) => write!(f, "machine-made ({mark})"),
            Self::Spam(rule) => write!(f, "marked as spam ({rule})"),
            Self::OurNotice => f.write_str("our own notice"),
            Self::Role(local) => write!(f, "role address ({local})"),
            Self::Own => f.write_str("own address"),
            Self::Dmarc => f.write_str("dmarc=fail, and the From domain asks to refuse it"),
            Self::Unproven(summary) => f.write_str(summary),
            Self::Interval => f.write_str("sender had a notice within the interval"),
            Self::DomainLimit => f.write_str("limit for the sender's domain reached"),
            Self::TotalLimit => f.write_str("limit for all notices reached"),
            Self::Refused(_) => f.write_str("the local MTA refused it"),
        }
    }
}

/// Everything that can be known without asking the network. `from` is what notices come from.
pub(super) fn without_proof(rejected: Rejected<'_>, from: &Address) -> Result<(), Withheld> {
    let Rejected { envelope, message, routes, findings, .. } = rejected;
    if let Some(mailbox) = envelope.origin.mailbox() {
        in_mailbox(mailbox)?;
    }
    let sender = match &envelope.sender {
        Sender::Unknown => return Err(Withheld::UnknownSender),
        Sender::Null => return Err(Withheld::NullSender),
        Sender::Unreadable(_) => return Err(Withheld::UnwritableSender),
        Sender::Address(address) => address,
    };
    if !can_be_written_to(sender) {
        return Err(Withheld::UnwritableSender);
    }
    if message.first(MARK).is_some() {
        return Err(Withheld::OurNotice);
    }
    // A class that is configured to be delivered is still machine-made, or spam.
    let machine_made = || findings.machine_made.as_ref().map(|hit| hit.rule.to_owned());
    if let Some(mark) = unanswerable(message).or_else(machine_made) {
        return Err(Withheld::Machine(mark));
    }
    if let Some(hit) = &findings.spam {
        return Err(Withheld::Spam(hit.rule));
    }
    // BATV and SRS hide neither a robot nor ourselves: behind a forwarder a notice would come back to us.
    let person = canonical_sender(sender);
    if let Some(role) = [sender, &person].into_iter().find(|address| marks::is_role_or_robot(address.local())) {
        return Err(Withheld::Role(role.local().to_owned()));
    }
    let is_from = [sender, &person].into_iter().any(|address| address.is_same_mailbox(from));
    if is_from || routes.is_own(sender) || routes.is_own(&person) {
        return Err(Withheld::Own);
    }
    Ok(())
}

/// Mail that lay in a mailbox may be years old, and thousands at once.
fn in_mailbox(mailbox: &InMailbox) -> Result<(), Withheld> {
    /// RFC 3834 asks that an automatic answer be prompt: who gets one later does not know what it is about.
    const ANSWERABLE: Duration = Duration::from_secs(24 * 3600);
    if !mailbox.notices {
        return Err(Withheld::OffForInbox);
    }
    if mailbox.first_run {
        return Err(Withheld::FirstRun);
    }
    // A time in the future is one of a wrong clock; a time that nobody told is one that cannot be answered for.
    let age = mailbox.came_in.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
    if age.is_none_or(|age| age > ANSWERABLE) { Err(Withheld::TooOld) } else { Ok(()) }
}

/// The mark of mail that nobody is to answer, if the message bears one.
fn unanswerable(message: &Message) -> Option<String> {
    if marks::is_auto_submitted(message) {
        return Some("Auto-Submitted".to_owned());
    }
    if marks::is_list_mail(message) {
        return Some("List-*".to_owned());
    }
    if let Some(value) = marks::precedence(message) {
        return Some(format!("Precedence: {value}"));
    }
    if marks::suppresses_auto_response(message) {
        return Some("X-Auto-Response-Suppress".to_owned());
    }
    let is_report = message.content_type().is_some_and(|content_type| content_type.kind == "multipart/report");
    is_report.then(|| "multipart/report".to_owned())
}

/// Whether SPF or DKIM proves the envelope sender of this recipient's copy, and DMARC does not speak against it.
pub(super) fn proven(authentication: &Authentication, recipient: &Recipient) -> Result<ProvenEnvelopeSender, Withheld> {
    let proof = authentication.envelope_sender(recipient).map_err(Withheld::Unproven)?;
    if authentication.is_refused_by_dmarc() { Err(Withheld::Dmarc) } else { Ok(proof) }
}

/// RFC 5321 section 4.5.3.1: at most 254 octets of address; a domain that the world can resolve has a dot, and its last
/// label is no number (RFC 3696 section 2).
fn can_be_written_to(address: &Address) -> bool {
    let labels = address.domain().split('.').collect::<Vec<_>>();
    let good_label = |label: &&str| {
        let good = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.len() <= 63 && label.chars().all(good)
    };
    let numeric_top = labels.last().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
    address.as_str().len() <= 254
        && labels.len() > 1
        && labels.iter().all(good_label)
        && !numeric_top
        && is_local_part(address.local())
}

/// RFC 5321 section 4.1.2 with RFC 6531 section 3.3. What is no local part would be refused by our own MTA each time, and the
/// message deferred for days. Dots may stand anywhere: some providers give such addresses away.
fn is_local_part(local: &str) -> bool {
    if let Some(inside) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        let mut characters = inside.chars();
        while let Some(c) = characters.next() {
            if c == '"' || (c == '\\' && characters.next().is_none()) {
                return false;
            }
        }
        return local.len() > 2;
    }
    let good = |c: char| c.is_alphanumeric() || !c.is_ascii() || ".!#$%&'*+-/=?^_`{|}~".contains(c);
    local.chars().all(good)
}
