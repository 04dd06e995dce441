//! What a reader needs of a mailbox, wherever it is.
//!
//! An implementation never changes anything but the messages that it is told to, and tells what it saw, not what it hopes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use time::Date;
use tokio::time::Instant;

use super::failure::Failure;
use super::number_set::{Number, NumberSet};
use crate::intake::budget::{Budget, Reservation};
use crate::ledger::MessageState;
use crate::mail::{Content, Item};

/// A few messages by their numbers.
pub type Numbers = BTreeSet<Number>;

/// A mailbox that can be opened again and again.
pub trait Source: Send + Sync + 'static {
    /// An open one.
    type Open: OpenMailbox;

    /// Opens it; with `read_only` nothing in it can change, whatever is asked.
    fn open(&self, read_only: bool) -> impl Future<Output = Result<Self::Open, Failure>> + Send;
}

/// What is known of an open mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which set of numbers its numbers are of: another one means that each number means another message.
    pub validity: u32,
    /// What comes in from now on has this number or a higher one.
    pub next: Number,
    /// Nothing can be marked in it.
    pub read_only: bool,
}

/// Which messages to look for. Those that are deleted, or have the mark of what is done, are never among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// From this number on.
    From(Number),
    /// Those that came in on this day or later.
    Since(Date),
    /// Those that nobody has read.
    Unseen,
}

/// What a message may take while it is fetched.
#[derive(Clone, Debug)]
pub struct Room {
    /// The memory of all messages.
    pub budget: Budget,
    /// How long to wait for it.
    pub wait: Duration,
    /// Octets of one message that stay in memory; the rest goes to a file.
    pub message_size: u64,
    /// Where that file is made.
    pub directory: PathBuf,
}

/// What fetching a message gave.
#[derive(Debug)]
pub enum Got {
    /// The message.
    Message(Box<Letter>),
    /// It is not there any more.
    Gone,
    /// It could not be fetched this time, and not for the connection's sake.
    Not {
        /// A name for the ledger, logs and metrics.
        cause: &'static str,
        /// What was seen.
        detail: String,
    },
}

/// A message as it was fetched.
#[derive(Debug)]
pub struct Letter {
    /// Its bytes.
    pub content: Content,
    /// Which one it is.
    pub item: Item,
    /// When it came in.
    pub came_in: Option<SystemTime>,
    /// Somebody has deleted it, or has it done already.
    pub is_done: bool,
    /// Its memory; to be dropped when it is delivered.
    pub reservation: Reservation,
}

/// How far the mailbox shows what is done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Messages that are a step further, by the step.
    pub reached: Vec<(MessageState, Numbers)>,
    /// Why others are not; a person must act.
    pub alarm: Option<String>,
}

/// An open mailbox.
pub trait OpenMailbox: Send {
    /// What is known of it.
    fn standing(&self) -> Standing;

    /// Whether something came in since it was last looked for.
    fn has_news(&self) -> bool;

    /// How many messages are there that a first run with `since = "now"` leaves, in words.
    fn count_before(&mut self) -> impl Future<Output = Result<String, Failure>> + Send;

    /// What the mailbox itself calls a message, for a person who looks for it there.
    fn item(&mut self, number: Number) -> impl Future<Output = Item> + Send;

    /// Looks for messages.
    fn find(&mut self, wanted: Wanted) -> impl Future<Output = Result<NumberSet, Failure>> + Send;

    /// Which of these, that a search did not find, are to be read all the same. A search may be incomplete, and what is taken
    /// for gone is never looked for again.
    fn still_there(&mut self, missing: &NumberSet) -> impl Future<Output = Result<NumberSet, Failure>> + Send;

    /// Which of these numbers, of which nobody knows whose they are, are messages to be read: a search may have left them out, and
    /// is not asked for them again.
    fn overlooked(&mut self, unexplained: &NumberSet) -> impl Future<Output = Result<NumberSet, Failure>> + Send;

    /// Fetches one message. Nothing in the mailbox changes.
    fn fetch(&mut self, number: Number, room: &Room) -> impl Future<Output = Result<Got, Failure>> + Send;

    /// Makes the mailbox show what is done, for messages that are all in one state, by one step.
    fn show(&mut self, numbers: &Numbers, state: MessageState) -> impl Future<Output = Result<Shown, Failure>> + Send;

    /// Waits until something comes in, `until`, or `wake`. True if the mailbox told something.
    fn wait(
        &mut self,
        until: Instant,
        wake: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// How long to wait at most before looking again.
    fn pause(&self) -> Duration;

    /// Ends in good order.
    fn close(self) -> impl Future<Output = ()> + Send;
}
