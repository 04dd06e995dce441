//! One mail address.

use std::fmt;

/// An address with a local part and a domain, as SMTP carries it (RFC 5321 section 4.1.2).
///
/// The text is kept byte for byte, because a key in the local part is case-sensitive. Comparing is done with
/// [`Address::is_same_mailbox`], which folds the case of the domain only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    at: usize,
}

impl Address {
    /// RFC 5321 section 4.5.3.1.3: a path is at most 256 octets, of which two are the angle brackets.
    /// Intake is more generous than that: a long key must not cost a message.
    pub const LONGEST: usize = 1000;

    /// Reads an address without angle brackets. `None` if there is no local part or no domain, or if it holds
    /// a control character, a blank outside of quotes, or an angle bracket.
    pub fn parse(text: &str) -> Option<Self> {
        let at = text.rfind('@')?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.is_empty() || domain.is_empty() || text.len() > Self::LONGEST {
            return None;
        }
        if text.chars().any(|c| c.is_control() || c == '<' || c == '>') {
            return None;
        }
        let quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
        if domain.contains([' ', '"', ',', ';']) || (!quoted && local.contains([' ', ',', ';'])) {
            return None;
        }
        Some(Self { text: text.to_owned(), at })
    }

    /// What stands before the last `@`, quotes included.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands after the last `@`.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The whole address as it came in.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether mail for both arrives in one place: domains compare without regard to case, local parts byte for byte
    /// (RFC 5321 section 2.4).
    pub fn is_same_mailbox(&self, other: &Address) -> bool {
        self.local() == other.local() && self.domain().eq_ignore_ascii_case(other.domain())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses_are_read_or_refused() {
        let rows: &[(&str, &str, bool)] = &[
            ("plain", "jane@example.org", true),
            ("quoted local part with a blank", "\"a b\"@example.org", true),
            ("at sign in a quoted local part", "\"a@b\"@example.org", true),
            ("address literal", "jane@[192.0.2.1]", true),
            ("internationalised", "jürgen@exämple.org", true),
            ("no domain", "jane@", false),
            ("no local part", "@example.org", false),
            ("no at sign", "jane", false),
            ("blank without quotes", "ja ne@example.org", false),
            ("line end", "jane@example.org\r\nRCPT TO:<x@y>", false),
            ("angle bracket", "<jane@example.org", false),
        ];
        for (name, text, good) in rows {
            assert_eq!(Address::parse(text).is_some(), *good, "{name}");
        }
    }

    #[test]
    fn only_the_domain_folds_its_case() {
        let address = |text| Address::parse(text).expect("address");
        assert!(address("Jane@Example.ORG").is_same_mailbox(&address("Jane@example.org")));
        assert!(!address("Jane@example.org").is_same_mailbox(&address("jane@example.org")));
    }
}
