//! `[shared]`: the store in which several hosts of one application tell each other what they have delivered.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

use super::error::ConfigError;
use super::file::ConfigFile;
use super::located::Located;
use super::secret::SecretSource;
use super::units;
use crate::credential::CredentialName;

/// Redis.
const PORT: u16 = 6379;

/// Redis Sentinel.
const SENTINEL_PORT: u16 = 26379;

/// The file of Redis keys would grow with it.
const LONGEST_PREFIX: usize = 64;

/// `[shared]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedConfig {
    /// Where the store is.
    pub url: Located<SharedUrl>,
    /// The ACL user of the store.
    pub user: Option<Located<String>>,
    /// The file with its password.
    secret_file: Option<Located<PathBuf>>,
    /// Or the credential with its password.
    pub(super) credential: Option<Located<CredentialName>>,
    /// Where its password is.
    #[serde(skip)]
    pub secret: Option<SecretSource>,
    /// Certificates to trust besides the system's.
    pub ca_file: Option<Located<PathBuf>>,
    /// What all keys begin with, the same on all hosts of one application.
    #[serde(default = "default_prefix", deserialize_with = "prefix")]
    pub prefix: String,
    /// How many replicas must have a record before it counts as recorded.
    #[serde(default)]
    pub replicas: u32,
    /// For one question to the store, connecting included.
    #[serde(default = "default_timeout", deserialize_with = "units::duration")]
    pub timeout: Duration,
    /// What becomes of mail while the store does not answer.
    #[serde(default)]
    pub when_down: WhenDown,
}

/// What becomes of mail while the store does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenDown {
    /// Each host goes by its own ledger: a copy that comes in on two hosts may be handed over twice.
    #[default]
    Alone,
    /// It waits with Postfix.
    Defer,
}

/// Where the store is. Never with a password in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedUrl {
    /// The way to it.
    pub server: SharedServer,
    /// The number of the database.
    pub database: u32,
    text: String,
}

/// The way to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedServer {
    /// `redis-sentinel` processes know which server is the master.
    Sentinel {
        /// Where they are.
        sentinels: Vec<HostPort>,
        /// The name that they have for the master.
        master: String,
    },
    /// TCP.
    Tcp(HostPort),
    /// TCP with TLS.
    Tls(HostPort),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// A host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl SharedConfig {
    /// Where the password is, if there is one.
    pub(super) fn read_secret(&self, config: &ConfigFile) -> Result<Option<SecretSource>, ConfigError> {
        match (self.secret_file.clone(), self.credential.clone()) {
            (None, None) => Ok(None),
            (file, credential) => SecretSource::choose(config, &self.url, "secret_file", file, credential).map(Some),
        }
    }

    /// What no single value can tell.
    pub(super) fn check(&self, config: &ConfigFile) -> Result<(), ConfigError> {
        if let Some(user) = self.user.as_ref().filter(|_| self.secret.is_none()) {
            return Err(config.error_at(user, "shared.user needs shared.secret_file, the file with its password"));
        }
        if let Some(ca_file) = &self.ca_file
            && !matches!(self.url.value.server, SharedServer::Tls(_))
        {
            let message = "shared.ca_file is for a url that begins with rediss://: this one has no TLS";
            return Err(config.error_at(ca_file, message));
        }
        Ok(())
    }
}

impl SharedUrl {
    fn parse(text: &str) -> Result<Self, String> {
        const FORMS: &str = "write redis://HOST:PORT/DB, rediss://HOST:PORT/DB, redis+unix:///PATH or \
                             redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB";
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("\"{text}\" is not a valid url of a store: {FORMS}"));
        };
        if rest.contains('@') {
            return Err(
                "the url holds no user and no password: they have shared.user and shared.secret_file".to_owned()
            );
        }
        let (server, database) = match scheme {
            "redis" | "rediss" => {
                let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
                let place = HostPort::parse(place, PORT)?;
                let server = if scheme == "redis" { SharedServer::Tcp(place) } else { SharedServer::Tls(place) };
                (server, database)
            }
            "redis+unix" => {
                let (path, database) = rest.split_once("?db=").unwrap_or((rest, ""));
                if !path.starts_with('/') {
                    return Err(
                        "the path of a Unix socket must be absolute: redis+unix:///run/redis/redis.sock".to_owned()
                    );
                }
                (SharedServer::Unix(path.into()), database)
            }
            "redis+sentinel" => {
                let mut parts = rest.splitn(3, '/');
                let places = parts.next().unwrap_or_default().split(',');
                let sentinels = places.map(|place| HostPort::parse(place, SENTINEL_PORT)).collect::<Result<_, _>>()?;
                let master = parts.next().filter(|name| !name.is_empty());
                let Some(master) = master.map(str::to_owned) else {
                    return Err("the name of the master is missing: redis+sentinel://HOST:PORT/NAME/DB".to_owned());
                };
                (SharedServer::Sentinel { sentinels, master }, parts.next().unwrap_or_default())
            }
            other => return Err(format!("\"{other}\" is not a known scheme of a store: {FORMS}")),
        };
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| format!("\"{number}\" is not a valid number of a database"))?,
        };
        Ok(Self { server, database, text: text.to_owned() })
    }
}

impl HostPort {
    fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a valid host with a port");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
                host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(wrong)?) })
            }
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || "/?#".contains(c);
        if host.is_empty() || host.contains(is_bad) {
            return Err(wrong());
        }
        let port = port.map_or(Ok(default_port), |port| port.parse().map_err(|_| wrong()))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for SharedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl<'de> Deserialize<'de> for SharedUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn default_prefix() -> String {
    "mailhatch".to_owned()
}

fn default_timeout() -> Duration {
    Duration::from_millis(500)
}

/// It stands in braces in every key, so that all keys of a script are in one slot of a cluster.
fn prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if text.is_empty() || text.len() > LONGEST_PREFIX || !text.chars().all(good) {
        return Err(D::Error::custom(format!(
            "\"{text}\" is not a valid prefix: up to {LONGEST_PREFIX} letters, digits and - _ . :"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, port: u16) -> HostPort {
        HostPort { host: host.to_owned(), port }
    }

    #[test]
    fn each_scheme_is_read() {
        let rows: &[(&str, SharedServer, u32)] = &[
            ("redis://10.0.0.5:6379/3", SharedServer::Tcp(place("10.0.0.5", 6379)), 3),
            ("redis://redis.example.com", SharedServer::Tcp(place("redis.example.com", 6379)), 0),
            ("redis://[::1]:7000/", SharedServer::Tcp(place("::1", 7000)), 0),
            ("rediss://redis.example.com:6380/1", SharedServer::Tls(place("redis.example.com", 6380)), 1),
            ("redis+unix:///run/redis.sock", SharedServer::Unix("/run/redis.sock".into()), 0),
            ("redis+unix:///run/redis.sock?db=2", SharedServer::Unix("/run/redis.sock".into()), 2),
            (
                "redis+sentinel://a:26379,b/NAME/3",
                SharedServer::Sentinel {
                    sentinels: vec![place("a", 26379), place("b", 26379)],
                    master: "NAME".to_owned(),
                },
                3,
            ),
        ];
        for (text, server, database) in rows {
            let url = SharedUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((&url.server, url.database), (server, *database), "{text}");
            assert_eq!(url.to_string(), *text);
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        let rows = [
            ("10.0.0.5:6379", "not a valid url"),
            ("http://10.0.0.5", "not a known scheme"),
            ("redis://user:hush@10.0.0.5", "shared.secret_file"),
            ("redis://", "not a valid host"),
            ("redis://a:port", "not a valid host"),
            ("redis://[a]:1", "not a valid host"),
            ("redis://a/x", "not a valid number of a database"),
            ("redis+unix://run/redis.sock", "must be absolute"),
            ("redis+sentinel://a,b", "name of the master is missing"),
            ("redis+sentinel://a,/NAME", "not a valid host"),
        ];
        for (text, want) in rows {
            let error = SharedUrl::parse(text).expect_err(text);
            assert!(error.contains(want), "{text}: {error}");
            assert!(!error.contains("hush"), "{text}: {error}");
        }
    }
}
