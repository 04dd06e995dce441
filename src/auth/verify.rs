//! `method = "verify"`: SPF, DKIM and DMARC worked out here, in one go and in bounded time.

use tokio::time::timeout;

use super::dkim::Verified;
use super::dmarc::Wish;
use super::proof::{Evidence, SpfEvidence, only_from};
use super::resolver::Resolver;
use super::spf::Control;
use super::{AuthResult, Authentication, DkimOutcome, dkim, dmarc, spf};
use crate::mail::{Envelope, Message, Sender};
use crate::trail::Step;

/// Examines one message. The three run side by side, each within the time limit for the whole message.
pub(super) async fn examine(resolver: &Resolver, host: &str, envelope: &Envelope, message: &Message) -> Authentication {
    let limit = resolver.limits().message;
    let dns = resolver.dns().await;
    let dns = dns.as_ref().map(|dns| *dns).map_err(String::as_str);
    let from = only_from(message);
    let spf_part = async {
        let Some(question) = SpfQuestion::about(envelope) else { return (SpfEvidence::none(), "nothing to ask") };
        let Ok(dns) = dns else { return (question.unanswered(), "no resolver") };
        match timeout(limit, question.ask(dns, host)).await {
            Ok(evidence) => (evidence, "asked"),
            Err(_) => (question.unanswered(), "DNS did not answer in time"),
        }
    };
    let dmarc_part = async {
        let Some(from) = &from else { return Wish::Unknown(AuthResult::PermError) };
        let Ok(dns) = dns else { return Wish::Unknown(AuthResult::TempError) };
        timeout(limit, dmarc::wish(dns, from)).await.unwrap_or(Wish::Unknown(AuthResult::TempError))
    };
    let dkim_part = dkim::verify(dns, message, limit);
    let ((spf, spf_note), signatures, wish) = tokio::join!(spf_part, dkim_part, dmarc_part);

    let outcomes = signatures.iter().map(|s| DkimOutcome { domain: s.domain.clone(), result: s.result }).collect();
    let evidence = Evidence { spf, dkim: outcomes, dmarc_pass: None };
    let (dmarc, enforced) = match &from {
        Some(from) => dmarc::judge(&wish, from, &evidence),
        None => (AuthResult::PermError, false),
    };
    let mut found = Authentication::conclude(evidence, envelope, from.as_ref(), dmarc, enforced);
    found.steps = steps(&found, envelope, &signatures, spf_note, dns.err());
    found
}

/// The steps for `explain`, in the order of the story.
fn steps(
    found: &Authentication,
    envelope: &Envelope,
    signatures: &[Verified],
    spf_note: &str,
    dns_error: Option<&str>,
) -> Vec<Step> {
    let step = |rule: &str, result: AuthResult, detail: String| Step {
        step: "auth",
        rule: rule.to_owned(),
        result: result.name(),
        detail,
    };
    let client = envelope.client.address.map_or("unknown".to_owned(), |address| address.to_string());
    let sender = envelope.sender.as_text().unwrap_or("unknown");
    let mut steps = Vec::with_capacity(signatures.len() + 3);
    if let Some(error) = dns_error {
        steps.push(step("dns", AuthResult::TempError, error.to_owned()));
    }
    steps.push(step("spf", found.spf, format!("client {client}, MAIL FROM:<{sender}>: {spf_note}")));
    for signature in signatures {
        steps.push(step("dkim", signature.result, format!("d={}: {}", signature.domain, signature.reason)));
    }
    let wish = if found.dmarc_enforced { "its domain asks to quarantine or reject what fails" } else { "no such wish" };
    steps.push(step("dmarc", found.dmarc, format!("From: {wish}")));
    steps
}

/// What SPF is asked: MAIL FROM, or HELO for the null sender.
struct SpfQuestion<'m> {
    client: std::net::IpAddr,
    helo: &'m str,
    /// Empty for HELO.
    sender: &'m str,
    domain: Option<&'m str>,
}

impl<'m> SpfQuestion<'m> {
    /// `None` where SPF says nothing: no client, one of our own network, no sender.
    fn about(envelope: &'m Envelope) -> Option<Self> {
        let client = envelope.client.address.filter(|client| spf::is_public(*client))?;
        let helo = envelope.client.helo.as_deref().unwrap_or_default();
        match &envelope.sender {
            Sender::Address(address) => {
                Some(Self { client, helo, sender: address.as_str(), domain: Some(address.domain()) })
            }
            Sender::Null if !helo.is_empty() => Some(Self { client, helo, sender: "", domain: None }),
            Sender::Null | Sender::Unknown | Sender::Unreadable(_) => None,
        }
    }

    async fn ask(&self, dns: &mail_auth::MessageAuthenticator, host: &str) -> SpfEvidence {
        let result = spf::check(dns, host, self.client, self.helo, self.sender).await;
        let but = if result == AuthResult::Pass && self.domain.is_some() {
            match spf::control(dns, host, self.client, self.helo, self.sender).await {
                Control::Refused => None,
                Control::PassesEverybody => Some("passes everybody"),
                Control::Unknown => Some("control: temperror"),
            }
        } else {
            None
        };
        SpfEvidence { result, domain: self.domain.map(str::to_owned), but }
    }

    fn unanswered(&self) -> SpfEvidence {
        SpfEvidence { result: AuthResult::TempError, domain: self.domain.map(str::to_owned), but: None }
    }
}
