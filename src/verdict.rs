//! What may become of a message for one recipient: the verdict, with its reason.
//!
//! No verdict is a permanent failure for the MTA: there is no 5.x.x here, and `disposition` cannot make one.

use std::fmt;
use std::time::Duration;

/// An enhanced status code (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u8, pub u8, pub u8);

impl Status {
    /// Other or undefined status: done.
    pub const DONE: Self = Self(2, 0, 0);
    /// Other or undefined mail system status.
    pub const SYSTEM: Self = Self(4, 3, 0);
    /// Mail system full.
    pub const SYSTEM_FULL: Self = Self(4, 3, 1);
    /// System not accepting network messages.
    pub const NOT_ACCEPTING: Self = Self(4, 3, 2);
    /// System incorrectly configured.
    pub const CONFIGURATION: Self = Self(4, 3, 5);
    /// No answer from host.
    pub const NO_ANSWER: Self = Self(4, 4, 1);
    /// Bad connection.
    pub const BAD_CONNECTION: Self = Self(4, 4, 2);
    /// Directory server failure.
    pub const DIRECTORY: Self = Self(4, 4, 3);
    /// Mail system congestion.
    pub const CONGESTION: Self = Self(4, 4, 5);
    /// Delivery time expired.
    pub const TIME_EXPIRED: Self = Self(4, 4, 7);
    /// Other or undefined protocol status.
    pub const PROTOCOL: Self = Self(4, 5, 0);
    /// Other or undefined security status.
    pub const SECURITY: Self = Self(4, 7, 0);
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Why a message is not taken yet, in two texts: one that a stranger may read, one for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// 4.x.x
    pub status: Status,
    /// The cause's name, such as `app`, `ledger`, `deadline`.
    pub cause: &'static str,
    /// What a stranger may read: it stands in the reply, and a reply can travel back to a sender.
    pub public: String,
    /// What only the log gets, with what to do.
    pub detail: String,
    /// Somebody must act.
    pub alarm: bool,
    /// The application asked not to be tried before (Retry-After). Postfix has its own times; a mailbox is read by ours.
    pub retry_after: Option<Duration>,
}

/// Every reason of the pipeline's own for which a message is not taken yet, so that each is said in one way.
impl Deferral {
    /// The application, as it answered or did not.
    pub fn app(status: Status, public: String, detail: String, alarm: bool) -> Self {
        Self { status, cause: "app", public, detail, alarm, retry_after: None }
    }

    /// The same, not to be tried before a time.
    pub fn after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    /// The application refuses without a reason: somebody may fix it.
    pub fn app_refusal(public: String, detail: String) -> Self {
        Self { status: Status::SYSTEM, cause: "app-refusal", public, detail, alarm: true, retry_after: None }
    }

    /// `step` was not done in time.
    pub fn deadline_missed(step: &str) -> Self {
        Self {
            status: Status::TIME_EXPIRED,
            cause: "deadline",
            public: "not done within the deadline".to_owned(),
            detail: format!("{step} was not done within limits.deadline"),
            alarm: false,
            retry_after: None,
        }
    }

    /// Another connection or process is at the same message.
    pub fn in_flight(detail: &str) -> Self {
        Self {
            status: Status::SYSTEM,
            cause: "in-flight",
            public: "another copy of this message is being delivered".to_owned(),
            detail: detail.to_owned(),
            alarm: false,
            retry_after: None,
        }
    }

    /// A panic or a state that cannot be: a bug, which must not cost a message.
    pub fn internal_error() -> Self {
        Self {
            status: Status::SYSTEM,
            cause: "internal-error",
            public: "internal error, the message will be tried again".to_owned(),
            detail: "internal error: please report it with the lines before this one".to_owned(),
            alarm: true,
            retry_after: None,
        }
    }

    /// The ledger, a held copy or the disk below them; `full` if what is missing is room.
    pub fn local_state(detail: impl Into<String>, full: bool) -> Self {
        Self {
            status: if full { Status::SYSTEM_FULL } else { Status::SYSTEM },
            cause: "ledger",
            public: "local state cannot be written".to_owned(),
            detail: detail.into(),
            alarm: true,
            retry_after: None,
        }
    }

    /// The store of all hosts does not answer, and `shared.when_down` says that mail waits for it.
    pub fn shared_ledger(why: &str) -> Self {
        Self {
            status: Status::NOT_ACCEPTING,
            cause: "shared-ledger",
            public: "mail is not taken at the moment".to_owned(),
            detail: format!("the shared ledger does not answer (shared.when_down = \"defer\"): {why}"),
            alarm: true,
            retry_after: None,
        }
    }

    /// The notice to the sender cannot be handed to the MTA.
    pub fn notice(detail: String) -> Self {
        Self {
            status: Status::SYSTEM,
            cause: "notice",
            public: "the answer to this message cannot be sent yet".to_owned(),
            detail,
            alarm: true,
            retry_after: None,
        }
    }

    /// Nobody knows yet whether the sender is proven, and the mailbox holds what is not.
    pub fn undecided_sender(summary: &str) -> Self {
        Self {
            status: Status::DIRECTORY,
            cause: "dns",
            public: "the sender cannot be checked at the moment".to_owned(),
            detail: format!(
                "{summary}: the mailbox holds what is unproven, and DNS gave no answer; see mailhatch check"
            ),
            alarm: false,
            retry_after: None,
        }
    }
}

/// What becomes of a message for one recipient. Every verdict that is not plain success carries its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is lost: the MTA keeps it and tries again.
    Deferred(Deferral),
    /// The application acknowledged it.
    Delivered,
    /// The same message for the same key was delivered before.
    Duplicate,
    /// Kept back for a person to look at.
    Held {
        /// `unexplained-refusal` or `unproven-sender`.
        rule: &'static str,
        /// What the rule saw.
        detail: String,
    },
    /// Machine-made, or dropped by the application.
    Ignored {
        /// The screen rule, or `app-drop`.
        rule: &'static str,
        /// What the rule saw.
        detail: String,
    },
    /// Nobody takes it.
    Rejected(Rejection),
}

/// Why nobody takes a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// `unknown-address`, `too-large`, `app-reject` or `app-refused`.
    pub rule: &'static str,
    /// A sentence for the sender.
    pub reason: String,
}

impl Verdict {
    /// Its name in replies, logs, metrics and `explain`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Deferred(_) => "deferred",
            Self::Delivered => "delivered",
            Self::Duplicate => "duplicate",
            Self::Held { .. } => "held",
            Self::Ignored { .. } => "ignored",
            Self::Rejected(_) => "rejected",
        }
    }

    /// The name of the rule that made it; `None` for delivered and duplicate.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Deferred(deferral) => Some(deferral.cause),
            Self::Delivered | Self::Duplicate => None,
            Self::Held { rule, .. } | Self::Ignored { rule, .. } => Some(rule),
            Self::Rejected(rejection) => Some(rejection.rule),
        }
    }

    /// Its enhanced status code.
    pub fn status(&self) -> Status {
        match self {
            Self::Deferred(deferral) => deferral.status,
            _ => Status::DONE,
        }
    }

    /// What the rule saw, for the log.
    pub fn detail(&self) -> &str {
        match self {
            Self::Deferred(deferral) => &deferral.detail,
            other => other.public_detail().unwrap_or_default(),
        }
    }

    /// What the rule saw, as a stranger may read it; `None` for delivered and duplicate.
    pub fn public_detail(&self) -> Option<&str> {
        match self {
            Self::Deferred(deferral) => Some(&deferral.public),
            Self::Delivered | Self::Duplicate => None,
            Self::Held { detail, .. } | Self::Ignored { detail, .. } => Some(detail),
            Self::Rejected(rejection) => Some(&rejection.reason),
        }
    }
}
