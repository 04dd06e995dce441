//! What the server says without being a command's end: about the folder at any time, and for what is asked.
//!
//! Any command may be answered with data about other messages (RFC 3501 section 7): only what names the message that was
//! asked for counts.

use std::collections::BTreeSet;

use imap_codec::imap_types::extensions::uidplus::{UidElement, UidSet};
use imap_codec::imap_types::fetch::MessageDataItem;
use imap_codec::imap_types::flag::{FlagFetch, FlagNameAttribute, FlagPerm};
use imap_codec::imap_types::response::{Code, Data, StatusBody};

use super::super::capabilities::Capabilities;
use super::super::part::{Octets, Part};
use super::super::request::{Answer, Flags, Folder, Request, internal_date};
use super::super::uids::{HIGHEST, Uid};
use super::{Idle, IdlePhase, Session, State, Step};

/// What the server says of the open folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// UIDVALIDITY: another one means that every UID means another message.
    pub uid_validity: Option<u32>,
    /// UIDNEXT: what comes in from now on has this UID or a higher one.
    pub uid_next: Option<Uid>,
    /// Messages in it.
    pub exists: u32,
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
    pub(super) fn code(&mut self, code: Option<&Code<'_>>) {
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

/// What has come for the command that is running.
#[derive(Debug, Default)]
pub(super) enum Collected {
    Search(BTreeSet<Uid>),
    Part(Uid, Part),
    Flags(BTreeSet<Uid>, Vec<(Uid, Flags)>),
    Moved(Option<BTreeSet<Uid>>),
    Trash(Option<Folder>),
    #[default]
    Nothing,
}

impl Collected {
    pub(super) fn new(request: &Request) -> Self {
        match request {
            Request::Search(_) => Self::Search(BTreeSet::new()),
            Request::Fetch { uid, .. } => Self::Part(*uid, Part::default()),
            Request::Flags(set) | Request::Mark(set, _) => Self::Flags(set.clone(), Vec::new()),
            Request::Move(..) | Request::Copy(..) => Self::Moved(None),
            Request::FindTrash => Self::Trash(None),
            Request::Expunge(_) | Request::Noop => Self::Nothing,
        }
    }

    pub(super) fn finish(self) -> Answer {
        match self {
            Self::Search(found) => Answer::Found(found),
            Self::Part(_, part) => Answer::Part(part),
            Self::Flags(_, flags) => Answer::Flags(flags),
            Self::Moved(uids) => Answer::Moved { uids },
            Self::Trash(folder) => Answer::Trash(folder),
            Self::Nothing => Answer::Done,
        }
    }

    /// A response of this command was skipped because of its length.
    pub(super) fn too_long(&mut self) {
        if let Self::Part(_, part) = self {
            part.octets = Octets::TooLong;
        }
    }

    /// COPYUID, which stands in the end of COPY, and for MOVE in a response of its own (RFC 6851 section 4.3).
    pub(super) fn code(&mut self, code: Option<&Code<'_>>) {
        if let (Self::Moved(uids), Some(Code::CopyUid { source, .. })) = (self, code) {
            uids.get_or_insert_default().extend(members(source));
        }
    }

    fn fetched(&mut self, items: &[MessageDataItem<'static>]) {
        let Some(uid) = items.iter().find_map(|item| match item {
            MessageDataItem::Uid(uid) => Some(*uid),
            _ => None,
        }) else {
            return;
        };
        match self {
            Self::Part(asked, part) if *asked == uid => items.iter().for_each(|item| take(part, item)),
            Self::Flags(asked, known) if asked.contains(&uid) => {
                known.extend(items.iter().find_map(flags).map(|flags| (uid, flags)));
            }
            _ => {}
        }
    }
}

fn flags(item: &MessageDataItem<'_>) -> Option<Flags> {
    let MessageDataItem::Flags(flags) = item else { return None };
    Some(Flags::read(flags.iter().filter_map(|flag| match flag {
        FlagFetch::Flag(flag) => Some(flag),
        FlagFetch::Recent => None,
    })))
}

fn take(part: &mut Part, item: &MessageDataItem<'static>) {
    match item {
        MessageDataItem::Flags(_) => part.flags = flags(item),
        MessageDataItem::InternalDate(date) => part.internal_date = Some(internal_date(date)),
        MessageDataItem::Rfc822Size(size) => part.size_hint = Some(*size),
        MessageDataItem::BodyExt { section: None, data, .. } if part.octets != Octets::TooLong => {
            part.octets = match &data.0 {
                None => Octets::Nil,
                Some(string) => Octets::Some(string.as_ref().to_vec()),
            };
        }
        _ => {}
    }
}

/// A server's set may name four thousand million UIDs in a few octets: only what can be a batch of ours is looked at.
fn members(set: &UidSet) -> impl Iterator<Item = Uid> {
    const MOST: usize = 10_000;
    let ranges = set.0.as_ref().iter().map(|element| match element {
        UidElement::Single(uid) => (uid.get(), uid.get()),
        UidElement::Range(a, b) => (a.get().min(b.get()), a.get().max(b.get())),
    });
    ranges.flat_map(|(start, end)| start..=end).take(MOST).filter_map(Uid::new)
}

impl Session {
    /// OK, NO or BAD that ends no command.
    pub(super) fn untagged(&mut self, body: &StatusBody<'static>) {
        let code = body.code.as_ref();
        self.selected.code(code);
        if !self.is_before_tls() {
            self.note_capabilities(code);
        }
        if let State::Busy { collected, .. } = &mut self.state {
            collected.code(code);
        }
    }

    pub(super) fn data(&mut self, data: Data<'static>) {
        match &data {
            Data::Capability(list) if !self.is_before_tls() => {
                self.capabilities = Some(Capabilities::read(list.as_ref()));
            }
            Data::Exists(count) => {
                self.selected.exists = *count;
                self.note_news();
            }
            Data::Flags(flags) => self.selected.has_done |= Flags::read(flags).done,
            _ => {}
        }
        let State::Busy { collected, .. } = &mut self.state else { return };
        match (data, collected) {
            (Data::Search(uids), Collected::Search(found)) => {
                found.extend(uids.into_iter().filter(|uid| uid.get() <= HIGHEST));
            }
            (Data::Fetch { items, .. }, collected) => collected.fetched(items.as_ref()),
            (Data::List { items, mailbox, .. }, Collected::Trash(trash)) if items.iter().any(is_trash) => {
                *trash = Some(Folder::from_wire(mailbox));
            }
            _ => {}
        }
    }

    /// More messages, it seems. Where the command is not accepted yet it is said when it is.
    fn note_news(&mut self) {
        if let State::Idle(Idle { phase, news, .. }) = &mut self.state {
            if *phase == IdlePhase::Accepted && !*news {
                self.steps.push_back(Step::News);
            }
            *news = true;
        }
    }
}

fn is_trash(attribute: &FlagNameAttribute<'_>) -> bool {
    attribute.to_string().eq_ignore_ascii_case("\\Trash")
}

/// Whether a response that cannot be read is one that may be passed over: one line that begins with a word that is not one
/// of those that decide something, or a remark in another language (octets above 127 are not allowed there).
///
/// What follows a broken literal can never be the first that is unreadable: the response with the literal is, before it.
pub(super) fn is_of_no_matter(response: &[u8]) -> bool {
    const DECIDES: [&str; 6] = ["BAD", "BYE", "CAPABILITY", "OK", "PREAUTH", "SEARCH"];
    let Some(rest) = response.strip_prefix(b"* ") else { return false };
    let length = rest.iter().position(|octet| !octet.is_ascii_alphabetic()).unwrap_or(rest.len());
    let word = String::from_utf8_lossy(&rest[..length]).to_ascii_uppercase();
    let one_line = response.iter().filter(|&&octet| octet == b'\n').count() == 1;
    let is_foreign_remark = matches!(word.as_str(), "NO" | "OK") && !response.is_ascii();
    one_line && length > 0 && (is_foreign_remark || !DECIDES.contains(&word.as_str()))
}
