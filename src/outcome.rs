//! What became of a message for one recipient: the verdict, where routing sent it, and what was done about it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::event_id::EventId;
use crate::ledger::SharedState;
use crate::notice::{NoticeOutcome, NoticePreview};
use crate::route::{Key, Mask, Matched, Route, Unrouted};
use crate::trail::Step;
use crate::verdict::Verdict;

/// The verdict for one recipient with all that is said about it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The recipient, as it came.
    pub recipient: String,
    /// What becomes of the message.
    pub verdict: Verdict,
    /// The id of the event, and of the held copy; `None` if a fault of ours came before it.
    pub id: Option<EventId>,
    /// Whose it is, as far as routing came.
    pub destination: Option<Destination>,
    /// What was done.
    pub effects: Effects,
    /// What all that is said of it goes through.
    pub mask: Arc<Mask>,
}

/// Whose a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The mailbox.
    pub mailbox: String,
    /// What the key asks for; `None` for a key of no known form.
    pub action: Option<String>,
    /// The key.
    pub key: Key,
    /// Where the key was found.
    pub matched: Matched,
}

/// What was done about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The name of the application that was asked.
    pub app: Option<String>,
    /// Whether a copy is held.
    pub held: bool,
    /// For `rejected`: whether a notice went out, or why not.
    pub notice: Option<NoticeOutcome>,
    /// Something went wrong that does not change the verdict.
    pub warning: Option<String>,
    /// It is delivered, but this host's ledger could not write that down yet.
    pub unrecorded: bool,
    /// Whether the other hosts of a shared ledger know of it.
    pub shared: Option<SharedState>,
    /// Which host has delivered it before, and when.
    pub delivered_elsewhere: Option<String>,
}

impl Effects {
    /// Notes that something went wrong, behind what did before it: none takes the place of another.
    pub fn warn(&mut self, text: String) {
        self.warning = Some(match self.warning.take() {
            Some(before) => format!("{before}; {text}"),
            None => text,
        });
    }
}

/// The answers that stand already while a message is still on its way: what an application has acknowledged stays
/// acknowledged, also if recording it takes too long.
#[derive(Debug, Default)]
pub struct StandingAnswers(Mutex<Vec<Outcome>>);

impl StandingAnswers {
    /// Notes the answer for one recipient.
    pub fn note(&self, outcome: Outcome) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
    }

    /// Those noted so far.
    pub fn so_far(&self) -> Vec<Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What would become of a message, with every step on the way.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What would become of it if the application said yes.
    pub outcome: Outcome,
    /// For `rejected` and `ignored`: whether a notice would go out.
    pub notice: Option<NoticePreview>,
    /// Every step.
    pub trail: Vec<Step>,
}

impl Outcome {
    /// A verdict about which nothing else is known, for a message of which so much may be said.
    pub fn new(verdict: Verdict, recipient: impl Into<String>, mask: Arc<Mask>) -> Self {
        Self { recipient: recipient.into(), verdict, id: None, destination: None, effects: Effects::default(), mask }
    }
}

impl Destination {
    /// The destination of a message that routing found.
    pub fn of(route: &Route) -> Self {
        Self {
            mailbox: route.mailbox.name.value.clone(),
            action: Some(route.action.clone()),
            key: route.key.clone(),
            matched: route.matched.clone(),
        }
    }

    /// How far routing came with a message that it has no place for.
    pub fn of_unrouted(unrouted: &Unrouted) -> Option<Self> {
        let Unrouted::UnknownAction { mailbox, key, matched } = unrouted else { return None };
        Some(Self { mailbox: mailbox.name.value.clone(), action: None, key: key.clone(), matched: matched.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_warning_takes_the_place_of_another() {
        let mut effects = Effects::default();
        effects.warn("the notice is given up".to_owned());
        effects.warn("refused for 4h".to_owned());
        assert_eq!(effects.warning.as_deref(), Some("the notice is given up; refused for 4h"));
    }
}
