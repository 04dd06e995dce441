//! The rules that set machine-made mail aside, as a table with a name, a source and a class each.
//!
//! A rule sees the envelope and the header, and of the body at most a bounded beginning; it must not look at the clock,
//! the network or a configuration. What becomes of a class is configured, so [`Screen`] says so beside the rule that hit.
//! No rule rests on the subject alone, and none on a mark that people's mail carries too: list mail, `Precedence: bulk` and
//! `X-Auto-Response-Suppress` forbid an answer ([`marks`]), but they are no reason to set a mail aside.

mod auto_reply;
mod bounce;
pub mod marks;
mod report;
mod rule;
mod table;

pub use rule::{Class, Rule};
pub use table::rules;

use crate::config::{ScreenAction, ScreenConfig};
use crate::mail::{Envelope, Message};
use crate::trail::Trail;
use rule::Evidence;

/// A rule that found the message to be machine-made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenHit {
    /// The rule's name, such as `auto-submitted`.
    pub rule: &'static str,
    /// The RFC or the program whose habit it is.
    pub source: &'static str,
    /// The class it puts the message in.
    pub class: Class,
    /// What it saw, such as `Auto-Submitted: auto-replied`.
    pub detail: String,
}

/// What the table says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Screened {
    /// No rule hits.
    Passed,
    /// A rule hits, and the configuration delivers mail of its class.
    Allowed(ScreenHit),
    /// A rule hits, and the message is set aside.
    SetAside(ScreenHit),
}

impl Screened {
    /// The rule that hits, whatever the configuration makes of it.
    pub fn hit(&self) -> Option<&ScreenHit> {
        match self {
            Self::Passed => None,
            Self::Allowed(hit) | Self::SetAside(hit) => Some(hit),
        }
    }
}

/// The table with what the configuration makes of each class.
#[derive(Clone, Debug)]
pub struct Screen {
    config: ScreenConfig,
}

impl Screen {
    /// The table under a configuration.
    pub fn new(config: ScreenConfig) -> Self {
        Self { config }
    }

    /// Looks at a message: the first rule that hits tells the class, and what is configured for that class is what becomes
    /// of the message.
    ///
    /// If that is `deliver`, all later rules are passed over: a delivery status notification also has a null sender and
    /// `Auto-Submitted`, which must not set aside what `bounces = "deliver"` asks for.
    pub fn examine(&self, envelope: &Envelope, message: &Message, trail: &mut Trail) -> Screened {
        let evidence = Evidence::new(envelope, message);
        for rule in rules() {
            let Some(detail) = rule.test(&evidence) else {
                trail.step("screen", rule.name, "pass", || rule.seen(&evidence));
                continue;
            };
            let is_allowed = self.action(rule.class) == ScreenAction::Deliver;
            trail.step("screen", rule.name, if is_allowed { "allowed" } else { "hit" }, || detail.clone());
            let hit = ScreenHit { rule: rule.name, source: rule.source, class: rule.class, detail };
            return if is_allowed { Screened::Allowed(hit) } else { Screened::SetAside(hit) };
        }
        Screened::Passed
    }

    fn action(&self, class: Class) -> ScreenAction {
        match class {
            Class::AutoReply => self.config.auto_replies,
            Class::Bounce => self.config.bounces,
            Class::Report => self.config.reports,
        }
    }
}
