//! The sections that stand once in the file, with their defaults. What is read is the configuration: there is no second shape.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::located::Located;
use super::units;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const MIB: u64 = 1024 * 1024;

/// `[listen]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Where the LMTP service listens.
    pub lmtp: Vec<ListenAddress>,
    /// Where Postfix may ask about a recipient before it takes a message.
    pub policy: Vec<ListenAddress>,
    /// The users whose processes may connect to a Unix socket, besides root and our own.
    pub users: Vec<String>,
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
}

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ListenAddress {
    /// A TCP address. Peers other than loopback are refused.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Octets; a larger message is `rejected`.
    #[serde(deserialize_with = "units::size")]
    pub message_size: u64,
    /// Messages in memory at once, in octets; what is over it waits, then is deferred.
    #[serde(deserialize_with = "units::size")]
    pub memory: u64,
    /// LMTP connections at once.
    #[serde(deserialize_with = "units::at_least_one")]
    pub connections: usize,
    /// Recipients of one message.
    #[serde(deserialize_with = "units::at_least_one")]
    pub recipients: usize,
    /// For one message, all steps.
    #[serde(deserialize_with = "units::duration")]
    pub deadline: Duration,
    /// How long an application may refuse without a reason before the message is held.
    #[serde(deserialize_with = "units::duration")]
    pub unexplained_refusals: Duration,
    /// How long after the first try a sender may stay undecided, where the mailbox holds what is unproven.
    #[serde(deserialize_with = "units::duration")]
    pub undecided: Duration,
    /// How long after the first try a message is still deferred; then it is held until its application takes mail again.
    #[serde(deserialize_with = "units::duration")]
    pub patience: Duration,
}

/// `[screen]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScreenConfig {
    /// Vacation notes and other automatic answers.
    pub auto_replies: ScreenAction,
    /// Bounces.
    pub bounces: ScreenAction,
    /// MDNs and feedback reports.
    pub reports: ScreenAction,
    /// What a spam filter before us marked.
    pub spam: SpamAction,
}

/// `screen` of a `[[mailbox]]`: what is said there holds for it in place of `[screen]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailboxScreen {
    auto_replies: Option<ScreenAction>,
    bounces: Option<ScreenAction>,
    reports: Option<ScreenAction>,
    spam: Option<SpamAction>,
}

impl MailboxScreen {
    /// What holds for the mailbox.
    pub fn over(&self, all: ScreenConfig) -> ScreenConfig {
        ScreenConfig {
            auto_replies: self.auto_replies.unwrap_or(all.auto_replies),
            bounces: self.bounces.unwrap_or(all.bounces),
            reports: self.reports.unwrap_or(all.reports),
            spam: self.spam.unwrap_or(all.spam),
        }
    }
}

/// What becomes of machine-made mail of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScreenAction {
    /// It goes on to the application.
    Deliver,
    /// It is set aside.
    Ignore,
}

/// What becomes of mail that a spam filter marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpamAction {
    /// It goes on to the application.
    #[default]
    Deliver,
    /// It is kept for a person.
    Hold,
    /// It is set aside.
    Ignore,
}

/// `[auth]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Who checks the sender.
    pub method: AuthMethod,
    /// Whose Authentication-Results are believed.
    pub authserv_ids: Vec<String>,
    /// Empty: the system's.
    #[serde(deserialize_with = "name_servers")]
    pub nameservers: Vec<SocketAddr>,
    /// Whether events carry the result.
    pub events: bool,
}

/// Who checks the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMethod {
    /// Nobody: nothing is ever proven.
    Off,
    /// Our MTA did; its Authentication-Results are believed.
    Trust,
    /// We do.
    Verify,
}

/// `[notice]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoticeConfig {
    /// Whether reject notices are sent at all.
    pub enabled: bool,
    /// The From field of a notice, where it is given: [`NoticeConfig::from`].
    from: Option<Located<String>>,
    /// The local MTA, as host:port.
    pub smtp: Located<String>,
    /// At most one notice to an address in this time.
    #[serde(deserialize_with = "units::duration")]
    pub interval: Duration,
    /// At most so many to one domain in an hour.
    pub per_domain_per_hour: u32,
    /// At most so many in an hour.
    pub total_per_hour: u32,
    /// A directory with notice texts of the administrator's own.
    pub templates: Option<PathBuf>,
}

/// `[held]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeldConfig {
    /// How long a copy is kept.
    #[serde(deserialize_with = "units::duration")]
    pub keep: Duration,
    /// Octets of all copies; the oldest go first.
    #[serde(deserialize_with = "units::size")]
    pub max_size: u64,
}

/// `[refuse]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefuseConfig {
    /// Domains of mailboxes in which nothing else has an address.
    pub closed: Vec<Located<String>>,
    /// Addresses that are never refused.
    pub accept: Vec<Located<String>>,
    /// Whether a refusal is answered, or only logged.
    pub mode: RefuseMode,
}

/// What becomes of a recipient for whom no message could find a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefuseMode {
    /// It is only logged.
    Log,
    /// Postfix refuses it.
    #[default]
    Refuse,
}

/// `[log]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Where log lines go.
    pub to: LogTarget,
    /// How they are written.
    pub format: LogFormat,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogTarget {
    /// Standard error with the priority prefix that systemd reads.
    Journald,
    /// Standard error.
    Stderr,
    /// `/dev/log`, facility mail.
    Syslog,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// `key=value key="value with blanks"`
    Logfmt,
}

impl Default for Listen {
    fn default() -> Self {
        let socket = ListenAddress::Unix("/run/mailhatch/lmtp.sock".into());
        Self { lmtp: vec![socket], policy: Vec::new(), users: vec!["postfix".to_owned()], metrics: None }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 50 * MIB,
            memory: 512 * MIB,
            connections: 200,
            recipients: 100,
            deadline: Duration::from_secs(60),
            unexplained_refusals: Duration::from_secs(4 * HOUR),
            undecided: Duration::from_secs(4 * HOUR),
            patience: Duration::from_secs(4 * DAY),
        }
    }
}

impl Default for ScreenConfig {
    fn default() -> Self {
        const IGNORE: ScreenAction = ScreenAction::Ignore;
        Self { auto_replies: IGNORE, bounces: IGNORE, reports: IGNORE, spam: SpamAction::Deliver }
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { method: AuthMethod::Verify, authserv_ids: Vec::new(), nameservers: Vec::new(), events: true }
    }
}

impl Default for NoticeConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            from: None,
            smtp: Located::nowhere("127.0.0.1:25".to_owned()),
            interval: Duration::from_secs(DAY),
            per_domain_per_hour: 20,
            total_per_hour: 200,
            templates: None,
        }
    }
}

impl Default for HeldConfig {
    fn default() -> Self {
        Self { keep: Duration::from_secs(30 * DAY), max_size: 1024 * MIB }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { to: LogTarget::Syslog, format: LogFormat::Logfmt }
    }
}

impl NoticeConfig {
    /// The From field of a notice; by default it names the host.
    pub fn from(&self, hostname: &str) -> Located<String> {
        self.from.clone().unwrap_or_else(|| Located::nowhere(format!("mailhatch <postmaster@{hostname}>")))
    }
}

/// As the configuration writes it.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.strip_prefix("unix:").map(PathBuf::from) {
            Some(path) if path.is_absolute() => Ok(Self::Unix(path)),
            Some(_) => Err("the path of a Unix socket must be absolute: unix:/run/mailhatch/lmtp.sock"),
            None => text.parse().map(Self::Tcp).map_err(
                |_| "an address to listen on is unix:/path or an IP address with a port, such as 127.0.0.1:2424",
            ),
        }
    }
}

/// IP addresses with or without a port.
fn name_servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let read = |text: &String| {
        let address = SocketAddr::from_str(text).or_else(|_| IpAddr::from_str(text).map(|ip| SocketAddr::new(ip, 53)));
        address.map_err(|_| D::Error::custom("a name server is an IP address, with or without a port"))
    };
    texts.iter().map(read).collect()
}
