//! What comes for the command that is running.
//!
//! Any command may be answered with data about other messages (RFC 3501 section 7): only what names the message that was
//! asked for counts.

use std::collections::BTreeSet;

use imap_codec::imap_types::extensions::uidplus::{UidElement, UidSet};
use imap_codec::imap_types::fetch::MessageDataItem;
use imap_codec::imap_types::flag::{FlagFetch, FlagNameAttribute};
use imap_codec::imap_types::response::{Code, Data};

use super::super::flags::Flags;
use super::super::part::{Octets, Part};
use super::super::request::{Answer, Folder, Request, internal_date};
use super::super::uids::{HIGHEST, Uid};
use crate::intake::mailbox::number_set::NumberSet;

/// What has come for the command that is running.
#[derive(Debug, Default)]
pub(super) enum Collected {
    Search(NumberSet),
    Part(Uid, Part),
    Flags(NumberSet, Vec<(Uid, Flags)>),
    Moved(Option<BTreeSet<Uid>>),
    Trash(Option<Folder>),
    #[default]
    Nothing,
}

impl Collected {
    pub(super) fn new(request: &Request) -> Self {
        match request {
            Request::Search(_) => Self::Search(NumberSet::default()),
            Request::Fetch { uid, .. } => Self::Part(*uid, Part::default()),
            Request::Flags(set) => Self::Flags(set.clone(), Vec::new()),
            Request::Mark(set, _) => Self::Flags(set.iter().copied().collect(), Vec::new()),
            Request::Move(..) | Request::Copy(..) => Self::Moved(None),
            Request::FindTrash => Self::Trash(None),
            Request::Expunge(_) | Request::Status(_) | Request::Noop => Self::Nothing,
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

    /// A response of this command was skipped because of its length. False if the answer cannot do without it.
    pub(super) fn too_long(&mut self) -> bool {
        match self {
            Self::Part(_, part) => part.octets = Octets::TooLong,
            // What was found is unknown, which is not the same as nothing.
            Self::Search(_) => return false,
            _ => {}
        }
        true
    }

    /// COPYUID, which stands in the end of COPY, and for MOVE in a response of its own (RFC 6851 section 4.3).
    pub(super) fn take_code(&mut self, code: Option<&Code<'_>>) {
        if let (Self::Moved(uids), Some(Code::CopyUid { source, .. })) = (self, code) {
            uids.get_or_insert_default().extend(members(source));
        }
    }

    /// Data that ends no command.
    pub(super) fn take(&mut self, data: Data<'static>) {
        match (data, self) {
            (Data::Search(uids), Self::Search(found)) => {
                found.extend(uids.into_iter().filter(|uid| uid.get() <= HIGHEST));
            }
            (Data::Fetch { items, .. }, collected) => collected.fetched(items.as_ref()),
            (Data::List { items, mailbox, .. }, Self::Trash(trash)) if items.iter().any(is_trash) => {
                *trash = Some(Folder::from_wire(mailbox));
            }
            _ => {}
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
            Self::Part(asked, part) if *asked == uid => items.iter().for_each(|item| take_item(part, item)),
            Self::Flags(asked, known) if asked.contains(uid) => {
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

fn take_item(part: &mut Part, item: &MessageDataItem<'static>) {
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

fn is_trash(attribute: &FlagNameAttribute<'_>) -> bool {
    attribute.to_string().eq_ignore_ascii_case("\\Trash")
}
