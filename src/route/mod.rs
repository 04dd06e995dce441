//! Whose it is: the mailbox and the key in an address, and the action that the key's form asks for.
//!
//! Nothing here looks at who sent the message, and no key changes a byte on its way through.

mod action;
mod candidates;
mod could_be;
mod gitlab;
mod index;
mod key;
mod mask;
mod order;
mod pattern;
mod received;
mod recipients;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

pub use could_be::Foreseeable;
pub use key::Key;
pub use mask::Mask;

use action::{Actions, Compiled};
use could_be::Refusable;
use index::{Entry, Found, PatternIndex, ReplyIndex};
use mask::KeyForms;
use order::Stage;
use pattern::MailboxAddress;

use crate::config::{AddressSource, Config, ConfigError, MailboxConfig};
use crate::mail::{Address, Envelope, Message, Recipient, canonical_domain};
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

/// All mailboxes, ready to be asked. What an answer costs does not depend on their number.
#[derive(Clone, Debug)]
pub struct Routes {
    mailboxes: Vec<Mailbox>,
    stages: Vec<Stage>,
    replies: ReplyIndex,
    domains: HashSet<String>,
    refusable: Refusable,
    forms: Arc<KeyForms>,
}

#[derive(Clone, Debug)]
struct Mailbox {
    config: Arc<MailboxConfig>,
    actions: Actions,
}

impl Routes {
    /// Reads the address patterns and action patterns of a configuration.
    ///
    /// # Errors
    /// A pattern is not valid, or a mailbox could never be found: the error shows the line.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let (mut mailboxes, mut compiled) = (Vec::new(), Compiled::default());
        let (mut patterns, mut replies) = (PatternIndex::default(), ReplyIndex::default());
        let (mut lists, mut domains): (Vec<Vec<AddressSource>>, _) = (Vec::new(), HashSet::new());
        let mut dedicated = Vec::new();
        let (mut forms, mut hosts) = (Vec::new(), HashSet::new());
        for mailbox in &config.mailboxes {
            let address = MailboxAddress::read(config, mailbox)?;
            let actions = Actions::read(config, config.actions_of(mailbox), &mut compiled)?;
            check_can_be_found(config, mailbox, &address, &actions)?;
            let list = order::without_repeats(&mailbox.sources);
            let list = lists.iter().position(|known| *known == list).unwrap_or_else(|| {
                lists.push(list);
                lists.len() - 1
            });
            let entry = Entry { mailbox: mailboxes.len(), list };
            match &address {
                MailboxAddress::Pattern(pattern) => {
                    patterns.add(pattern, entry);
                    forms.push(pattern.clone());
                }
                MailboxAddress::Fixed(address, key) => patterns.add_fixed(address, key, entry),
                MailboxAddress::Dedicated(_) => {}
            }
            // Whatever key an id held, it would be another one than the mailbox's own.
            if !matches!(address, MailboxAddress::Fixed(..)) {
                let host = mailbox.references_host.clone().unwrap_or_else(|| address.domain());
                replies.add(&host, &actions, entry);
                hosts.insert(canonical_domain(&host));
            }
            domains.insert(address.domain());
            if let MailboxAddress::Dedicated(address) = address {
                dedicated.push(address);
            }
            mailboxes.push(Mailbox { config: Arc::new(mailbox.clone()), actions });
        }
        let refusable = Refusable::read(config, &domains, &lists, dedicated)?;
        hosts.extend(domains.iter().cloned());
        let forms = Arc::new(KeyForms::new(patterns, &forms, hosts));
        Ok(Self { mailboxes, stages: order::stages(&lists), replies, domains, refusable, forms })
    }

    /// Whose the message is for one recipient (DESIGN section 2.3): sources in order, inside a source the addresses in the
    /// order of the message, for an address the mailboxes in the order of the configuration. The first match ends the
    /// search, also if its key has none of the mailbox's forms.
    ///
    /// # Errors
    /// No mailbox is found, or the one that is found knows no action for the key.
    pub fn find(&self, message: &Message, recipient: &Recipient, trail: &mut Trail) -> Result<Route, Unrouted> {
        for stage in &self.stages {
            let name = stage.source.name();
            let Some(candidates) = candidates::candidates(stage.source, message, recipient) else {
                trail.step("route", name, "absent", String::new);
                continue;
            };
            let found = candidates.iter().find_map(|text| self.find_in(stage, text));
            let result = if found.is_some() { "match" } else { "no match" };
            trail.step("route", name, result, || shown(&candidates, found.as_ref()));
            if let Some(found) = found {
                return self.route(stage.source, &found, trail);
            }
        }
        Err(Unrouted::NoMailbox)
    }

    /// What could become of a message for an address, as the client writes it in RCPT TO. What the answer costs does not depend
    /// on the number of mailboxes.
    pub fn could_be(&self, address: &Address) -> Foreseeable {
        let domain = canonical_domain(address.domain());
        if !self.domains.contains(&domain) {
            return Foreseeable::Foreign;
        }
        if let Some(named) = self.refusable.named(address, &domain) {
            return named;
        }
        let text = address.as_str();
        let is_first = |stage: &&Stage| self.refusable.is_envelope_first() && stage.source == AddressSource::Envelope;
        if let Some(found) = self.stages.first().filter(is_first).and_then(|stage| self.find_in(stage, text))
            && let Some(Mailbox { config, actions }) = self.mailboxes.get(found.mailbox)
        {
            let mailbox = Arc::clone(config);
            let action = found.key().and_then(|key| actions.of(key.reveal()).map(|(action, _)| action.to_owned()));
            return match action {
                Some(action) => Foreseeable::Known { mailbox, action },
                None => Foreseeable::UnknownKey { mailbox },
            };
        }
        match self.forms.patterns.find(text, &|_| true).and_then(|found| self.mailboxes.get(found.mailbox)) {
            Some(mailbox) => Foreseeable::HeaderFirst { mailbox: Arc::clone(&mailbox.config) },
            None => self.refusable.formless(&domain),
        }
    }

    /// What may be said of a message: its keys are found in the envelope, and in the header where it could be read.
    pub fn mask_of(&self, envelope: &Envelope, message: Option<&Message>) -> Mask {
        let mut known = Vec::new();
        let recipients = envelope.recipients.iter();
        let texts = recipients.flat_map(|recipient| [Some(recipient.address.as_str()), recipient.original.as_deref()]);
        for text in texts.chain([envelope.sender.as_text()]).flatten() {
            if let Some(found) = self.forms.patterns.find(text, &|_| true) {
                known.extend(found.written_key().map(str::to_owned));
            }
            self.forms.keys_in(text, &mut known);
        }
        let header = message.map(|message| message.bytes().slice(..message.header().len()));
        Mask::new(Arc::clone(&self.forms), known, header.unwrap_or_default())
    }

    /// An address or an id as logs may show it: a key in it is cut.
    pub fn mask(&self, address: &str) -> String {
        self.bare_mask().address(address)
    }

    /// The same for a recipient: it is meant to be an address of ours, so in doubt everything behind a delimiter is a key.
    pub fn mask_recipient(&self, address: &str) -> String {
        self.bare_mask().recipient(address)
    }

    fn bare_mask(&self) -> Mask {
        Mask::new(Arc::clone(&self.forms), Vec::new(), Bytes::new())
    }

    /// Whether mail to the address would come back to one of our mailboxes, or its domain is the domain of one. The second
    /// covers the first: every address of a mailbox, with whatever key, is in the mailbox's domain.
    pub fn is_own(&self, address: &Address) -> bool {
        self.domains.contains(&canonical_domain(address.domain()))
    }

    fn find_in<'a>(&self, stage: &Stage, text: &'a str) -> Option<Found<'a>> {
        let admits = |list: usize| stage.admits(list);
        match stage.source {
            AddressSource::References => self.replies.find(text, &admits),
            _ => self.forms.patterns.find(text, &admits),
        }
    }

    fn route(&self, source: AddressSource, found: &Found<'_>, trail: &mut Trail) -> Result<Route, Unrouted> {
        // A key with a line end in it cannot be: fields are unfolded, and an address holds none.
        let (Some(mailbox), Some(key)) = (self.mailboxes.get(found.mailbox), found.key()) else {
            return Err(Unrouted::NoMailbox);
        };
        let matched = Matched { source, address: found.address.clone().into_owned() };
        let action = match source {
            AddressSource::References => mailbox.actions.reply(key.reveal()),
            _ => mailbox.actions.of(key.reveal()),
        };
        let name = &mailbox.config.name.value;
        let Some((action, captures)) = action else {
            trail.step("route", "action", "no match", || format!("{name}: the key has no known form"));
            return Err(Unrouted::UnknownAction { mailbox: Arc::clone(&mailbox.config), key, matched });
        };
        trail.step("route", "action", "match", || format!("{name}: {action}"));
        Ok(Route { mailbox: Arc::clone(&mailbox.config), action: action.to_owned(), key, captures, matched })
    }
}

/// A dedicated address is found by References alone, so it needs them among its sources, and actions that know replies.
fn check_can_be_found(
    config: &Config,
    mailbox: &MailboxConfig,
    address: &MailboxAddress,
    actions: &Actions,
) -> Result<(), ConfigError> {
    match address {
        MailboxAddress::Pattern(_) => return Ok(()),
        MailboxAddress::Fixed(..) if mailbox.sources == [AddressSource::References] => {
            let message = "a mailbox with a key of its own is not found by References: give it other sources";
            return Err(config.error_at(&mailbox.address, message));
        }
        MailboxAddress::Fixed(..) => return Ok(()),
        MailboxAddress::Dedicated(_) => {}
    }
    let never = "without %{key} an address is found by References only, which";
    if !mailbox.sources.contains(&AddressSource::References) {
        return Err(config.error_at(&mailbox.address, format!("{never} are not among the sources of this mailbox; or give it a key of its own, and it takes every message")));
    }
    if !actions.has_replies() {
        return Err(config.error_at(&mailbox.address, format!("{never} never give the action service-desk")));
    }
    Ok(())
}

/// The addresses looked at, up to the one that matched.
fn shown(candidates: &[Cow<'_, str>], found: Option<&Found<'_>>) -> String {
    const MOST: usize = 300;
    if let Some(found) = found {
        return found.address.clone().into_owned();
    }
    let mut text = String::new();
    for candidate in candidates {
        if text.len() + candidate.len() > MOST {
            text.push('…');
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(candidate);
    }
    text
}
