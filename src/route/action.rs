//! What a key asks for.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use super::gitlab::{self, Captures};
use crate::config::{self, ActionSet, ActionsConfig, Config, ConfigError, Located};

/// The action that a message found by References has, and no other.
const REPLY: &str = "reply";

/// The action of a key that is taken as it is.
const MESSAGE: &str = "message";

/// Which keys of a mailbox are which actions.
#[derive(Clone, Debug)]
pub(super) enum Actions {
    /// Every key is the action `message`.
    Any,
    /// The first pattern that matches the whole key.
    Custom(Arc<[CustomAction]>),
    /// GitLab's forms.
    Gitlab,
    /// Every key is `service-desk`.
    GitlabServiceDesk,
}

/// `[[mailbox.action]]`
#[derive(Clone, Debug)]
pub(super) struct CustomAction {
    name: String,
    pattern: Arc<Regex>,
}

/// The patterns compiled so far: mailboxes with the same patterns share them.
#[derive(Debug, Default)]
pub(super) struct Compiled(HashMap<String, Arc<Regex>>);

impl Actions {
    /// Compiles the patterns of a mailbox.
    pub fn read(config: &Config, actions: ActionsConfig<'_>, compiled: &mut Compiled) -> Result<Self, ConfigError> {
        Ok(match actions {
            ActionsConfig::Named(ActionSet::Any) => Self::Any,
            ActionsConfig::Named(ActionSet::Gitlab) => Self::Gitlab,
            ActionsConfig::Named(ActionSet::GitlabServiceDesk) => Self::GitlabServiceDesk,
            ActionsConfig::Custom(actions) => {
                let read = |action: &config::CustomAction| {
                    let pattern = compiled.pattern(config, &action.pattern)?;
                    Ok(CustomAction { name: action.name.clone(), pattern })
                };
                Self::Custom(actions.iter().map(read).collect::<Result<_, ConfigError>>()?)
            }
        })
    }

    /// The action of a key with the key's parts; `None` for a key of no known form.
    pub fn of(&self, key: &str) -> Option<(&str, Captures)> {
        match self {
            Self::Any => Some((MESSAGE, Captures::new())),
            Self::Gitlab => gitlab::action(key),
            Self::GitlabServiceDesk => Some(("service-desk", gitlab::project_of_service_desk(key))),
            Self::Custom(actions) => {
                actions.iter().find_map(|action| Some((action.name.as_str(), action.captures(key)?)))
            }
        }
    }

    /// The parts of a key that stood in References, where only a reply can be asked for; `None` if this mailbox does not
    /// take the key as one. A custom mailbox with patterns for `reply` takes what they match.
    pub fn reply(&self, key: &str) -> Option<(&'static str, Captures)> {
        let parts = match self {
            Self::Any => Captures::new(),
            Self::Gitlab => gitlab::reply(key)?,
            Self::GitlabServiceDesk => return None,
            Self::Custom(actions) => {
                let mut replies = actions.iter().filter(|action| action.name == REPLY).peekable();
                match replies.peek() {
                    None => Captures::new(),
                    Some(_) => replies.find_map(|action| action.captures(key))?,
                }
            }
        };
        Some((REPLY, parts))
    }

    /// Whether any key in References could be a reply to this mailbox.
    pub fn has_replies(&self) -> bool {
        !matches!(self, Self::GitlabServiceDesk)
    }

    /// Whether both take the same keys as replies.
    pub fn take_same_replies(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) | (Self::Gitlab, Self::Gitlab) => true,
            (Self::Custom(mine), Self::Custom(others)) => {
                let replies = |actions: &[CustomAction]| -> Vec<String> {
                    let replies = actions.iter().filter(|action| action.name == REPLY);
                    replies.map(|action| action.pattern.as_str().to_owned()).collect()
                };
                replies(mine) == replies(others)
            }
            _ => false,
        }
    }
}

impl CustomAction {
    fn captures(&self, key: &str) -> Option<Captures> {
        let found = self.pattern.captures(key)?;
        let named = self.pattern.capture_names().flatten();
        Some(named.filter_map(|name| Some((name.to_owned(), found.name(name)?.as_str().to_owned()))).collect())
    }
}

impl Compiled {
    fn pattern(&mut self, config: &Config, located: &Located<String>) -> Result<Arc<Regex>, ConfigError> {
        if let Some(pattern) = self.0.get(&located.value) {
            return Ok(Arc::clone(pattern));
        }
        let wrong = |error: regex::Error| {
            // The crate's message draws the pattern over several lines; its last line says what is wrong.
            let message = error.to_string();
            let reason = message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            config.error_at(located, format!("this pattern is not a valid regular expression: {reason}"))
        };
        // Alone first: `a)(b` must not become good by what is put around it.
        Regex::new(&located.value).map_err(wrong)?;
        let pattern = Arc::new(Regex::new(&format!(r"\A(?:{})\z", located.value)).map_err(wrong)?);
        self.0.insert(located.value.clone(), Arc::clone(&pattern));
        Ok(pattern)
    }
}
