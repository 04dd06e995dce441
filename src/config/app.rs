//! `[[app]]`: what every application has, and the table from which its kind reads the rest.
//!
//! This file knows no kind: each names its keys in its own file below `app/`, as a type with the fields that it needs.

use std::ops::Range;
use std::path::PathBuf;

use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Source};
use super::located::Located;
use crate::credential::CredentialName;

/// `[[app]]`, as far as it is looked at before its kind has read it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct AppConfig {
    /// Its name.
    pub name: Located<String>,
    /// What it is: `gitlab`, `webhook`, …
    pub kind: Located<String>,
    /// Where it is asked, if it is asked over HTTP.
    pub url: Option<Located<String>>,
    /// The file with its secret.
    pub secret_file: Option<Located<PathBuf>>,
    /// Or the credential with its secret.
    pub credential: Option<Located<CredentialName>>,
    /// Where it is written to, if it is a directory.
    pub path: Option<Located<PathBuf>>,
}

/// What an event carries beside the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventPart {
    /// Attachments with their content.
    Attachments,
    /// Text and HTML.
    Body,
    /// The whole message.
    Raw,
    /// Text without its quotation.
    Reply,
}

/// The table of one `[[app]]`. Whoever reads it takes the keys that he knows; what is left in the end is a mistake.
#[derive(Debug)]
pub struct AppTable<'c> {
    source: &'c Source,
    span: Range<usize>,
    left: DeTable<'c>,
    known: Vec<&'static str>,
}

impl<'c> AppTable<'c> {
    /// The tables of all applications, in order.
    pub(super) fn all(source: &'c Source) -> Result<Vec<Self>, ConfigError> {
        let file = DeTable::parse(&source.text).map_err(|error| source.syntax_error(&error))?;
        let Some(apps) = file.into_inner().remove("app") else { return Ok(Vec::new()) };
        let DeValue::Array(apps) = apps.into_inner() else { return Ok(Vec::new()) };
        let tables = apps.into_iter().filter_map(|app| {
            let span = app.span();
            let DeValue::Table(left) = app.into_inner() else { return None };
            Some(Self { source, span, left, known: Vec::new() })
        });
        Ok(tables.collect())
    }

    /// Takes the keys that are fields of `T`.
    ///
    /// # Errors
    /// A key that `T` needs is missing or wrong.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, ConfigError> {
        let source = self.source;
        T::deserialize(Fields(self)).map_err(|error| source.syntax_error(&error))
    }

    /// Ends reading.
    ///
    /// # Errors
    /// There is a key that nobody took.
    pub fn finish(self) -> Result<(), ConfigError> {
        let Some((key, _)) = self.left.iter().min_by_key(|(key, _)| key.span().start) else { return Ok(()) };
        let known = self.known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let message = format!("unknown field `{}` for this kind of app, expected one of {known}", key.get_ref());
        Err(self.source.error(Some(key.span()), message))
    }
}

/// Gives a struct the entries that are its fields, and no others.
struct Fields<'t, 'c>(&'t mut AppTable<'c>);

impl<'de> Deserializer<'de> for Fields<'_, 'de> {
    type Error = toml::de::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let table = self.0;
        let taken = fields.iter().filter_map(|field| table.left.remove_entry(*field)).collect::<DeTable<'_>>();
        table.known.extend(fields);
        toml::Deserializer::from(Spanned::new(table.span.clone(), taken)).deserialize_struct(name, fields, visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("the keys of an application are read as a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
