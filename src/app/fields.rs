//! `fields`: form fields of an application, with placeholders for what is known of the message.

use std::collections::BTreeMap;

use regex::Regex;

use super::event::Event;
use super::settings::Setup;
use crate::config::{ActionsConfig, ConfigError, Located};

/// Form fields by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, Template)>);

/// Text with placeholders in it.
#[derive(Clone, Debug)]
struct Template(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Key,
    Recipient,
    /// A part of the key by name.
    Capture(String),
}

impl Fields {
    /// Reads them; `reserved` are names that the application's kind fills in itself.
    pub fn read(
        setup: &Setup<'_, '_>,
        fields: &Located<BTreeMap<String, String>>,
        reserved: &[&str],
    ) -> Result<Self, ConfigError> {
        let read = |(name, text): (&String, &String)| {
            if reserved.contains(&name.as_str()) {
                return Err(format!("the field {name} is not yours to set: mailhatch fills it in"));
            }
            if name.is_empty() || name.contains(|c: char| c.is_control() || c == '"') {
                return Err(format!("\"{name}\" is not a valid name of a form field"));
            }
            Ok((name.clone(), Template::read(setup, text)?))
        };
        let read = fields.value.iter().map(read).collect::<Result<_, _>>();
        read.map(Self).map_err(|message| setup.config.error_at(fields, message))
    }

    /// The key alone, under a name.
    pub fn key(name: &str) -> Self {
        Self(vec![(name.to_owned(), Template(vec![Piece::Key]))])
    }

    /// With another field that is always the same.
    pub fn and(mut self, name: &str, text: &str) -> Self {
        self.0.push((name.to_owned(), Template(vec![Piece::Text(text.to_owned())])));
        self
    }

    /// The fields of an event. One that is empty is left out: the key does not have that part.
    pub fn of(&self, event: &Event) -> Vec<(&str, String)> {
        let value = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Key => event.route.key.reveal().to_owned(),
            Piece::Recipient => event.recipient.address.clone(),
            Piece::Capture(name) => event.route.captures.get(name).cloned().unwrap_or_default(),
        };
        let fields = self.0.iter().map(|(name, Template(pieces))| (name.as_str(), pieces.iter().map(value).collect()));
        fields.filter(|(_, text): &(&str, String)| !text.is_empty()).collect()
    }

    /// The fields as they are for each message of a mailbox with this key; `None` for a field that differs.
    pub fn without_event(&self, key: Option<&str>) -> Vec<(&str, Option<String>)> {
        let value = |piece: &Piece| match piece {
            Piece::Text(text) => Some(text.clone()),
            Piece::Key => key.map(str::to_owned),
            Piece::Recipient | Piece::Capture(_) => None,
        };
        self.0.iter().map(|(name, Template(pieces))| (name.as_str(), pieces.iter().map(value).collect())).collect()
    }
}

impl Template {
    fn read(setup: &Setup<'_, '_>, text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once("%{") {
            let Some((name, after)) = behind.split_once('}') else {
                return Err(format!("in \"{text}\" a %{{ has no end"));
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(match name {
                "key" => Piece::Key,
                "recipient" => Piece::Recipient,
                name if can_be_captured(setup, name) => Piece::Capture(name.to_owned()),
                _ => {
                    return Err(format!(
                        "%{{{name}}} is not known: write %{{key}}, %{{recipient}}, or the name of a group in the \
                         pattern of a [[mailbox.action]] with this app"
                    ));
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

/// Whether a key of any mailbox of the application could have a part of that name.
fn can_be_captured(setup: &Setup<'_, '_>, name: &str) -> bool {
    let own = setup.config.mailboxes.iter().filter(|mailbox| mailbox.app.value == setup.name.value);
    own.map(|mailbox| setup.config.actions_of(mailbox)).any(|actions| match actions {
        // A pattern that is wrong is complained of where it is read.
        ActionsConfig::Custom(actions) => actions.iter().any(|action| {
            let pattern = Regex::new(&action.pattern.value);
            pattern.is_ok_and(|pattern| pattern.capture_names().flatten().any(|known| known == name))
        }),
        ActionsConfig::Named(_) => false,
    })
}
