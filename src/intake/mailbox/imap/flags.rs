//! The flags that matter here, and those that say that a message is done.

use imap_codec::imap_types::core::Atom;
use imap_codec::imap_types::flag::Flag;

/// The keyword of what is done: it is how a second host, or one whose ledger is lost, knows.
pub const DONE: &str = "$MailhatchDone";

/// A flag that says that a message is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The keyword.
    Done,
    /// `\Seen`, where the server keeps no keywords.
    Seen,
    /// `\Deleted \Seen`
    Deleted,
}

impl Mark {
    /// Whether a message has the flags of this mark.
    pub fn is_on(self, flags: Flags) -> bool {
        match self {
            Self::Done => flags.done,
            Self::Seen => flags.seen,
            Self::Deleted => flags.deleted,
        }
    }

    pub(super) fn flags(self) -> Vec<Flag<'static>> {
        match self {
            Self::Done => vec![Flag::Keyword(Atom::unvalidated(DONE))],
            Self::Seen => vec![Flag::Seen],
            Self::Deleted => vec![Flag::Deleted, Flag::Seen],
        }
    }
}

/// The flags of a message that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `\Seen`
    pub seen: bool,
    /// `\Deleted`
    pub deleted: bool,
    /// [`DONE`]
    pub done: bool,
}

impl Flags {
    pub(super) fn read<'f>(flags: impl IntoIterator<Item = &'f Flag<'f>>) -> Self {
        let mut known = Self::default();
        for flag in flags {
            match flag {
                Flag::Seen => known.seen = true,
                Flag::Deleted => known.deleted = true,
                // Keywords compare without regard to case (RFC 9051 section 2.3.2; RFC 3501 is silent).
                Flag::Keyword(word) => known.done |= word.as_ref().eq_ignore_ascii_case(DONE),
                _ => {}
            }
        }
        known
    }
}
