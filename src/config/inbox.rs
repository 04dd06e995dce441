//! `[[inbox]]` and `[fetch]`: mailboxes that `mailhatch fetch` reads.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use time::Date;
use time::macros::format_description;
use url::Url;

use super::error::ConfigError;
use super::file::ConfigFile;
use super::inbox_oauth::{self, Http, OAuthConfig, read_url};
use super::inbox_table::{Auth, InboxTable, Kind, Provider, UnknownMail};
use super::located::Located;
use super::secret::SecretSource;
use super::units;

/// `[fetch]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FetchConfig {
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// A message that has waited so long is an error in the log, each hour.
    #[serde(deserialize_with = "units::duration")]
    pub stuck_after: Duration,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { metrics: None, stuck_after: Duration::from_secs(4 * 3600) }
    }
}

/// `[[inbox]]`
#[derive(Clone, Debug, PartialEq)]
pub struct InboxConfig {
    /// Its name, in logs, commands and the ledger.
    pub name: Located<String>,
    /// Where it is.
    pub source: InboxSource,
    /// `user`; a credential may tell it instead.
    user: Option<String>,
    /// The folder, in Unicode.
    pub folder: String,
    /// Which messages the first run takes.
    pub since: Since,
    /// What becomes of mail with no address of ours.
    pub unknown: UnknownMail,
    /// What becomes of a message that is done.
    pub after: AfterDelivery,
    /// How often to look where the server does not tell by itself.
    pub poll_interval: Duration,
    /// Messages in delivery at once.
    pub concurrency: usize,
    /// Whose trace fields are believed.
    pub provider: Provider,
    /// With [`Provider::Own`]: whose Authentication-Results.
    pub authserv_ids: Vec<String>,
    /// Whether reject notices may be sent for mail of this inbox.
    pub notices: bool,
}

/// `kind`, with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub enum InboxSource {
    /// `kind = "imap"`
    Imap(ImapConfig),
    /// `kind = "graph"`
    Graph(Box<GraphConfig>),
}

/// What `kind = "graph"` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphConfig {
    /// `graph_endpoint`
    pub endpoint: Located<Url>,
    /// `ca_file`: certificates to trust besides the system's.
    pub ca_file: Option<Located<PathBuf>>,
    /// Where tokens come from.
    pub oauth: OAuthConfig,
}

/// `auth`, with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub enum ImapAuth {
    /// `auth = "password"`
    Password(SecretSource),
    /// `auth = "oauth2"`
    OAuth(Box<OAuthConfig>),
}

/// What `kind = "imap"` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ImapConfig {
    /// `host`
    pub host: Located<String>,
    /// `port`
    pub port: u16,
    /// `ssl` and `start_tls`
    pub security: ImapSecurity,
    /// `ca_file`: certificates to trust besides the system's.
    pub ca_file: Option<Located<PathBuf>>,
    /// What proves who logs in.
    pub auth: ImapAuth,
    /// `idle_timeout`: IDLE is renewed after this time.
    pub idle_timeout: Duration,
}

/// How an IMAP connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImapSecurity {
    /// Not at all; the host is this one.
    Loopback,
    /// `start_tls = true`
    StartTls,
    /// `ssl = true`
    Tls,
}

/// Which messages the first run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// All there are.
    All,
    /// Those that came in on this day or later.
    Day(Date),
    /// None: what comes in from now on.
    Now,
    /// Those that nobody has read.
    Unseen,
}

impl Since {
    /// Reads `now`, `unseen`, `all` or a day.
    ///
    /// # Errors
    /// A sentence that says what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "now" => Ok(Self::Now),
            "unseen" => Ok(Self::Unseen),
            day => Date::parse(day, format_description!("[year]-[month]-[day]")).map(Self::Day).map_err(|_| {
                format!("\"{day}\" is not a valid beginning: write \"now\", \"unseen\", \"all\" or a day such as \"2026-11-22\"")
            }),
        }
    }
}

impl std::fmt::Display for Since {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Now => f.write_str("now"),
            Self::Unseen => f.write_str("unseen"),
            Self::Day(day) => write!(f, "{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day()),
        }
    }
}

/// What becomes of a message that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterDelivery {
    /// It is marked, and stays.
    Keep,
    /// `\Deleted`; removed as well if `expunge`.
    Delete {
        /// `expunge_deleted`
        expunge: bool,
    },
    /// It goes to this folder.
    MoveTo(String),
}

/// Microsoft Graph for all but national clouds.
const GRAPH: &str = "https://graph.microsoft.com";

const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(180);
const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(60);

/// RFC 2177: a client must come back within 29 minutes.
const IDLE_BOUNDS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(29 * 60));
const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// Reads what is written. Mistakes show their own line.
pub(super) fn read(config: &ConfigFile, table: &Located<InboxTable>) -> Result<InboxConfig, ConfigError> {
    let written = &table.value;
    let source = match written.kind {
        Kind::Imap => InboxSource::Imap(read_imap(config, table)?),
        Kind::Graph => InboxSource::Graph(Box::new(read_graph(config, table)?)),
    };
    let folder = match &written.folder {
        Some(folder) if !is_folder(&folder.value) => {
            return Err(config.error_at(folder, format!("folder \"{}\" is not a valid name", folder.value)));
        }
        folder => folder.as_ref().map_or("INBOX", |folder| &folder.value).to_owned(),
    };
    let since = match &written.since {
        Some(since) => Since::parse(&since.value).map_err(|text| config.error_at(since, format!("since {text}")))?,
        None => Since::Now,
    };
    if let Some(ids) = &written.authserv_ids
        && !ids.value.is_empty()
        && !matches!(written.provider, Provider::Own | Provider::Auto)
    {
        return Err(config.error_at(ids, "authserv_ids is for provider = \"own\""));
    }
    Ok(InboxConfig {
        name: written.name.clone(),
        user: read_user(config, table, &source)?,
        source,
        since,
        unknown: written.unknown,
        after: after_delivery(config, written, &folder)?,
        folder,
        poll_interval: match &written.poll_interval {
            Some(interval) if interval.value.0 < SHORTEST_POLL => {
                return Err(config.error_at(interval, "poll_interval is at least 1s"));
            }
            interval => interval.as_ref().map_or(DEFAULT_POLL_INTERVAL, |interval| interval.value.0),
        },
        concurrency: written.concurrency,
        provider: written.provider,
        authserv_ids: written.authserv_ids.as_ref().map(|ids| ids.value.clone()).unwrap_or_default(),
        notices: written.notices,
    })
}

fn after_delivery(config: &ConfigFile, written: &InboxTable, folder: &str) -> Result<AfterDelivery, ConfigError> {
    match (&written.move_to, written.delete_after_delivery) {
        (Some(move_to), true) => {
            Err(config.error_at(move_to, "move_to and delete_after_delivery: a message can only go one way"))
        }
        (Some(move_to), false) if !is_folder(&move_to.value) || move_to.value == folder => {
            Err(config.error_at(move_to, "move_to must be another folder"))
        }
        (Some(move_to), false) => Ok(AfterDelivery::MoveTo(move_to.value.clone())),
        (None, true) => Ok(AfterDelivery::Delete { expunge: written.expunge_deleted }),
        // GitLab's configuration may say expunge_deleted where nothing is deleted.
        (None, false) => Ok(AfterDelivery::Keep),
    }
}

fn read_imap(config: &ConfigFile, table: &Located<InboxTable>) -> Result<ImapConfig, ConfigError> {
    let written = &table.value;
    let missing = |key: &str| config.error_at(table, format!("the inbox \"{}\" has no {key}", written.name.value));
    let host = written.host.as_ref().ok_or_else(|| missing("host"))?;
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '@');
    if host.value.is_empty() || host.value.contains(is_odd) {
        return Err(config.error_at(host, format!("host \"{}\" is not a valid name or address", host.value)));
    }
    let security = security(config, written, host)?;
    let default_port = if security == ImapSecurity::Tls { 993 } else { 143 };
    let port = match &written.port {
        Some(port) if port.value == 0 => return Err(config.error_at(port, "port 0 is not a valid port")),
        port => port.as_ref().map_or(default_port, |port| port.value),
    };
    let idle_timeout = match &written.idle_timeout {
        Some(idle) if !(IDLE_BOUNDS.0..=IDLE_BOUNDS.1).contains(&idle.value.0) => {
            return Err(config.error_at(idle, "idle_timeout is from 5s to 29m (RFC 2177)"));
        }
        idle => idle.as_ref().map_or(DEFAULT_IDLE_TIMEOUT, |idle| idle.value.0),
    };
    Ok(ImapConfig {
        host: host.clone(),
        port,
        security,
        ca_file: written.ca_file.clone(),
        auth: read_auth(config, table)?,
        idle_timeout,
    })
}

fn read_auth(config: &ConfigFile, table: &Located<InboxTable>) -> Result<ImapAuth, ConfigError> {
    let written = &table.value;
    if let Some(key) = &written.graph_endpoint {
        return Err(config.error_at(key, "graph_endpoint is for kind = \"graph\""));
    }
    if written.auth.as_ref().is_some_and(|auth| auth.value == Auth::OAuth2) {
        return match &written.password_file {
            Some(file) => Err(config.error_at(file, "password_file is for auth = \"password\"")),
            None => inbox_oauth::read_for_imap(config, table).map(Box::new).map(ImapAuth::OAuth),
        };
    }
    if let Some((key, at)) = written.oauth_key() {
        return Err(config.error_at(&at, format!("{key} is for auth = \"oauth2\"")));
    }
    let (file, credential) = (written.password_file.clone(), written.credential.clone());
    SecretSource::choose(config, table, "password_file", file, credential).map(ImapAuth::Password)
}

fn read_graph(config: &ConfigFile, table: &Located<InboxTable>) -> Result<GraphConfig, ConfigError> {
    let written = &table.value;
    if let Some((key, at)) = written.imap_key() {
        return Err(config.error_at(&at, format!("{key} is for kind = \"imap\"")));
    }
    let endpoint = match &written.graph_endpoint {
        Some(endpoint) => read_url(config, endpoint, "graph_endpoint", Http::Nowhere)?,
        None => Located {
            value: Url::parse(GRAPH).map_err(|error| config.error(format!("internal error: {error}")))?,
            span: written.name.span.clone(),
        },
    };
    let oauth = inbox_oauth::read_for_graph(config, table, &endpoint.value)?;
    Ok(GraphConfig { endpoint, ca_file: written.ca_file.clone(), oauth })
}

/// The user, if the file names one; a credential may do that later.
fn read_user(
    config: &ConfigFile,
    table: &Located<InboxTable>,
    source: &InboxSource,
) -> Result<Option<String>, ConfigError> {
    let written = &table.value;
    match &written.user {
        Some(user) if !is_user(&user.value) => Err(config.error_at(user, "user is not a valid name")),
        Some(user) => Ok(Some(user.value.clone())),
        None if source.credential().is_some() => Ok(None),
        None => Err(config.error_at(table, format!("the inbox \"{}\" has no user", written.name.value))),
    }
}

fn is_user(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}

impl InboxConfig {
    /// Whose mailbox it is.
    ///
    /// # Errors
    /// Neither the configuration nor the credential tells it.
    pub fn user(&self, config: &ConfigFile) -> Result<String, ConfigError> {
        if let Some(user) = &self.user {
            return Ok(user.clone());
        }
        let Some(secret) = self.source.credential() else {
            return Err(config.error_at(&self.name, "this inbox has no user"));
        };
        let user = secret.user().map_err(|why| secret.error(config, why))?;
        user.filter(|user| is_user(user)).ok_or_else(|| {
            secret.error(
                config,
                format!("this inbox has no user: write one here (user = \"…\") or into the {}", secret.place()),
            )
        })
    }
}

impl InboxConfig {
    /// What is read, for people.
    pub fn place(&self) -> String {
        let user = self.user.as_deref().unwrap_or("the user of its credential");
        match &self.source {
            InboxSource::Imap(imap) => format!("{} of {user} at {}:{}", self.folder, imap.host.value, imap.port),
            InboxSource::Graph(graph) => format!("{} of {user} at {}", self.folder, graph.endpoint.value),
        }
    }
}

impl InboxSource {
    /// A secret that may have the user beside it.
    fn credential(&self) -> Option<&SecretSource> {
        let oauth = match self {
            Self::Imap(ImapConfig { auth: ImapAuth::Password(secret), .. }) => {
                return Some(secret).filter(|s| !s.is_file());
            }
            Self::Imap(ImapConfig { auth: ImapAuth::OAuth(oauth), .. }) => &**oauth,
            Self::Graph(graph) => &graph.oauth,
        };
        [&oauth.client_secret, &oauth.refresh_token].into_iter().flatten().find(|secret| !secret.is_file())
    }
}

fn security(config: &ConfigFile, written: &InboxTable, host: &Located<String>) -> Result<ImapSecurity, ConfigError> {
    let start_tls = written.start_tls.as_ref().filter(|start_tls| start_tls.value);
    // STARTTLS alone means that TLS does not come first.
    let ssl = written.ssl.as_ref().map_or(start_tls.is_none(), |ssl| ssl.value);
    match (ssl, start_tls) {
        (true, Some(start_tls)) => {
            Err(config
                .error_at(start_tls, "ssl and start_tls: TLS begins either at once (port 993) or later (port 143)"))
        }
        (true, None) => Ok(ImapSecurity::Tls),
        (false, Some(_)) => Ok(ImapSecurity::StartTls),
        (false, None) if is_loopback(&host.value) => Ok(ImapSecurity::Loopback),
        (false, None) => {
            let text =
                "ssl = false without start_tls = true would send the password in plain text: only to this host itself";
            Err(match &written.ssl {
                Some(ssl) => config.error_at(ssl, text),
                None => config.error_at(host, text),
            })
        }
    }
}

fn is_folder(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}

/// Whether a host is this one, as far as its name says. The connection looks at the address again.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
