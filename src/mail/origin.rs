//! How a message came to us: handed over by an MTA with its envelope, or found in a mailbox without one.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// How a message came to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// An MTA handed it over, and told the envelope.
    #[default]
    Smtp,
    /// It lay in a mailbox: the envelope is what the message's own trace fields tell.
    Mailbox(Arc<InMailbox>),
}

/// Where a message lay, and what is known of it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InMailbox {
    /// The name of the `[[inbox]]`.
    pub inbox: String,
    /// Which message of it.
    pub item: Item,
    /// Whose trace fields are believed.
    pub provider: Provider,
    /// When it came in there, as the server says.
    pub came_in: Option<SystemTime>,
    /// Whether it was there before the first run.
    pub first_run: bool,
    /// Whether notices may be sent about it.
    pub notices: bool,
}

/// Which message of an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A UID (RFC 3501 section 2.3.1.1), with its UIDVALIDITY.
    Uid {
        /// Which set of UIDs it is one of.
        validity: u32,
        /// The number.
        uid: u32,
    },
    /// An id that does not change when the message is moved (Microsoft Graph).
    Id {
        /// The id.
        id: String,
    },
}

impl Item {
    /// What it is called in log lines.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Uid { .. } => "uid",
            Self::Id { .. } => "item",
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid { uid, .. } => uid.fmt(f),
            Self::Id { id } => id.fmt(f),
        }
    }
}

/// Whose trace fields are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Exchange Online. It writes the MIME parts of a message anew when it hands it out.
    ExchangeOnline,
    /// Gmail and Google Workspace.
    Gmail,
    /// Nobody's.
    None,
    /// Those of a server of our own, and what these ids say in Authentication-Results.
    Own {
        /// The ids; none: Authentication-Results are not believed.
        authserv_ids: Vec<String>,
    },
}

impl Origin {
    /// The mailbox that the message lay in.
    pub fn mailbox(&self) -> Option<&InMailbox> {
        match self {
            Self::Smtp => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl InMailbox {
    /// What tells this message from another one of the same words, where an MTA would have given it a queue id.
    pub fn stand_in(&self) -> String {
        match &self.item {
            Item::Uid { validity, uid } => format!("inbox {} {validity} {uid}", self.inbox),
            Item::Id { id } => format!("inbox {} {id}", self.inbox),
        }
    }

    /// Whether two fetches of the message may give other bytes.
    pub fn is_rewritten(&self) -> bool {
        self.provider == Provider::ExchangeOnline
    }
}
