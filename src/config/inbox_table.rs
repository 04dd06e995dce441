//! `[[inbox]]` as it is written: every key of every kind, with its place.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::located::Located;
use super::units;
use crate::credential::CredentialName;

/// `kind`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Imap,
    Graph,
}

/// `auth`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Auth {
    OAuth2,
    Password,
}

/// `flow`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum OAuthFlow {
    /// The application for itself.
    ClientCredentials,
    /// The application for a user, who allowed it once.
    RefreshToken,
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

/// `[[inbox]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboxTable {
    pub name: Located<String>,
    pub kind: Kind,
    pub host: Option<Located<String>>,
    pub port: Option<Located<u16>>,
    pub ssl: Option<Located<bool>>,
    pub start_tls: Option<Located<bool>>,
    pub ca_file: Option<Located<PathBuf>>,
    pub user: Option<Located<String>>,
    pub password_file: Option<Located<PathBuf>>,
    pub credential: Option<Located<CredentialName>>,
    pub auth: Option<Located<Auth>>,
    pub flow: Option<Located<OAuthFlow>>,
    pub tenant_id: Option<Located<String>>,
    pub token_url: Option<Located<String>>,
    pub client_id: Option<Located<String>>,
    pub client_secret_file: Option<Located<PathBuf>>,
    pub refresh_token_file: Option<Located<PathBuf>>,
    pub scope: Option<Located<String>>,
    pub azure_ad_endpoint: Option<Located<String>>,
    pub graph_endpoint: Option<Located<String>>,
    pub idle_timeout: Option<Located<Period>>,
    pub poll_interval: Option<Located<Period>>,
    pub folder: Option<Located<String>>,
    pub since: Option<Located<String>>,
    #[serde(default)]
    pub unknown: UnknownMail,
    #[serde(default)]
    pub delete_after_delivery: bool,
    #[serde(default)]
    pub expunge_deleted: bool,
    pub move_to: Option<Located<String>>,
    #[serde(default = "default_concurrency", deserialize_with = "units::at_least_one")]
    pub concurrency: usize,
    #[serde(default)]
    pub provider: Provider,
    pub authserv_ids: Option<Located<Vec<String>>>,
    #[serde(default)]
    pub notices: bool,
}

/// A duration with its place.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Period(#[serde(deserialize_with = "units::duration")] pub Duration);

/// Four at once: a mailbox is one sender to the application, and Graph allows no more.
fn default_concurrency() -> usize {
    4
}

/// A key that is written, with its place.
type Given = (&'static str, Located<()>);

fn given<T>(key: &'static str, value: &Option<Located<T>>) -> Option<Given> {
    value.as_ref().map(|value| (key, Located { value: (), span: value.span.clone() }))
}

impl InboxTable {
    /// The first key that is for IMAP alone.
    pub fn imap_key(&self) -> Option<Given> {
        let keys = [
            given("host", &self.host),
            given("port", &self.port),
            given("ssl", &self.ssl),
            given("start_tls", &self.start_tls),
            given("password_file", &self.password_file),
            given("auth", &self.auth),
            given("flow", &self.flow),
            given("token_url", &self.token_url),
            given("refresh_token_file", &self.refresh_token_file),
            given("idle_timeout", &self.idle_timeout),
        ];
        keys.into_iter().flatten().next()
    }

    /// The first key that is for OAuth 2.0 alone.
    pub fn oauth_key(&self) -> Option<Given> {
        let keys = [
            given("flow", &self.flow),
            given("tenant_id", &self.tenant_id),
            given("token_url", &self.token_url),
            given("client_id", &self.client_id),
            given("client_secret_file", &self.client_secret_file),
            given("refresh_token_file", &self.refresh_token_file),
            given("scope", &self.scope),
            given("azure_ad_endpoint", &self.azure_ad_endpoint),
        ];
        keys.into_iter().flatten().next()
    }
}
