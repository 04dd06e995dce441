//! `mailhatch.toml` as types.
//!
//! This room reads and checks what the file alone can tell. What needs a room's own knowledge (an address pattern, a
//! URL, a secret) is kept as [`Located`] text, and that room reports mistakes with [`Config::error_at`], so that every
//! configuration error shows its line.

mod choices;
mod error;
mod file;
mod secret;
mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use choices::{AddressSource, AppKind, AuthMethod, EventPart, LogFormat, LogTarget, ScreenAction, Unproven};
pub use error::ConfigError;

pub use secret::Secret;

/// Where the configuration is if `--config` does not say.
pub const DEFAULT_PATH: &str = "/etc/mailhatch/mailhatch.toml";

/// A value with its place in the file.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    span: std::ops::Range<usize>,
}

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    source: error::Source,
    /// Our name in LMTP greetings, notices and logs.
    pub hostname: String,
    /// Where the ledger and the held messages are.
    pub state_dir: PathBuf,
    /// `[listen]`
    pub listen: Listen,
    /// `[limits]`
    pub limits: Limits,
    /// `[[mailbox]]`, in order.
    pub mailboxes: Vec<MailboxConfig>,
    /// `[[app]]`
    pub apps: Vec<AppConfig>,
    /// `[screen]`
    pub screen: ScreenConfig,
    /// `[auth]`
    pub auth: AuthConfig,
    /// `[notice]`
    pub notice: NoticeConfig,
    /// `[held]`
    pub held: HeldConfig,
    /// `[log]`
    pub log: LogConfig,
}

/// `[listen]`
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where the LMTP service listens.
    pub lmtp: Vec<ListenAddress>,
    /// The users whose processes may connect to a Unix socket, besides root and our own.
    pub users: Vec<String>,
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
}

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address. Peers other than loopback are refused.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Octets; a larger message is `rejected`.
    pub message_size: u64,
    /// Messages in memory at once, in octets; what is over it waits, then is deferred.
    pub memory: u64,
    /// LMTP connections at once.
    pub connections: usize,
    /// Recipients of one message.
    pub recipients: usize,
    /// For one message, all steps.
    pub deadline: Duration,
    /// How long an application may refuse without a reason before the message is held.
    pub unexplained_refusals: Duration,
}

/// `[[mailbox]]`
#[derive(Clone, Debug)]
pub struct MailboxConfig {
    /// Its name, in logs, events and GitLab's URL.
    pub name: Located<String>,
    /// The address, with or without `%{key}`.
    pub address: Located<String>,
    /// Where the address may stand, in order.
    pub sources: Vec<AddressSource>,
    /// The host of reply ids in References; `None`: the domain of the address.
    pub references_host: Option<String>,
    /// Which keys are which actions.
    pub actions: ActionsConfig,
    /// The name of an `[[app]]`.
    pub app: String,
    /// What becomes of a message whose From nobody proves.
    pub unproven: Unproven,
}

/// `actions`, or `[[mailbox.action]]`
#[derive(Clone, Debug)]
pub enum ActionsConfig {
    /// Every key is the action `message`.
    Any,
    /// Regular expressions over the key, in order, with a name each.
    Custom(Vec<(String, Located<String>)>),
    /// GitLab's key forms.
    Gitlab,
    /// Every key is `service-desk`.
    GitlabServiceDesk,
}

/// `[[app]]`
#[derive(Clone, Debug)]
pub struct AppConfig {
    /// Its name.
    pub name: Located<String>,
    /// What it is.
    pub kind: AppKind,
    /// `url`, for `gitlab` and `webhook`.
    pub url: Option<Located<String>>,
    /// `secret_file`, for `gitlab` and `webhook`.
    pub secret_file: Option<Located<PathBuf>>,
    /// `ca_file`: certificates to trust besides the system's, for `https://`.
    pub ca_file: Option<Located<PathBuf>>,
    /// `path`, for `spool`.
    pub path: Option<Located<PathBuf>>,
    /// What the event carries beside the header.
    pub parts: Vec<EventPart>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Requests at once.
    pub concurrency: usize,
}

/// `[screen]`
#[derive(Clone, Copy, Debug)]
pub struct ScreenConfig {
    /// Vacation notes and other automatic answers.
    pub auto_replies: ScreenAction,
    /// Bounces.
    pub bounces: ScreenAction,
    /// MDNs and feedback reports.
    pub reports: ScreenAction,
}

/// `[auth]`
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Who checks the sender.
    pub method: AuthMethod,
    /// Whose Authentication-Results are believed.
    pub authserv_ids: Vec<String>,
    /// Empty: the system's.
    pub nameservers: Vec<SocketAddr>,
    /// Whether events carry the result.
    pub events: bool,
}

/// `[notice]`
#[derive(Clone, Debug)]
pub struct NoticeConfig {
    /// Whether reject notices are sent at all.
    pub enabled: bool,
    /// The From field of a notice.
    pub from: Located<String>,
    /// The local MTA, as host:port.
    pub smtp: Located<String>,
    /// At most one notice to an address in this time.
    pub interval: Duration,
    /// At most so many to one domain in an hour.
    pub per_domain_per_hour: u32,
    /// At most so many in an hour.
    pub total_per_hour: u32,
    /// A directory with notice texts of the administrator's own.
    pub templates: Option<PathBuf>,
}

/// `[held]`
#[derive(Clone, Copy, Debug)]
pub struct HeldConfig {
    /// How long a copy is kept.
    pub keep: Duration,
    /// Octets of all copies; the oldest go first.
    pub max_size: u64,
}

/// `[log]`
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// Where log lines go.
    pub to: LogTarget,
    /// How they are written.
    pub format: LogFormat,
}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Self::parse(path, &text)
    }

    /// Checks the text of a configuration file; `path` is for error messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        file::read(error::Source::new(path, text))
    }

    /// An error that shows where `at` stands in the file.
    pub fn error_at<T>(&self, at: &Located<T>, message: impl Into<String>) -> ConfigError {
        self.source.error(Some(at.span.clone()), message)
    }

    /// An error that no single place in the file shows.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        self.source.error(None, message)
    }

    /// The application of a name; every mailbox names one that exists.
    pub fn app(&self, name: &str) -> Option<&AppConfig> {
        self.apps.iter().find(|app| app.name.value == name)
    }
}
