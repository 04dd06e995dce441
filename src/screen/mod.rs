//! The rules that set machine-made mail aside, as a table with a name, a source and a class each.
//!
//! A rule sees the envelope and the header and nothing else; it must not look at the clock, the network or a
//! configuration. What becomes of a class is configured, so [`Screen`] says so beside the rule that hit.

use crate::config::ScreenConfig;
use crate::mail::{Envelope, Message};
use crate::trail::Trail;

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

    /// The first rule that sets the message aside. A rule whose class is configured `deliver` is noted in the trail and passed over.
    pub fn examine(&self, _envelope: &Envelope, _message: &Message, _trail: &mut Trail) -> Option<ScreenHit> {
        let _ = self.config;
        None
    }
}
