//! The name of a credential. It becomes part of file names, so nothing else is ever looked at.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// `[A-Za-z0-9_-]`, at most 100 of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct CredentialName(String);

impl CredentialName {
    /// The longest one, in octets: with what stands before and behind it, it is a file name.
    const LONGEST: usize = 100;

    /// What systemd knows it by: a name of its own among those of other services.
    pub fn id(&self) -> String {
        format!("mailhatch.{}", self.0)
    }

    /// The name in what systemd knows.
    pub(super) fn of_id(id: &str) -> Option<Self> {
        id.strip_prefix("mailhatch.")?.parse().ok()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CredentialName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_allowed = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
        match !text.is_empty() && text.len() <= Self::LONGEST && text.bytes().all(is_allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "not a valid name of a credential: it has 1 to {} letters, digits, \"_\" and \"-\"",
                Self::LONGEST
            )),
        }
    }
}

impl TryFrom<String> for CredentialName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_harmless_in_a_file_name_is_a_name() {
        let longest = "a".repeat(CredentialName::LONGEST);
        let too_long = format!("{longest}a");
        let rows: &[(&str, bool)] = &[
            ("gitlab", true),
            ("Git_Lab-2", true),
            (&longest, true),
            (&too_long, false),
            ("", false),
            (".", false),
            ("..", false),
            ("../gitlab", false),
            ("a/b", false),
            ("a.b", false),
            ("a b", false),
            ("a\0", false),
            ("a\n", false),
            ("ä", false),
            ("%h", false),
        ];
        for (text, good) in rows {
            assert_eq!(text.parse::<CredentialName>().is_ok(), *good, "{text:?}");
        }
    }
}
