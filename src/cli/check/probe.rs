//! The addresses that `check` uses: of each mailbox one, with a key that says where it comes from.

use crate::config::MailboxConfig;
use crate::mail::Address;
use crate::route::Routes;

/// The key where any will do, and a name that nobody has.
pub(super) const KEY: &str = "mailhatch-check";

/// A key in GitLab's reply form, that GitLab never gives out.
const REPLY_KEY: &str = "00000000000000000000000000000000";

/// An address of a mailbox.
pub(super) fn address_of(mailbox: &MailboxConfig) -> String {
    with_key(mailbox, KEY)
}

/// An address of a mailbox that is not refused for its key; `None` if no key that we know has a form of its actions.
pub(super) fn acceptable_address_of(mailbox: &MailboxConfig, routes: &Routes) -> Option<String> {
    let is_acceptable = |text: &String| {
        let address = Address::parse(text);
        address.is_some_and(|address| !routes.could_be(&address).is_unknown_address())
    };
    [KEY, REPLY_KEY].iter().map(|key| with_key(mailbox, key)).find(is_acceptable)
}

fn with_key(mailbox: &MailboxConfig, key: &str) -> String {
    mailbox.address.value.replace("%{key}", key)
}
