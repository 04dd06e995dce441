//! An inbox of the configuration as something that can be opened and read.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{
    AfterDelivery, Config, ConfigError, ImapConfig, ImapSecurity, InboxConfig, InboxSource, Located, Provider as Named,
    Secret,
};
use crate::intake::mailbox::failure::{Cause, Failure};
use crate::intake::mailbox::imap::{
    After, Credential, CredentialSource, Endpoint, Folder, ImapSource, Limits, Proof, Security,
};
use crate::mail::Provider;
use crate::tls;

/// A password in a file, which is read before each login: after a refused one it may be another.
#[derive(Clone, Debug)]
pub(crate) struct PasswordFile {
    user: String,
    path: PathBuf,
}

impl CredentialSource for PasswordFile {
    async fn credential(&self) -> Result<Credential, Failure> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || Secret::read(&path)).await;
        let password = read.unwrap_or_else(|error| Err(error.to_string()));
        let password = password.map_err(|error| Failure::new(Cause::Credential, format!("password_file: {error}")))?;
        Ok(Credential { user: self.user.clone(), proof: Proof::Password(password) })
    }
}

/// Reads what the configuration names: certificates, and whether there is a password.
pub(crate) fn source(config: &Config, inbox: &InboxConfig) -> Result<ImapSource<PasswordFile>, ConfigError> {
    let InboxSource::Imap(imap) = &inbox.source;
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
    check_password(config, &imap.password_file)?;
    Ok(ImapSource {
        endpoint: endpoint(config, imap)?,
        credentials: PasswordFile { user: imap.user.clone(), path: imap.password_file.value.clone() },
        folder: folder(&inbox.folder)?,
        folder_name: inbox.folder.clone(),
        after,
        message_size: config.limits.message_size,
        idle_timeout: imap.idle_timeout,
        poll_interval: inbox.poll_interval,
        limits: Limits::default(),
    })
}

fn check_password(config: &Config, file: &Located<PathBuf>) -> Result<(), ConfigError> {
    let password = Secret::read(&file.value).map_err(|why| config.error_at(file, format!("password_file: {why}")))?;
    // SASL PLAIN ends a field with a zero octet, and a line end ends a command.
    let is_odd = password.expose().iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n'));
    if is_odd || password.expose().is_empty() {
        return Err(config.error_at(file, "password_file: a password is one line that is not empty"));
    }
    Ok(())
}

fn endpoint(config: &Config, imap: &ImapConfig) -> Result<Endpoint, ConfigError> {
    let security = match imap.security {
        ImapSecurity::Loopback => Security::Loopback,
        ImapSecurity::StartTls => Security::StartTls,
        ImapSecurity::Tls => Security::Tls,
    };
    let extra = match &imap.ca_file {
        Some(path) => {
            tls::read_certificates(&path.value).map_err(|why| config.error_at(path, format!("ca_file: {why}")))?
        }
        None => Vec::new(),
    };
    let tls = match security {
        Security::Loopback => None,
        Security::StartTls | Security::Tls => {
            let client = tls::client(&extra);
            let failed = |why| config.error_at(&imap.host, format!("TLS cannot be set up: {why}"));
            Some(Arc::new(client.map_err(failed)?))
        }
    };
    Ok(Endpoint { host: imap.host.value.clone(), port: imap.port, security, tls })
}

/// Whose trace fields are believed.
pub(crate) fn provider(inbox: &InboxConfig) -> Provider {
    let InboxSource::Imap(imap) = &inbox.source;
    let host = imap.host.value.to_ascii_lowercase();
    match inbox.provider {
        Named::Gmail => Provider::Gmail,
        Named::ExchangeOnline => Provider::ExchangeOnline,
        Named::None => Provider::None,
        Named::Auto if matches!(host.as_str(), "imap.gmail.com" | "imap.googlemail.com") => Provider::Gmail,
        Named::Auto if host == "outlook.office365.com" || host.ends_with(".office365.com") => Provider::ExchangeOnline,
        Named::Auto | Named::Own => Provider::Own { authserv_ids: inbox.authserv_ids.clone() },
    }
}
