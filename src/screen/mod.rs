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
mod table;

pub use table::{Rule, rules};

use crate::config::{ScreenAction, ScreenConfig};
use crate::mail::{Envelope, Message};
use crate::trail::Trail;
use table::Evidence;

/// What kind of machine made the mail; each has its own key in `[screen]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Vacation notes and other automatic answers.
    AutoReply,
    /// Bounces, delivery status notifications.
    Bounce,
    /// MDNs (RFC 8098) and feedback reports (RFC 5965).
    Report,
}

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

    /// The first rule that sets the message aside.
    ///
    /// The first rule that hits tells the class, and what is configured for that class is what becomes of the message. If
    /// it is `deliver`, that is noted in the trail, and all later rules are passed over: a delivery status notification
    /// also has a null sender and `Auto-Submitted`, which must not set aside what `bounces = "deliver"` asks for.
    pub fn examine(&self, envelope: &Envelope, message: &Message, trail: &mut Trail) -> Option<ScreenHit> {
        let evidence = Evidence::new(envelope, message);
        for rule in rules() {
            let Some(detail) = rule.test(&evidence) else {
                trail.step("screen", rule.name, "pass", || rule.seen(&evidence));
                continue;
            };
            if self.action(rule.class) == ScreenAction::Deliver {
                trail.step("screen", rule.name, "allowed", || detail);
                return None;
            }
            trail.step("screen", rule.name, "hit", || detail.clone());
            return Some(ScreenHit { rule: rule.name, source: rule.source, class: rule.class, detail });
        }
        None
    }

    fn action(&self, class: Class) -> ScreenAction {
        match class {
            Class::AutoReply => self.config.auto_replies,
            Class::Bounce => self.config.bounces,
            Class::Report => self.config.reports,
        }
    }
}
