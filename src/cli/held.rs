//! `mailhatch held`: the copies kept back.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::SystemTime;

use clap::Subcommand;

use super::output::{FAILED, print_error, report, say};
use super::set_up::{Site, small_runtime};
use crate::event_id::EventId;
use crate::held::{HeldRecord, HeldStore};
use crate::mail::Envelope;
use crate::pipeline::{Released, WaitingCopies};
use crate::printable::{ForTerminal, for_terminal};
use crate::state_dir::StateError;
use crate::telemetry::Telemetry;

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
    site.clock_jumps().iter().for_each(|jump| print_error(format_args!("{jump}")));
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

async fn release(site: &Site, id: &EventId) -> Result<(), String> {
    let released = site.engine.release(id).await.map_err(text)?;
    if let Released::Delivered(outcome)
    | Released::Waits(outcome)
    | Released::StillHeld(outcome)
    | Released::DeliveredBefore(outcome) = &released
    {
        say(format_args!("{}", outcome.pipe_line()));
    }
    match released {
        Released::Delivered(_) => Ok(()),
        Released::Waits(outcome) | Released::StillHeld(outcome) => {
            let (verdict, rule) = (outcome.verdict.name(), outcome.verdict.rule().unwrap_or("?"));
            Err(format!("it stays held: {verdict}: {rule} ({})", outcome.detail()))
        }
        Released::DeliveredBefore(_) => Err(format!(
            "it stays held: the same event was delivered before this copy was kept, perhaps from another message. Look at both \
             (mailhatch held show {id}); it goes after held.keep"
        )),
        Released::InUse => {
            Err(format!("the copy {id} is being released by another process: look again when it is done"))
        }
        Released::None => Err(none_of(id)),
    }
}

async fn release_waiting(site: &Site) -> Result<(), String> {
    let round = site.engine.hand_over_waiting(&mut WaitingCopies::default()).await.map_err(text)?;
    say(format_args!("{} held messages handed over, {} go on waiting", round.done, round.left));
    if round.left == 0 { Ok(()) } else { Err("the application does not take mail yet: see the log".to_owned()) }
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
