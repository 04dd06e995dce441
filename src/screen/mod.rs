//! The rules that set machine-made and marked mail aside, as a table with a name, a source and a class each.
//!
//! A rule sees the envelope and the header, and of the body at most a bounded beginning; it must not look at the clock,
//! the network or a configuration: [`Findings`] are the same for all recipients. What becomes of a class is configured, for all
//! and for a mailbox, so it is said only under a configuration.
//! No rule rests on the subject alone, and none on a mark that people's mail carries too: list mail, `Precedence: bulk` and
//! `X-Auto-Response-Suppress` forbid an answer ([`marks`]), but they are not a reason to set a mail aside.

mod auto_reply;
mod bounce;
pub mod marks;
mod report;
mod rule;
mod spam;
mod table;

pub use rule::{Class, Rule};
pub use table::rules;

use crate::config::{ScreenAction, ScreenConfig, SpamAction};
use crate::mail::{Envelope, Message};
use crate::trail::{Step, Trail};
use rule::Evidence;

/// A rule that hits.
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

/// What the table says of a message, whatever a configuration makes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The first rule that says that a machine made it, and which kind.
    pub machine_made: Option<ScreenHit>,
    /// The first mark of a spam filter.
    pub spam: Option<ScreenHit>,
    steps: Vec<Step>,
}

/// What a configuration makes of the findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screened<'f> {
    /// The message goes on.
    Passed,
    /// It is set aside.
    Ignored(&'f ScreenHit),
    /// It is kept for a person.
    Held(&'f ScreenHit),
}

/// Looks at a message.
///
/// The first rule that hits tells the class, and all later rules are passed over: a delivery status notification also has a null
/// sender and `Auto-Submitted`, which must not set aside what `bounces = "deliver"` asks for.
pub fn examine(envelope: &Envelope, message: &Message, mut trail: Trail) -> Findings {
    let evidence = Evidence::new(envelope, message);
    let (mut machine_made, mut spam) = (None, None);
    for rule in rules() {
        let found = if rule.class == Class::Spam { &mut spam } else { &mut machine_made };
        if found.is_some() {
            continue;
        }
        let Some(detail) = rule.test(&evidence) else {
            trail.step("screen", rule.name, "pass", || rule.seen(&evidence));
            continue;
        };
        trail.step("screen", rule.name, HIT, || detail.clone());
        *found = Some(ScreenHit { rule: rule.name, source: rule.source, class: rule.class, detail });
    }
    Findings { machine_made, spam, steps: trail.into_steps() }
}

/// The result of a step whose rule hit, and of one whose class is configured to be delivered.
const HIT: &str = "hit";
const ALLOWED: &str = "allowed";

impl Findings {
    /// What becomes of the message. Machine-made mail that is marked too is what it is before it is spam.
    pub fn under(&self, config: &ScreenConfig) -> Screened<'_> {
        match (&self.machine_made, &self.spam) {
            (Some(hit), _) if !is_delivered(hit.class, config) => Screened::Ignored(hit),
            (_, Some(hit)) => match config.spam {
                SpamAction::Deliver => Screened::Passed,
                SpamAction::Hold => Screened::Held(hit),
                SpamAction::Ignore => Screened::Ignored(hit),
            },
            _ => Screened::Passed,
        }
    }

    /// What was looked at, in order, and what the configuration makes of it.
    pub fn steps(&self, config: &ScreenConfig) -> Vec<Step> {
        let hits = || [&self.machine_made, &self.spam].into_iter().flatten();
        let is_allowed = |rule: &str| hits().any(|hit| hit.rule == rule && is_delivered(hit.class, config));
        let steps = self.steps.iter().cloned();
        steps.map(|step| if is_allowed(&step.rule) { Step { result: ALLOWED, ..step } } else { step }).collect()
    }
}

fn is_delivered(class: Class, config: &ScreenConfig) -> bool {
    let action = match class {
        Class::AutoReply => config.auto_replies,
        Class::Bounce => config.bounces,
        Class::Report => config.reports,
        Class::Spam => return config.spam == SpamAction::Deliver,
    };
    action == ScreenAction::Deliver
}
