//! `method = "trust"`: the Authentication-Results of our own MTA, and of nobody else (RFC 8601 sections 5 and 7.1).
//!
//! Anybody can write a field with our authserv-id into a message. A field is believed only from the block of trace
//! fields that our own servers wrote, and a method only if all fields in that block agree on it.
//!
//! The block ends at the first Received field that another host wrote, and at the one after our border: a Received of
//! ours whose client is no host of ours. What a client sends stands below that, also a Received with our name in it.
//! Filters put their field above our Received or right below it; so may a sender's own field stand there, if the MTA
//! does not remove it as RFC 8601 section 5 asks. Hence the rule that all must agree.

use super::alignment::is_aligned;
use super::auth_result::AuthResult;
use super::coverage::Coverage;
use super::dmarc::Judgement;
use super::findings::Findings;
use super::from_field::Author;
use super::proof::{Evidence, Signature, SpfEvidence};
use super::received::{self, Received};
use super::results::{self, MethodResult, Results};
use super::spf;
use super::tag_list::TagList;
use crate::mail::{Address, Envelope, Field, Message, comparable_domain, is_same_domain};
use crate::trail::Step;

/// Signatures of a message that are compared with a result.
const MOST_SIGNATURES: usize = 50;

/// Examines one message by the fields that are believed; asks nobody. `ours` completes "no field of …".
pub(super) fn examine(
    fields: &[Results],
    ours: &str,
    author: &Author,
    envelope: &Envelope,
    message: &Message,
) -> Findings {
    let dmarc = judge_dmarc(fields, author);
    let evidence = Evidence {
        spf: envelope.sender.address().map_or_else(SpfEvidence::none, |sender| judge_spf(fields, sender)),
        dkim: judge_dkim(fields, message),
        dmarc_pass: author.only().filter(|_| dmarc.result == AuthResult::Pass).map(|from| from.domain().to_owned()),
    };
    let mut steps: Vec<_> = fields
        .iter()
        .map(|field| {
            let methods: Vec<_> = field.methods.iter().map(|m| format!("{}={}", m.method, name_of(m))).collect();
            let detail = format!("by {}: {}", field.authserv_id, methods.join(", "));
            Step { step: "auth", rule: "authentication-results".to_owned(), result: "match", detail }
        })
        .collect();
    if fields.is_empty() {
        let detail = format!("no field of {ours} in the trace block of the servers that are believed");
        steps.push(Step { step: "auth", rule: "authentication-results".to_owned(), result: "no match", detail });
    }
    Findings { evidence, dmarc, steps }
}

fn name_of(method: &MethodResult) -> &'static str {
    method.result.map_or("?", AuthResult::name)
}

/// The fields that our own MTA wrote.
pub(super) fn believed(ids: &[String], hostname: &str, message: &Message) -> Vec<Results> {
    let is_ours = |name: &str| {
        ids.iter().any(|id| id.eq_ignore_ascii_case(name)) || (!hostname.is_empty() && is_same_domain(hostname, name))
    };
    let mut fields = Vec::new();
    let mut past_border = false;
    for field in message.fields() {
        if field.is("Received") {
            match received::parse(field.raw()) {
                Some(received) if !past_border && received.by.as_deref().is_some_and(is_ours) => {
                    past_border = is_border(&received);
                }
                _ => break,
            }
        } else if let Some(value) = written_as_by_an_mta(message, field) {
            fields.extend(
                results::parse(value).filter(|read| ids.iter().any(|id| id.eq_ignore_ascii_case(&read.authserv_id))),
            );
        }
    }
    fields
}

/// The value of an Authentication-Results field in the one form that filters write, which is the one that an MTA can be told to
/// remove: the name, a colon, blanks, and then the id itself. No comment, no quoted string, no line end stands before or in it, and
/// no blank before the colon.
fn written_as_by_an_mta<'m>(message: &'m Message, field: Field<'m>) -> Option<&'m [u8]> {
    const NAME: &str = "Authentication-Results";
    let is_named = field.is(NAME) && message.bytes().get(field.start() + NAME.len()) == Some(&b':');
    let value = field.raw();
    let id = value.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    let is_token = value.get(id).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
    (is_named && is_token).then_some(value)
}

/// Whether a Received of ours is the one that took the message from outside. Unclear counts as outside.
fn is_border(received: &Received) -> bool {
    received.has_from && received.client.is_none_or(spf::is_public)
}

/// The results of one method, field by field; fields that are silent about it are left out.
fn by_field<'r>(fields: &'r [Results], method: &'r str) -> impl Iterator<Item = Vec<&'r MethodResult>> {
    fields
        .iter()
        .map(move |field| field.methods.iter().filter(|m| m.method == method).collect::<Vec<_>>())
        .filter(|results| !results.is_empty())
}

/// SPF of MAIL FROM, for the very sender of this envelope. A result without smtp.mailfrom is about HELO.
fn judge_spf(fields: &[Results], sender: &Address) -> SpfEvidence {
    let mut judged: Option<AuthResult> = None;
    for result in by_field(fields, "spf").flatten() {
        let Some(identity) = result.property("smtp.mailfrom") else { continue };
        let is_sender = match Address::parse(identity) {
            Some(address) => address.is_same_mailbox(sender),
            None => is_same_domain(identity.trim_start_matches('@'), sender.domain()),
        };
        let here = match result.result {
            Some(AuthResult::Pass) if !is_sender => AuthResult::None,
            Some(result) => result,
            None => AuthResult::PermError,
        };
        // The first word stands, unless a later one is worse: a pass counts only where nobody disagrees.
        judged = Some(match judged {
            Some(before) if before != AuthResult::Pass => before,
            _ => here,
        });
    }
    match judged {
        Some(result) => SpfEvidence { result, domain: Some(sender.domain().to_owned()), but: None },
        None => SpfEvidence::none(),
    }
}

/// The signatures of the topmost field that has any; a pass stands only if every other field with signatures has it.
fn judge_dkim(fields: &[Results], message: &Message) -> Vec<Signature> {
    let outcomes = |results: Vec<&MethodResult>| -> Vec<Signature> {
        results
            .into_iter()
            .filter_map(|result| {
                let domain = signing_domain(result)?;
                let coverage = coverage(message, &domain, result);
                Some(Signature { domain, result: result.result.unwrap_or(AuthResult::PermError), coverage })
            })
            .collect()
    };
    let mut lists = by_field(fields, "dkim").map(outcomes);
    let mut first = lists.next().unwrap_or_default();
    for other in lists {
        for outcome in first.iter_mut().filter(|outcome| outcome.result == AuthResult::Pass) {
            let confirmed =
                other.iter().any(|o| o.result == AuthResult::Pass && is_same_domain(&o.domain, &outcome.domain));
            if !confirmed {
                outcome.result = AuthResult::Neutral;
            }
        }
    }
    first
}

/// What the signature covers that a result is about. A result names a domain, and perhaps a selector and the beginning of the
/// signature (RFC 6008): all fields of which it could speak must cover the same, because one of them did not verify.
fn coverage(message: &Message, domain: &str, result: &MethodResult) -> Option<Coverage> {
    let mut signatures = message.all("DKIM-Signature");
    let mut found: Option<Coverage> = None;
    for field in signatures.by_ref().take(MOST_SIGNATURES) {
        let tags = TagList::read(field.raw())?;
        let starts = |name: &str, start: &str| {
            let value: String = tags.value(name).unwrap_or_default().split_ascii_whitespace().collect();
            value.starts_with(start)
        };
        let is_meant = tags.value("d").is_some_and(|d| is_same_domain(d, domain))
            && result.property("header.s").is_none_or(|selector| tags.value("s") == Some(selector))
            && result.property("header.b").is_none_or(|start| starts("b", start));
        if !is_meant {
            continue;
        }
        let coverage = Coverage::read(&tags, message).ok()?;
        if found.replace(coverage.clone()).is_some_and(|before| before != coverage) {
            return None;
        }
    }
    if signatures.next().is_some() { None } else { found }
}

/// header.d, or the domain of header.i, which must lie in d= (RFC 6376 section 3.5).
fn signing_domain(result: &MethodResult) -> Option<String> {
    let identity = result.property("header.i").map(|i| i.rsplit_once('@').map_or(i, |(_, domain)| domain));
    match (result.property("header.d"), identity) {
        (Some(domain), Some(identity)) if !is_aligned(domain, identity) => None,
        (Some(domain), _) | (None, Some(domain)) => comparable_domain(domain),
        (None, None) => None,
    }
}

/// DMARC of the From domain. A field does not tell what the domain asks for, unless it has policy.dmarc; so a fail
/// counts as enforced if it is not said to be `none`. Nor does it tell what each of several domains asks for: then the message
/// fails.
fn judge_dmarc(fields: &[Results], author: &Author) -> Judgement {
    let domain = match author {
        Author::Nobody => return Judgement { result: AuthResult::PermError, enforced: false },
        Author::One(address) => address.domain(),
        Author::OneDomain(domain) => domain,
        Author::Several { .. } => return Judgement { result: AuthResult::Fail, enforced: true },
    };
    let mut judged: Option<Judgement> = None;
    for result in by_field(fields, "dmarc").flatten() {
        let about_from = result.property("header.from").is_some_and(|from| {
            let from = from.rsplit_once('@').map_or(from, |(_, domain)| domain);
            is_same_domain(from, domain)
        });
        let here = match result.result {
            Some(AuthResult::Pass) if !about_from => AuthResult::None,
            Some(result) => result,
            None => AuthResult::PermError,
        };
        let enforced = here == AuthResult::Fail
            && !result.property("policy.dmarc").is_some_and(|policy| policy.eq_ignore_ascii_case("none"));
        judged = Some(match judged {
            Some(before) if before.result != AuthResult::Pass => before,
            _ => Judgement { result: here, enforced },
        });
    }
    judged.unwrap_or(Judgement { result: AuthResult::None, enforced: false })
}
