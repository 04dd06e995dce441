//! Where a reader begins: at its first run, after a restart, when it is asked to begin anew, and when the server has numbered
//! its messages anew.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use tokio::time::Instant;

use super::failure::{Cause, Failure};
use super::queue::{Known, Number, Queue, after_a_crash};
use super::report::Report;
use super::settle::Unshown;
use super::source::{Numbers, OpenMailbox, Standing, Wanted};
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

/// Why the inbox begins.
enum Beginning {
    /// Nothing is known of it, or it was asked for.
    From(Since, &'static str),
    /// Its messages have other numbers than before.
    Epoch(Option<SystemTime>),
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
    let standing = open.standing();
    let loaded = log.load().await.map_err(failed)?;
    let beginning = match &loaded {
        None => Some(Beginning::From(since, "begin")),
        Some((InboxState { since: Some(wanted), .. }, _)) => {
            Some(Beginning::From(Since::parse(wanted).unwrap_or(since), "begin-anew"))
        }
        Some((state, _)) if state.validity != standing.validity => Some(Beginning::Epoch(state.newest)),
        Some(_) => None,
    };
    match (beginning, loaded, known) {
        (None, Some(_), Some(known)) => Ok(known),
        (None, Some((state, messages)), None) => Ok(resume(&state, messages)),
        (beginning, _, _) => {
            let beginning = beginning.unwrap_or(Beginning::From(since, "begin"));
            let (state, messages) = begin(open, report, reader, standing, beginning).await?;
            log.begin_anew(state.clone(), messages.iter().map(|number| number.get()).collect())
                .await
                .map_err(failed)?;
            Ok(resume(&state, messages.iter().map(|number| new_message(*number)).collect()))
        }
    }
}

/// Where to begin, and which of the messages that are there are to be read.
async fn begin(
    open: &mut impl OpenMailbox,
    report: &Report,
    reader: &str,
    standing: Standing,
    beginning: Beginning,
) -> Result<(InboxState, Numbers), Failure> {
    let next = standing.next;
    let mut newest = None;
    let mut start = next;
    let messages = match beginning {
        Beginning::From(since, event) => {
            let messages = match since {
                Since::All => {
                    start = Number::MIN;
                    Numbers::new()
                }
                Since::Day(day) => open.find(Wanted::Since(day)).await?,
                Since::Unseen => open.find(Wanted::Unseen).await?,
                Since::Now => {
                    newest = Some(SystemTime::now());
                    Numbers::new()
                }
            };
            let unread = match since {
                Since::Now => open.find(Wanted::Unseen).await?.len(),
                _ => 0,
            };
            let detail = match since {
                Since::Now => format!("since = \"now\": {unread} unread messages that are there stay as they are"),
                Since::All => "since = \"all\": every message that is there is read".to_owned(),
                since => format!("since = \"{since}\": {} messages that are there are read", messages.len()),
            };
            report.begins(event, detail);
            messages
        }
        Beginning::Epoch(last) => {
            let messages = match last.and_then(|last| last.checked_sub(OVERLAP)) {
                Some(from) => open.find(Wanted::Since(OffsetDateTime::from(from).date())).await?,
                None => open.find(Wanted::From(Number::MIN)).await?,
            };
            newest = last;
            report.begins(
                "epoch",
                format_args!(
                    "the server has numbered the messages anew (UIDVALIDITY {}): {} recent ones without a mark are looked at \
                     again; those that were handed over are known by their ids",
                    standing.validity,
                    messages.len()
                ),
            );
            messages
        }
    };
    // What comes in while we look is above the start anyway.
    let messages: Numbers = messages.into_iter().filter(|number| *number < start).collect();
    let low = messages.first().copied().unwrap_or(start);
    let state = InboxState {
        validity: standing.validity,
        start: start.get(),
        low: low.get(),
        began: next.get(),
        newest,
        since: None,
        reader: Some(reader.to_owned()),
    };
    Ok((state, messages))
}

/// What the ledger knows, as a queue.
fn resume(state: &InboxState, messages: Vec<InboxMessage>) -> Position {
    let (now, clock) = (Instant::now(), SystemTime::now());
    let (mut pending, mut done, mut unshown) = (Vec::new(), Numbers::new(), Unshown::default());
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
            MessageState::Left | MessageState::Marked => drop(done.insert(number)),
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

fn new_message(number: Number) -> InboxMessage {
    InboxMessage {
        number: number.get(),
        state: MessageState::New,
        attempts: 0,
        next_try: None,
        first: None,
        cause: None,
    }
}

/// The ledger cannot be read or written.
pub(super) fn failed(error: StateError) -> Failure {
    Failure::new(Cause::Ledger, error.to_string())
}
