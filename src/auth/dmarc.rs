//! DMARC (RFC 9989): what the From domain asks of others, and whether this message is aligned.
//!
//! The record is found as RFC 9989 says (tree walk); alignment is by the public suffix list, like everywhere here.

use hickory_resolver::proto::rr::RecordType;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::dmarc::{Alignment, Dmarc, Policy, Psd};

use super::alignment::is_aligned;
use super::answer::Answer;
use super::auth_result::AuthResult;
use super::from_field::Author;
use super::proof::Evidence;
use super::questions::Questions;
use crate::mail::{canonical_domain, is_same_domain};

/// RFC 9989 section 4.10: labels of the second name that is asked for.
const LONGEST_PARENT: usize = 7;

/// What a From domain asks of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Its record.
    Published { strict_spf: bool, strict_dkim: bool, enforced: bool },
    /// There is none.
    Nothing,
    /// It cannot be had: `temperror`, or `permerror` where it would take too much of DNS.
    Unknown(AuthResult),
}

/// What DMARC says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) result: AuthResult,
    /// A domain in From asks to quarantine or reject what fails.
    pub(super) enforced: bool,
}

/// The wishes of all domains in From.
pub(super) async fn wishes(questions: &Questions<'_>, author: &Author) -> Vec<Wish> {
    let mut wishes = Vec::new();
    match author {
        Author::Nobody => {}
        Author::One(address) => wishes.push(wish(questions, &canonical_domain(address.domain())).await),
        Author::OneDomain(domain) => wishes.push(wish(questions, domain).await),
        Author::Several { domains, .. } => {
            for domain in domains {
                wishes.push(wish(questions, domain).await);
            }
        }
    }
    wishes
}

/// The result. Where From names several domains nobody can say whose wish counts, so all do: the message fails if one asks to
/// quarantine or reject, or might.
pub(super) fn judge(wishes: &[Wish], author: &Author, evidence: &Evidence) -> Judgement {
    let domain = match author {
        Author::Nobody => return Judgement { result: AuthResult::PermError, enforced: false },
        Author::One(address) => address.domain(),
        Author::OneDomain(domain) => domain,
        Author::Several { complete, .. } => {
            let harmless = |wish: &Wish| matches!(wish, Wish::Nothing | Wish::Published { enforced: false, .. });
            let enforced = !complete || !wishes.iter().all(harmless);
            let result = if enforced { AuthResult::Fail } else { AuthResult::PermError };
            return Judgement { result, enforced };
        }
    };
    let (strict_spf, strict_dkim, enforced) = match wishes.first() {
        None | Some(Wish::Nothing) => return Judgement { result: AuthResult::None, enforced: false },
        Some(Wish::Unknown(result)) => return Judgement { result: *result, enforced: false },
        Some(Wish::Published { strict_spf, strict_dkim, enforced }) => (*strict_spf, *strict_dkim, *enforced),
    };
    let aligned =
        |strict: bool, other: &str| if strict { is_same_domain(other, domain) } else { is_aligned(other, domain) };
    let spf = evidence.spf.domain.as_deref().filter(|domain| aligned(strict_spf, domain)).map(|_| evidence.spf.result);
    let dkim = evidence.dkim.iter().filter(|signature| aligned(strict_dkim, &signature.domain));
    let results: Vec<AuthResult> = dkim.map(|signature| signature.result).chain(spf).collect();
    let result = [AuthResult::Pass, AuthResult::TempError].into_iter().find(|wanted| results.contains(wanted));
    Judgement { result: result.unwrap_or(AuthResult::Fail), enforced }
}

/// Looks for the record of a From domain.
async fn wish(questions: &Questions<'_>, domain: &str) -> Wish {
    let walked = match walk(questions, domain).await {
        Ok(walked) => walked,
        Err(result) => return Wish::Unknown(result),
    };
    // Section 4.10.1: the domain's own record, else that of its organizational domain, else that of the suffix.
    let organization = organizational_domain(&walked, domain);
    let own = walked.iter().find(|(name, _)| *name == domain);
    let other = || walked.iter().find(|(name, _)| *name == organization).or(walked.last());
    let Some((_, record)) = own.or_else(other) else { return Wish::Nothing };
    let policy = match record.p {
        Policy::Unspecified if record.rua.is_empty() => return Wish::Nothing,
        Policy::Unspecified => Policy::None,
        policy if own.is_some() => policy,
        _ if record.np != record.sp && !exists(questions, domain).await => record.np,
        _ => record.sp,
    };
    let enforced = match policy {
        Policy::Reject => true,
        // Section 4.7: in test mode one level less is asked for.
        Policy::Quarantine => !record.t,
        Policy::None | Policy::Unspecified => false,
    };
    Wish::Published {
        strict_spf: record.aspf == Alignment::Strict,
        strict_dkim: record.adkim == Alignment::Strict,
        enforced,
    }
}

/// The records from the domain up to the top, the longest name first (section 4.10).
async fn walk<'d>(questions: &Questions<'_>, domain: &'d str) -> Result<Vec<(&'d str, Dmarc)>, AuthResult> {
    let (mut found, mut name) = (Vec::new(), domain);
    while name.contains('.') || name != domain {
        let answer = questions.ask(&format!("_dmarc.{name}"), RecordType::TXT).await;
        match &answer {
            Answer::Fault(_) => return Err(AuthResult::TempError),
            Answer::TooMuch(_) => return Err(AuthResult::PermError),
            Answer::Records(_) | Answer::Nothing { .. } => {}
        }
        if let Some(record) = answer.texts().find_map(|text| Dmarc::parse(text).ok()) {
            let is_last = record.psd != Psd::Default;
            found.push((name, record));
            if is_last {
                break;
            }
        }
        let mut above = name.split_once('.').map_or("", |(_, above)| above);
        while above.split('.').count() > LONGEST_PARENT {
            above = above.split_once('.').map_or("", |(_, above)| above);
        }
        if above.is_empty() {
            break;
        }
        name = above;
    }
    Ok(found)
}

/// Section 4.10.2.
fn organizational_domain<'d>(walked: &[(&'d str, Dmarc)], domain: &'d str) -> &'d str {
    for (name, record) in walked {
        match record.psd {
            Psd::No => return name,
            Psd::Yes if *name != domain => return one_label_below(name, domain),
            _ => {}
        }
    }
    walked.last().map_or(domain, |(name, _)| name)
}

fn one_label_below<'d>(suffix: &str, domain: &'d str) -> &'d str {
    let labels = suffix.split('.').count() + 1;
    let mut name = domain;
    while name.split('.').count() > labels {
        name = name.split_once('.').map_or("", |(_, above)| above);
    }
    name
}

/// RFC 8020: only NXDOMAIN says that there is no such name. In doubt there is.
async fn exists(questions: &Questions<'_>, domain: &str) -> bool {
    questions.ask(domain, RecordType::A).await != Answer::Nothing { has_name: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_organizational_domain_is_found_as_rfc_9989_says() {
        let record = |text: &str| Dmarc::parse(text.as_bytes()).expect("record");
        let rows: &[(&str, &[(&'static str, &str)], &str)] = &[
            ("none", &[], "a.b.example"),
            ("the highest", &[("a.b.example", "v=DMARC1; p=none"), ("b.example", "v=DMARC1; p=none")], "b.example"),
            ("one that says so", &[("a.b.example", "v=DMARC1; p=none; psd=n")], "a.b.example"),
            ("below a suffix", &[("b.example", "v=DMARC1; p=none; psd=y")], "a.b.example"),
            ("a suffix itself", &[("a.b.example", "v=DMARC1; p=none; psd=y")], "a.b.example"),
        ];
        for (name, walked, expected) in rows {
            let walked: Vec<_> = walked.iter().map(|(name, text)| (*name, record(text))).collect();
            assert_eq!(organizational_domain(&walked, "a.b.example"), *expected, "{name}");
        }
    }
}
