//! Where a held message lay in a mailbox, as `held.json` has it: a copy that is released is the same message as before.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::mail::{InMailbox, Item, Origin, Provider};

#[derive(Serialize, Deserialize)]
pub(super) struct InMailboxFile {
    inbox: String,
    item: ItemFile,
    provider: ProviderFile,
    /// In seconds since 1970.
    came_in: Option<u64>,
    first_run: bool,
    notices: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ItemFile {
    Uid { validity: u32, uid: u32 },
    Id { id: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ProviderFile {
    ExchangeOnline,
    Gmail,
    None,
    Own { authserv_ids: Vec<String> },
}

/// `None` for a message that an MTA handed over.
pub(super) fn write(origin: &Origin) -> Option<InMailboxFile> {
    let mailbox = origin.mailbox()?;
    let item = match &mailbox.item {
        Item::Uid { validity, uid } => ItemFile::Uid { validity: *validity, uid: *uid },
        Item::Id { id } => ItemFile::Id { id: id.clone() },
    };
    Some(InMailboxFile {
        inbox: mailbox.inbox.clone(),
        item,
        provider: match &mailbox.provider {
            Provider::ExchangeOnline => ProviderFile::ExchangeOnline,
            Provider::Gmail => ProviderFile::Gmail,
            Provider::None => ProviderFile::None,
            Provider::Own { authserv_ids } => ProviderFile::Own { authserv_ids: authserv_ids.clone() },
        },
        came_in: mailbox.came_in.map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()),
        first_run: mailbox.first_run,
        notices: mailbox.notices,
    })
}

/// What [`write()`] wrote.
pub(super) fn read(file: Option<InMailboxFile>) -> Origin {
    let Some(file) = file else { return Origin::Smtp };
    let item = match file.item {
        ItemFile::Uid { validity, uid } => Item::Uid { validity, uid },
        ItemFile::Id { id } => Item::Id { id },
    };
    let time = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    Origin::Mailbox(Arc::new(InMailbox {
        inbox: file.inbox,
        item,
        provider: match file.provider {
            ProviderFile::ExchangeOnline => Provider::ExchangeOnline,
            ProviderFile::Gmail => Provider::Gmail,
            ProviderFile::None => Provider::None,
            ProviderFile::Own { authserv_ids } => Provider::Own { authserv_ids },
        },
        came_in: file.came_in.and_then(time),
        first_run: file.first_run,
        notices: file.notices,
    }))
}
