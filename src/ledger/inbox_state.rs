//! How far an inbox and each of its messages are, as the ledger has it.

use std::time::SystemTime;

use rusqlite::Row;

use super::row::time;

/// Where an inbox began, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxState {
    /// Which set of numbers is meant (UIDVALIDITY).
    pub validity: u32,
    /// From this number on everything is ours to read; what is below it only if it stands among the messages.
    pub start: u32,
    /// Everything below is done.
    pub low: u32,
    /// What is below was there when the first run began.
    pub began: u32,
    /// When the newest message that is done came in.
    pub newest: Option<SystemTime>,
    /// A new beginning that was asked for: from what on.
    pub since: Option<String>,
    /// Who reads it, or was the last to.
    pub reader: Option<String>,
}

/// One message of an inbox that is not below `low`, or not marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxMessage {
    /// Its number.
    pub number: u32,
    /// How far it is.
    pub state: MessageState,
    /// How often it was begun.
    pub attempts: u32,
    /// Not before then.
    pub next_try: Option<SystemTime>,
    /// When it was first begun.
    pub first: Option<SystemTime>,
    /// Why it waits.
    pub cause: Option<String>,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageState {
    /// It was there at the beginning, and is to be read.
    New,
    /// A reader has begun it. If no reader has it now, one died with it.
    Begun,
    /// It was not done, and waits.
    Waiting,
    /// It is not ours, and stays as it is.
    Left,
    /// Every verdict is final and on disk; the mailbox does not show it yet.
    Settled,
    /// The same, and it was copied to another folder: it is still to be flagged and removed.
    Copied,
    /// The same, and the mailbox shows it as deleted: it is still to be removed.
    Flagged,
    /// The mailbox shows it, and nothing is left to do.
    Marked,
}

impl MessageState {
    const ALL: [Self; 8] =
        [Self::New, Self::Begun, Self::Waiting, Self::Left, Self::Settled, Self::Copied, Self::Flagged, Self::Marked];

    /// Its name in the ledger and in commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Begun => "begun",
            Self::Waiting => "waiting",
            Self::Left => "left",
            Self::Settled => "settled",
            Self::Copied => "copied",
            Self::Flagged => "flagged",
            Self::Marked => "marked",
        }
    }

    /// Whether it is still to be handed over.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::New | Self::Begun | Self::Waiting)
    }
}

impl InboxState {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let newest: Option<i64> = row.get(4)?;
        Ok(Self {
            validity: row.get(0)?,
            start: row.get(1)?,
            low: row.get(2)?,
            began: row.get(3)?,
            newest: newest.map(time),
            since: row.get(5)?,
            reader: row.get(6)?,
        })
    }
}

impl InboxMessage {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state: String = row.get(1)?;
        let (next_try, first): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
        Ok(Self {
            number: row.get(0)?,
            // A word of a later version: what cannot be understood is tried again.
            state: MessageState::ALL.into_iter().find(|known| known.name() == state).unwrap_or(MessageState::Waiting),
            attempts: row.get(2)?,
            next_try: next_try.map(time),
            first: first.map(time),
            cause: row.get(5)?,
        })
    }
}
