//! What a rule of the table is, and what it may look at.

use crate::mail::{ContentType, Envelope, Message};
use crate::printable::clipped;

/// What a rule says of the mail: the kind of machine that made it, or that a filter marked it. Each has its own key in
/// `[screen]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Vacation notes and other automatic answers.
    AutoReply,
    /// Bounces, delivery status notifications.
    Bounce,
    /// MDNs (RFC 8098) and feedback reports (RFC 5965).
    Report,
    /// What a spam filter before us marked, whoever made it.
    Spam,
}

/// A rule of the table.
#[derive(Debug)]
pub struct Rule {
    /// Its name in replies, logs and `explain`.
    pub name: &'static str,
    /// The RFC or the program whose habit it is.
    pub source: &'static str,
    /// The class it puts a message in.
    pub class: Class,
    /// The fields it looks at; empty if it looks at the envelope.
    pub fields: &'static [&'static str],
    pub(super) test: fn(&Rule, &Evidence<'_>) -> Option<String>,
}

/// What a rule may look at.
pub(super) struct Evidence<'m> {
    pub envelope: &'m Envelope,
    pub message: &'m Message,
    pub content_type: Option<ContentType>,
}

impl<'m> Evidence<'m> {
    pub fn new(envelope: &'m Envelope, message: &'m Message) -> Self {
        Self { envelope, message, content_type: message.content_type() }
    }
}

impl Rule {
    /// What the rule saw, if it hits.
    pub(super) fn test(&self, evidence: &Evidence<'_>) -> Option<String> {
        (self.test)(self, evidence)
    }

    /// What there was to see, for the trail.
    pub(super) fn seen(&self, evidence: &Evidence<'_>) -> String {
        if self.fields.is_empty() {
            return evidence.envelope.sender.as_text().map_or("no envelope sender is known".to_owned(), |sender| {
                shortened(format!("envelope sender <{sender}>"))
            });
        }
        let seen = self.values(evidence).map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>();
        if seen.is_empty() { format!("no {}", self.fields.join(", no ")) } else { shortened(seen.join(", ")) }
    }

    /// The fields the rule looks at, with their unfolded values.
    pub(super) fn values<'m>(&'m self, evidence: &Evidence<'m>) -> impl Iterator<Item = (&'m str, String)> + use<'m> {
        let fields = evidence.message.fields().filter(|field| self.fields.iter().any(|name| field.is(name)));
        fields.map(|field| (field.name(), field.text().into_owned()))
    }

    /// The first of the rule's fields whose value is as asked.
    pub(super) fn first(&self, evidence: &Evidence<'_>, is_mark: impl Fn(&str) -> bool) -> Option<String> {
        let (name, value) = self.values(evidence).find(|(_, value)| is_mark(value))?;
        Some(shortened(format!("{name}: {value}")))
    }
}

/// Short enough for a log line.
pub(super) fn shortened(text: String) -> String {
    clipped(&text, 200)
}
