//! The marks of spam filters that stand before us and mark mail instead of refusing it.
//!
//! A mark that a sender forges harms the sender alone. `X-Spam-Level` is none: its stars have no limit that everybody sets alike.

use super::rule::{Evidence, Rule};

/// From here on Microsoft calls a message spam (spam confidence level 5, 6 and 9).
const SPAM_LEVEL: i32 = 5;

/// `X-Spam-Flag: YES`, `X-Spam-Status: Yes, score=7.1 …`
pub(super) fn yes(rule: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    rule.first(evidence, |value| {
        let word = value.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
        word.is_some_and(|word| word.eq_ignore_ascii_case("yes"))
    })
}

/// `X-SES-Spam-Verdict: FAIL`
pub(super) fn fail(rule: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    rule.first(evidence, |value| value.eq_ignore_ascii_case("fail"))
}

/// `X-MS-Exchange-Organization-SCL: 5`
pub(super) fn exchange_level(rule: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    rule.first(evidence, is_spam_level)
}

/// `X-Forefront-Antispam-Report: CIP:192.0.2.1;…;SCL:5;…`
pub(super) fn forefront_level(rule: &Rule, evidence: &Evidence<'_>) -> Option<String> {
    rule.first(evidence, |value| {
        let mut entries = value.split(';').filter_map(|entry| entry.trim().split_once(':'));
        entries.any(|(name, level)| name.eq_ignore_ascii_case("SCL") && is_spam_level(level))
    })
}

fn is_spam_level(value: &str) -> bool {
    value.trim().parse::<i32>().is_ok_and(|level| level >= SPAM_LEVEL)
}
