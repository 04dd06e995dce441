//! What Graph says when it does not do what it was asked (learn.microsoft.com/graph/errors).

use std::time::Duration;

use serde::Deserialize;

use crate::intake::mailbox::failure::{Cause, Failure};
use crate::printable::one_line;

/// How long a mailbox that we may not read is left alone: a change of permissions takes up to an hour and more.
const FORBIDDEN: Duration = Duration::from_secs(15 * 60);

/// A status that is no success, with what is said of it.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The status code.
    pub status: u16,
    /// Retry-After.
    pub retry_after: Option<Duration>,
    code: String,
    message: String,
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Said,
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Refusal {
    pub(super) fn read(status: u16, retry_after: Option<Duration>, text: &[u8]) -> Self {
        let Body { error: Said { code, message } } = serde_json::from_slice(text).unwrap_or_default();
        Self { status, retry_after, code: one_line(&code, 100), message: one_line(&message, 300) }
    }

    /// In its own words.
    pub(super) fn said(&self) -> String {
        match (self.code.is_empty(), self.message.is_empty()) {
            (true, _) => self.status.to_string(),
            (false, true) => format!("{} {}", self.status, self.code),
            (false, false) => format!("{} {}: {}", self.status, self.code, self.message),
        }
    }

    /// Whether the service wants to be left alone for a while.
    pub(super) fn is_throttled(&self) -> bool {
        matches!(self.status, 429 | 503 | 504 | 509)
    }

    /// Whether a list must be read from its beginning.
    pub(super) fn wants_resync(&self) -> bool {
        const CODES: [&str; 3] = ["syncStateNotFound", "resyncRequired", "syncStateInvalid"];
        self.status == 410 || CODES.iter().any(|code| self.code.eq_ignore_ascii_case(code))
    }

    /// What it means for the mailbox as a whole. `roles` are the permissions in the token, where they can be read.
    pub(super) fn failure(&self, doing: &str, roles: Option<&[String]>) -> Failure {
        let said = self.said();
        match self.status {
            401 => Failure::new(Cause::OAuth, format!("Graph refuses the token, a new one too, to {doing}: {said}")),
            403 => {
                let has = match roles {
                    Some(roles) if !roles.iter().any(|role| role == "Mail.ReadWrite") => {
                        let roles = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
                        format!("the token does not have the application permission Mail.ReadWrite (it has: {roles})")
                    }
                    Some(_) => {
                        "the token has Mail.ReadWrite, so an application access policy keeps this mailbox from it: put the \
                         mailbox into the policy's group (New-ApplicationAccessPolicy)"
                            .to_owned()
                    }
                    None => {
                        "the application needs the application permission Mail.ReadWrite with an administrator's consent, \
                         and this mailbox must be in the group of its application access policy, if it has one"
                            .to_owned()
                    }
                };
                let detail = format!(
                    "Graph does not let us {doing}: {has}; a change takes up to an hour and more to count ({said})"
                );
                Failure { asked_wait: Some(FORBIDDEN), ..Failure::new(Cause::Authorization, detail) }
            }
            404 => Failure::new(
                Cause::Folder,
                format!("Graph cannot {doing}: {said}; look at user and folder in the configuration"),
            ),
            _ if self.is_throttled() || self.status >= 500 => {
                let asked_wait = self.retry_after;
                Failure { asked_wait, ..Failure::new(Cause::Throttled, format!("Graph cannot {doing} now: {said}")) }
            }
            _ => Failure::new(Cause::Refused, format!("Graph refuses to {doing}: {said}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_graph_says_has_its_cause_and_its_advice() {
        let roles = |roles: &[&str]| Some(roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>());
        let denied = r#"{"error":{"code":"ErrorAccessDenied","message":"Access to OData is disabled."}}"#;
        let missing = r#"{"error":{"code":"ErrorItemNotFound","message":"The specified object was not found."}}"#;
        type Row<'r> = (&'r str, u16, &'r str, Option<Vec<String>>, Cause, &'r str);
        let rows: &[Row<'_>] = &[
            ("denied", 403, denied, None, Cause::Authorization, "Access to OData is disabled"),
            ("permission", 403, denied, roles(&["Mail.Read"]), Cause::Authorization, "it has: Mail.Read"),
            ("no permission", 403, denied, roles(&[]), Cause::Authorization, "it has: none"),
            ("policy", 403, denied, roles(&["Mail.ReadWrite"]), Cause::Authorization, "New-ApplicationAccessPolicy"),
            ("token", 401, "", None, Cause::OAuth, "a new one too"),
            ("folder", 404, missing, None, Cause::Folder, "look at user and folder"),
            ("throttled", 429, "", None, Cause::Throttled, "429"),
            ("bandwidth", 509, "", None, Cause::Throttled, "509"),
            ("server error", 500, "<html>", None, Cause::Throttled, "500"),
            ("bad request", 400, "{}", None, Cause::Refused, "400"),
        ];
        for (name, status, text, roles, cause, words) in rows {
            let failure = Refusal::read(*status, None, text.as_bytes()).failure("list messages", roles.as_deref());
            assert_eq!(failure.cause, *cause, "{name}");
            assert!(failure.detail.contains(words), "{name}: {failure}");
        }
        assert!(Refusal::read(400, None, br#"{"error":{"code":"SyncStateNotFound"}}"#).wants_resync());
        assert!(Refusal::read(410, None, b"").wants_resync() && !Refusal::read(404, None, b"").wants_resync());
    }
}
