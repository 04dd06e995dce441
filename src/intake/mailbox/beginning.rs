//! Where a reader begins: at its first run, after a restart, when it is asked to begin anew, and when the server has numbered
//! its messages anew.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use tokio::time::Instant;

use super::failure::{Cause, Failure};
use super::number_set::{Number, NumberSet};
use super::queue::{Known, Queue, after_a_crash};
use super::report::Report;
use super::settle::Unshown;
use super::source::{OpenMailbox, Standing, Wanted};
use crate::config::Since;
use crate::ledger::{InboxLog, InboxMessage, InboxState, MessageState};
use crate::state_dir::StateError;

/// After the server has numbered its messages anew, those that came in so long before the newest that is done are looked at
/// again: their ids tell which were handed over. INTERNALDATE has no zone when it is searched for, and deliveries overtake
/// each other.
const OVERLAP: Duration = Duration::from_secs(2 * 24 * 3600);

/// What a reader knows of its inbox.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) validity: u32,
    /// From this number on everything is read.
    pub(super) start: Number,
    /// What is below was there when the first run began.
    pub(super) began: Number,
    pub(super) queue: Queue,
    pub(super) unshown: Unshown,
}

impl Position {
    /// From which number on the mailbox is looked through.
    pub(super) fn search_from(&self) -> Number {
        self.queue.low().map_or(self.start, |low| low.max(self.start))
    }
}

/// Why the inbox begins.
enum Beginning {
    /// Nothing is known of it, or it was asked for.
    From(Since, &'static str),
    /// Its messages have other numbers than before; when the newest came in that is done.
    Epoch(SystemTime),
}

/// What the ledger knows of an inbox: where it is, and its messages.
pub(super) type Loaded = Option<(InboxState, Vec<InboxMessage>)>;

/// A beginning: where it is, which of the messages that are there are to be read, and what is said about it.
pub(super) struct Begun {
    pub(super) state: InboxState,
    pub(super) messages: NumberSet,
    pub(super) event: &'static str,
    pub(super) detail: String,
}

impl Begun {
    pub(super) fn position(self) -> Position {
        let mut position = resume(&self.state, Vec::new());
        position.queue.add(&self.messages);
        position
    }
}

/// The position of an inbox that was just opened; `known` if it was open before in this process.
pub(super) async fn position(
    open: &mut impl OpenMailbox,
    log: &InboxLog,
    report: &Report,
    reader: &str,
    since: Since,
    known: Option<Position>,
) -> Result<Position, Failure> {
    let loaded = log.load().await.map_err(failed)?;
    match begin(open, &loaded, since).await? {
        Some(mut begun) => {
            begun.state.reader = Some(reader.to_owned());
            let messages = begun.messages.iter().map(Number::get).collect();
            log.begin_anew(begun.state.clone(), messages).await.map_err(failed)?;
            report.begins(begun.event, &begun.detail);
            Ok(begun.position())
        }
        None => match (known, loaded) {
            (Some(known), _) => Ok(known),
            (None, Some((state, messages))) => Ok(resume(&state, messages)),
            // What begins has no ledger, and what has one does not begin.
            (None, None) => Err(Failure::new(Cause::Internal, "an inbox without a beginning: please report it")),
        },
    }
}

/// The beginning of an inbox whose ledger has none, or one that does not count any more. Changes nothing.
pub(super) async fn begin(
    open: &mut impl OpenMailbox,
    loaded: &Loaded,
    since: Since,
) -> Result<Option<Begun>, Failure> {
    let standing = open.standing();
    let beginning = match loaded {
        None => Beginning::From(since, "begin"),
        Some((InboxState { since: Some(wanted), .. }, _)) => {
            Beginning::From(Since::parse(wanted).unwrap_or(since), "begin-anew")
        }
        Some((state, _)) if state.validity != standing.validity => match state.newest {
            Some(newest) => Beginning::Epoch(newest),
            // Nothing was done yet.
            None => Beginning::From(since, "epoch"),
        },
        Some(_) => return Ok(None),
    };
    Ok(Some(match beginning {
        Beginning::From(since, event) => from(open, standing, since, event).await?,
        Beginning::Epoch(newest) => epoch(open, standing, newest).await?,
    }))
}

/// The first run, or one that was asked for.
async fn from(
    open: &mut impl OpenMailbox,
    standing: Standing,
    since: Since,
    event: &'static str,
) -> Result<Begun, Failure> {
    let next = standing.next;
    let start = if since == Since::All { Number::MIN } else { next };
    let (messages, detail, newest) = match since {
        Since::All => (NumberSet::default(), "since = \"all\": every message that is there is read".to_owned(), None),
        Since::Now => {
            let before = open.count_before().await?;
            let detail = format!("since = \"now\": {before} that are there stay as they are");
            (NumberSet::default(), detail, Some(SystemTime::now()))
        }
        Since::Day(_) | Since::Unseen => {
            let wanted = if let Since::Day(day) = since { Wanted::Since(day) } else { Wanted::Unseen };
            let messages = open.find(wanted).await?;
            let detail = format!("since = \"{since}\": {} messages that are there are read", messages.len());
            (messages, detail, None)
        }
    };
    Ok(begun(standing, start, messages, newest, event, detail))
}

/// The server has numbered its messages anew.
async fn epoch(open: &mut impl OpenMailbox, standing: Standing, newest: SystemTime) -> Result<Begun, Failure> {
    let from = newest.checked_sub(OVERLAP).unwrap_or(SystemTime::UNIX_EPOCH);
    let messages = open.find(Wanted::Since(OffsetDateTime::from(from).date())).await?;
    let detail = format!(
        "the server has numbered the messages anew (UIDVALIDITY {}): {} recent ones without a mark are looked at again; \
         those that were handed over are known by their ids",
        standing.validity,
        messages.len()
    );
    Ok(begun(standing, standing.next, messages, Some(newest), "epoch", detail))
}

fn begun(
    standing: Standing,
    start: Number,
    mut messages: NumberSet,
    newest: Option<SystemTime>,
    event: &'static str,
    detail: String,
) -> Begun {
    // What comes in while we look is above the start anyway.
    messages.remove_from(start);
    let low = messages.first().unwrap_or(start).get();
    let (validity, began) = (standing.validity, standing.next.get());
    let state = InboxState { validity, start: start.get(), low, began, newest, since: None, reader: None };
    Begun { state, messages, event, detail }
}

/// What the ledger knows, as a queue.
pub(super) fn resume(state: &InboxState, messages: Vec<InboxMessage>) -> Position {
    let (now, clock) = (Instant::now(), SystemTime::now());
    let (mut pending, mut done, mut unshown) = (Vec::new(), NumberSet::default(), Unshown::default());
    for message in messages {
        let Some(number) = Number::new(message.number) else { continue };
        let InboxMessage { state, attempts, first, cause, .. } = message;
        let next_try = match state {
            MessageState::Begun => Some(clock + after_a_crash(attempts)),
            _ => message.next_try,
        };
        match state {
            MessageState::New | MessageState::Begun | MessageState::Waiting => {
                pending.push(Known { number, attempts, next_try, first, cause });
            }
            MessageState::Settled | MessageState::Copied | MessageState::Flagged => {
                unshown.add(number, state, now);
                done.insert(number);
            }
            MessageState::Left | MessageState::Marked => done.insert(number),
        }
    }
    let number = |value| Number::new(value).unwrap_or(Number::MIN);
    Position {
        validity: state.validity,
        start: number(state.start),
        began: number(state.began),
        queue: Queue::new(number(state.low), pending, done, now.into_std(), clock),
        unshown,
    }
}

/// The ledger cannot be read or written.
pub(super) fn failed(error: StateError) -> Failure {
    Failure::new(Cause::Ledger, error.to_string())
}
