//! `mailhatch held`: the copies kept back.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::SystemTime;

use clap::Subcommand;

use super::output::{FAILED, print_error, report, say};
use super::set_up::{Site, small_runtime};
use crate::event_id::EventId;
use crate::held::{HeldRecord, HeldStore};
use crate::intake::Deliver;
use crate::mail::Envelope;
use crate::outcome::Outcome;
use crate::pipeline::WaitingCopies;
use crate::printable::{ForTerminal, for_terminal};
use crate::state_dir::StateError;
use crate::telemetry::Telemetry;
use crate::verdict::Verdict;

/// What to do with the copies kept back.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Held {
    /// List them, the oldest first.
    List,
    /// Show one: why it is held, its envelope and its message.
    Show {
        /// Its id, as `list` and the log show it.
        id: String,
        /// Print the message alone, as it came in; not to a terminal, which it could drive.
        #[arg(long)]
        raw: bool,
    },
    /// Put one through the pipeline again; it is removed once it is delivered.
    Release {
        /// Its id.
        #[arg(required_unless_present = "waiting")]
        id: Option<String>,
        /// All that wait for their application (rule patience), as the service does by itself.
        #[arg(long, conflicts_with = "id")]
        waiting: bool,
    },
    /// Remove what is over `held.keep` and `held.max_size`.
    Purge,
}

/// Does it and gives the exit status.
pub(super) fn run(config: &Path, held: Held) -> u8 {
    let site = match Site::load(config, Telemetry::new) {
        Ok(site) => site,
        Err(error) => return report(&error),
    };
    let done = match small_runtime() {
        Ok(runtime) => runtime.block_on(work(&site, held)),
        Err(error) => Err(format!("no runtime: {error}")),
    };
    match done {
        Ok(()) => 0,
        Err(why) => {
            print_error(format_args!("{why}"));
            FAILED
        }
    }
}

async fn work(site: &Site, held: Held) -> Result<(), String> {
    let store = site.engine.held();
    match held {
        Held::List => list(store).await,
        Held::Show { id, raw } => show(store, &read_id(&id)?, raw).await,
        Held::Release { id: Some(id), .. } => release(site, &read_id(&id)?).await,
        Held::Release { id: None, .. } => release_waiting(site).await,
        Held::Purge => purge(site).await,
    }
}

fn read_id(text: &str) -> Result<EventId, String> {
    EventId::parse(text)
        .ok_or_else(|| format!("\"{text}\" is not a valid id: it has 32 hex digits, see mailhatch held list"))
}

async fn list(store: &HeldStore) -> Result<(), String> {
    let list = store.list().await.map_err(text)?;
    for record in &list.records {
        let HeldRecord { id, verdict, rule, size, .. } = record;
        let sender = record.envelope.sender.as_text().map_or("unknown".to_owned(), |sender| format!("<{sender}>"));
        let recipient = &record.recipient.address;
        let held_at = time(record.held_at);
        // On one line, whatever stands in it.
        let line = format!("{id}  {held_at}  {verdict}: {rule}  {size} octets  from={sender} to={recipient}");
        say(format_args!("{}", for_terminal(&line)));
    }
    list.unreadable.iter().for_each(|error| print_error(format_args!("{error}")));
    if list.unreadable.is_empty() { Ok(()) } else { Err(format!("{} copies cannot be read", list.unreadable.len())) }
}

async fn show(store: &HeldStore, id: &EventId, raw: bool) -> Result<(), String> {
    let (record, content) = store.read(id).await.map_err(text)?.ok_or_else(|| none_of(id))?;
    let out = std::io::stdout();
    if raw {
        if out.is_terminal() {
            let why = "a message as it came in can drive a terminal: redirect it to a file, or leave --raw out";
            return Err(why.to_owned());
        }
        let mut out = out.lock();
        return content.write_to(&mut out).and_then(|()| out.flush()).map_err(|error| error.to_string());
    }
    let Envelope { sender, client, queue_id, .. } = &record.envelope;
    say(format_args!("id           {id}"));
    say(format_args!("held since   {}", time(record.held_at)));
    let why = format!("{}: {} ({})", record.verdict, record.rule, record.detail);
    say(format_args!("why          {}", for_terminal(&why)));
    say(format_args!(
        "sender       {}",
        sender.as_text().map_or("unknown".to_owned(), |s| format!("<{}>", for_terminal(s)))
    ));
    say(format_args!("recipient    {}", for_terminal(&record.recipient.address)));
    if let Some(original) = &record.recipient.original {
        say(format_args!("original     {}", for_terminal(original)));
    }
    if let Some(address) = client.address {
        say(format_args!("client       {address} helo={}", for_terminal(client.helo.as_deref().unwrap_or("unknown"))));
    }
    say(format_args!("queue id     {}", for_terminal(queue_id.as_deref().unwrap_or("unknown"))));
    say(format_args!("size         {} octets\n", record.size));
    let mut out = ForTerminal::new(out.lock());
    content.write_to(&mut out).and_then(|()| out.finish()).map_err(|error| error.to_string())
}

/// Exactly the pipeline again, for the one recipient the copy was kept for.
async fn release(site: &Site, id: &EventId) -> Result<(), String> {
    let store = site.engine.held();
    let (record, content) = store.read(id).await.map_err(text)?.ok_or_else(|| none_of(id))?;
    let envelope = Envelope { recipients: vec![record.recipient], ..record.envelope };
    let outcomes = site.engine.clone().deliver(envelope, content).await;
    let Some(outcome) = outcomes.first() else { return Err("internal error: no outcome".to_owned()) };
    say(format_args!("{}", outcome.pipe_line()));
    if matches!(outcome.verdict, Verdict::Delivered | Verdict::Duplicate) {
        // Before the copy is gone: this process ends, and nobody else knows of a delivery that it could not record.
        site.ledger.settle().await.map_err(|error| error.to_string())?;
        store.remove(id).await.map_err(text)?;
        return Ok(());
    }
    Err(format!("it stays held: {}", still_held(outcome)))
}

async fn release_waiting(site: &Site) -> Result<(), String> {
    let round = site.engine.hand_over_waiting(&mut WaitingCopies::default()).await.map_err(text)?;
    site.ledger.settle().await.map_err(|error| error.to_string())?;
    say(format_args!("{} held messages handed over, {} go on waiting", round.done, round.left));
    if round.left == 0 { Ok(()) } else { Err("the application does not take mail yet: see the log".to_owned()) }
}

fn still_held(outcome: &Outcome) -> String {
    format!("{}: {} ({})", outcome.verdict.name(), outcome.verdict.rule().unwrap_or("?"), outcome.detail())
}

async fn purge(site: &Site) -> Result<(), String> {
    let limits = site.engine.config().held;
    let purged = site.engine.held().purge(limits.keep, limits.max_size).await.map_err(text)?;
    let left = bytesize::ByteSize(purged.kept_size);
    say(format_args!("removed {}, kept {} ({left})", purged.removed, purged.kept));
    Ok(())
}

fn none_of(id: &EventId) -> String {
    format!("no copy with the id {id} is held")
}

fn text(error: StateError) -> String {
    error.to_string()
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}
