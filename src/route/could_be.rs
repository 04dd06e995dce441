//! What an address alone tells of a message, before there is one: only what no header field could change.
//!
//! The answer depends on the configuration and on nothing else: it tells the form of keys, never which keys exist.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::config::{AddressSource, Config, ConfigError, Located, MailboxConfig};
use crate::mail::{Address, canonical_domain};

/// What could become of a message for an address.
#[derive(Clone, Debug)]
pub enum Foreseeable {
    /// `refuse.accept` names it, or it is the postmaster's (RFC 5321 section 4.5.1).
    Accepted,
    /// It has no mailbox's form, in a domain that `refuse.closed` names.
    Closed,
    /// The address of a mailbox without a key: References tell whose the message is.
    Dedicated,
    /// No mailbox is in its domain.
    Foreign,
    /// It has a mailbox's form, but the header is looked at before the envelope.
    HeaderFirst {
        /// The mailbox.
        mailbox: Arc<MailboxConfig>,
    },
    /// It has a mailbox's form, and its key that of an action.
    Known {
        /// The mailbox.
        mailbox: Arc<MailboxConfig>,
        /// The action.
        action: String,
    },
    /// It is in a mailbox's domain and has no mailbox's form: the header may still name one, as in forwarded mail.
    Open,
    /// It has a mailbox's form, and its key that of no action: [`super::Routes::find`] stops there, whatever the header says.
    UnknownKey {
        /// The mailbox.
        mailbox: Arc<MailboxConfig>,
    },
}

impl Foreseeable {
    /// Whether no message for the address could ever find a mailbox.
    pub fn is_unknown_address(&self) -> bool {
        matches!(self, Self::Closed | Self::UnknownKey { .. })
    }

    /// Whether a message for it comes here for certain: where an address has no mailbox's form, an alias may lead it elsewhere.
    pub fn comes_here(&self) -> bool {
        match self {
            Self::Dedicated | Self::HeaderFirst { .. } | Self::Known { .. } | Self::UnknownKey { .. } => true,
            Self::Accepted | Self::Closed | Self::Foreign | Self::Open => false,
        }
    }
}

/// Why, for `explain`.
impl fmt::Display for Foreseeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("refuse.accept names it, or it is postmaster"),
            Self::Closed => f.write_str("not a mailbox's form, and refuse.closed names its domain"),
            Self::Dedicated => f.write_str("the address of a mailbox without a key"),
            Self::Foreign => f.write_str("not in a mailbox's domain"),
            Self::HeaderFirst { mailbox } => write!(f, "{}: the header is looked at first", mailbox.name.value),
            Self::Known { mailbox, action } => write!(f, "{}: {action}", mailbox.name.value),
            Self::Open => f.write_str("not a mailbox's form, but the header may name one"),
            Self::UnknownKey { mailbox } => write!(f, "{}: the key has no known form", mailbox.name.value),
        }
    }
}

/// `[refuse]` and what it needs of the mailboxes.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusable {
    accepted: AddressSet,
    dedicated: AddressSet,
    closed: HashSet<String>,
    envelope_first: bool,
}

impl Refusable {
    /// Reads `[refuse]`. An entry outside of the mailboxes' domains would do nothing, so it is a mistake.
    pub(super) fn read(
        config: &Config,
        domains: &HashSet<String>,
        lists: &[Vec<AddressSource>],
        dedicated: impl IntoIterator<Item = Address>,
    ) -> Result<Self, ConfigError> {
        let place = |list: &Vec<AddressSource>| list.iter().position(|source| *source == AddressSource::Envelope);
        let envelope_first = lists.iter().all(|list| place(list).is_none_or(|place| place == 0));
        let mut refusable = Self { envelope_first, ..Self::default() };
        dedicated.into_iter().for_each(|address| refusable.dedicated.add(&address));
        let check = |domain: &str, located: &Located<String>| {
            let domain = canonical_domain(domain);
            if domains.contains(&domain) {
                return Ok(domain);
            }
            let message = format!("{domain} is not the domain of a mailbox: nothing is refused there");
            Err(config.error_at(located, message))
        };
        for located in &config.refuse.closed {
            refusable.closed.insert(check(&located.value, located)?);
        }
        for located in &config.refuse.accept {
            let Some(address) = Address::parse(&located.value) else {
                let message = format!("\"{}\" is not a valid mail address", located.value);
                return Err(config.error_at(located, message));
            };
            check(address.domain(), located)?;
            refusable.accepted.add(&address);
        }
        Ok(refusable)
    }

    /// What is said of an address in a mailbox's domain before its form is looked at.
    pub(super) fn named(&self, address: &Address, domain: &str) -> Option<Foreseeable> {
        if self.accepted.has(address, domain) || address.local().eq_ignore_ascii_case("postmaster") {
            return Some(Foreseeable::Accepted);
        }
        self.dedicated.has(address, domain).then_some(Foreseeable::Dedicated)
    }

    /// What is said of an address that has no mailbox's form.
    pub(super) fn formless(&self, domain: &str) -> Foreseeable {
        if self.closed.contains(domain) { Foreseeable::Closed } else { Foreseeable::Open }
    }

    /// Whether the envelope is looked at before everything else, whichever mailbox is asked.
    pub(super) fn is_envelope_first(&self) -> bool {
        self.envelope_first
    }
}

/// Addresses, each with all of its sub-addresses (`name+anything@`), without regard to case: it says who is not refused, and
/// most mail systems fold both.
#[derive(Clone, Debug, Default)]
struct AddressSet {
    locals: HashMap<String, HashSet<String>>,
    lengths: Vec<usize>,
}

impl AddressSet {
    fn add(&mut self, address: &Address) {
        let local = address.local().to_lowercase();
        if let Err(place) = self.lengths.binary_search(&local.len()) {
            self.lengths.insert(place, local.len());
        }
        self.locals.entry(canonical_domain(address.domain())).or_default().insert(local);
    }

    fn has(&self, address: &Address, domain: &str) -> bool {
        let Some(locals) = self.locals.get(domain) else { return false };
        let local = address.local().to_lowercase();
        // Each length that occurs is tried once, however many delimiters a stranger puts in.
        self.lengths.iter().any(|&length| {
            let ends = local.len() == length || local.as_bytes().get(length) == Some(&b'+');
            ends && local.get(..length).is_some_and(|name| locals.contains(name))
        })
    }
}
