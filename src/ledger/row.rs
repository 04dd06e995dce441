//! How ids and times stand in the database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::event_id::EventId;

/// The key of an event in the database: the 16 octets that its id writes as hex digits.
pub(super) fn row_key(id: &EventId) -> [u8; 16] {
    let digits = id.as_str().chars().filter_map(|digit| digit.to_digit(16));
    digits.fold(0_u128, |number, digit| number << 4 | u128::from(digit)).to_be_bytes()
}

/// The id that a key stands for.
pub(super) fn id_of_key(key: [u8; 16]) -> Option<EventId> {
    EventId::parse(&format!("{:032x}", u128::from_be_bytes(key)))
}

/// Times are kept in whole seconds since 1970, by the clock of ages.
pub(super) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The time of so many seconds since 1970.
pub(super) fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// A row of the table `unshared`: what is done, its kind, and when, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnsharedKey {
    pub(super) at: i64,
    pub(super) id: [u8; 16],
    pub(super) kind: &'static str,
}
