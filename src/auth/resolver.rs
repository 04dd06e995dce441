//! The resolver behind all DNS questions of this module: built at the first question, with a cache and a time limit.
//!
//! It reads no CA bundle and no hosts file, and it never appends a search domain.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mail_auth::MessageAuthenticator;
use mail_auth::hickory_resolver::TokioResolver;
use mail_auth::hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use mail_auth::hickory_resolver::net::runtime::TokioRuntimeProvider;
use mail_auth::hickory_resolver::system_conf::read_system_conf;
use tokio::sync::OnceCell;

use super::spf::{self, NoAnswer};

/// How long DNS may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    /// One question to one name server.
    pub question: Duration,
    /// How often a question is repeated when nobody answers.
    pub retries: usize,
    /// All questions about one message; well below the limit of 60 s that a message has for all its steps.
    pub message: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self { question: Duration::from_secs(2), retries: 1, message: Duration::from_secs(8) }
    }
}

/// Answers kept; a large one is some 2 KB.
const CACHED_ANSWERS: u64 = 4096;
/// A TTL above this is cut, so that a corrected record is seen the same day.
const LONGEST_CACHED: Duration = Duration::from_secs(3600);

/// The resolver, or nothing yet.
pub(super) struct Resolver {
    name_servers: Vec<SocketAddr>,
    limits: TimeLimits,
    built: OnceCell<MessageAuthenticator>,
}

impl Resolver {
    pub(super) fn new(name_servers: Vec<SocketAddr>, limits: TimeLimits) -> Self {
        Self { name_servers, limits, built: OnceCell::new() }
    }

    pub(super) fn limits(&self) -> TimeLimits {
        self.limits
    }

    /// The resolver; an error is tried again at the next question, so that a host whose resolv.conf comes late recovers.
    pub(super) async fn dns(&self) -> Result<&MessageAuthenticator, String> {
        self.built.get_or_try_init(|| async { build(&self.name_servers, self.limits) }).await
    }
}

/// A name server, and what it answered or why it is of no use.
pub type NameServerCheck = (String, Result<String, String>);

impl Resolver {
    /// Asks every name server by itself for a name; that there is no such name is an answer too.
    pub(super) async fn check(&self, name: &str) -> Result<Vec<NameServerCheck>, String> {
        let absolute = format!("{}.", name.trim_end_matches('.'));
        let mut found = Vec::new();
        for server in servers(&self.name_servers)? {
            let port = server.connections.first().map_or(53, |connection| connection.port);
            let shown = SocketAddr::new(server.ip, port).to_string();
            let dns = with_servers(vec![server], self.limits)?;
            let question = tokio::time::timeout(self.limits.message, spf::text_records(&dns, &absolute));
            let answer = match question.await {
                Ok(Ok(_) | Err(NoAnswer::Nothing)) => Ok(format!("answers (asked for {name})")),
                Ok(Err(NoAnswer::Fault(why))) => Err(format!("gives no answer about {name} ({why})")),
                Err(_) => Err(format!("gives no answer about {name} in time")),
            };
            found.push((shown, answer));
        }
        Ok(found)
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("name_servers", &self.name_servers).finish_non_exhaustive()
    }
}

fn build(name_servers: &[SocketAddr], limits: TimeLimits) -> Result<MessageAuthenticator, String> {
    with_servers(servers(name_servers)?, limits)
}

/// Those of the configuration, or the system's.
fn servers(name_servers: &[SocketAddr]) -> Result<Vec<NameServerConfig>, String> {
    Ok(if name_servers.is_empty() {
        let (system, _) = read_system_conf().map_err(|error| {
            format!("the system's name servers cannot be read ({error}): set auth.nameservers or fix /etc/resolv.conf")
        })?;
        system.name_servers
    } else {
        unique(name_servers)
    })
}

fn with_servers(servers: Vec<NameServerConfig>, limits: TimeLimits) -> Result<MessageAuthenticator, String> {
    let resolver =
        TokioResolver::builder_with_config(ResolverConfig::from_name_servers(servers), TokioRuntimeProvider::default())
            .with_options(options(limits))
            // Without this the builder reads the system's CA bundle, and fails on a host that has none; TLS is never used.
            .with_tls_config(no_tls()?)
            .build()
            .map_err(|error| format!("the resolver cannot be built: {error}"))?;
    Ok(MessageAuthenticator(resolver))
}

fn unique(name_servers: &[SocketAddr]) -> Vec<NameServerConfig> {
    let mut seen = HashSet::new();
    name_servers
        .iter()
        .filter(|server| seen.insert(**server))
        .map(|server| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = server.port());
            NameServerConfig::new(server.ip(), true, connections)
        })
        .collect()
}

fn options(limits: TimeLimits) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = limits.question;
    options.attempts = limits.retries;
    options.cache_size = CACHED_ANSWERS;
    options.positive_max_ttl = Some(LONGEST_CACHED);
    options.negative_max_ttl = Some(LONGEST_CACHED);
    options.use_hosts_file = ResolveHosts::Never;
    // RFC 7208 section 5.7: "exists" asks for an A record, also for an IPv6 client.
    options.ip_strategy = LookupIpStrategy::Ipv4Only;
    options
}

fn no_tls() -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("the resolver cannot be built: {error}"))?;
    Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}
