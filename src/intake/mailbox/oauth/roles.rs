//! What a token of Microsoft's says that it is good for: to name a missing permission, never to decide anything.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::config::Secret;
use crate::printable::one_line;

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scp: String,
}

/// The permissions in a token; `None` if it is not one that can be read (Gmail's cannot).
pub fn roles(token: &Secret) -> Option<Vec<String>> {
    let token = std::str::from_utf8(token.expose()).ok()?;
    let payload = token.split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()?;
    let scopes = claims.scp.split_ascii_whitespace().map(str::to_owned);
    Some(claims.roles.into_iter().chain(scopes).map(|role| one_line(&role, 60)).take(50).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permissions_of_a_token_are_read_where_it_has_any() {
        let token = |claims: &str| Secret::new(format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims)).into());
        let rows: &[(&str, Secret, Option<&[&str]>)] = &[
            ("application", token(r#"{"roles":["IMAP.AccessAsApp"]}"#), Some(&["IMAP.AccessAsApp"])),
            ("user", token(r#"{"scp":"a b"}"#), Some(&["a", "b"])),
            ("none", token("{}"), Some(&[])),
            ("no JSON", token("x"), None),
            ("opaque", Secret::new(b"ya29.x".to_vec()), None),
            ("opaque without dots", Secret::new(b"x".to_vec()), None),
        ];
        for (name, token, expected) in rows {
            let expected = expected.map(|roles| roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>());
            assert_eq!(roles(token), expected, "{name}");
        }
    }
}
