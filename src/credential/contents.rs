//! What a credential holds: a small TOML file. What is wrong with it is said by line; no error repeats a value or a key.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

/// A field of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Who logs in; not a secret.
    User,
    /// A password, or the one secret of an application.
    Password,
    /// The secret of an OAuth 2.0 client.
    ClientSecret,
    /// An OAuth 2.0 refresh token.
    RefreshToken,
}

impl Field {
    /// All of them, in the order in which they are asked for and written.
    pub const ALL: [Self; 4] = [Self::User, Self::Password, Self::ClientSecret, Self::RefreshToken];

    /// Its key.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Password => "password",
            Self::ClientSecret => "client_secret",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// Whether it may be shown.
    pub fn is_secret(self) -> bool {
        self != Self::User
    }
}

/// The fields of a credential that have a value. Wiped from memory; printed without a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contents {
    fields: BTreeMap<Field, Zeroizing<String>>,
}

impl Contents {
    /// The longest one, in octets. Tokens of Microsoft have some thousand.
    pub const LONGEST: usize = 64 * 1024;

    /// Reads the TOML of a credential.
    ///
    /// # Errors
    /// What is wrong, with its line and without a word of it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > Self::LONGEST {
            return Err(format!("it has more than {} octets", Self::LONGEST));
        }
        let text = std::str::from_utf8(text).map_err(|_| "it is not valid UTF-8".to_owned())?;
        let line = |offset: usize| text.get(..offset).map_or(0, |before| before.matches('\n').count()) + 1;
        let table = DeTable::parse(text).map_err(|error| {
            let line = line(error.span().map_or(0, |span| span.start));
            format!("line {line} is not valid TOML: a line is FIELD = \"VALUE\", and a \\ or \" in it is written \\\\ or \\\"")
        })?;
        let mut contents = Self::default();
        for (key, value) in table.into_inner() {
            let line = line(key.span().start);
            let field = Field::ALL.into_iter().find(|field| field.name() == key.get_ref().as_ref());
            let field = field.ok_or_else(|| format!("line {line} has none of the fields {}", names()))?;
            match value.into_inner() {
                DeValue::String(text) => contents.set(field, Zeroizing::new(text.into_owned())),
                _ => Err(format!("{} is not text in quotation marks", field.name())),
            }
            .map_err(|why| format!("line {line}: {why}"))?;
        }
        contents.check()?;
        Ok(contents)
    }

    /// Sets a field.
    ///
    /// # Errors
    /// It is not one line of text.
    pub fn set(&mut self, field: Field, value: Zeroizing<String>) -> Result<(), String> {
        if value.is_empty() || value.contains(char::is_control) {
            return Err(format!("{} must be one line of text that is not empty", field.name()));
        }
        self.fields.insert(field, value);
        Ok(())
    }

    /// Whether it is of any use.
    ///
    /// # Errors
    /// It holds no secret.
    pub fn check(&self) -> Result<(), String> {
        match self.fields().any(Field::is_secret) {
            true => Ok(()),
            false => Err("it holds neither a password nor a client_secret nor a refresh_token".to_owned()),
        }
    }

    /// The value of a field.
    pub fn get(&self, field: Field) -> Option<&str> {
        self.fields.get(&field).map(|value| value.as_str())
    }

    /// The fields that have a value.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.fields.keys().copied()
    }

    /// As TOML.
    pub fn to_toml(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for (field, value) in &self.fields {
            let quoted = Zeroizing::new(toml::Value::String(value.as_str().to_owned()).to_string());
            for part in [field.name(), " = ", quoted.as_str(), "\n"] {
                text.push_str(part);
            }
        }
        text
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields.keys()).finish()
    }
}

fn names() -> String {
    Field::ALL.map(Field::name).join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_wrong_is_said_without_a_word_of_it() {
        let rows: &[(&str, &str, Option<&str>)] = &[
            ("password", "password = \"hush\"", None),
            ("all", "user='u'\npassword='hush'\nclient_secret='hush'\nrefresh_token='hush'\n# hush", None),
            ("no TOML", "hush", Some("line 1 is not valid TOML")),
            ("not closed", "user = \"u\"\npassword = \"hush", Some("line 2 is not valid TOML")),
            ("twice", "password = \"hush\"\npassword = \"hush\"", Some("line 2 is not valid TOML")),
            ("another key", "user = \"u\"\nhush = \"hush\"", Some("line 2 has none of the fields")),
            ("a number", "password = 4711", Some("line 1: password is not text")),
            ("a table", "[password]\nhush = 1", Some("line 1: password is not text")),
            ("two lines", "password = \"hush\\nhush\"", Some("line 1: password must be one line")),
            ("empty", "password = \"\"", Some("line 1: password must be one line")),
            ("a user alone", "user = \"hush\"", Some("it holds neither")),
            ("nothing", "# hush\n", Some("it holds neither")),
        ];
        for (name, text, expected) in rows {
            let error = Contents::parse(text.as_bytes()).err();
            assert_eq!(error.is_some(), expected.is_some(), "{name}: {error:?}");
            let (error, expected) = (error.unwrap_or_default(), expected.unwrap_or_default());
            assert!(error.starts_with(expected), "{name}: {error}");
            assert!(!error.contains("hush") && !error.contains("4711"), "{name}: {error}");
        }
        assert!(Contents::parse(&[b'#'; Contents::LONGEST + 1]).is_err());
        assert!(Contents::parse(b"password = \"\xff\"").is_err());
    }

    #[test]
    fn it_is_printed_without_values() {
        let contents = Contents::parse(b"user = \"u\"\npassword = \"hush\"").expect("contents");
        assert_eq!(format!("{contents:?}"), "{User, Password}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(user in "[^\\p{C}]{1,40}", password in "[^\\p{C}]{1,40}") {
            let mut contents = Contents::default();
            contents.set(Field::User, Zeroizing::new(user)).map_err(TestCaseError::fail)?;
            contents.set(Field::Password, Zeroizing::new(password)).map_err(TestCaseError::fail)?;
            prop_assert_eq!(Contents::parse(contents.to_toml().as_bytes()), Ok(contents));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Contents::parse(&bytes);
        }
    }
}
