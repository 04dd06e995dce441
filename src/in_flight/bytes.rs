//! Which byte of the file stands for what.

use nix::libc::{self, off_t};

use crate::event_id::EventId;

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Handing the event over.
    HandOver,
    /// Sending the notice about it.
    Notice,
    /// Its held copy: shared by those who have promised it and are not done yet, or of the one who releases it.
    Held,
}

/// What one process at a time may change; the others wait for their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// The database of the ledger.
    Ledger,
    /// The directory of the held copies.
    Held,
}

/// Three bits say what the byte is for, the others are of the id. Two events on one byte would only wait for each other.
const ID_BITS: u32 = off_t::BITS - 4;

const INBOX: off_t = 4 << ID_BITS;

/// The turns stand behind all rights.
pub(super) const FIRST_TURN: off_t = 3 << ID_BITS;

pub(super) fn turn_of(queue: Queue) -> off_t {
    match queue {
        Queue::Ledger => FIRST_TURN,
        Queue::Held => FIRST_TURN + 1,
    }
}

pub(super) fn offset_of(right: Right, id: &EventId) -> off_t {
    let digits = id.as_str().chars().filter_map(|digit| digit.to_digit(16));
    let right = match right {
        Right::HandOver => 0,
        Right::Notice => 1 << ID_BITS,
        Right::Held => 2 << ID_BITS,
    };
    byte_of(digits.fold(0_u64, |number, digit| number << 4 | u64::from(digit))) | right
}

pub(super) fn offset_of_inbox(name: &str) -> off_t {
    let hash = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    byte_of(hash.as_ref().iter().fold(0_u64, |number, octet| number << 8 | u64::from(*octet))) | INBOX
}

fn byte_of(number: u64) -> off_t {
    (number & ((1 << ID_BITS) - 1)) as off_t
}

/// One byte as fcntl(2) wants it.
pub(super) fn byte(offset: off_t, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: offset,
        l_len: 1,
        l_pid: 0,
    }
}
