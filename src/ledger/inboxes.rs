//! What is known of each inbox: where it began, what is not done yet, and who reads it.
//!
//! It decides nothing: the queue of a reader does, and this is what survives it.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::SystemTime;

use super::command::Command;
use super::context::Context;
use super::inbox_state::{InboxMessage, InboxState, MessageState};
use super::reader_lease::{ReaderLease, Reading};
use super::row::seconds;
use super::sharing::Sharing;
use super::transaction::Transaction;
use super::writer::WriterHandle;
use crate::in_flight::InFlightLock;
use crate::state_dir::StateError;

/// The ledger of one inbox.
#[derive(Clone, Debug)]
pub struct InboxLog {
    name: String,
    context: Arc<Context>,
    writer: Arc<WriterHandle>,
    sharing: Option<Arc<Sharing>>,
}

/// The right to read an inbox. It ends with its process.
#[derive(Debug)]
pub struct ReaderLock(#[expect(dead_code, reason = "held for its drop")] InFlightLock);

/// What another process asked of a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// To begin anew, from what on.
    pub since: Option<String>,
    /// To try these now: what waits and is due.
    pub due: Vec<InboxMessage>,
}

impl InboxLog {
    pub(super) fn new(
        name: &str,
        context: Arc<Context>,
        writer: Arc<WriterHandle>,
        sharing: Option<Arc<Sharing>>,
    ) -> Self {
        Self { name: name.to_owned(), context, writer, sharing }
    }

    /// Asks whether another host reads this inbox; if none does, this one has the right to. Always so without `[shared]`.
    pub async fn read_for_all_hosts(&self) -> Reading {
        ReaderLease::take(self.sharing.as_ref(), &self.name).await
    }

    /// Takes the right to read this inbox. `Err(Some(reader))`: somebody has it, and this is who.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub async fn lock(&self, reader: &str) -> Result<Result<ReaderLock, Option<String>>, StateError> {
        let Some(lock) = self.context.in_flight.take_inbox(&self.name)? else {
            return Ok(Err(self.load().await?.and_then(|(state, _)| state.reader)));
        };
        let reader = reader.to_owned();
        self.ask(move |transaction, name| {
            transaction.execute("UPDATE inbox SET reader = ?2 WHERE name = ?1", (name, &reader)).map(drop)
        })
        .await?;
        Ok(Ok(ReaderLock(lock)))
    }

    /// Whether somebody reads this inbox now.
    ///
    /// # Errors
    /// The locks cannot be looked at.
    pub fn is_read(&self) -> Result<bool, StateError> {
        self.context.in_flight.is_inbox_taken(&self.name)
    }

    /// Where the inbox is, and its messages in order; `None` if it never began.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn load(&self) -> Result<Option<(InboxState, Vec<InboxMessage>)>, StateError> {
        self.ask(|transaction, name| {
            let question = "SELECT uidvalidity, start, low, began, newest, since, reader FROM inbox WHERE name = ?1";
            let Some(state) = transaction.first(question, [name], InboxState::read)? else { return Ok(None) };
            let question = "SELECT uid, state, attempts, next_try, first, cause FROM inbox_message
                            WHERE inbox = ?1 AND uidvalidity = ?2 ORDER BY uid";
            let messages = transaction.all(question, (name, state.validity), InboxMessage::read)?;
            Ok(Some((state, messages)))
        })
        .await
    }

    /// Begins the inbox, or begins it anew: what was known of it is forgotten. `messages` are those below `start` that are to
    /// be read. Survives a power cut.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn begin_anew(&self, state: InboxState, messages: Vec<u32>) -> Result<(), StateError> {
        self.record(move |transaction, name| {
            transaction.execute("DELETE FROM inbox_message WHERE inbox = ?1", [name])?;
            let InboxState { validity, start, low, began, newest, reader, since: _ } = &state;
            transaction.execute(
                "INSERT OR REPLACE INTO inbox (name, uidvalidity, start, low, began, newest, reader)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (name, validity, start, low, began, newest.map(seconds), reader),
            )?;
            for number in &messages {
                transaction.execute(
                    "INSERT INTO inbox_message (inbox, uidvalidity, uid, state, attempts) VALUES (?1, ?2, ?3, 'new', 0)",
                    (name, validity, number),
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Notes that a message is begun, before it is fetched. Survives the end of this process: what ends it is tried later
    /// each time.
    ///
    /// # Errors
    /// The ledger cannot be written: then the message must not be begun.
    pub async fn begin(&self, validity: u32, number: u32, attempts: u32) -> Result<(), StateError> {
        self.ask(move |transaction, name| {
            transaction
                .execute(
                    "INSERT INTO inbox_message (inbox, uidvalidity, uid, state, attempts, first)
                     VALUES (?1, ?2, ?3, 'begun', ?4, ?5)
                     ON CONFLICT DO UPDATE SET state = 'begun', attempts = excluded.attempts,
                         first = coalesce(first, excluded.first)",
                    (name, validity, number, attempts, transaction.now),
                )
                .map(drop)
        })
        .await
    }

    /// Notes that a message waits.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn defer(&self, validity: u32, message: InboxMessage) -> Result<(), StateError> {
        self.ask(move |transaction, name| {
            transaction
                .execute(
                    "UPDATE inbox_message SET state = 'waiting', attempts = ?4, next_try = ?5, cause = ?6
                     WHERE inbox = ?1 AND uidvalidity = ?2 AND uid = ?3",
                    (name, validity, message.number, message.attempts, message.next_try.map(seconds), &message.cause),
                )
                .map(drop)
        })
        .await
    }

    /// Notes that every verdict for a message is final. Survives a power cut.
    ///
    /// # Errors
    /// The ledger cannot be written: then the message must not be marked.
    pub async fn settle(&self, validity: u32, number: u32, came_in: Option<SystemTime>) -> Result<(), StateError> {
        self.record(move |transaction, name| {
            put(transaction, name, validity, number, MessageState::Settled)?;
            transaction
                .execute(
                    "UPDATE inbox SET newest = max(coalesce(newest, 0), ?2) WHERE name = ?1 AND ?2 IS NOT NULL",
                    (name, came_in.map(seconds)),
                )
                .map(drop)
        })
        .await
    }

    /// Notes that messages are not ours, or that the mailbox shows that they are done.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn note(&self, validity: u32, numbers: Vec<u32>, state: MessageState) -> Result<(), StateError> {
        self.ask(move |transaction, name| {
            numbers.iter().try_for_each(|&number| put(transaction, name, validity, number, state))
        })
        .await
    }

    /// Notes that messages were copied elsewhere. Survives a power cut: a second copy would be one too many.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn note_copied(&self, validity: u32, numbers: Vec<u32>) -> Result<(), StateError> {
        self.record(move |transaction, name| {
            numbers.iter().try_for_each(|&number| put(transaction, name, validity, number, MessageState::Copied))
        })
        .await
    }

    /// Forgets messages that are not there any more.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn forget(&self, validity: u32, numbers: Vec<u32>) -> Result<(), StateError> {
        self.ask(move |transaction, name| {
            numbers.iter().try_for_each(|number| {
                let statement = "DELETE FROM inbox_message WHERE inbox = ?1 AND uidvalidity = ?2 AND uid = ?3";
                transaction.execute(statement, (name, validity, number)).map(drop)
            })
        })
        .await
    }

    /// Notes that everything below `low` is done, and forgets what there is nothing left to do about.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn advance(&self, validity: u32, low: u32) -> Result<(), StateError> {
        self.ask(move |transaction, name| {
            let raise = "UPDATE inbox SET low = max(low, ?3) WHERE name = ?1 AND uidvalidity = ?2";
            transaction.execute(raise, (name, validity, low))?;
            let forget = "DELETE FROM inbox_message WHERE inbox = ?1 AND uidvalidity = ?2 AND uid < ?3
                          AND state IN ('left', 'marked')";
            transaction.execute(forget, (name, validity, low)).map(drop)
        })
        .await
    }

    /// What another process asked for since.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn wishes(&self, validity: u32) -> Result<Wishes, StateError> {
        self.ask(move |transaction, name| {
            let since = transaction.first("SELECT since FROM inbox WHERE name = ?1", [name], |row| row.get(0))?;
            let question = "SELECT uid, state, attempts, next_try, first, cause FROM inbox_message
                            WHERE inbox = ?1 AND uidvalidity = ?2 AND state = 'waiting' AND next_try <= ?3 ORDER BY uid";
            let due = transaction.all(question, (name, validity, transaction.now), InboxMessage::read)?;
            Ok(Wishes { since: since.flatten(), due })
        })
        .await
    }

    /// Makes what waits, or is begun and has no reader, due now. Gives how many messages that are; with a number, of that one
    /// alone.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn retry(&self, number: Option<u32>) -> Result<usize, StateError> {
        self.ask(move |transaction, name| {
            transaction.execute(
                "UPDATE inbox_message SET state = 'waiting', next_try = ?2
                 WHERE inbox = ?1 AND state IN ('begun', 'waiting') AND (?3 IS NULL OR uid = ?3)",
                (name, transaction.now, number),
            )
        })
        .await
    }

    /// Asks for a new beginning; an inbox that never began then has no other state.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn restart(&self, since: String) -> Result<(), StateError> {
        self.record(move |transaction, name| {
            transaction
                .execute(
                    "INSERT INTO inbox (name, uidvalidity, start, low, began, since) VALUES (?1, 0, 1, 1, 1, ?2)
                     ON CONFLICT DO UPDATE SET since = excluded.since",
                    (name, &since),
                )
                .map(drop)
        })
        .await
    }

    /// Something that survives the end of the process.
    pub(super) async fn ask<T, W>(&self, work: W) -> Result<T, StateError>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>, &str) -> Result<T, StateError> + Send + 'static,
    {
        self.writer.ask(Work::<T, W, false>::new(&self.name, work)).await
    }

    /// Something that survives a power cut.
    pub(super) async fn record<T, W>(&self, work: W) -> Result<T, StateError>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>, &str) -> Result<T, StateError> + Send + 'static,
    {
        self.writer.ask(Work::<T, W, true>::new(&self.name, work)).await
    }
}

/// Statements about one inbox in one transaction.
struct Work<T, W, const RECORDS: bool> {
    name: String,
    work: Option<W>,
    value: PhantomData<fn() -> T>,
}

impl<T, W, const RECORDS: bool> Work<T, W, RECORDS> {
    fn new(name: &str, work: W) -> Self {
        Self { name: name.to_owned(), work: Some(work), value: PhantomData }
    }
}

impl<T, W, const RECORDS: bool> Command for Work<T, W, RECORDS>
where
    T: Send + 'static,
    W: FnOnce(&Transaction<'_>, &str) -> Result<T, StateError> + Send + 'static,
{
    type Value = T;
    const RECORDS: bool = RECORDS;

    fn run(&mut self, transaction: &Transaction<'_>, _: &Context) -> Result<T, StateError> {
        let work = self.work.take().ok_or_else(|| StateError::new("a command to the ledger was run twice"))?;
        work(transaction, &self.name)
    }
}

fn put(
    transaction: &Transaction<'_>,
    inbox: &str,
    validity: u32,
    number: u32,
    state: MessageState,
) -> Result<(), StateError> {
    let statement = "INSERT INTO inbox_message (inbox, uidvalidity, uid, state, attempts) VALUES (?1, ?2, ?3, ?4, 0)
                     ON CONFLICT DO UPDATE SET state = excluded.state, next_try = NULL, cause = NULL";
    transaction.execute(statement, (inbox, validity, number, state.name())).map(drop)
}
