//! The author of a message: the one address of the one From field, or all the domains of which one could be meant.

use std::collections::BTreeSet;

use crate::mail::lexical::without_comments;
use crate::mail::{Address, Field, Message, NamedAddress, comparable_domain};

/// Domains that are looked at; a person writes in the name of one.
const MOST_DOMAINS: usize = 8;

/// Who a message says it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Author {
    /// Nobody whose domain could be asked.
    Nobody,
    /// One field with one address.
    One(Address),
    /// One field with several addresses of one domain.
    OneDomain(String),
    /// More than that: readers show one address, and checkers look at another.
    Several {
        /// The domains.
        domains: Vec<String>,
        /// Whether these are all of them.
        complete: bool,
    },
}

impl Author {
    /// Reads all From fields.
    pub(super) fn of(message: &Message) -> Self {
        let mut fields = message.all("From");
        let (Some(field), second) = (fields.next(), fields.next()) else { return Self::Nobody };
        let entries = field.addresses();
        let brackets = field.raw().iter().filter(|&&byte| byte == b'<').count();
        // `Doe, Jane <jane@example.org>` is one address, and words that are none.
        let looks_like_more = entries.iter().any(|entry| entry.address.is_none() && has_at_sign(entry));
        let mut addresses = entries.into_iter().filter_map(|entry| entry.address);
        if let (Some(only), None, None) = (addresses.next(), addresses.next(), &second)
            && brackets <= 1
            && !looks_like_more
        {
            return Self::One(only);
        }
        let mut domains = BTreeSet::new();
        for field in message.all("From") {
            domains_in(&field, &mut domains);
            if domains.len() > MOST_DOMAINS {
                break;
            }
        }
        let complete = domains.len() <= MOST_DOMAINS;
        let mut domains: Vec<_> = domains.into_iter().take(MOST_DOMAINS).collect();
        match (domains.len(), second) {
            (0, _) => Self::Nobody,
            (1, None) => Self::OneDomain(domains.remove(0)),
            _ => Self::Several { domains, complete },
        }
    }

    /// The address, where there is only one.
    pub(super) fn only(&self) -> Option<&Address> {
        match self {
            Self::One(address) => Some(address),
            _ => None,
        }
    }
}

fn has_at_sign(entry: &NamedAddress) -> bool {
    entry.name.as_deref().is_some_and(|name| name.contains('@'))
}

/// Every domain that any reader could see in the field: behind each at sign of its text, also of what is encoded in it or written
/// around comments.
fn domains_in(field: &Field<'_>, domains: &mut BTreeSet<String>) {
    let text = field.text();
    for text in [&*text, &*without_comments(&text), &*field.decoded().text] {
        for (at, _) in text.match_indices('@') {
            let behind = text[at + 1..].trim_start();
            let end =
                behind.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '.' | '_'))).unwrap_or(behind.len());
            domains.extend(comparable_domain(&behind[..end]).filter(|domain| domain.contains('.')));
            if domains.len() > MOST_DOMAINS {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Content;

    #[test]
    fn every_domain_in_from_is_seen() {
        let several = |domains: &[&str]| Author::Several {
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
            complete: true,
        };
        let one = |text| Author::One(Address::parse(text).expect("address"));
        let rows: Vec<(&str, &str, Author)> = vec![
            ("one", "From: Jane <jane@a.example>\r\n", one("jane@a.example")),
            ("none", "To: x@a.example\r\n", Author::Nobody),
            ("no address", "From: Jane\r\n", Author::Nobody),
            ("two of one domain", "From: a@A.example, b@a.example\r\n", Author::OneDomain("a.example".into())),
            ("two of two domains", "From: a@a.example, b@b.example\r\n", several(&["a.example", "b.example"])),
            ("two fields", "From: a@a.example\r\nFrom: a@a.example\r\n", several(&["a.example"])),
            ("no comma", "From: <a@a.example> <b@b.example>\r\n", several(&["a.example", "b.example"])),
            ("a group", "From: g: a@a.example, b@b.example;\r\n", several(&["a.example", "b.example"])),
            (
                "encoded beside another",
                "From: =?utf-8?q?b=40b.example?=, <a@a.example>, c@c.example\r\n",
                several(&["a.example", "b.example", "c.example"]),
            ),
            (
                "a name in A-labels and one in U-labels",
                "From: a@bücher.example, b@xn--bcher-kva.example\r\n",
                Author::OneDomain("xn--bcher-kva.example".into()),
            ),
            ("a comment", "From: a@(x)a.example, b@b.example\r\n", several(&["a.example", "b.example"])),
            ("an address as name", "From: \"b@b.example\" <a@a.example>\r\n", one("a@a.example")),
        ];
        for (name, header, expected) in rows {
            let message = Message::parse(Content::whole(format!("{header}\r\n")));
            assert_eq!(Author::of(&message), expected, "{name}");
        }
    }

    #[test]
    fn what_is_left_out_is_known_to_be() {
        let many: Vec<_> = (0..20_000).map(|number| format!("x@d{number}.example")).collect();
        let message = Message::parse(Content::whole(format!("From: {}\r\n\r\n", many.join(", "))));
        assert!(
            matches!(Author::of(&message), Author::Several { complete: false, domains } if domains.len() == MOST_DOMAINS)
        );
    }
}
