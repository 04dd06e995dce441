//! The shape of the file, its defaults, and the checks that the file alone can tell.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::choices::{AddressSource, AppKind, AuthMethod, EventPart, LogFormat, LogTarget, ScreenAction, Unproven};
use super::error::Source;
use super::units::{Period, Size};
use super::{
    ActionsConfig, AppConfig, AuthConfig, Config, ConfigError, HeldConfig, Limits, Listen, ListenAddress, Located,
    LogConfig, MailboxConfig, NoticeConfig, ScreenConfig,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    hostname: Option<String>,
    #[serde(default = "default_state_dir")]
    state_dir: PathBuf,
    #[serde(default)]
    listen: ListenSection,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    mailbox: Vec<Spanned<MailboxSection>>,
    #[serde(default)]
    app: Vec<Spanned<AppSection>>,
    #[serde(default)]
    screen: ScreenSection,
    #[serde(default)]
    auth: AuthSection,
    #[serde(default)]
    notice: NoticeSection,
    #[serde(default)]
    held: HeldSection,
    #[serde(default)]
    log: LogSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ListenSection {
    lmtp: Vec<Spanned<String>>,
    users: Vec<String>,
    metrics: Option<SocketAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsSection {
    message_size: Size,
    memory: Size,
    connections: usize,
    recipients: usize,
    deadline: Period,
    unexplained_refusals: Period,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MailboxSection {
    name: Spanned<String>,
    address: Spanned<String>,
    sources: Option<Spanned<Vec<AddressSource>>>,
    references_host: Option<String>,
    actions: Option<Spanned<String>>,
    #[serde(default)]
    action: Vec<ActionSection>,
    app: Spanned<String>,
    #[serde(default)]
    unproven: Unproven,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionSection {
    name: String,
    pattern: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppSection {
    name: Spanned<String>,
    kind: AppKind,
    url: Option<Spanned<String>>,
    secret_file: Option<Spanned<PathBuf>>,
    ca_file: Option<Spanned<PathBuf>>,
    path: Option<Spanned<PathBuf>>,
    parts: Option<Vec<EventPart>>,
    timeout: Option<Period>,
    concurrency: Option<Spanned<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScreenSection {
    auto_replies: ScreenAction,
    bounces: ScreenAction,
    reports: ScreenAction,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AuthSection {
    method: AuthMethod,
    authserv_ids: Vec<String>,
    nameservers: Vec<Spanned<String>>,
    events: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NoticeSection {
    enabled: bool,
    from: Option<Spanned<String>>,
    smtp: Option<Spanned<String>>,
    interval: Period,
    per_domain_per_hour: u32,
    total_per_hour: u32,
    templates: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HeldSection {
    keep: Period,
    max_size: Size,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogSection {
    to: LogTarget,
    format: LogFormat,
}

const fn seconds(seconds: u64) -> Period {
    Period(Duration::from_secs(seconds))
}

/// Below Postfix's 20 deliveries at once to one destination, so that an application that hangs leaves some for the others.
const DEFAULT_CONCURRENCY: usize = 16;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const MIB: u64 = 1024 * 1024;

fn default_state_dir() -> PathBuf {
    PathBuf::from("/var/lib/mailhatch")
}

impl Default for ListenSection {
    fn default() -> Self {
        let socket = "unix:/run/mailhatch/lmtp.sock".to_owned();
        Self { lmtp: vec![Spanned::new(0..0, socket)], users: vec!["postfix".to_owned()], metrics: None }
    }
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            message_size: Size(50 * MIB),
            memory: Size(512 * MIB),
            connections: 200,
            recipients: 100,
            deadline: seconds(60),
            unexplained_refusals: seconds(4 * HOUR),
        }
    }
}

impl Default for ScreenSection {
    fn default() -> Self {
        Self { auto_replies: ScreenAction::Ignore, bounces: ScreenAction::Ignore, reports: ScreenAction::Ignore }
    }
}

impl Default for AuthSection {
    fn default() -> Self {
        Self { method: AuthMethod::Verify, authserv_ids: Vec::new(), nameservers: Vec::new(), events: true }
    }
}

impl Default for NoticeSection {
    fn default() -> Self {
        Self {
            enabled: true,
            from: None,
            smtp: None,
            interval: seconds(DAY),
            per_domain_per_hour: 20,
            total_per_hour: 200,
            templates: None,
        }
    }
}

impl Default for HeldSection {
    fn default() -> Self {
        Self { keep: seconds(30 * DAY), max_size: Size(1024 * MIB) }
    }
}

impl Default for LogSection {
    fn default() -> Self {
        Self { to: LogTarget::Syslog, format: LogFormat::Logfmt }
    }
}

fn located<T>(spanned: Spanned<T>) -> Located<T> {
    let span = spanned.span();
    Located { value: spanned.into_inner(), span }
}

/// Reads the file's text and checks it.
pub(super) fn read(source: Source) -> Result<Config, ConfigError> {
    let file: ConfigFile = toml::from_str(&source.text)
        .map_err(|error| source.error(error.span(), error.message().trim().replace('\n', " ")))?;
    let hostname = file.hostname.unwrap_or_else(system_hostname);
    let apps = file.app.into_iter().map(|app| read_app(&source, app)).collect::<Result<Vec<_>, _>>()?;
    check_unique(&source, "app", apps.iter().map(|app| &app.name))?;
    let mailboxes =
        file.mailbox.into_iter().map(|mailbox| read_mailbox(&source, mailbox, &apps)).collect::<Result<Vec<_>, _>>()?;
    check_unique(&source, "mailbox", mailboxes.iter().map(|mailbox| &mailbox.name))?;
    if mailboxes.is_empty() {
        return Err(source.error(None, "there is no [[mailbox]]: no mail could be handed over"));
    }
    let limits = read_limits(&source, &file.limits)?;
    Ok(Config {
        state_dir: file.state_dir,
        listen: read_listen(&source, file.listen)?,
        limits,
        mailboxes,
        apps,
        screen: ScreenConfig {
            auto_replies: file.screen.auto_replies,
            bounces: file.screen.bounces,
            reports: file.screen.reports,
        },
        auth: read_auth(&source, file.auth)?,
        notice: read_notice(file.notice, &hostname),
        held: HeldConfig { keep: file.held.keep.0, max_size: file.held.max_size.0 },
        log: LogConfig { to: file.log.to, format: file.log.format },
        hostname,
        source,
    })
}

fn system_hostname() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

fn check_unique<'a>(
    source: &Source,
    kind: &str,
    names: impl Iterator<Item = &'a Located<String>>,
) -> Result<(), ConfigError> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.value.is_empty() || name.value.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/') {
            return Err(source.error(
                Some(name.span.clone()),
                format!(
                    "\"{}\" is no name for an {kind}: it stands in URLs and logs, so it takes no blank and no slash",
                    name.value
                ),
            ));
        }
        if !seen.insert(&name.value) {
            let message = format!("a second {kind} with the name \"{}\"", name.value);
            return Err(source.error(Some(name.span.clone()), message));
        }
    }
    Ok(())
}

fn read_limits(source: &Source, limits: &LimitsSection) -> Result<Limits, ConfigError> {
    if limits.connections == 0 || limits.recipients == 0 {
        return Err(source.error(None, "limits.connections and limits.recipients must be at least 1"));
    }
    if limits.memory.0 < limits.message_size.0 {
        return Err(
            source.error(None, "limits.memory is below limits.message_size: no large message could ever come in")
        );
    }
    Ok(Limits {
        message_size: limits.message_size.0,
        memory: limits.memory.0,
        connections: limits.connections,
        recipients: limits.recipients,
        deadline: limits.deadline.0,
        unexplained_refusals: limits.unexplained_refusals.0,
    })
}

fn read_listen(source: &Source, section: ListenSection) -> Result<Listen, ConfigError> {
    let read = |entry: Spanned<String>| {
        let text = entry.get_ref();
        match text.strip_prefix("unix:").map(Path::new) {
            Some(path) if path.is_absolute() => Ok(ListenAddress::Unix(path.to_owned())),
            Some(_) => Err(source.error(
                Some(entry.span()),
                "the path of a Unix socket must be absolute: unix:/run/mailhatch/lmtp.sock",
            )),
            None => text.parse().map(ListenAddress::Tcp).map_err(|_| {
                source.error(
                    Some(entry.span()),
                    "an LMTP address is unix:/path or an IP address with a port, such as 127.0.0.1:2424",
                )
            }),
        }
    };
    Ok(Listen {
        lmtp: section.lmtp.into_iter().map(read).collect::<Result<_, _>>()?,
        users: section.users,
        metrics: section.metrics,
    })
}

fn read_mailbox(
    source: &Source,
    section: Spanned<MailboxSection>,
    apps: &[AppConfig],
) -> Result<MailboxConfig, ConfigError> {
    let section = section.into_inner();
    let Some(app) = apps.iter().find(|app| app.name.value == *section.app.get_ref()) else {
        let message = format!("there is no [[app]] with the name \"{}\"", section.app.get_ref());
        return Err(source.error(Some(section.app.span()), message));
    };
    let custom = section.action.into_iter().map(|action| (action.name, located(action.pattern))).collect::<Vec<_>>();
    let actions = match section.actions {
        None if custom.is_empty() && app.kind == AppKind::Gitlab => ActionsConfig::Gitlab,
        None if custom.is_empty() => ActionsConfig::Any,
        None => ActionsConfig::Custom(custom),
        Some(actions) if !custom.is_empty() => {
            return Err(source
                .error(Some(actions.span()), "a mailbox has either actions = \"…\" or [[mailbox.action]], not both"));
        }
        Some(actions) => match actions.get_ref().as_str() {
            "any" => ActionsConfig::Any,
            "gitlab" => ActionsConfig::Gitlab,
            "gitlab-service-desk" => ActionsConfig::GitlabServiceDesk,
            other => {
                let message = format!(
                    "unknown actions \"{other}\": write \"gitlab\", \"gitlab-service-desk\" or \"any\", or give [[mailbox.action]]"
                );
                return Err(source.error(Some(actions.span()), message));
            }
        },
    };
    let sources = match section.sources {
        None => AddressSource::ALL.to_vec(),
        Some(sources) if sources.get_ref().is_empty() => {
            return Err(source.error(Some(sources.span()), "a mailbox without sources could never be found"));
        }
        Some(sources) => sources.into_inner(),
    };
    Ok(MailboxConfig {
        name: located(section.name),
        address: located(section.address),
        sources,
        references_host: section.references_host,
        actions,
        app: section.app.into_inner(),
        unproven: section.unproven,
    })
}

fn read_app(source: &Source, section: Spanned<AppSection>) -> Result<AppConfig, ConfigError> {
    let whole: Range<usize> = section.span();
    let section = section.into_inner();
    let name = section.name.get_ref();
    let missing = |key: &str| source.error(Some(whole.clone()), format!("the app \"{name}\" has no {key}"));
    match section.kind {
        AppKind::Gitlab | AppKind::Webhook => {
            if section.url.is_none() {
                return Err(missing("url"));
            }
            if section.secret_file.is_none() {
                return Err(missing("secret_file"));
            }
            if let Some(path) = &section.path {
                return Err(source.error(Some(path.span()), "path is for kind = \"spool\" only"));
            }
        }
        AppKind::Spool => {
            let Some(path) = &section.path else { return Err(missing("path")) };
            if !path.get_ref().is_absolute() {
                return Err(source.error(Some(path.span()), "the path of a spool must be absolute"));
            }
            if let Some(url) = &section.url {
                return Err(source.error(Some(url.span()), "url is not for kind = \"spool\": it takes path"));
            }
        }
    }
    let default_parts = match section.kind {
        AppKind::Spool => vec![EventPart::Body],
        AppKind::Gitlab | AppKind::Webhook => vec![EventPart::Body, EventPart::Attachments],
    };
    let concurrency = match section.concurrency {
        Some(limit) if *limit.get_ref() == 0 => {
            return Err(source.error(Some(limit.span()), "with a concurrency of zero nothing would be handed over"));
        }
        Some(limit) => limit.into_inner(),
        None => DEFAULT_CONCURRENCY,
    };
    Ok(AppConfig {
        kind: section.kind,
        url: section.url.map(located),
        secret_file: section.secret_file.map(located),
        ca_file: section.ca_file.map(located),
        path: section.path.map(located),
        parts: section.parts.unwrap_or(default_parts),
        timeout: section.timeout.map_or(Duration::from_secs(30), |timeout| timeout.0),
        concurrency,
        name: located(section.name),
    })
}

fn read_auth(source: &Source, section: AuthSection) -> Result<AuthConfig, ConfigError> {
    let read = |entry: Spanned<String>| {
        let text = entry.get_ref();
        let address = text.parse::<SocketAddr>().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)));
        address.map_err(|_| source.error(Some(entry.span()), "a name server is an IP address, with or without a port"))
    };
    if section.method == AuthMethod::Trust && section.authserv_ids.is_empty() {
        return Err(source.error(None, "auth.method = \"trust\" needs auth.authserv_ids: the id that your own MTA writes into Authentication-Results"));
    }
    Ok(AuthConfig {
        method: section.method,
        authserv_ids: section.authserv_ids,
        nameservers: section.nameservers.into_iter().map(read).collect::<Result<_, _>>()?,
        events: section.events,
    })
}

fn read_notice(section: NoticeSection, hostname: &str) -> NoticeConfig {
    let default = |text: String| Located { value: text, span: 0..0 };
    NoticeConfig {
        enabled: section.enabled,
        from: section.from.map_or_else(|| default(format!("mailhatch <postmaster@{hostname}>")), located),
        smtp: section.smtp.map_or_else(|| default("127.0.0.1:25".to_owned()), located),
        interval: section.interval.0,
        per_domain_per_hour: section.per_domain_per_hour,
        total_per_hour: section.total_per_hour,
        templates: section.templates,
    }
}
