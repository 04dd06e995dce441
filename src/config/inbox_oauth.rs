//! OAuth 2.0 of an `[[inbox]]`: where tokens come from, and for what.

use url::Url;

use super::error::ConfigError;
use super::file::ConfigFile;
use super::inbox_table::{InboxTable, OAuthFlow};
use super::located::Located;
use super::secret::SecretSource;

/// Microsoft's login for all but national clouds.
const AZURE_AD: &str = "https://login.microsoftonline.com";

/// Exchange Online, for IMAP.
const EXCHANGE_SCOPE: &str = "https://outlook.office365.com/.default";

/// Where tokens come from.
#[derive(Clone, Debug, PartialEq)]
pub struct OAuthConfig {
    /// `flow`
    pub flow: OAuthFlow,
    /// `token_url`, or what `azure_ad_endpoint` and `tenant_id` make.
    pub token_url: Located<Url>,
    /// `client_id`
    pub client_id: String,
    /// `client_secret_file` or `credential`
    pub client_secret: Option<SecretSource>,
    /// `refresh_token_file` or `credential`
    pub refresh_token: Option<SecretSource>,
    /// `scope`
    pub scope: Option<String>,
}

/// Reads it for IMAP.
pub(super) fn read_for_imap(config: &ConfigFile, table: &Located<InboxTable>) -> Result<OAuthConfig, ConfigError> {
    let written = &table.value;
    let flow = written.flow.as_ref().map_or(OAuthFlow::ClientCredentials, |flow| flow.value);
    let token_url = match (&written.token_url, &written.tenant_id) {
        (Some(url), None) => read_url(config, url, "token_url", Http::OnThisHost)?,
        (None, Some(_)) => microsoft(config, table)?,
        (Some(url), Some(_)) => {
            return Err(config.error_at(url, "tenant_id and token_url: the first stands for Microsoft's token_url"));
        }
        (None, None) => {
            let what = "auth = \"oauth2\" needs tenant_id (Exchange Online) or token_url";
            return Err(config.error_at(table, format!("the inbox \"{}\": {what}", written.name.value)));
        }
    };
    let scope = written.scope.as_ref().map(|scope| scope.value.clone());
    let is_microsoft = written.tenant_id.is_some() && flow == OAuthFlow::ClientCredentials;
    finish(config, table, flow, token_url, scope.or_else(|| is_microsoft.then(|| EXCHANGE_SCOPE.to_owned())))
}

/// Reads it for Graph at `endpoint`.
pub(super) fn read_for_graph(
    config: &ConfigFile,
    table: &Located<InboxTable>,
    endpoint: &Url,
) -> Result<OAuthConfig, ConfigError> {
    let scope = table.value.scope.as_ref().map(|scope| scope.value.clone());
    let scope = scope.unwrap_or_else(|| format!("{}/.default", endpoint.as_str().trim_end_matches('/')));
    finish(config, table, OAuthFlow::ClientCredentials, microsoft(config, table)?, Some(scope))
}

fn finish(
    config: &ConfigFile,
    table: &Located<InboxTable>,
    flow: OAuthFlow,
    token_url: Located<Url>,
    scope: Option<String>,
) -> Result<OAuthConfig, ConfigError> {
    let written = &table.value;
    let Some(client_id) = written.client_id.as_ref().filter(|id| !id.value.is_empty()) else {
        return Err(config.error_at(table, format!("the inbox \"{}\" has no client_id", written.name.value)));
    };
    let (secret_file, token_file, credential) =
        (written.client_secret_file.clone(), written.refresh_token_file.clone(), written.credential.clone());
    let choose = |key, file, credential| SecretSource::choose(config, table, key, file, credential);
    let (client_secret, refresh_token) = match flow {
        OAuthFlow::ClientCredentials => (Some(choose("client_secret_file", secret_file, credential)?), None),
        OAuthFlow::RefreshToken => {
            // A credential can hold both; a file holds one.
            let credential_for = |file: &Option<_>| credential.clone().filter(|_| file.is_none());
            let for_secret = credential_for(&secret_file);
            let secret = match (&secret_file, &for_secret) {
                (None, None) => None,
                _ => Some(choose("client_secret_file", secret_file, for_secret)?),
            };
            let for_token = credential_for(&token_file);
            (secret, Some(choose("refresh_token_file", token_file, for_token)?))
        }
    };
    Ok(OAuthConfig { flow, token_url, client_id: client_id.value.clone(), client_secret, refresh_token, scope })
}

/// The token endpoint of a tenant.
fn microsoft(config: &ConfigFile, table: &Located<InboxTable>) -> Result<Located<Url>, ConfigError> {
    let written = &table.value;
    let Some(tenant) = &written.tenant_id else {
        return Err(config.error_at(table, format!("the inbox \"{}\" has no tenant_id", written.name.value)));
    };
    let is_tenant = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if tenant.value.is_empty() || !tenant.value.chars().all(is_tenant) {
        return Err(config.error_at(tenant, "tenant_id is not a valid id or domain of a tenant"));
    }
    let endpoint = written.azure_ad_endpoint.clone();
    let endpoint = endpoint.unwrap_or(Located { value: AZURE_AD.to_owned(), span: tenant.span.clone() });
    let mut url = read_url(config, &endpoint, "azure_ad_endpoint", Http::Nowhere)?;
    if let Ok(mut path) = url.value.path_segments_mut() {
        path.pop_if_empty().extend([tenant.value.as_str(), "oauth2", "v2.0", "token"]);
    }
    Ok(url)
}

/// Where http:// will do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Http {
    Nowhere,
    OnThisHost,
}

/// A URL that secrets are sent to.
pub(super) fn read_url(
    config: &ConfigFile,
    text: &Located<String>,
    key: &str,
    http: Http,
) -> Result<Located<Url>, ConfigError> {
    let invalid = |why: &str| config.error_at(text, format!("{key} {why}"));
    let url = Url::parse(&text.value).map_err(|error| invalid(&format!("is not a valid URL: {error}")))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if http == Http::OnThisHost && is_here => {}
        _ => return Err(invalid("must begin with https://: secrets and tokens go there")),
    }
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if host.is_empty() || !is_plain || (http == Http::Nowhere && url.query().is_some()) {
        return Err(invalid("has a host, perhaps a port and a path, and nothing else"));
    }
    Ok(Located { value: url, span: text.span.clone() })
}
