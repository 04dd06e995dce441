//! What is known of a message's sender, drawn from evidence: the same for what we verify and for what we are told.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::auth_result::{AuthResult, DkimOutcome};
use super::findings::Findings;
use super::from_field::Author;
use super::proof::{ProvenEnvelopeSender, ProvenFrom, SenderEvidence};
use crate::mail::{Envelope, Recipient};
use crate::trail::Step;

/// What is known of a message's sender.
#[derive(Clone, Debug, Default)]
pub struct Authentication {
    /// SPF of MAIL FROM (of HELO for the null sender).
    pub spf: AuthResult,
    /// One entry a signature, in order.
    pub dkim: Vec<DkimOutcome>,
    /// DMARC of the From domain.
    pub dmarc: AuthResult,
    /// The From domain asks to quarantine or reject what fails DMARC.
    pub dmarc_enforced: bool,
    /// The From address, if it is proven: for the event, and for mailboxes that hold what is unproven.
    pub from: Option<ProvenFrom>,
    /// DNS gave no answer to something that could have proven the From.
    pub is_undecided: bool,
    /// Why the envelope sender is not proven, or what proved it, whoever the recipient is: for logs and `explain`.
    pub summary: String,
    /// What was looked at, in order: for `explain`.
    pub steps: Vec<Step>,
    sender: SenderEvidence,
    own_domains: Arc<HashSet<String>>,
}

impl Authentication {
    /// Nothing is known, for this reason.
    pub fn unknown(why: &str) -> Self {
        Self { summary: why.to_owned(), ..Self::default() }
    }

    /// The envelope sender of the copy for one recipient, if it is proven (docs/design.md 2.7, point 4).
    ///
    /// # Errors
    /// Why it is not.
    pub fn envelope_sender(&self, recipient: &Recipient) -> Result<ProvenEnvelopeSender, String> {
        let is_ours = |domain: &str| self.own_domains.contains(domain);
        self.sender.for_recipient(recipient, is_ours).ok_or_else(|| self.summary.clone())
    }

    /// Whether the From domain wants such a message quarantined or rejected: then nobody is written to, whoever the
    /// envelope names.
    pub fn is_refused_by_dmarc(&self) -> bool {
        self.dmarc == AuthResult::Fail && self.dmarc_enforced
    }
}

/// What turns evidence into what is known: the same for what we verify and for what we are told.
#[derive(Debug)]
pub(super) struct Conclusion {
    pub(super) own_domains: Arc<HashSet<String>>,
}

impl Conclusion {
    /// Applies the proof rules to what was found.
    pub(super) fn draw(&self, findings: Findings, envelope: &Envelope, author: &Author) -> Authentication {
        let Findings { evidence, dmarc, steps } = findings;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let sender = evidence.envelope_sender(&envelope.sender, author, now);
        Authentication {
            spf: evidence.spf.result,
            dkim: evidence.outcomes(),
            dmarc: dmarc.result,
            dmarc_enforced: dmarc.enforced,
            from: evidence.from(author),
            is_undecided: evidence.is_undecided(author),
            summary: sender.summary(),
            steps,
            sender,
            own_domains: Arc::clone(&self.own_domains),
        }
    }
}
