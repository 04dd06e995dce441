//! What an application is to the rest of the program: it takes events and answers, or it cannot be asked.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::event::Event;
use crate::route::Key;
use crate::verdict::Status;

/// An application that takes events.
pub trait App: Send + Sync + std::fmt::Debug {
    /// Hands one event over. The same event has the same id on every try.
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>>;

    /// Whether the event carries what is known of the sender.
    fn wants_authentication(&self) -> bool;

    /// Tries the application as far as that can be done without handing it an event: what was seen, or what is wrong and
    /// what to do. For `mailhatch check`.
    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async { Ok("there is nothing that could be tried".to_owned()) })
    }
}

/// What the application said, and understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has the event; the text says how it acknowledged.
    Delivered(String),
    /// It does not want the event: to be set aside.
    Dropped(String),
    /// It refuses the event, and the sender may be told why.
    Rejected(String),
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

/// The answer as a log line or a reply may show it: an application may repeat the key in what it says.
pub fn hide_key(key: &Key, answer: Result<Answer, AppError>) -> Result<Answer, AppError> {
    let hidden = |text: String| key.hide_in(&text);
    match answer {
        Ok(Answer::Delivered(text)) => Ok(Answer::Delivered(hidden(text))),
        Ok(Answer::Dropped(text)) => Ok(Answer::Dropped(hidden(text))),
        Ok(Answer::Rejected(text)) => Ok(Answer::Rejected(hidden(text))),
        Err(AppError::Refused { public, detail }) => Err(AppError::Refused { public, detail: hidden(detail) }),
        Err(AppError::Unavailable { status, public, detail, retry_after, alarm }) => {
            Err(AppError::Unavailable { status, public, detail: hidden(detail), retry_after, alarm })
        }
    }
}
