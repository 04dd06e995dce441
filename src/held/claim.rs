//! A copy in the hands of one.

use std::time::Duration;

use super::copy::HeldRecord;
use crate::in_flight::InFlightLock;
use crate::mail::Content;

/// May this copy be released?
#[derive(Debug)]
pub enum HeldClaim {
    /// Yes, by nobody else until it is dropped.
    Claimed(Box<ClaimedCopy>),
    /// Another task or process has it, or has just promised it.
    InUse,
    /// There is none of this id.
    None,
}

/// A copy that nobody else releases, and no sweep removes.
#[derive(Debug)]
pub struct ClaimedCopy {
    /// What is known of it.
    pub record: HeldRecord,
    /// The message.
    pub content: Content,
    /// For how long it has been kept, in time lived through.
    pub age: Duration,
    pub(super) _lock: InFlightLock,
}
