//! The reject notice: may we, what it says, sending it.
//!
//! Writes to nobody whom SPF or DKIM does not prove. A notice that cannot be handed to the local MTA is an error, and the
//! message is deferred; it is never dropped in silence.

use std::fmt;

/// What became of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeOutcome {
    /// It was handed to the local MTA.
    Sent {
        /// For whom.
        to: String,
    },
    /// It was not written.
    Withheld(Withheld),
}

/// Why no notice is written; the first condition that fails (DESIGN section 2.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// `notice.enabled = false`
    Off,
}

impl Withheld {
    /// A name for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("notices are off"),
        }
    }
}

impl fmt::Display for NoticeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { .. } => f.write_str("sent"),
            Self::Withheld(why) => write!(f, "withheld: {why}"),
        }
    }
}
