//! What is asked of a selected folder, as commands, and what comes back.
//!
//! Everything is by UID: a message's number changes when another client expunges (RFC 3501 section 2.3.1.2). Nothing is
//! fetched without PEEK, no flag is replaced, nothing is expunged but by UID.

use std::collections::BTreeSet;
use std::time::SystemTime;

use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::core::{Atom, Vec1};
use imap_codec::imap_types::fetch::MessageDataItemName;
use imap_codec::imap_types::flag::{StoreResponse, StoreType};
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox};
use imap_codec::imap_types::search::SearchKey;
use imap_codec::imap_types::sequence::SequenceSet;
use imap_codec::imap_types::status::StatusDataItemName;

use super::flags::{DONE, Flags, Mark};
use super::part::Part;
use super::uids::{self, Uid};
use crate::intake::mailbox::failure::Failure;
use crate::intake::mailbox::number_set::NumberSet;

/// Something to ask of a selected folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// UIDs from `from` on that are not `\Deleted`, and that fit the rest.
    Search(Search),
    /// `octets` octets of a message from `offset` on, its flags, and when it came in.
    Fetch {
        /// Which message.
        uid: Uid,
        /// From this octet on.
        offset: u32,
        /// So many octets.
        octets: u32,
    },
    /// The flags of messages.
    Flags(NumberSet),
    /// Adds flags to messages, and gives their flags afterwards.
    Mark(BTreeSet<Uid>, Mark),
    /// Removes messages that are `\Deleted`, of these alone (RFC 4315).
    Expunge(BTreeSet<Uid>),
    /// Moves messages (RFC 6851).
    Move(BTreeSet<Uid>, Folder),
    /// Copies messages.
    Copy(BTreeSet<Uid>, Folder),
    /// The folder that the server calls `\Trash` (RFC 6154).
    FindTrash,
    /// Looks whether a folder is there; NO if it is not.
    Status(Folder),
    /// Nothing, but what the server has to say it says now.
    Noop,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// UIDs from here on.
    pub from: Uid,
    /// Not those that have the keyword of what is done.
    pub without_done: bool,
    /// Those that nobody has read.
    pub unseen: bool,
    /// Those that came in on this day or later, by INTERNALDATE without its time of the day and zone.
    pub since: Option<chrono::NaiveDate>,
}

/// A folder as a command names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(Mailbox<'static>);

impl Folder {
    /// A folder by its name in Unicode. `None` if the name holds what no folder's name can.
    pub fn named(name: &str) -> Option<Self> {
        Mailbox::try_from(super::mailbox_name::encode(name)).ok().map(Self)
    }

    pub(super) fn wire(&self) -> Mailbox<'static> {
        self.0.clone()
    }

    pub(super) fn from_wire(mailbox: Mailbox<'static>) -> Self {
        Self(mailbox)
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Request::Search`].
    Found(NumberSet),
    /// To [`Request::Fetch`].
    Part(Part),
    /// To [`Request::Flags`] and [`Request::Mark`]: those that the server told, with the day they came in where it was asked.
    Flags(Vec<(Uid, Flags)>),
    /// To [`Request::Move`] and [`Request::Copy`]: whether the server says what became of the messages (COPYUID).
    Moved {
        /// The UIDs, as the server names them; `None` if it does not.
        uids: Option<BTreeSet<Uid>>,
    },
    /// To [`Request::FindTrash`].
    Trash(Option<Folder>),
    /// To the others.
    Done,
}

/// The server said NO or BAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The server's words, with its code.
    pub text: String,
    /// The code says that the folder is not there (TRYCREATE, NONEXISTENT).
    pub folder_missing: bool,
    /// It is the connection's matter, not this command's: the server asks to come back later, or has lost the login.
    pub failure: Option<Failure>,
}

impl Request {
    /// The command; `None` if there is nothing to ask for.
    pub(super) fn command(&self) -> Option<CommandBody<'static>> {
        let uid = true;
        Some(match self {
            Self::Search(search) => CommandBody::Search { charset: None, criteria: criteria(search), uid },
            Self::Fetch { uid: message, offset, octets } => {
                let partial = std::num::NonZeroU32::new(*octets).map(|octets| (*offset, octets));
                let mut items = vec![MessageDataItemName::Uid, MessageDataItemName::Flags];
                if *offset == 0 {
                    items.extend([MessageDataItemName::InternalDate, MessageDataItemName::Rfc822Size]);
                }
                items.push(MessageDataItemName::BodyExt { section: None, partial, peek: true });
                fetch(uids::one(*message), items)
            }
            Self::Flags(set) => fetch(uids::ranges(set)?, vec![MessageDataItemName::Uid, MessageDataItemName::Flags]),
            Self::Mark(set, mark) => CommandBody::Store {
                sequence_set: uids::sequence_set(set)?,
                kind: StoreType::Add,
                response: StoreResponse::Answer,
                flags: mark.flags(),
                uid,
            },
            Self::Expunge(set) => CommandBody::ExpungeUid { sequence_set: uids::sequence_set(set)? },
            Self::Move(set, folder) => {
                CommandBody::Move { sequence_set: uids::sequence_set(set)?, mailbox: folder.wire(), uid }
            }
            Self::Copy(set, folder) => {
                CommandBody::Copy { sequence_set: uids::sequence_set(set)?, mailbox: folder.wire(), uid }
            }
            Self::FindTrash => CommandBody::List {
                reference: Mailbox::try_from("").ok()?,
                mailbox_wildcard: ListMailbox::try_from("*").ok()?,
            },
            Self::Status(folder) => {
                CommandBody::Status { mailbox: folder.wire(), item_names: vec![StatusDataItemName::UidNext].into() }
            }
            Self::Noop => CommandBody::Noop,
        })
    }
}

fn fetch(sequence_set: SequenceSet, items: Vec<MessageDataItemName<'static>>) -> CommandBody<'static> {
    CommandBody::Fetch { sequence_set, macro_or_item_names: items.into(), uid: true }
}

fn criteria(search: &Search) -> Vec1<SearchKey<'static>> {
    let mut keys = vec![SearchKey::Uid(uids::from(search.from)), SearchKey::Undeleted];
    if search.without_done {
        keys.push(SearchKey::Unkeyword(Atom::unvalidated(DONE)));
    }
    if search.unseen {
        keys.push(SearchKey::Unseen);
    }
    keys.extend(search.since.and_then(|day| day.try_into().ok()).map(SearchKey::Since));
    Vec1::unvalidated(keys)
}

/// When a message came in.
pub(super) fn internal_date(date: &imap_codec::imap_types::datetime::DateTime) -> SystemTime {
    let seconds = date.as_ref().timestamp();
    let since = std::time::Duration::from_secs(seconds.unsigned_abs());
    match seconds >= 0 {
        true => SystemTime::UNIX_EPOCH + since,
        false => SystemTime::UNIX_EPOCH - since,
    }
}

#[cfg(test)]
mod tests {
    use imap_codec::CommandCodec;
    use imap_codec::encode::Encoder;
    use imap_codec::imap_types::command::Command;

    use super::*;

    #[test]
    fn commands_are_by_uid_and_touch_nothing_else() {
        let set = |uids: &[u32]| uids.iter().filter_map(|&uid| Uid::new(uid)).collect::<BTreeSet<_>>();
        let uid = Uid::MIN;
        let done = Folder::named("Erledigt & fertig").expect("folder");
        let search = Search { from: uid, without_done: false, unseen: false, since: None };
        let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 2);
        let rows: Vec<(Request, &str)> = vec![
            (Request::Search(search.clone()), "UID SEARCH UID 1:* UNDELETED"),
            (
                Request::Search(Search { without_done: true, unseen: true, since: day, ..search }),
                "UID SEARCH UID 1:* UNDELETED UNKEYWORD $MailhatchDone UNSEEN SINCE \"02-Nov-2026\"",
            ),
            (
                Request::Fetch { uid, offset: 0, octets: 1024 },
                "UID FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.1024>)",
            ),
            (Request::Fetch { uid, offset: 1024, octets: 1024 }, "UID FETCH 1 (UID FLAGS BODY.PEEK[]<1024.1024>)"),
            (Request::Flags(set(&[1, 2, 5]).into_iter().collect()), "UID FETCH 1:2,5 (UID FLAGS)"),
            (Request::Mark(set(&[1]), Mark::Done), "UID STORE 1 +FLAGS ($MailhatchDone)"),
            (Request::Mark(set(&[1]), Mark::Seen), "UID STORE 1 +FLAGS (\\Seen)"),
            (Request::Mark(set(&[1]), Mark::Deleted), "UID STORE 1 +FLAGS (\\Deleted \\Seen)"),
            (Request::Expunge(set(&[3])), "UID EXPUNGE 3"),
            (Request::Move(set(&[3, 4]), done.clone()), "UID MOVE 3:4 \"Erledigt &- fertig\""),
            (Request::Status(done.clone()), "STATUS \"Erledigt &- fertig\" (UIDNEXT)"),
            (Request::Copy(set(&[3]), done), "UID COPY 3 \"Erledigt &- fertig\""),
            (Request::FindTrash, "LIST \"\" *"),
            (Request::Noop, "NOOP"),
        ];
        for (request, expected) in rows {
            let body = request.command().expect("command");
            let command = Command::new("A", body).expect("tag");
            let text = String::from_utf8(CommandCodec::default().encode(&command).dump()).expect("text");
            assert_eq!(text, format!("A {expected}\r\n"));
        }
        assert_eq!(Request::Expunge(BTreeSet::new()).command(), None, "no set, no command");
    }
}
