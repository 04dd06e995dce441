//! The address of a mailbox: `incoming+%{key}@host`, one with a key of its own, or a dedicated one for replies.

use super::key::Key;
use crate::config::{Config, ConfigError, MailboxConfig};
use crate::mail::{Address, canonical_domain};

/// Where the key stands in a configured address.
const PLACEHOLDER: &str = "%{key}";

/// The address of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MailboxAddress {
    /// Each key has an address of its own.
    Pattern(AddressPattern),
    /// One address for everybody: a key can only come from References.
    Dedicated(Address),
    /// One address for everybody, whose messages all have this key.
    Fixed(Address, Key),
}

/// What stands around the key, in lower case: only the key itself is case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressPattern {
    /// Before the key: `incoming+`, or nothing for a catch-all.
    pub before: String,
    /// Between the key and the `@`: mostly nothing.
    pub after: String,
    /// Behind the `@`.
    pub domain: String,
}

impl MailboxAddress {
    /// Reads the address of a mailbox.
    pub fn read(config: &Config, mailbox: &MailboxConfig) -> Result<Self, ConfigError> {
        let located = &mailbox.address;
        let text = located.value.as_str();
        let wrong = |message: String| Err(config.error_at(located, message));
        if let Some(key) = mailbox.key.as_ref().filter(|_| text.contains(PLACEHOLDER)) {
            return Err(config.error_at(key, "a key of its own is for an address without %{key}"));
        }
        match text.matches(PLACEHOLDER).count() {
            0 => match Address::parse(text) {
                Some(address) => match &mailbox.key {
                    None => Ok(Self::Dedicated(address)),
                    Some(key) => {
                        let fixed = Key::new(&key.value).map(|fixed| Self::Fixed(address, fixed));
                        fixed.ok_or_else(|| config.error_at(key, "a key has at least one character, and no line end"))
                    }
                },
                None => wrong(format!("\"{text}\" is not a valid mail address: write incoming+%{{key}}@example.com")),
            },
            1 => {
                let Some(address) = Address::parse(&text.replace(PLACEHOLDER, "key")) else {
                    return wrong(format!(
                        "\"{text}\" is not a valid mail address: write incoming+%{{key}}@example.com"
                    ));
                };
                let local = text.strip_suffix(address.domain()).and_then(|rest| rest.strip_suffix('@'));
                match local.and_then(|local| local.split_once(PLACEHOLDER)) {
                    Some((before, after)) => Ok(Self::Pattern(AddressPattern {
                        before: before.to_ascii_lowercase(),
                        after: after.to_ascii_lowercase(),
                        domain: canonical_domain(address.domain()),
                    })),
                    None => wrong(format!("in \"{text}\" the %{{key}} must stand before the @")),
                }
            }
            _ => wrong(format!("\"{text}\" has more than one %{{key}}: nobody could tell which is which")),
        }
    }

    /// The domain, in lower case and without a dot at its end.
    pub fn domain(&self) -> String {
        match self {
            Self::Pattern(pattern) => pattern.domain.clone(),
            Self::Dedicated(address) | Self::Fixed(address, _) => canonical_domain(address.domain()),
        }
    }
}
