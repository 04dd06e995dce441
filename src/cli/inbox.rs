//! `mailhatch inbox`: what is known of the inboxes, and asking their readers for something.
//!
//! It asks the ledger alone, never the mailbox. A reader that runs sees a wish within seconds, another one at its next start.

use std::path::Path;
use std::time::SystemTime;

use clap::Subcommand;

use super::output::{FAILED, USAGE, print_error, report, say};
use super::set_up::{Site, small_runtime};
use crate::config::{InboxConfig, InboxSource, Since};
use crate::ledger::{InboxLog, InboxMessage, InboxState, MessageState};
use crate::printable::for_terminal;
use crate::telemetry::Telemetry;

/// What to do with the inboxes.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Inbox {
    /// List them, with who reads them and how many messages are not done.
    List,
    /// Show one: where it is, and the messages that wait, with attempts, cause and next try.
    Show {
        /// Its name.
        name: String,
    },
    /// Make messages that are begun or waiting due now.
    Retry {
        /// Its name.
        name: String,
        /// One message alone, as `show` names it: its UID, or the id of Microsoft Graph.
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Begin the inbox anew; what was handed over before is known by its id for 10 days.
    Restart {
        /// Its name.
        name: String,
        /// What is read: "now", "unseen", "all", or a day such as "2026-11-22".
        #[arg(long, value_name = "BEGINNING")]
        since: String,
    },
}

/// Why it was not done, and the exit status for it.
struct Refused(String, u8);

impl<E: std::fmt::Display> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.to_string(), FAILED)
    }
}

/// Does it and gives the exit status.
pub(super) fn run(config: &Path, inbox: Inbox) -> u8 {
    let site = match Site::load(config, |_| Telemetry::silent()) {
        Ok(site) => site,
        Err(error) => return report(&error),
    };
    let done = match small_runtime() {
        Ok(runtime) => runtime.block_on(work(&site, inbox)),
        Err(error) => Err(Refused(format!("no runtime: {error}"), FAILED)),
    };
    match done {
        Ok(()) => 0,
        Err(Refused(why, status)) => {
            print_error(format_args!("{why}"));
            status
        }
    }
}

async fn work(site: &Site, inbox: Inbox) -> Result<(), Refused> {
    match inbox {
        Inbox::List => {
            for inbox in &site.engine.config().inboxes {
                list(inbox, &site.ledger.inbox(&inbox.name.value)).await?;
            }
            Ok(())
        }
        Inbox::Show { name } => show(named(site, &name)?, &site.ledger.inbox(&name)).await,
        Inbox::Retry { name, id } => {
            named(site, &name)?;
            let log = site.ledger.inbox(&name);
            let count = match &id {
                Some(id) => match numbered(&log, id).await? {
                    Some(number) => log.retry(Some(number)).await?,
                    None => 0,
                },
                None => log.retry(None).await?,
            };
            match (count, id) {
                (0, Some(id)) => Err(Refused(
                    format!(
                        "{name}: {} neither waits nor is begun, see mailhatch inbox show {name}",
                        for_terminal(&id)
                    ),
                    FAILED,
                )),
                _ => {
                    say(format_args!("{name}: {count} messages are due now"));
                    Ok(())
                }
            }
        }
        Inbox::Restart { name, since } => {
            named(site, &name)?;
            let since = Since::parse(&since).map_err(|why| Refused(format!("--since: {why}"), USAGE))?;
            site.ledger.inbox(&name).restart(since.to_string()).await?;
            say(format_args!(
                "{name}: begins anew with since = \"{since}\", within seconds or when mailhatch fetch starts"
            ));
            Ok(())
        }
    }
}

/// The number of a message in the ledger; `None` if it is not known there.
async fn numbered(log: &InboxLog, id: &str) -> Result<Option<u32>, Refused> {
    if let Ok(number) = id.parse() {
        return Ok(Some(number));
    }
    Ok(match begun(log).await? {
        Some((state, _)) => log.number_of(state.validity, id.to_owned()).await?,
        None => None,
    })
}

fn named<'s>(site: &'s Site, name: &str) -> Result<&'s InboxConfig, Refused> {
    let config = site.engine.config();
    config.inbox(name).ok_or_else(|| {
        let names: Vec<_> = config.inboxes.iter().map(|inbox| inbox.name.value.as_str()).collect();
        Refused(format!("there is no [[inbox]] with the name \"{name}\"; there are: {}", names.join(", ")), USAGE)
    })
}

fn count(messages: &[InboxMessage], is_meant: impl Fn(MessageState) -> bool) -> usize {
    messages.iter().filter(|message| is_meant(message.state)).count()
}

async fn reader(log: &InboxLog, state: &InboxState) -> Result<String, Refused> {
    let name = state.reader.as_deref().unwrap_or("nobody");
    Ok(if log.is_read()? { name.to_owned() } else { format!("none now; the last was {name}") })
}

/// What is not done, in words.
fn backlog(messages: &[InboxMessage]) -> String {
    let new = count(messages, |state| state == MessageState::New);
    let begun = count(messages, |state| state == MessageState::Begun);
    let waiting = count(messages, |state| state == MessageState::Waiting);
    format!("{} ({new} new, {begun} begun, {waiting} waiting)", new + begun + waiting)
}

async fn list(inbox: &InboxConfig, log: &InboxLog) -> Result<(), Refused> {
    let name = &inbox.name.value;
    let Some((state, messages)) = begun(log).await? else {
        say(format_args!("{name}  {}  never read", for_terminal(&inbox.place())));
        return Ok(());
    };
    say(format_args!(
        "{name}  {}  pending {}  reader: {}",
        for_terminal(&inbox.place()),
        backlog(&messages),
        reader(log, &state).await?
    ));
    Ok(())
}

/// Where the inbox is; `None` if it never began.
async fn begun(log: &InboxLog) -> Result<Option<(InboxState, Vec<InboxMessage>)>, Refused> {
    Ok(log.load().await?.filter(|(state, _)| state.validity != 0))
}

async fn show(inbox: &InboxConfig, log: &InboxLog) -> Result<(), Refused> {
    say(format_args!("inbox        {}", inbox.name.value));
    say(format_args!("mailbox      {}", for_terminal(&inbox.place())));
    let Some((state, messages)) = begun(log).await? else {
        say(format_args!("state        never read; the first run takes since = \"{}\"", inbox.since));
        return Ok(());
    };
    say(format_args!("reader       {}", reader(log, &state).await?));
    let (validity, start, low) = (state.validity, state.start, state.low);
    match &inbox.source {
        InboxSource::Imap(_) => say(format_args!(
            "state        UIDVALIDITY {validity}; read from UID {start} on; every UID below {low} is done"
        )),
        InboxSource::Graph(_) => say(format_args!(
            "state        read from the message that was listed as number {start} on; every one before number {low} is done"
        )),
    }
    if let Some(newest) = state.newest {
        say(format_args!("newest done  came in {}", time(newest)));
    }
    if let Some(since) = &state.since {
        say(format_args!("restart      asked for, with since = \"{since}\""));
    }
    say(format_args!("pending      {}", backlog(&messages)));
    let unshown = |state| matches!(state, MessageState::Settled | MessageState::Copied | MessageState::Flagged);
    say(format_args!(
        "done         {} that the mailbox does not show yet; {} left as they are, above {}",
        count(&messages, unshown),
        count(&messages, |state| state == MessageState::Left),
        state.low
    ));
    let waiting =
        messages.iter().filter(|message| matches!(message.state, MessageState::Begun | MessageState::Waiting));
    for InboxMessage { number, state, attempts, next_try, first, cause } in waiting {
        let at = |at: &Option<SystemTime>| at.map_or("-".to_owned(), time);
        let next_try = match next_try {
            Some(at) if *at <= SystemTime::now() => "now".to_owned(),
            Some(at) => time(*at),
            None => "-".to_owned(),
        };
        let which = match log.list_item(validity, *number).await? {
            Some(item) => format!("item {}", for_terminal(&item.id)),
            None => format!("uid {number}"),
        };
        say(format_args!(
            "{which}  {}  attempts={attempts} cause={} first={} next_try={next_try}",
            state.name(),
            for_terminal(cause.as_deref().unwrap_or("-")),
            at(first)
        ));
    }
    Ok(())
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}
