//! What is done and must be written down. It is known to this process from the moment it is done, and keeps its guard until
//! it is in the database.

use super::delivery_log::{Claim, Guard, NoticeClaim};
use crate::event_id::EventId;

/// Something that is done, with the guard that keeps everybody from doing it again.
#[derive(Debug)]
pub(super) struct Fact {
    done: Done,
    _guard: Box<dyn Guard>,
}

/// What is done, without its guard.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) id: EventId,
    /// In seconds since 1970, by the clock of ages.
    pub(super) at: i64,
    pub(super) what: What,
}

/// What was done about the event.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// The application has acknowledged it.
    Delivered,
    /// The MTA has taken the notice about it.
    NoticeSent {
        /// To whom, as [`super::delivery_log::NoticeRequest`] has it.
        canonical: String,
        domain: String,
    },
}

impl Fact {
    /// The application has acknowledged the event.
    pub(super) fn delivered(claim: Claim, at: i64) -> Self {
        let (id, guard) = claim.into_parts();
        guard.keep();
        Self { done: Done { id, at, what: What::Delivered }, _guard: guard }
    }

    /// The MTA has taken the notice.
    pub(super) fn notice_sent(claim: NoticeClaim, at: i64) -> Self {
        let (request, guard) = claim.into_parts();
        guard.keep();
        let what = What::NoticeSent { canonical: request.canonical, domain: request.domain };
        Self { done: Done { id: request.id, at, what }, _guard: guard }
    }

    /// What goes into the database.
    pub(super) fn done(&self) -> &Done {
        &self.done
    }

    /// When the event was delivered, if this says so.
    pub(super) fn delivery_of(&self, id: &EventId) -> Option<i64> {
        (matches!(self.done.what, What::Delivered) && self.done.id == *id).then_some(self.done.at)
    }

    /// Whether this says that the event's notice was sent.
    pub(super) fn is_notice_of(&self, id: &EventId) -> bool {
        matches!(self.done.what, What::NoticeSent { .. }) && self.done.id == *id
    }
}
