//! The name servers behind all DNS questions of this module: made at the first question, with a cache and a time limit.
//!
//! It reads no CA bundle and no hosts file, and it never appends a search domain. It must not be asked but by `Questions`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::op::{DnsRequestOptions, Query};
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use super::answer::{Answer, Question};
use super::cache::AnswerCache;

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
        Self { question: Duration::from_secs(2), retries: 1, message: Duration::from_secs(10) }
    }
}

/// Octets of answers kept.
const CACHED: usize = 32 * 1024 * 1024;
/// Questions in flight at once: an answer may have 64 KiB on its way in, and ten times as much in memory, before it is found to be
/// too large.
const IN_FLIGHT: usize = 128;

type Pool = NameServerPool<TokioRuntimeProvider>;

/// The name servers, or nothing yet.
pub(super) struct Resolver {
    name_servers: Vec<SocketAddr>,
    limits: TimeLimits,
    built: OnceCell<Pool>,
    cache: AnswerCache,
    in_flight: Semaphore,
}

impl Resolver {
    pub(super) fn new(name_servers: Vec<SocketAddr>, limits: TimeLimits) -> Self {
        let (cache, in_flight) = (AnswerCache::new(CACHED), Semaphore::new(IN_FLIGHT));
        Self { name_servers, limits, built: OnceCell::new(), cache, in_flight }
    }

    pub(super) fn limits(&self) -> TimeLimits {
        self.limits
    }

    /// What DNS says, from the cache or from a name server. Only [`Questions`](super::questions::Questions) calls this: it counts.
    pub(super) async fn answer(&self, question: &Question) -> Answer {
        if let Some(kept) = self.cache.get(question) {
            return kept;
        }
        // The semaphore is never closed.
        let _permit = self.in_flight.acquire().await;
        // An error is tried again at the next question, so that a host whose resolv.conf comes late recovers.
        let built = self.built.get_or_try_init(|| async { pool(servers(&self.name_servers)?, self.limits) }).await;
        let pool = match built {
            Ok(pool) => pool,
            Err(why) => return Answer::Fault(why.into()),
        };
        let (answer, until) = ask(pool, question, self.limits.question).await;
        if let Some(until) = until {
            self.cache.keep(question, &answer, until);
        }
        answer
    }
}

/// Asks once. The pool repeats a datagram that gets no answer, and comes by TCP for what does not fit in one; nothing else asks
/// more than it is told to: no search domains, no CNAME that the name server did not follow itself.
async fn ask(pool: &Pool, question: &Question, limit: Duration) -> (Answer, Option<std::time::Instant>) {
    let query = Query::query(question.name.clone(), question.kind);
    let mut responses = pool.lookup(query, DnsRequestOptions::default());
    match timeout(limit, responses.next()).await {
        Ok(Some(response)) => Answer::read(question.kind, response),
        Ok(None) | Err(_) => (Answer::Fault("no name server answers".into()), None),
    }
}

/// A name server, and what it answered or why it is of no use.
pub type NameServerCheck = (String, Result<String, String>);

impl Resolver {
    /// Asks every name server by itself for a name; that there is no such name is an answer too.
    pub(super) async fn check(&self, name: &str) -> Result<Vec<NameServerCheck>, String> {
        let question = Question::new(name, RecordType::TXT).ok_or_else(|| format!("{name} is not a valid name"))?;
        let mut found = Vec::new();
        for server in servers(&self.name_servers)? {
            let port = server.connections.first().map_or(53, |connection| connection.port);
            let shown = SocketAddr::new(server.ip, port).to_string();
            let pool = pool(vec![server], self.limits)?;
            let answer = match timeout(self.limits.message, ask(&pool, &question, self.limits.question)).await {
                Ok((Answer::Fault(why), _)) => Err(format!("gives no answer about {name} ({why})")),
                Ok(_) => Ok(format!("answers (asked for {name})")),
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

fn pool(servers: Vec<NameServerConfig>, limits: TimeLimits) -> Result<Pool, String> {
    let mut options = ResolverOpts::default();
    options.timeout = limits.question;
    let context = PoolContext::new(options, TlsConfig { config: no_tls()? });
    Ok(NameServerPool::from_config(servers, Arc::new(context), TokioRuntimeProvider::default()))
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

/// Without a configuration of ours the pool would read the system's CA bundle, and fail on a host that has none; TLS is never used.
pub(super) fn no_tls() -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("the resolver cannot be built: {error}"))?;
    Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}
