//! `[[inbox]]` and `[fetch]`: mailboxes that `mailhatch fetch` reads.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use time::Date;
use time::macros::format_description;

use super::error::{ConfigError, Source};
use super::located::Located;
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
    /// `user`
    pub user: String,
    /// `password_file`
    pub password_file: Located<PathBuf>,
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

/// What becomes of mail with no address of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownMail {
    /// It stays as it is.
    #[default]
    Leave,
    /// It is rejected like mail that came by LMTP.
    Reject,
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

/// Whose trace fields are believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// By the host: Gmail and Exchange Online are known; elsewhere as [`Provider::Own`].
    #[default]
    Auto,
    /// Exchange Online.
    ExchangeOnline,
    /// Gmail and Google Workspace.
    Gmail,
    /// Nobody's: DKIM alone.
    None,
    /// Those of a server of our own, as with `auth.method = "trust"`.
    Own,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Imap,
}

/// `[[inbox]]` as it is written: every key of every kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboxTable {
    name: Located<String>,
    kind: Kind,
    host: Option<Located<String>>,
    port: Option<Located<u16>>,
    ssl: Option<Located<bool>>,
    start_tls: Option<Located<bool>>,
    ca_file: Option<Located<PathBuf>>,
    user: Option<Located<String>>,
    password_file: Option<Located<PathBuf>>,
    idle_timeout: Option<Located<Period>>,
    poll_interval: Option<Located<Period>>,
    folder: Option<Located<String>>,
    since: Option<Located<String>>,
    #[serde(default)]
    unknown: UnknownMail,
    #[serde(default)]
    delete_after_delivery: bool,
    #[serde(default)]
    expunge_deleted: bool,
    move_to: Option<Located<String>>,
    #[serde(default = "default_concurrency", deserialize_with = "units::at_least_one")]
    concurrency: usize,
    #[serde(default)]
    provider: Provider,
    authserv_ids: Option<Located<Vec<String>>>,
    #[serde(default)]
    notices: bool,
}

/// A duration with its place.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
struct Period(#[serde(deserialize_with = "units::duration")] Duration);

/// Four at once: a mailbox is one sender to the application, and Graph allows no more.
fn default_concurrency() -> usize {
    4
}

const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(180);
const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(60);

/// RFC 2177: a client must come back within 29 minutes.
const IDLE_BOUNDS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(29 * 60));
const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// Reads what is written. Mistakes show their own line.
pub(super) fn read(file: &Source, table: &Located<InboxTable>) -> Result<InboxConfig, ConfigError> {
    let written = &table.value;
    let source = match written.kind {
        Kind::Imap => InboxSource::Imap(read_imap(file, table)?),
    };
    let folder = match &written.folder {
        Some(folder) if !is_folder(&folder.value) => {
            return Err(file.error_at(folder, format!("folder \"{}\" is not a valid name", folder.value)));
        }
        folder => folder.as_ref().map_or("INBOX", |folder| &folder.value).to_owned(),
    };
    let since = match &written.since {
        Some(since) => Since::parse(&since.value).map_err(|text| file.error_at(since, format!("since {text}")))?,
        None => Since::Now,
    };
    if let Some(ids) = &written.authserv_ids
        && !ids.value.is_empty()
        && !matches!(written.provider, Provider::Own | Provider::Auto)
    {
        return Err(file.error_at(ids, "authserv_ids is for provider = \"own\""));
    }
    Ok(InboxConfig {
        name: written.name.clone(),
        source,
        since,
        unknown: written.unknown,
        after: after_delivery(file, written, &folder)?,
        folder,
        poll_interval: match &written.poll_interval {
            Some(interval) if interval.value.0 < SHORTEST_POLL => {
                return Err(file.error_at(interval, "poll_interval is at least 1s"));
            }
            interval => interval.as_ref().map_or(DEFAULT_POLL_INTERVAL, |interval| interval.value.0),
        },
        concurrency: written.concurrency,
        provider: written.provider,
        authserv_ids: written.authserv_ids.as_ref().map(|ids| ids.value.clone()).unwrap_or_default(),
        notices: written.notices,
    })
}

fn after_delivery(file: &Source, written: &InboxTable, folder: &str) -> Result<AfterDelivery, ConfigError> {
    match (&written.move_to, written.delete_after_delivery) {
        (Some(move_to), true) => {
            Err(file.error_at(move_to, "move_to and delete_after_delivery: a message can only go one way"))
        }
        (Some(move_to), false) if !is_folder(&move_to.value) || move_to.value == folder => {
            Err(file.error_at(move_to, "move_to must be another folder"))
        }
        (Some(move_to), false) => Ok(AfterDelivery::MoveTo(move_to.value.clone())),
        (None, true) => Ok(AfterDelivery::Delete { expunge: written.expunge_deleted }),
        // GitLab's configuration may say expunge_deleted where nothing is deleted.
        (None, false) => Ok(AfterDelivery::Keep),
    }
}

fn read_imap(file: &Source, table: &Located<InboxTable>) -> Result<ImapConfig, ConfigError> {
    let written = &table.value;
    let missing = |key: &str| file.error_at(table, format!("the inbox \"{}\" has no {key}", written.name.value));
    let host = written.host.as_ref().ok_or_else(|| missing("host"))?;
    let user = written.user.as_ref().ok_or_else(|| missing("user"))?;
    let password_file = written.password_file.as_ref().ok_or_else(|| missing("password_file"))?;
    if user.value.is_empty() || user.value.contains(char::is_control) {
        return Err(file.error_at(user, "user is not a valid name"));
    }
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '@');
    if host.value.is_empty() || host.value.contains(is_odd) {
        return Err(file.error_at(host, format!("host \"{}\" is not a valid name or address", host.value)));
    }
    let security = security(file, written, host)?;
    let default_port = if security == ImapSecurity::Tls { 993 } else { 143 };
    let port = match &written.port {
        Some(port) if port.value == 0 => return Err(file.error_at(port, "port 0 is not a valid port")),
        port => port.as_ref().map_or(default_port, |port| port.value),
    };
    let idle_timeout = match &written.idle_timeout {
        Some(idle) if !(IDLE_BOUNDS.0..=IDLE_BOUNDS.1).contains(&idle.value.0) => {
            return Err(file.error_at(idle, "idle_timeout is from 5s to 29m (RFC 2177)"));
        }
        idle => idle.as_ref().map_or(DEFAULT_IDLE_TIMEOUT, |idle| idle.value.0),
    };
    Ok(ImapConfig {
        host: host.clone(),
        port,
        security,
        ca_file: written.ca_file.clone(),
        user: user.value.clone(),
        password_file: password_file.clone(),
        idle_timeout,
    })
}

fn security(file: &Source, written: &InboxTable, host: &Located<String>) -> Result<ImapSecurity, ConfigError> {
    let start_tls = written.start_tls.as_ref().filter(|start_tls| start_tls.value);
    // STARTTLS alone means that TLS does not come first.
    let ssl = written.ssl.as_ref().map_or(start_tls.is_none(), |ssl| ssl.value);
    match (ssl, start_tls) {
        (true, Some(start_tls)) => {
            Err(file.error_at(start_tls, "ssl and start_tls: TLS begins either at once (port 993) or later (port 143)"))
        }
        (true, None) => Ok(ImapSecurity::Tls),
        (false, Some(_)) => Ok(ImapSecurity::StartTls),
        (false, None) if is_loopback(&host.value) => Ok(ImapSecurity::Loopback),
        (false, None) => {
            let text =
                "ssl = false without start_tls = true would send the password in plain text: only to this host itself";
            Err(match &written.ssl {
                Some(ssl) => file.error_at(ssl, text),
                None => file.error_at(host, text),
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
