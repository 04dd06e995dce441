//! Proven addresses: two types that only this module can make, and the rules that make them.
//!
//! A [`ProvenFrom`] says who wrote a message. A [`ProvenEnvelopeSender`] says besides that this copy of it comes from there, so it
//! is the only address that may be written to. One can never be taken for the other.

use std::collections::HashMap;

use super::alignment::is_aligned;
use super::auth_result::{AuthResult, DkimOutcome};
use super::coverage::{Coverage, addressee};
use super::from_field::Author;
use crate::mail::{Address, Recipient, Sender, canonical_domain, is_same_domain, without_prvs};

/// The envelope sender of a copy of a message for one recipient, proven by SPF or DKIM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenEnvelopeSender {
    address: Address,
    by: String,
}

impl ProvenEnvelopeSender {
    /// The address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What proved it, such as `spf=pass` or `dkim=pass d=example.org`.
    pub fn by(&self) -> &str {
        &self.by
    }
}

/// The From address of a message, proven by DKIM or SPF; whoever has the message can send it on, so it is not an address to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenFrom {
    address: Address,
    by: String,
}

impl ProvenFrom {
    /// The address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What proved it, such as `dkim=pass d=example.org`.
    pub fn by(&self) -> &str {
        &self.by
    }
}

/// SPF as the proof rule sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpfEvidence {
    pub(super) result: AuthResult,
    /// The MAIL FROM domain that `result` is about; `None` where it is about HELO, which proves nothing.
    pub(super) domain: Option<String>,
    /// Why a pass proves nothing all the same, such as `passes everybody`.
    pub(super) but: Option<String>,
}

impl SpfEvidence {
    pub(super) fn none() -> Self {
        Self { result: AuthResult::None, domain: None, but: None }
    }

    /// The domain that SPF proves.
    fn proven_domain(&self) -> Option<&str> {
        let proves = self.result == AuthResult::Pass && self.but.is_none();
        self.domain.as_deref().filter(|_| proves)
    }

    fn text(&self) -> String {
        match &self.but {
            Some(but) => format!("spf={} ({but})", self.result),
            None => format!("spf={}", self.result),
        }
    }
}

/// One signature as the proof rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) domain: String,
    pub(super) result: AuthResult,
    /// What it covers; `None` where nobody can tell.
    pub(super) coverage: Option<Coverage>,
}

/// All that can prove an address.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) spf: SpfEvidence,
    pub(super) dkim: Vec<Signature>,
    /// The From domain that our own MTA calls `dmarc=pass`; only where its results are believed.
    pub(super) dmarc_pass: Option<String>,
}

/// What is known of the envelope sender, once for all recipients of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SenderEvidence {
    address: Option<Address>,
    /// SPF proves it, whoever the recipient is.
    by_spf: bool,
    /// DKIM proves it for these recipients: addresses in the form of [`addressee`], and the domain that signed them.
    by_dkim: HashMap<String, String>,
    /// SPF's result, and why DKIM proves nothing, or not for everybody.
    summary: String,
}

impl Evidence {
    /// SPF of an aligned MAIL FROM, or aligned DKIM.
    pub(super) fn from(&self, author: &Author) -> Option<ProvenFrom> {
        let address = author.only()?;
        let proven = |by: String| Some(ProvenFrom { address: address.clone(), by });
        if let Some(signature) = self.aligned_passes(address).next() {
            return proven(format!("dkim=pass d={}", signature.domain));
        }
        if let Some(domain) = self.spf.proven_domain().filter(|domain| is_aligned(domain, address.domain())) {
            return proven(format!("spf=pass for {domain}"));
        }
        let passed = self.dmarc_pass.as_deref().is_some_and(|d| is_same_domain(d, address.domain()));
        if passed { proven("dmarc=pass".to_owned()) } else { None }
    }

    /// Whether DNS gave no answer to something that could have proven the From.
    pub(super) fn is_undecided(&self, author: &Author) -> bool {
        let Some(from) = author.only() else { return false };
        let results = self.dkim.iter().map(|signature| (signature.result, Some(signature.domain.as_str())));
        let results = results.chain([(self.spf.result, self.spf.domain.as_deref())]);
        results.into_iter().any(|(result, domain)| {
            result == AuthResult::TempError && domain.is_some_and(|domain| is_aligned(domain, from.domain()))
        })
    }

    /// What proves the envelope sender. The null sender, and one that is unknown, cannot be proven.
    pub(super) fn envelope_sender(&self, sender: &Sender, author: &Author, now: u64) -> SenderEvidence {
        let mut found = SenderEvidence { summary: self.spf.text(), ..SenderEvidence::default() };
        let Some(address) = sender.address() else {
            found.summary.push_str(", no aligned dkim");
            return found;
        };
        found.address = Some(address.clone());
        found.by_spf = self.spf.proven_domain().is_some_and(|domain| is_same_domain(domain, address.domain()));
        if found.by_spf {
            return found;
        }
        let mut passes = self.aligned_passes(address).peekable();
        let Some(first) = passes.peek() else {
            found.summary.push_str(", no aligned dkim");
            return found;
        };
        found.summary.push_str(&format!(", dkim=pass d={}", first.domain));
        let why = match author {
            Author::One(from) if is_author(from, address) => found.add_addressees(passes, now),
            Author::One(_) => "From is not the envelope sender",
            _ => "From is not one address",
        };
        found.summary.push_str(&format!(" but {why}"));
        found
    }

    fn aligned_passes(&self, address: &Address) -> impl Iterator<Item = &Signature> {
        let passed = self.dkim.iter().filter(|signature| signature.result == AuthResult::Pass);
        passed.filter(|signature| is_aligned(&signature.domain, address.domain()))
    }

    /// The results for the event.
    pub(super) fn outcomes(&self) -> Vec<DkimOutcome> {
        let outcome =
            |signature: &Signature| DkimOutcome { domain: signature.domain.clone(), result: signature.result };
        self.dkim.iter().map(outcome).collect()
    }
}

impl SenderEvidence {
    /// Takes over whom the fresh signatures address; gives the reason that counts for everybody else.
    fn add_addressees<'s>(&mut self, signatures: impl Iterator<Item = &'s Signature>, now: u64) -> &'static str {
        let (mut is_fresh, mut why) = (false, "nobody can tell what it covers");
        for signature in signatures {
            let Some(coverage) = &signature.coverage else { continue };
            if let Some(stale) = coverage.is_stale(now) {
                why = stale;
                continue;
            }
            is_fresh = true;
            self.by_dkim.extend(coverage.addressees().map(|to| (to.to_owned(), signature.domain.clone())));
        }
        if is_fresh { "the recipient is in no signed To or Cc" } else { why }
    }

    /// The proof for one recipient. `is_ours` says whether a domain is one of ours: the original form of a
    /// recipient may be any client's own words (ORCPT, RFC 3461), and counts only if it is an address of ours.
    pub(super) fn for_recipient(
        &self,
        recipient: &Recipient,
        is_ours: impl Fn(&str) -> bool,
    ) -> Option<ProvenEnvelopeSender> {
        let address = self.address.as_ref()?;
        let proven = |by: String| Some(ProvenEnvelopeSender { address: address.clone(), by });
        if self.by_spf {
            return proven("spf=pass".to_owned());
        }
        let envelope = addressee(&recipient.address);
        let domain_of = |address: &str| address.rsplit_once('@').map(|(_, domain)| domain.to_owned());
        let own_domain = envelope.as_deref().and_then(domain_of);
        let original = recipient.original.as_deref().and_then(addressee);
        let original =
            original.filter(|o| domain_of(o).is_some_and(|d| is_ours(&d) || own_domain.as_ref() == Some(&d)));
        let signed = [envelope, original].into_iter().flatten().find_map(|address| self.by_dkim.get(&address));
        proven(format!("dkim=pass d={}", signed?))
    }

    /// What proves the sender, or why nothing does, whoever the recipient is: for logs.
    pub(super) fn summary(&self) -> String {
        if self.by_spf { "spf=pass".to_owned() } else { self.summary.clone() }
    }
}

/// Whether the envelope sender is the author: domains without regard to case, BATV folded (`prvs=TAG=jane`).
fn is_author(from: &Address, sender: &Address) -> bool {
    let is_same_local = from.local() == sender.local() || from.local() == without_prvs(sender.local());
    is_same_local && canonical_domain(from.domain()) == canonical_domain(sender.domain())
}
