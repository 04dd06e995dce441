//! What a DKIM signature says of a message besides that it verifies: whom the signer addressed, and when.
//!
//! A signature speaks of a message, not of an envelope (RFC 6376 section 8.6): whoever has one signed message can send it again, to
//! anybody. What stands in a signed To or Cc, the signer wrote.

use std::collections::HashSet;

use super::tag_list::TagList;
use crate::mail::{Message, canonical_domain};

/// Signed longer ago than this, a message is no longer on its way.
const LONGEST_ON_THE_WAY: u64 = 7 * 24 * 3600;
/// Clocks differ.
const FASTEST_CLOCK: u64 = 5 * 60;

/// What a signature covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    /// t=, x=, in seconds since 1970.
    signed_at: Option<u64>,
    expires_at: Option<u64>,
    covers_from: bool,
    addressees: HashSet<String>,
}

impl Coverage {
    /// Reads the tags of a signature of `message`; an error names the tag that cannot be read.
    pub(super) fn read(tags: &TagList<'_>, message: &Message) -> Result<Self, &'static str> {
        let names: Vec<&str> = tags.words("h").ok_or("h=")?.collect();
        let signed = |name: &str| names.iter().filter(|signed| signed.eq_ignore_ascii_case(name)).count();
        // RFC 6376 section 5.4.2: of several fields of one name the lowest are signed, as many as h= names.
        let fields = ["To", "Cc"].into_iter().flat_map(|name| message.all(name).rev().take(signed(name)));
        let addressees =
            fields.flat_map(|field| field.addresses()).filter_map(|entry| addressee(entry.address?.as_str()));
        Ok(Self {
            signed_at: tags.number("t").map_err(|()| "t=")?,
            expires_at: tags.number("x").map_err(|()| "x=")?,
            covers_from: signed("From") > 0,
            addressees: addressees.collect(),
        })
    }

    /// Why it says nothing of who sends this copy now, if it does not.
    pub(super) fn is_stale(&self, now: u64) -> Option<&'static str> {
        if !self.covers_from {
            return Some("From is not signed");
        }
        if self.expires_at.is_some_and(|expires| expires <= now) {
            return Some("it has expired");
        }
        match self.signed_at {
            Some(signed) if signed > now.saturating_add(FASTEST_CLOCK) => Some("it was signed in the future"),
            Some(signed) if now.saturating_sub(signed) > LONGEST_ON_THE_WAY => {
                Some("it was signed over seven days ago")
            }
            _ => None,
        }
    }

    /// The addresses in a signed To or Cc, in the form of [`addressee`].
    pub(super) fn addressees(&self) -> impl Iterator<Item = &str> {
        self.addressees.iter().map(String::as_str)
    }
}

/// An address as it is compared with others: the local part byte for byte and without quotes that it does not need, the domain in
/// its one form.
pub(super) fn addressee(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    let quoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let local = quoted.filter(|inside| !inside.contains(['\\', '"'])).unwrap_or(local);
    (!local.is_empty() && !domain.is_empty()).then(|| format!("{local}@{}", canonical_domain(domain)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Content;

    fn read(tags: &str, header: &str) -> Coverage {
        let message = Message::parse(Content::whole(format!("{header}\r\n")));
        Coverage::read(&TagList::read(tags.as_bytes()).expect("tags"), &message).expect("coverage")
    }

    #[test]
    fn the_lowest_fields_are_signed() {
        let rows: &[(&str, &str, &str, &[&str])] = &[
            ("one field", "h=from:to", "To: a@x.example, B <b@X.example>\r\n", &["a@x.example", "b@x.example"]),
            ("two fields", "h=from:to:cc", "To: a@x\r\nCc: b@x\r\n", &["a@x", "b@x"]),
            ("not signed", "h=from:cc", "To: a@x\r\nCc: b@x\r\n", &["b@x"]),
            ("of two the lower", "h=To:from", "To: a@x\r\nTo: b@x\r\n", &["b@x"]),
            ("of two both", "h=to:from:TO", "To: a@x\r\nTo: b@x\r\n", &["a@x", "b@x"]),
            ("of three two", "h=to:to", "To: a@x\r\nTo: b@x\r\nTo: c@x\r\n", &["b@x", "c@x"]),
            ("blank before the colon", "h=to", "To : a@x\r\nTo: b@x\r\n", &["b@x"]),
            ("quotes without need", "h=to", "To: B <\"a\"@x>\r\n", &["a@x"]),
            ("a name that looks like an address", "h=to", "To: \"a@x\" <b@x>\r\n", &["b@x"]),
        ];
        for (name, tags, header, expected) in rows {
            let coverage = read(tags, header);
            let mut found: Vec<_> = coverage.addressees().collect();
            found.sort_unstable();
            assert_eq!(found, *expected, "{name}");
        }
    }

    #[test]
    fn a_signature_is_fresh_for_seven_days() {
        let now = 1_000_000_000;
        let rows: &[(&str, String, bool)] = &[
            ("without a time", "h=from".to_owned(), true),
            ("now", format!("h=from; t={now}"), true),
            ("seven days ago", format!("h=from; t={}", now - 604_800), true),
            ("a second more", format!("h=from; t={}", now - 604_801), false),
            ("a clock that is fast", format!("h=from; t={}", now + 300), true),
            ("the future", format!("h=from; t={}", now + 301), false),
            ("expires now", format!("h=from; x={now}"), false),
            ("expires", format!("h=from; x={}", now + 1), true),
            ("From is not signed", "h=to".to_owned(), false),
        ];
        for (name, tags, fresh) in rows {
            assert_eq!(read(tags, "").is_stale(now).is_none(), *fresh, "{name}");
        }
    }
}
