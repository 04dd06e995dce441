//! An inbox of the configuration as something that can be opened and read.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::config::{
    AfterDelivery, Config, ConfigError, GraphConfig, ImapAuth, ImapConfig, ImapSecurity, InboxConfig, InboxSource,
    Located, OAuthConfig, OAuthFlow, Provider as Named, Secret, SecretSource,
};
use crate::credential::Field;
use crate::intake::mailbox::either::Either;
use crate::intake::mailbox::failure::{Cause, Failure};
use crate::intake::mailbox::graph::{After as GraphAfter, Graph, GraphSource, Place};
use crate::intake::mailbox::https::Client;
use crate::intake::mailbox::imap::{
    After, Credential, CredentialSource, Endpoint, Folder, ImapSource, Limits, Proof, Security,
};
use crate::intake::mailbox::oauth::TokenSource;
use crate::intake::mailbox::report::Report;
use crate::ledger::InboxLog;
use crate::mail::Provider;
use crate::tls;

/// What logs in at an IMAP server.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    user: String,
    proof: LoginProof,
}

#[derive(Clone, Debug)]
enum LoginProof {
    /// Read before each login: after a refused one it may be another.
    Password(SecretSource),
    Tokens(Box<TokenSource>),
}

impl CredentialSource for Login {
    async fn credential(&self) -> Result<Credential, Failure> {
        let proof = match &self.proof {
            LoginProof::Password(secret) => {
                let (key, secret) = (secret.key(), secret.clone());
                let read = tokio::task::spawn_blocking(move || secret.read(Field::Password)).await;
                let password = read.unwrap_or_else(|error| Err(error.to_string()));
                Proof::Password(password.map_err(|error| Failure::new(Cause::Credential, format!("{key}: {error}")))?)
            }
            LoginProof::Tokens(tokens) => Proof::Token(tokens.token().await?),
        };
        Ok(Credential { user: self.user.clone(), proof })
    }

    async fn refused(&self) {
        if let LoginProof::Tokens(tokens) = &self.proof {
            tokens.refused().await;
        }
    }
}

/// A mailbox of either kind.
pub(crate) type Mailbox = Either<ImapSource<Login>, GraphSource>;

/// Reads what the configuration names: certificates, and whether there is a secret. `log` is what is known of the inbox; without
/// it, nothing is written down.
pub(crate) fn source(
    config: &Config,
    inbox: &InboxConfig,
    log: Option<InboxLog>,
    report: Report,
) -> Result<Mailbox, ConfigError> {
    match &inbox.source {
        InboxSource::Imap(imap) => imap_source(config, inbox, imap).map(Either::A),
        InboxSource::Graph(graph) => graph_source(config, inbox, graph, log, report).map(Either::B),
    }
}

/// A folder of Microsoft Graph.
pub(crate) fn graph_source(
    config: &Config,
    inbox: &InboxConfig,
    graph: &GraphConfig,
    log: Option<InboxLog>,
    report: Report,
) -> Result<GraphSource, ConfigError> {
    let tls = tls(config, &inbox.name, graph.ca_file.as_ref())?;
    let tokens = tokens(config, &graph.oauth, &tls)?;
    let client = Client::new(&graph.endpoint.value, tls)
        .map_err(|why| config.error_at(&graph.endpoint, format!("graph_endpoint is not a valid URL: {why}")))?;
    let user = inbox.user(config.file())?;
    let place = format!("{} {user} {}", graph.endpoint.value, inbox.folder);
    Ok(GraphSource {
        graph: Graph::new(client, tokens, &graph.oauth.client_id, report.clone()),
        place: Place::new(&graph.endpoint.value, &user),
        folder: inbox.folder.clone(),
        after: match &inbox.after {
            AfterDelivery::Keep => GraphAfter::Keep,
            AfterDelivery::Delete { expunge } => GraphAfter::Delete { expunge: *expunge },
            AfterDelivery::MoveTo(name) => GraphAfter::MoveTo(name.clone()),
        },
        poll_interval: inbox.poll_interval,
        validity: validity(&place),
        log,
        report,
    })
}

/// A number for a mailbox and folder, other than 0: another one has another.
fn validity(place: &str) -> u32 {
    let digest = ring::digest::digest(&ring::digest::SHA256, place.as_bytes());
    let octets = digest.as_ref().iter().take(4).fold(0_u32, |number, octet| number << 8 | u32::from(*octet));
    octets.max(1)
}

/// A folder of an IMAP server.
pub(crate) fn imap_source(
    config: &Config,
    inbox: &InboxConfig,
    imap: &ImapConfig,
) -> Result<ImapSource<Login>, ConfigError> {
    let folder = |name: &str| {
        Folder::named(name)
            .ok_or_else(|| config.error_at(&inbox.name, format!("the folder \"{name}\" is not a valid name")))
    };
    let after = match &inbox.after {
        AfterDelivery::Keep => After::Keep,
        // Removing archives a message at Gmail.
        AfterDelivery::Delete { .. } if provider(inbox) == Provider::Gmail => After::Trash,
        AfterDelivery::Delete { expunge } => After::Delete { expunge: *expunge },
        AfterDelivery::MoveTo(name) => After::MoveTo { folder: folder(name)?, name: name.clone() },
    };
    let tls = tls(config, &inbox.name, imap.ca_file.as_ref())?;
    let proof = match &imap.auth {
        ImapAuth::Password(secret) => {
            check_password(config, secret)?;
            LoginProof::Password(secret.clone())
        }
        ImapAuth::OAuth(oauth) => LoginProof::Tokens(Box::new(tokens(config, oauth, &tls)?)),
    };
    Ok(ImapSource {
        endpoint: endpoint(imap, tls),
        credentials: Login { user: inbox.user(config.file())?, proof },
        folder: folder(&inbox.folder)?,
        folder_name: inbox.folder.clone(),
        after,
        message_size: config.limits.message_size,
        idle_timeout: imap.idle_timeout,
        poll_interval: inbox.poll_interval,
        limits: Limits::default(),
    })
}

fn check_password(config: &Config, secret: &SecretSource) -> Result<(), ConfigError> {
    let key = secret.key();
    let password = secret.read(Field::Password).map_err(|why| secret.error(config.file(), format!("{key}: {why}")))?;
    // SASL PLAIN ends a field with a zero octet, and a line end ends a command.
    let is_odd = password.expose().iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n'));
    if is_odd || password.expose().is_empty() {
        return Err(secret.error(config.file(), format!("{key}: a password is one line that is not empty")));
    }
    Ok(())
}

/// Where tokens come from; what it needs is looked at now, not at the first login.
fn tokens(config: &Config, oauth: &OAuthConfig, tls: &Arc<ClientConfig>) -> Result<TokenSource, ConfigError> {
    let client = Client::new(&oauth.token_url.value, tls.clone())
        .map_err(|why| config.error_at(&oauth.token_url, format!("the token endpoint is not a valid URL: {why}")))?;
    let check = |secret: &SecretSource, read: Result<Option<Secret>, String>| {
        read.map(drop).map_err(|why| secret.error(config.file(), format!("{}: {why}", secret.key())))
    };
    if let Some(secret) = &oauth.client_secret {
        let read = match oauth.flow {
            OAuthFlow::ClientCredentials => secret.read(Field::ClientSecret).map(Some),
            OAuthFlow::RefreshToken => secret.read_optional(Field::ClientSecret),
        };
        check(secret, read)?;
    }
    if let Some(secret) = &oauth.refresh_token {
        check(secret, secret.read(Field::RefreshToken).map(Some))?;
    }
    Ok(TokenSource::new(client, oauth.clone()))
}

/// TLS as a client, with the certificates of `ca_file`.
fn tls(
    config: &Config,
    inbox: &Located<String>,
    ca_file: Option<&Located<PathBuf>>,
) -> Result<Arc<ClientConfig>, ConfigError> {
    let extra = match ca_file {
        Some(path) => {
            tls::read_certificates(&path.value).map_err(|why| config.error_at(path, format!("ca_file: {why}")))?
        }
        None => Vec::new(),
    };
    let client = tls::client(&extra);
    client.map(Arc::new).map_err(|why| config.error_at(inbox, format!("TLS cannot be set up: {why}")))
}

fn endpoint(imap: &ImapConfig, tls: Arc<ClientConfig>) -> Endpoint {
    let (security, tls) = match imap.security {
        ImapSecurity::Loopback => (Security::Loopback, None),
        ImapSecurity::StartTls => (Security::StartTls, Some(tls)),
        ImapSecurity::Tls => (Security::Tls, Some(tls)),
    };
    Endpoint { host: imap.host.value.clone(), port: imap.port, security, tls }
}

/// Whose trace fields are believed.
pub(crate) fn provider(inbox: &InboxConfig) -> Provider {
    let host = match &inbox.source {
        InboxSource::Imap(imap) => imap.host.value.to_ascii_lowercase(),
        InboxSource::Graph(_) => "outlook.office365.com".to_owned(),
    };
    match inbox.provider {
        Named::Gmail => Provider::Gmail,
        Named::ExchangeOnline => Provider::ExchangeOnline,
        Named::None => Provider::None,
        Named::Auto if matches!(host.as_str(), "imap.gmail.com" | "imap.googlemail.com") => Provider::Gmail,
        Named::Auto if host == "outlook.office365.com" || host.ends_with(".office365.com") => Provider::ExchangeOnline,
        Named::Auto | Named::Own => Provider::Own { authserv_ids: inbox.authserv_ids.clone() },
    }
}
