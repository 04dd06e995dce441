//! `[[mailbox]]`: an address, where it may stand, and the application behind it.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::located::Located;
use super::sections::MailboxScreen;

/// `[[mailbox]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxConfig {
    /// Its name, in logs, events and GitLab's URL.
    pub name: Located<String>,
    /// The address, with or without `%{key}`.
    pub address: Located<String>,
    /// The key of every message for an address without `%{key}`; `None`: such an address takes replies only.
    pub key: Option<Located<String>>,
    /// Where the address may stand, in order.
    #[serde(default = "all_sources", deserialize_with = "some_sources")]
    pub sources: Vec<AddressSource>,
    /// The host of reply ids in References; `None`: the domain of the address.
    pub references_host: Option<String>,
    /// Which keys are which actions; only one of the two is given. [`super::Config::actions_of`] says what is in force.
    pub(super) actions: Option<Located<ActionSet>>,
    #[serde(default)]
    pub(super) action: Vec<CustomAction>,
    /// The name of an `[[app]]`.
    pub app: Located<String>,
    /// What becomes of a message whose From nobody proves.
    #[serde(default)]
    pub unproven: Unproven,
    /// What becomes of machine-made and of marked mail, where that is not as `[screen]` says.
    #[serde(default)]
    pub screen: MailboxScreen,
}

/// `[[mailbox.action]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomAction {
    /// What a key asks for that the pattern matches.
    pub name: String,
    /// A regular expression over the key.
    pub pattern: Located<String>,
}

/// `actions`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionSet {
    /// Every key is the action `message`.
    Any,
    /// GitLab's key forms.
    Gitlab,
    /// Every key is `service-desk`.
    GitlabServiceDesk,
}

/// The actions in force for a mailbox.
#[derive(Clone, Copy, Debug)]
pub enum ActionsConfig<'c> {
    /// `[[mailbox.action]]`, in order.
    Custom(&'c [CustomAction]),
    /// `actions`, or what the application's kind begins with.
    Named(ActionSet),
}

/// What becomes of a message whose From nobody proves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unproven {
    /// It is handed over like any other.
    #[default]
    Deliver,
    /// It is held.
    Hold,
}

/// Where an address may stand (DESIGN section 2.3).
#[allow(missing_docs, reason = "each variant is the header field of its name")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressSource {
    Envelope,
    To,
    DeliveredTo,
    XDeliveredTo,
    EnvelopeTo,
    XEnvelopeTo,
    Received,
    XOriginalTo,
    XForwardedTo,
    Cc,
    References,
}

impl AddressSource {
    /// All of them, in the default order.
    pub const ALL: [Self; 11] = [
        Self::Envelope,
        Self::To,
        Self::DeliveredTo,
        Self::XDeliveredTo,
        Self::EnvelopeTo,
        Self::XEnvelopeTo,
        Self::Received,
        Self::XOriginalTo,
        Self::XForwardedTo,
        Self::Cc,
        Self::References,
    ];

    /// The name in the configuration, in events and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::To => "to",
            Self::DeliveredTo => "delivered-to",
            Self::XDeliveredTo => "x-delivered-to",
            Self::EnvelopeTo => "envelope-to",
            Self::XEnvelopeTo => "x-envelope-to",
            Self::Received => "received",
            Self::XOriginalTo => "x-original-to",
            Self::XForwardedTo => "x-forwarded-to",
            Self::Cc => "cc",
            Self::References => "references",
        }
    }
}

fn all_sources() -> Vec<AddressSource> {
    AddressSource::ALL.to_vec()
}

fn some_sources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AddressSource>, D::Error> {
    let sources = Vec::deserialize(deserializer)?;
    if sources.is_empty() {
        return Err(D::Error::custom("a mailbox without sources could never be found"));
    }
    Ok(sources)
}
