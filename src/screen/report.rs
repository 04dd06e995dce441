//! Reports: `multipart/report` by its type (RFC 6522), and the parts of one as the whole message.

use super::rule::{Evidence, Rule, shortened};

/// How much of a body is read to find the type of a report that does not say it.
const BODY_READ: usize = 16 * 1024;

/// An MDN.
pub(super) fn disposition_notification(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    is_report_of(evidence, "disposition-notification")
}

/// A report about unwanted mail.
pub(super) fn feedback_report(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    is_report_of(evidence, "feedback-report")
}

/// A report about a delivery: failed, delayed or done.
pub(super) fn delivery_status(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    is_report_of(evidence, "delivery-status")
}

/// A report that does not say of what, nor has a part that does: those who write such a thing are mail servers, about a
/// delivery.
pub(super) fn untyped(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    is_report(evidence, false)
}

/// A report of another type, such as `tlsrpt` (RFC 8460).
pub(super) fn other_type(_: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    is_report(evidence, true)
}

fn is_report(evidence: &Evidence<'_>, typed: bool) -> Option<String> {
    let content_type = evidence.content_type.as_ref()?;
    let hit = content_type.kind == "multipart/report" && content_type.parameter("report-type").is_some() == typed;
    hit.then(|| shown(evidence))
}

fn is_report_of(evidence: &Evidence<'_>, subtype: &str) -> Option<String> {
    let content_type = evidence.content_type.as_ref()?;
    let Some(kind) = content_type.kind.strip_prefix("multipart/") else {
        // The machine-readable part alone; its internationalised form is message/global-… (RFC 6533).
        let part = content_type.kind.strip_prefix("message/")?;
        return (part.strip_prefix("global-").unwrap_or(part) == subtype).then(|| shown(evidence));
    };
    let hit = match content_type.parameter("report-type") {
        // Also in multipart/mixed, which gateways make of it.
        Some(report_type) => report_type.trim().eq_ignore_ascii_case(subtype),
        None => kind == "report" && has_part(evidence.message.body(), subtype),
    };
    hit.then(|| shown(evidence))
}

/// Whether a part of the body's beginning is of the type `message/SUBTYPE`.
fn has_part(body: &[u8], subtype: &str) -> bool {
    let beginning = String::from_utf8_lossy(&body[..body.len().min(BODY_READ)]).to_ascii_lowercase();
    beginning.lines().any(|line| {
        let kind = line.strip_prefix("content-type:").and_then(|value| value.trim().strip_prefix("message/"));
        kind.is_some_and(|kind| kind.strip_prefix("global-").unwrap_or(kind).starts_with(subtype))
    })
}

fn shown(evidence: &Evidence<'_>) -> String {
    let Some(content_type) = &evidence.content_type else { return String::new() };
    shortened(match content_type.parameter("report-type") {
        Some(report_type) => format!("Content-Type: {}; report-type={report_type}", content_type.kind),
        None => format!("Content-Type: {}", content_type.kind),
    })
}
