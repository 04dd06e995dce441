//! What a token endpoint says when it gives no token (RFC 6749 section 5.2, and the numbers of Microsoft's login).

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::intake::mailbox::failure::{Cause, Failure};
use crate::printable::one_line;

#[derive(Default, Deserialize)]
struct Refused {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

/// A number of Microsoft's login, and what to do.
const MICROSOFT: &[(&str, &str)] = &[
    ("AADSTS7000215", "the client_secret is wrong: it is the secret's value, not its id"),
    (
        "AADSTS7000222",
        "the client_secret has expired: make a new one under \"Certificates & secrets\" of the application",
    ),
    ("AADSTS700016", "the client_id is not known in this tenant"),
    ("AADSTS90002", "the tenant_id is not known at this azure_ad_endpoint"),
    ("AADSTS65001", "nobody has consented: an administrator must grant the application its permissions"),
    ("AADSTS70011", "the scope is not valid: it ends in /.default"),
    ("AADSTS700082", "the refresh token has expired: log in once more and store the new one"),
    (
        "AADSTS50173",
        "the refresh token was revoked, for example by a new password: log in once more and store the new one",
    ),
];

/// A word of the standard, and what to do.
const STANDARD: &[(&str, &str)] = &[
    ("invalid_client", "the client_id or the client_secret is wrong"),
    ("invalid_grant", "the refresh token is wrong, expired or revoked: log in once more and store the new one"),
    ("unauthorized_client", "the application may not use this flow, or lacks the consent of an administrator"),
    ("invalid_scope", "the scope is wrong, or the application lacks the permission that it names"),
    ("access_denied", "the application lacks a permission, or the consent of an administrator"),
    ("unsupported_grant_type", "the token endpoint does not know this flow: set flow to another one"),
    ("invalid_request", "something is missing: look at scope and client_secret"),
];

/// The failure that an answer stands for.
pub(super) fn read(url: &Url, status: u16, retry_after: Option<Duration>, text: &[u8]) -> Failure {
    let place = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
    let refused: Refused = serde_json::from_slice(text).unwrap_or_default();
    let Refused { error, error_description } = &refused;
    // Microsoft's descriptions have several lines, of which the first says it.
    let description = one_line(error_description.lines().next().unwrap_or_default(), 300);
    let said = match (error.is_empty(), description.is_empty()) {
        (true, _) => format!("{place} answered {status} without a token"),
        (false, true) => format!("{place} answered {status} {}", one_line(error, 100)),
        (false, false) => format!("{place} answered {status} {}: {description}", one_line(error, 100)),
    };
    if matches!(status, 429 | 500..=599) || error == "temporarily_unavailable" || error == "server_error" {
        return Failure { asked_wait: retry_after, ..Failure::new(Cause::Throttled, said) };
    }
    let known = MICROSOFT.iter().find(|(number, _)| description.starts_with(&format!("{number}:")));
    let known = known.or_else(|| STANDARD.iter().find(|(word, _)| word == error));
    let advice = known.map_or("is it the token endpoint?", |(_, advice)| advice);
    Failure::new(Cause::OAuth, format!("no token: {advice} ({said})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_endpoint_says_has_its_cause_and_its_advice() {
        let rows: &[(&str, u16, &str, Cause, &str)] = &[
            ("wrong secret", 401, r#"{"error":"invalid_client"}"#, Cause::OAuth, "client_secret is wrong"),
            (
                "Microsoft, wrong secret",
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret.\r\nTrace ID: x"}"#,
                Cause::OAuth,
                "not its id",
            ),
            (
                "Microsoft, expired secret",
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired."}"#,
                Cause::OAuth,
                "has expired: make a new one",
            ),
            ("refresh token", 400, r#"{"error":"invalid_grant"}"#, Cause::OAuth, "store the new one"),
            ("permission", 400, r#"{"error":"unauthorized_client"}"#, Cause::OAuth, "consent of an administrator"),
            ("another page", 404, "<html>", Cause::OAuth, "is it the token endpoint?"),
            ("throttled", 429, r#"{"error":"invalid_client"}"#, Cause::Throttled, "429"),
            ("overloaded", 503, "", Cause::Throttled, "503"),
            ("in words", 400, r#"{"error":"temporarily_unavailable"}"#, Cause::Throttled, "temporarily"),
        ];
        let url = Url::parse("https://login.example.com/t/oauth2/v2.0/token").expect("a URL");
        for (name, status, text, cause, words) in rows {
            let failure = read(&url, *status, None, text.as_bytes());
            assert_eq!(failure.cause, *cause, "{name}");
            assert!(
                failure.detail.contains(words) && failure.detail.contains("login.example.com"),
                "{name}: {failure}"
            );
            assert!(!failure.detail.contains(char::is_control), "{name}");
        }
        let asked = read(&url, 429, Some(Duration::from_secs(7)), b"");
        assert_eq!(asked.asked_wait, Some(Duration::from_secs(7)));
    }
}
