//! A piece of a message as one FETCH gave it.

use std::time::SystemTime;

use super::flags::Flags;

/// What one FETCH of a message gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its flags, if the server told them.
    pub flags: Option<Flags>,
    /// When it came in (INTERNALDATE).
    pub internal_date: Option<SystemTime>,
    /// What the server believes its size to be, in octets: an estimate (Exchange Online).
    pub size_hint: Option<u32>,
    /// The octets.
    pub octets: Octets,
}

/// The octets of a piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Octets {
    /// The answer does not speak of this message: it is not there (any more).
    #[default]
    Absent,
    /// NIL: it was removed by another session.
    Nil,
    /// The response was longer than `max_response_size`, and was skipped.
    TooLong,
    /// These.
    Some(Vec<u8>),
}
