//! `method = "verify"`: SPF, DKIM and DMARC worked out here, in one go and in bounded time.

use std::net::IpAddr;

use tokio::time::Instant;

use super::auth_result::AuthResult;
use super::dkim::Verified;
use super::dmarc::Judgement;
use super::findings::Findings;
use super::from_field::Author;
use super::proof::{Evidence, Signature, SpfEvidence};
use super::questions::{FOR_DKIM, FOR_DMARC, FOR_SPF, Questions};
use super::resolver::Resolver;
use super::spf::Control;
use super::{dkim, dmarc, spf};
use crate::mail::{Envelope, Message, Sender};
use crate::trail::Step;

/// Examines one message. The three run side by side, all of them before one deadline.
pub(super) async fn examine(resolver: &Resolver, author: &Author, envelope: &Envelope, message: &Message) -> Findings {
    let deadline = Instant::now() + resolver.limits().message;
    let questions = |most| Questions::new(resolver, most, deadline);
    let (for_spf, for_dkim, for_dmarc) = (questions(FOR_SPF), questions(FOR_DKIM), questions(FOR_DMARC));
    let spf_part = async {
        match SpfQuestion::about(envelope) {
            Some(question) => question.ask(&for_spf).await,
            None => (SpfEvidence::none(), "nothing to ask".to_owned()),
        }
    };
    let dkim_part = dkim::verify(&for_dkim, message);
    let dmarc_part = dmarc::wishes(&for_dmarc, author);
    let ((spf, spf_note), signatures, wishes) = tokio::join!(spf_part, dkim_part, dmarc_part);

    let signature =
        |s: &Verified| Signature { domain: s.domain.clone(), result: s.result, coverage: s.coverage.clone() };
    let evidence = Evidence { spf, dkim: signatures.iter().map(signature).collect(), dmarc_pass: None };
    let dmarc = dmarc::judge(&wishes, author, &evidence);
    let steps = steps(evidence.spf.result, dmarc, envelope, &signatures, &spf_note);
    Findings { evidence, dmarc, steps }
}

/// The steps for `explain`, in the order of the story.
fn steps(spf: AuthResult, dmarc: Judgement, envelope: &Envelope, signatures: &[Verified], spf_note: &str) -> Vec<Step> {
    let step = |rule: &str, result: AuthResult, detail: String| Step {
        step: "auth",
        rule: rule.to_owned(),
        result: result.name(),
        detail,
    };
    let client = envelope.client.address.map_or("unknown".to_owned(), |address| address.to_string());
    let sender = envelope.sender.as_text().unwrap_or("unknown");
    let mut steps = Vec::with_capacity(signatures.len() + 2);
    steps.push(step("spf", spf, format!("client {client}, MAIL FROM:<{sender}>: {spf_note}")));
    for signature in signatures {
        steps.push(step("dkim", signature.result, format!("d={}: {}", signature.domain, signature.reason)));
    }
    let wish = if dmarc.enforced { "its domain asks to quarantine or reject what fails" } else { "no such wish" };
    steps.push(step("dmarc", dmarc.result, format!("From: {wish}")));
    steps
}

/// What SPF is asked: MAIL FROM, or HELO for the null sender.
struct SpfQuestion<'m> {
    client: IpAddr,
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

    /// The evidence, and a note on how it was found.
    async fn ask(&self, questions: &Questions<'_>) -> (SpfEvidence, String) {
        let checked = spf::check(questions, self.client, self.helo, self.sender).await;
        let but = if checked.result == AuthResult::Pass && self.domain.is_some() {
            match spf::control(questions, self.client, self.helo, self.sender).await {
                Control::Refused => None,
                Control::PassesEverybody => Some("passes everybody".to_owned()),
                Control::Unknown(why) => Some(format!("control: {why}")),
            }
        } else {
            None
        };
        (SpfEvidence { result: checked.result, domain: self.domain.map(str::to_owned), but }, checked.why)
    }
}
