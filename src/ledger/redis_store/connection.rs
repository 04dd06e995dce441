//! The connection to Redis: by TCP, TLS or a Unix socket, to the server itself or to the master that Sentinel names.
//!
//! A server that would forget keys, or that is not the master, is not spoken to.

use std::fmt;
use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select_ok};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError, ServerErrorKind};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::super::shared_store::StoreError;
use super::script::Keys;
use crate::config::{HostPort, Secret, SharedConfig, SharedServer};
use crate::tls;

/// A connection; it is closed when the last holder drops it.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) asked: MultiplexedConnection,
    pub(super) keys: Keys,
    driver: JoinHandle<()>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Opens connections.
pub(super) struct Dialer {
    config: SharedConfig,
    tls: OnceCell<Arc<ClientConfig>>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Dialer {
    pub(super) fn new(config: &SharedConfig) -> Self {
        Self { config: config.clone(), tls: OnceCell::new() }
    }

    /// Connects to a server that keeps what it is told.
    pub(super) async fn connect(&self) -> Result<Connected, StoreError> {
        let connected = self.connect_to_any().await?;
        let policy = info_field(&self.info(&connected, "memory").await?, "maxmemory_policy");
        match policy.as_deref() {
            Some("noeviction") => Ok(connected),
            Some(policy) => Err(StoreError::new(format!(
                "{} evicts keys (maxmemory-policy {policy}), and what it evicts would be delivered twice: set noeviction, or \
                 name another server in shared.url",
                self.config.url.value
            ))),
            None => Err(StoreError::new(format!("{} does not tell its maxmemory-policy", self.config.url.value))),
        }
    }

    /// The same whatever the server does with keys, for `check`.
    pub(super) async fn connect_to_any(&self) -> Result<Connected, StoreError> {
        let (stream, secret): (BoxFuture<'_, _>, _) = match &self.config.url.value.server {
            SharedServer::Sentinel { sentinels, master } => {
                let asked = sentinels.iter().map(|sentinel| self.master_by(sentinel, master).boxed());
                let (connected, _others) = select_ok(asked).await?;
                return Ok(connected);
            }
            SharedServer::Tcp(place) => (tcp(place).boxed(), self.secret()?),
            SharedServer::Tls(place) => (self.encrypted(place).boxed(), self.secret()?),
            SharedServer::Unix(path) => {
                let connect = async move {
                    let stream = UnixStream::connect(path).await;
                    stream
                        .map(|stream| Box::new(stream) as Box<dyn Stream>)
                        .map_err(|error| format!("connect: {error}"))
                };
                (connect.boxed(), self.secret()?)
            }
        };
        let stream = stream.await.map_err(|why| self.said(&why))?;
        self.log_in(stream, secret).await
    }

    /// Asks a sentinel for the master, and the master whether it thinks so too.
    async fn master_by(&self, sentinel: &HostPort, name: &str) -> Result<Connected, StoreError> {
        let failed = |why: &str| StoreError::new(format!("sentinel {sentinel}: {why}"));
        let stream = tcp(sentinel).await.map_err(|why| failed(&why))?;
        let info = RedisConnectionInfo::default().set_skip_set_lib_name().set_protocol(ProtocolVersion::RESP2);
        let (mut asked, driver) = speak(&info, stream).await.map_err(|error| failed(&self.explained(&error)))?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(name);
        let answer = question.query_async::<Option<(String, u16)>>(&mut asked).await;
        driver.abort();
        let (host, port) = answer
            .map_err(|error| failed(&self.explained(&error)))?
            .ok_or_else(|| failed(&format!("it knows no master with the name \"{name}\"")))?;
        let place = HostPort { host, port };
        let stream = tcp(&place).await.map_err(|why| failed(&format!("its master {place}: {why}")))?;
        let connected = self.log_in(stream, self.secret()?).await?;
        let (role, ..): (String, redis::Value, redis::Value) = ask(&connected, &redis::cmd("ROLE"))
            .await
            .map_err(|error| failed(&format!("its master {place}: {}", self.explained(&error))))?;
        if role != "master" {
            return Err(failed(&format!("its master {place} is a {role}: a failover is under way")));
        }
        Ok(connected)
    }

    async fn log_in(&self, stream: Box<dyn Stream>, secret: Option<Secret>) -> Result<Connected, StoreError> {
        let secret = secret.as_ref().map(Secret::expose);
        let mut info = RedisConnectionInfo::default()
            .set_skip_set_lib_name()
            .set_protocol(ProtocolVersion::RESP2)
            .set_db(i64::from(self.config.url.value.database));
        if let Some(secret) = secret {
            let password =
                std::str::from_utf8(secret).map_err(|_| self.said("the password in shared.secret_file is not text"))?;
            info = info.set_password(password);
        }
        if let Some(user) = &self.config.user {
            info = info.set_username(&user.value);
        }
        let (asked, driver) = speak(&info, stream).await.map_err(|error| self.said(&self.explained(&error)))?;
        Ok(Connected { asked, keys: Keys::new(&self.config.prefix, secret.unwrap_or_default()), driver })
    }

    async fn encrypted(&self, place: &HostPort) -> Result<Box<dyn Stream>, String> {
        let make = || async {
            let extra = match &self.config.ca_file {
                Some(path) => tls::read_certificates(&path.value)?,
                None => Vec::new(),
            };
            tls::client(&extra).map(Arc::new).map_err(|error| format!("TLS: {error}"))
        };
        let tls = self.tls.get_or_try_init(make).await?;
        let name = ServerName::try_from(place.host.clone()).map_err(|error| format!("TLS: {error}"))?;
        let stream = tcp(place).await?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        stream.map(|stream| Box::new(stream) as Box<dyn Stream>).map_err(|error| format!("TLS: {error}"))
    }

    /// Read at each connection, so that a new password is in force without a restart.
    fn secret(&self) -> Result<Option<Secret>, StoreError> {
        let read = self.config.secret.as_ref().map(|secret| (secret.key(), secret.read_only_one()));
        match read {
            None => Ok(None),
            Some((_, Ok(secret))) => Ok(Some(secret)),
            Some((key, Err(why))) => Err(StoreError::new(format!("shared.{key} {why}"))),
        }
    }

    /// A section of INFO.
    pub(super) async fn info(&self, connected: &Connected, section: &str) -> Result<String, StoreError> {
        let mut command = redis::cmd("INFO");
        command.arg(section);
        ask(connected, &command).await.map_err(|error| self.said(&self.explained(&error)))
    }

    /// An error of the store, with its name.
    pub(super) fn said(&self, why: &str) -> StoreError {
        StoreError::new(format!("{}: {why}", self.config.url.value))
    }

    /// What an error of Redis means, and what to do.
    pub(super) fn explained(&self, error: &RedisError) -> String {
        let what = match error.kind() {
            ErrorKind::AuthenticationFailed => {
                "the user or the password is wrong: see shared.user and shared.secret_file"
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                "the user may not do that: give it the ACL of docs/several-hosts.md"
            }
            ErrorKind::Server(ServerErrorKind::ReadOnly) => "it is a replica: shared.url must lead to the master",
            ErrorKind::Server(ServerErrorKind::BusyLoading) => "it is still reading its data set",
            ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
                "it is one of a cluster, and the keys are elsewhere: name a server that holds all keys"
            }
            _ => match error.code() {
                Some("NOAUTH") => "it wants a password: see shared.user and shared.secret_file",
                Some("OOM") => "its memory is full: raise maxmemory",
                Some("MISCONF") => "it cannot write its data to the disk: see its own log",
                Some("NOREPLICAS") => "it takes nothing without its replicas (min-replicas-to-write)",
                _ => return error.to_string(),
            },
        };
        format!("{what} ({error})")
    }
}

/// A stream of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn tcp(place: &HostPort) -> Result<Box<dyn Stream>, String> {
    let connect = async {
        let stream = TcpStream::connect((place.host.as_str(), place.port)).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    connect.await.map(|stream| Box::new(stream) as Box<dyn Stream>).map_err(|error| format!("connect: {error}"))
}

async fn speak(
    info: &RedisConnectionInfo,
    stream: Box<dyn Stream>,
) -> Result<(MultiplexedConnection, JoinHandle<()>), RedisError> {
    // Each question has a deadline of ours.
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let (asked, driver) = MultiplexedConnection::new_with_config(info, stream, config).await?;
    Ok((asked, tokio::spawn(driver)))
}

/// Asks one thing.
pub(super) async fn ask<T: redis::FromRedisValue>(connected: &Connected, command: &Cmd) -> Result<T, RedisError> {
    command.query_async(&mut connected.asked.clone()).await
}

/// Asks several things at once; an answer for each.
pub(super) async fn ask_all(
    connected: &Connected,
    pipeline: &redis::Pipeline,
    count: usize,
) -> Result<Vec<Result<redis::Value, RedisError>>, RedisError> {
    let answers = connected.asked.clone().req_packed_commands(pipeline, 0, count).await?;
    Ok(answers.into_iter().map(redis::Value::extract_error).collect())
}

/// A field of INFO's answer.
pub(super) fn info_field(info: &str, name: &str) -> Option<String> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
}
