//! DMARC (RFC 9989): what the From domain asks of others, and whether this message is aligned.
//!
//! The record is found as RFC 9989 says (tree walk); alignment is by the public suffix list, like everywhere here.

use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::dmarc::{Alignment, Policy};
use mail_auth::{AuthenticatedMessage, DmarcResult, MessageAuthenticator, SpfOutput};

use super::AuthResult;
use super::alignment::is_aligned;
use super::proof::Evidence;
use crate::mail::{Address, is_same_domain};

/// What the From domain asks of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Its record.
    Published { strict_spf: bool, strict_dkim: bool, enforced: bool },
    /// There is none, or it cannot be had or read.
    Unknown(AuthResult),
}

/// Looks for the record of a From domain.
pub(super) async fn wish(dns: &MessageAuthenticator, from: &Address) -> Wish {
    // Without results there is nothing to align, so this only finds the record and its policy.
    let message = AuthenticatedMessage { from: vec![from.as_str().to_lowercase()], ..Default::default() };
    let spf = SpfOutput::default();
    let output = dns.verify_dmarc(DmarcParameters::new(&message, &[], "", &spf)).await;
    match (output.dmarc_record(), output.result()) {
        (Some(record), _) => Wish::Published {
            strict_spf: record.aspf == Alignment::Strict,
            strict_dkim: record.adkim == Alignment::Strict,
            enforced: matches!(output.policy(), Policy::Quarantine | Policy::Reject),
        },
        (None, DmarcResult::TempError(_)) => Wish::Unknown(AuthResult::TempError),
        (None, DmarcResult::PermError(_)) => Wish::Unknown(AuthResult::PermError),
        (None, _) => Wish::Unknown(AuthResult::None),
    }
}

/// The result, and whether the From domain asks to quarantine or reject what fails.
pub(super) fn judge(wish: &Wish, from: &Address, evidence: &Evidence) -> (AuthResult, bool) {
    let (strict_spf, strict_dkim, enforced) = match wish {
        Wish::Unknown(result) => return (*result, false),
        Wish::Published { strict_spf, strict_dkim, enforced } => (*strict_spf, *strict_dkim, *enforced),
    };
    let aligned = |strict: bool, domain: &str| {
        if strict { is_same_domain(domain, from.domain()) } else { is_aligned(domain, from.domain()) }
    };
    let spf = evidence.spf.domain.as_deref().filter(|domain| aligned(strict_spf, domain)).map(|_| evidence.spf.result);
    let dkim = evidence.dkim.iter().filter(|signature| aligned(strict_dkim, &signature.domain));
    let results: Vec<AuthResult> = dkim.map(|signature| signature.result).chain(spf).collect();
    let result = [AuthResult::Pass, AuthResult::TempError].into_iter().find(|wanted| results.contains(wanted));
    (result.unwrap_or(AuthResult::Fail), enforced)
}
