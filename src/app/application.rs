//! What an application is to the rest of the program: it takes events and answers, or it cannot be asked.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::event::Event;
use crate::route::Mask;
use crate::verdict::Status;

/// An application that takes events.
pub trait App: Send + Sync + std::fmt::Debug {
    /// Hands one event over. The same event has the same id on every try.
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>>;

    /// Whether the event carries what is known of the sender.
    fn wants_authentication(&self) -> bool {
        false
    }

    /// What becomes of a message that it keeps refusing without a reason.
    fn refusals(&self) -> Refusals {
        Refusals::HOLD
    }

    /// Tries the application as far as that can be done without handing it an event: what was seen, or what is wrong and
    /// what to do. For `mailhatch check`.
    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async { Ok("there is nothing that could be tried".to_owned()) })
    }
}

/// What the application said, and understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has the event.
    Delivered {
        /// How it acknowledged.
        how: String,
        /// What the administrator should know all the same.
        warning: Option<String>,
    },
    /// It does not want the event: to be set aside.
    Dropped {
        /// What it said.
        why: String,
        /// What the administrator should know all the same.
        warning: Option<String>,
    },
    /// It refuses the event, and the sender may be told why.
    Rejected(String),
}

impl Answer {
    /// It has the event, and there is nothing else to say.
    pub fn delivered(how: impl Into<String>) -> Self {
        Self::Delivered { how: how.into(), warning: None }
    }

    /// It does not want the event, and there is nothing else to say.
    pub fn dropped(why: impl Into<String>) -> Self {
        Self::Dropped { why: why.into(), warning: None }
    }
}

/// What becomes of a message that an application keeps refusing without a reason that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// How long it is tried again; `None`: `limits.unexplained_refusals`.
    pub after: Option<Duration>,
    /// What then.
    pub then: AfterRefusals,
}

/// What becomes of a message in the end that was only ever refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefusals {
    /// It is held: somebody must look.
    Hold,
    /// It is rejected, with this sentence for the sender.
    Reject(&'static str),
}

impl Refusals {
    /// Tried as long as `[limits]` says, then held.
    pub const HOLD: Self = Self { after: None, then: AfterRefusals::Hold };
}

/// Why an event is not handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppError {
    /// It could not be asked, or its answer cannot be believed: try again later.
    #[error("{detail}")]
    Unavailable {
        /// The enhanced status code.
        status: Status,
        /// What a stranger may read.
        public: String,
        /// What only the log gets.
        detail: String,
        /// The application asked not to be tried before (Retry-After).
        retry_after: Option<Duration>,
        /// Somebody must act: it will not go away by waiting.
        alarm: bool,
    },
    /// It refuses the event without a reason (400, 413, 422): held in the end.
    #[error("{detail}")]
    Refused {
        /// What a stranger may read.
        public: String,
        /// What only the log gets.
        detail: String,
    },
}

impl AppError {
    /// The same with more for the administrator.
    pub(super) fn with_advice(mut self, advice: &str) -> Self {
        let (Self::Unavailable { detail, .. } | Self::Refused { detail, .. }) = &mut self;
        detail.push_str(advice);
        self
    }
}

/// The answer as a notice, a log line or a reply may show it: an application may repeat a key in what it says.
///
/// # Errors
/// The application's own error, with the keys hidden.
pub fn hide_keys(mask: &Mask, answer: Result<Answer, AppError>) -> Result<Answer, AppError> {
    let hidden = |text: String| mask.text(&text);
    match answer {
        Ok(Answer::Delivered { how, warning }) => {
            Ok(Answer::Delivered { how: hidden(how), warning: warning.map(hidden) })
        }
        Ok(Answer::Dropped { why, warning }) => Ok(Answer::Dropped { why: hidden(why), warning: warning.map(hidden) }),
        Ok(Answer::Rejected(text)) => Ok(Answer::Rejected(hidden(text))),
        Err(AppError::Refused { public, detail }) => Err(AppError::Refused { public, detail: hidden(detail) }),
        Err(AppError::Unavailable { status, public, detail, retry_after, alarm }) => {
            Err(AppError::Unavailable { status, public, detail: hidden(detail), retry_after, alarm })
        }
    }
}
