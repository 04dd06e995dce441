//! Looking into an inbox without changing anything: for `fetch --dry-run`, `explain --inbox` and `check`.

use std::sync::Arc;

use super::source::{Mailbox, provider, source};
use crate::cli::set_up::Site;
use crate::config::{Config, InboxConfig};
use crate::intake::Fetched;
use crate::intake::budget::Budget;
use crate::intake::mailbox::report::Report;
use crate::intake::mailbox::source::{Letter, Room, Source};
use crate::ledger::{InboxMessage, InboxState};
use crate::mail::InMailbox;

/// Opens an inbox so that nothing in it can change.
pub(in crate::cli) async fn open(site: &Site, inbox: &InboxConfig) -> Result<<Mailbox as Source>::Open, String> {
    let (config, name) = (site.engine.config(), &inbox.name.value);
    let log = config.state_dir.is_dir().then(|| site.ledger.inbox(name));
    let source = source(config, inbox, log, Report::silent(name)).map_err(|error| error.to_string())?;
    source.open(true).await.map_err(|failure| failure.to_string())
}

/// What the ledger knows of an inbox; nothing if there is no state directory yet: looking makes none.
pub(in crate::cli) async fn known(site: &Site, inbox: &str) -> Result<Option<(InboxState, Vec<InboxMessage>)>, String> {
    match site.engine.config().state_dir.try_exists() {
        Ok(true) => site.ledger.inbox(inbox).load().await.map_err(|error| error.to_string()),
        Ok(false) => Ok(None),
        Err(error) => Err(format!("{}: {error}", site.engine.config().state_dir.display())),
    }
}

/// What a message may take. One at a time: it waits for nobody.
pub(in crate::cli) fn room(config: &Config) -> Room {
    Room {
        budget: Budget::new(config.limits.memory),
        wait: std::time::Duration::ZERO,
        message_size: config.limits.message_size,
        directory: std::env::temp_dir(),
    }
}

/// A message as the pipeline takes it.
pub(in crate::cli) fn fetched(
    config: &Config,
    inbox: &InboxConfig,
    letter: Letter,
    first_run: bool,
) -> Result<Fetched, String> {
    let user = inbox.user(config.file()).map_err(|error| error.to_string())?;
    let origin = Arc::new(InMailbox {
        inbox: inbox.name.value.clone(),
        item: letter.item,
        provider: provider(inbox),
        came_in: letter.came_in,
        first_run,
        notices: inbox.notices,
    });
    Ok(Fetched { origin, user, unknown: inbox.unknown, content: letter.content })
}
