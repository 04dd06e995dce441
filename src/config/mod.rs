//! `mailhatch.toml` as types.
//!
//! This module reads and checks what the file alone can tell. What needs another module's knowledge (an address pattern, a
//! URL, a secret) is kept as [`Located`] text, and that module reports mistakes with [`Config::error_at`], so that every
//! configuration error shows its line.

mod app;
mod error;
mod file;
mod inbox;
mod inbox_oauth;
mod inbox_table;
mod located;
mod mailbox;
mod secret;
mod sections;
mod shared;
pub(crate) mod units;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use app::{AppConfig, AppTable, EventPart};
pub use error::ConfigError;
pub use file::ConfigFile;
pub use inbox::{
    AfterDelivery, FetchConfig, GraphConfig, ImapAuth, ImapConfig, ImapSecurity, InboxConfig, InboxSource, Since,
};
pub use inbox_oauth::OAuthConfig;
use inbox_table::InboxTable;
pub use inbox_table::{OAuthFlow, Provider, UnknownMail};
pub use located::Located;
pub use mailbox::{ActionSet, ActionsConfig, AddressSource, CustomAction, MailboxConfig, Unproven};
pub use secret::{Secret, SecretKeys, SecretSource};
pub use sections::{
    AuthConfig, AuthMethod, HeldConfig, Limits, Listen, ListenAddress, LogConfig, LogFormat, LogTarget, MailboxScreen,
    NoticeConfig, RefuseConfig, RefuseMode, ScreenAction, ScreenConfig, SpamAction,
};
pub use shared::{HostPort, SharedConfig, SharedServer, SharedUrl, WhenDown};

use crate::credential::CredentialName;

/// Where the configuration is if `--config` does not say.
pub const DEFAULT_PATH: &str = "/etc/mailhatch/mailhatch.toml";

/// The kind of application whose mailboxes have its key forms without saying so.
const GITLAB: &str = "gitlab";

/// The whole configuration, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(skip)]
    file: ConfigFile,
    /// Our name in LMTP greetings, notices and logs.
    #[serde(default = "system_hostname")]
    pub hostname: String,
    /// Where the ledger and the held messages are.
    #[serde(default = "default_state_dir")]
    pub state_dir: PathBuf,
    /// `[listen]`
    #[serde(default)]
    pub listen: Listen,
    /// `[limits]`
    #[serde(default)]
    pub limits: Limits,
    /// `[[mailbox]]`, in order.
    #[serde(default, rename = "mailbox")]
    pub mailboxes: Vec<MailboxConfig>,
    /// `[[app]]`
    #[serde(default, rename = "app")]
    pub apps: Vec<AppConfig>,
    /// `[[inbox]]`, as it is written.
    #[serde(default, rename = "inbox")]
    inbox_tables: Vec<Located<InboxTable>>,
    /// `[[inbox]]`, checked.
    #[serde(skip)]
    pub inboxes: Vec<InboxConfig>,
    /// `[fetch]`
    #[serde(default)]
    pub fetch: FetchConfig,
    /// `[screen]`
    #[serde(default)]
    pub screen: ScreenConfig,
    /// `[auth]`
    #[serde(default)]
    pub auth: AuthConfig,
    /// `[notice]`
    #[serde(default)]
    pub notice: NoticeConfig,
    /// `[held]`
    #[serde(default)]
    pub held: HeldConfig,
    /// `[refuse]`
    #[serde(default)]
    pub refuse: RefuseConfig,
    /// `[shared]`; `None`: this host shares its ledger with no other.
    pub shared: Option<SharedConfig>,
    /// `[log]`
    #[serde(default)]
    pub log: LogConfig,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// It cannot be read, or what is wrong in it, with its line.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        let config = Self::parse(path, &text)?;
        // Before root becomes somebody who cannot; a service gets them from the service manager.
        if nix::unistd::geteuid().is_root() {
            config.file.opened.open(config.credentials());
        }
        Ok(config)
    }

    /// Checks the text of a configuration file; `path` is for error messages.
    ///
    /// # Errors
    /// What is wrong in it, with its line.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let source = error::Source::new(path, text);
        let config = toml::from_str::<Self>(text).map_err(|error| source.syntax_error(&error))?;
        let mut config = Self { file: ConfigFile { source, ..ConfigFile::default() }, ..config };
        config.inboxes =
            config.inbox_tables.iter().map(|table| inbox::read(&config.file, table)).collect::<Result<_, _>>()?;
        let shared_secret =
            config.shared.as_ref().map(|shared| shared.read_secret(&config.file)).transpose()?.flatten();
        if let Some(shared) = &mut config.shared {
            shared.secret = shared_secret;
        }
        config.check()?;
        Ok(config)
    }

    /// The tables of the applications, for their kinds to read; in the order of [`Config::apps`].
    ///
    /// # Errors
    /// None that [`Config::parse`] would not have found.
    pub fn app_tables(&self) -> Result<Vec<AppTable<'_>>, ConfigError> {
        AppTable::all(&self.file.source)
    }

    /// What a part of the configuration needs of the whole.
    pub fn file(&self) -> &ConfigFile {
        &self.file
    }

    /// An error that shows where `at` stands in the file.
    pub fn error_at<T>(&self, at: &Located<T>, message: impl Into<String>) -> ConfigError {
        self.file.error_at(at, message)
    }

    /// An error that no single place in the file shows.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        self.file.error(message)
    }

    /// The application of a name; every mailbox names one that exists.
    pub fn app(&self, name: &str) -> Option<&AppConfig> {
        self.apps.iter().find(|app| app.name.value == name)
    }

    /// The inbox of a name.
    pub fn inbox(&self, name: &str) -> Option<&InboxConfig> {
        self.inboxes.iter().find(|inbox| inbox.name.value == name)
    }

    /// Where the secret of an application is, if it names one.
    pub fn secret_of(&self, app: &AppConfig) -> Option<SecretSource> {
        let keys = SecretKeys { secret_file: app.secret_file.clone(), credential: app.credential.clone() };
        keys.choose(&self.file, &app.name).ok()
    }

    /// The credentials that are named, each as often as it is.
    fn credentials(&self) -> impl Iterator<Item = &CredentialName> {
        let inboxes = self.inbox_tables.iter().filter_map(|inbox| inbox.value.credential.as_ref());
        self.application_credentials().chain(inboxes.map(|name| &name.value))
    }

    /// Those that are needed wherever mail is handed over.
    pub fn application_credentials(&self) -> impl Iterator<Item = &CredentialName> {
        let shared = self.shared.as_ref().and_then(|shared| shared.credential.as_ref());
        self.apps.iter().filter_map(|app| app.credential.as_ref()).chain(shared).map(|name| &name.value)
    }

    /// The actions in force for a mailbox.
    pub fn actions_of<'c>(&self, mailbox: &'c MailboxConfig) -> ActionsConfig<'c> {
        let is_gitlab = || self.app(&mailbox.app.value).is_some_and(|app| app.kind.value == GITLAB);
        match &mailbox.actions {
            _ if mailbox.key.is_some() => ActionsConfig::Named(ActionSet::Any),
            Some(named) => ActionsConfig::Named(named.value),
            None if !mailbox.action.is_empty() => ActionsConfig::Custom(&mailbox.action),
            None if is_gitlab() => ActionsConfig::Named(ActionSet::Gitlab),
            None => ActionsConfig::Named(ActionSet::Any),
        }
    }

    /// What no single value can tell.
    fn check(&self) -> Result<(), ConfigError> {
        self.check_names("app", self.apps.iter().map(|app| &app.name))?;
        self.check_names("mailbox", self.mailboxes.iter().map(|mailbox| &mailbox.name))?;
        self.check_names("inbox", self.inboxes.iter().map(|inbox| &inbox.name))?;
        self.mailboxes.iter().try_for_each(|mailbox| self.check_mailbox(mailbox))?;
        if self.mailboxes.is_empty() {
            return Err(self.error("there is no [[mailbox]]: no mail could be handed over"));
        }
        if self.limits.memory < self.limits.message_size {
            return Err(self.error("limits.memory is below limits.message_size: no large message could ever come in"));
        }
        if self.auth.method == AuthMethod::Trust && self.auth.authserv_ids.is_empty() {
            return Err(self.error(
                "auth.method = \"trust\" needs auth.authserv_ids: the id that your own MTA writes into \
                 Authentication-Results",
            ));
        }
        self.shared.as_ref().map_or(Ok(()), |shared| shared.check(&self.file))
    }

    fn check_names<'c>(&self, kind: &str, names: impl Iterator<Item = &'c Located<String>>) -> Result<(), ConfigError> {
        let mut seen = HashSet::new();
        for name in names {
            let text = &name.value;
            if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/') {
                let message = format!(
                    "\"{text}\" is not a valid name for an {kind}: it stands in URLs and logs, so it takes no blank \
                     and no slash"
                );
                return Err(self.error_at(name, message));
            }
            if !seen.insert(text) {
                return Err(self.error_at(name, format!("a second {kind} with the name \"{text}\"")));
            }
        }
        Ok(())
    }

    fn check_mailbox(&self, mailbox: &MailboxConfig) -> Result<(), ConfigError> {
        let app = &mailbox.app;
        if self.app(&app.value).is_none() {
            return Err(self.error_at(app, format!("there is no [[app]] with the name \"{}\"", app.value)));
        }
        if let Some(key) = mailbox.key.as_ref().filter(|_| mailbox.actions.is_some() || !mailbox.action.is_empty()) {
            let message =
                "a mailbox with a key of its own takes every message as the action message: it has no actions";
            return Err(self.error_at(key, message));
        }
        if let Some(actions) = mailbox.actions.as_ref().filter(|_| !mailbox.action.is_empty()) {
            let message = "a mailbox has either actions = \"…\" or [[mailbox.action]], not both";
            return Err(self.error_at(actions, message));
        }
        Ok(())
    }
}

fn default_state_dir() -> PathBuf {
    PathBuf::from("/var/lib/mailhatch")
}

fn system_hostname() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}
