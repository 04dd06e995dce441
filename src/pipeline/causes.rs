//! Why a message is rejected or deferred by the walk itself: the texts, in one place.

use crate::disposition::{Deferral, Rejection, Status, Verdict};
use crate::ledger::LedgerError;
use crate::route::Unrouted;

pub(super) fn unknown_address(unrouted: &Unrouted) -> Rejection {
    let reason = match unrouted {
        Unrouted::NoMailbox => "The address is not known here.".to_owned(),
        Unrouted::UnknownAction { .. } => {
            "The address is not known here: what stands in it is no form that the application understands.".to_owned()
        }
    };
    Rejection { rule: "unknown-address", reason }
}

/// A panic or a state that cannot be: a bug, which must not cost a message.
pub(super) fn internal_error() -> Verdict {
    Verdict::Deferred(Deferral {
        status: Status::SYSTEM,
        cause: "internal-error",
        public: "internal error, the message will be tried again".to_owned(),
        detail: "internal error: please report it with the lines before this one".to_owned(),
        alarm: true,
    })
}

pub(super) fn undecided(summary: String) -> Deferral {
    Deferral {
        status: Status::DIRECTORY,
        cause: "dns",
        public: "the sender cannot be checked at the moment".to_owned(),
        detail: format!("{summary}: the mailbox holds what is unproven, and DNS gave no answer; see mailhatch check"),
        alarm: false,
    }
}

pub(super) fn deadline_missed(step: &str) -> Verdict {
    Verdict::Deferred(Deferral {
        status: Status::TIME_EXPIRED,
        cause: "deadline",
        public: "not done within the deadline".to_owned(),
        detail: format!("{step} was not done within limits.deadline"),
        alarm: false,
    })
}

pub(super) fn ledger_failed(error: &LedgerError) -> Verdict {
    Verdict::Deferred(Deferral {
        status: if error.full { Status::SYSTEM_FULL } else { Status::SYSTEM },
        cause: "ledger",
        public: "local state cannot be written".to_owned(),
        detail: error.to_string(),
        alarm: true,
    })
}
