//! What the server says of the open folder.

use imap_codec::imap_types::flag::FlagPerm;
use imap_codec::imap_types::response::Code;

use super::super::flags::Flags;
use super::super::uids::Uid;

/// What the server says of the open folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// UIDVALIDITY: another one means that every UID means another message.
    pub uid_validity: Option<u32>,
    /// UIDNEXT: what comes in from now on has this UID or a higher one.
    pub uid_next: Option<Uid>,
    /// Messages in it.
    pub exists: u32,
    /// How often the server has told that: it does when something comes in.
    pub told: u32,
    /// How many messages the server has told to be gone. Where all are, the folder may be another one of the same name.
    pub expunged: u32,
    /// `[READ-ONLY]`, or opened with EXAMINE.
    pub read_only: bool,
    /// A message has the keyword of what is done, or had it: it can be searched for.
    pub has_done: bool,
    /// The flags that can be changed for good, of those that matter; `None`: the server does not say, so all can.
    pub permanent: Option<Permanent>,
}

/// PERMANENTFLAGS (RFC 3501 section 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permanent {
    /// `\Seen`
    pub seen: bool,
    /// `\Deleted`
    pub deleted: bool,
    /// The keyword of what is done, or any.
    pub done: bool,
}

impl Selected {
    pub(super) fn take_code(&mut self, code: Option<&Code<'_>>) {
        match code {
            Some(Code::UidValidity(value)) => self.uid_validity = Some(value.get()),
            Some(Code::UidNext(value)) => self.uid_next = Some(*value),
            Some(Code::ReadOnly) => self.read_only = true,
            Some(Code::ReadWrite) => self.read_only = false,
            Some(Code::PermanentFlags(flags)) => {
                let mut permanent = Permanent::default();
                for flag in flags {
                    match flag {
                        FlagPerm::Asterisk => permanent.done = true,
                        FlagPerm::Flag(flag) => {
                            let flags = Flags::read([flag]);
                            permanent.seen |= flags.seen;
                            permanent.deleted |= flags.deleted;
                            permanent.done |= flags.done;
                        }
                    }
                }
                self.permanent = Some(permanent);
            }
            _ => {}
        }
    }
}
