//! Whose it is: the mailbox and the key in an address, and the action that the key's form asks for.
//!
//! Nothing here looks at who sent the message, and no key changes a byte on its way through.

mod key;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use key::Key;

use crate::config::{AddressSource, Config, ConfigError, MailboxConfig};
use crate::mail::{Address, Message, Recipient};
use crate::trail::Trail;

/// A message's mailbox, key and action for one recipient.
#[derive(Clone, Debug)]
pub struct Route {
    /// The mailbox that matched.
    pub mailbox: Arc<MailboxConfig>,
    /// What the key asks for: `reply`, `issue`, …
    pub action: String,
    /// What stands in place of `%{key}`; `None` cannot be: a route without a key is no route.
    pub key: Key,
    /// The parts of the key by name.
    pub captures: BTreeMap<String, String>,
    /// Where it was found.
    pub matched: Matched,
}

/// Where an address was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// The source.
    pub source: AddressSource,
    /// The address or id as it stood there.
    pub address: String,
}

/// Why a recipient has no route.
#[derive(Clone, Debug)]
pub enum Unrouted {
    /// No source held an address of a mailbox.
    NoMailbox,
    /// A mailbox was found, but the key has none of its forms.
    UnknownAction {
        /// The mailbox.
        mailbox: Arc<MailboxConfig>,
        /// The key.
        key: Key,
        /// Where it was found.
        matched: Matched,
    },
}

/// All mailboxes, ready to be asked.
#[derive(Clone, Debug)]
pub struct Routes {
    mailboxes: Vec<Arc<MailboxConfig>>,
}

impl Routes {
    /// Reads the address patterns and action patterns of a configuration.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { mailboxes: config.mailboxes.iter().cloned().map(Arc::new).collect() })
    }

    /// Whose the message is for one recipient (DESIGN section 2.3).
    pub fn find(&self, _message: &Message, _recipient: &Recipient, _trail: &mut Trail) -> Result<Route, Unrouted> {
        Err(Unrouted::NoMailbox)
    }

    /// An address as logs may show it: a key in it is masked.
    pub fn mask<'a>(&self, address: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(address)
    }

    /// Whether mail to the address would come back to one of our mailboxes, or its domain is the domain of one.
    pub fn is_own(&self, _address: &Address) -> bool {
        false
    }
}
