//! What an IMAP server says when it refuses something, as a [`Failure`] (RFC 5530, and sentences of Gmail and Exchange Online).

use std::fmt;
use std::time::Duration;

use imap_codec::imap_types::response::Code;

use crate::intake::mailbox::failure::{Cause, Failure};

/// What a server says in BYE, or in the greeting that refuses a connection.
pub(super) fn from_bye(code: Option<&Code<'_>>, text: &str) -> Failure {
    said(code, text).unwrap_or_else(|| Failure::new(Cause::Bye, format!("the server said BYE: {}", shown(text))))
}

/// What a server says in answer to logging in.
pub(super) fn from_login(code: Option<&Code<'_>>, text: &str) -> Failure {
    said(code, text).unwrap_or_else(|| {
        Failure::new(Cause::Authentication, format!("the server refuses the login: {}", shown(text)))
    })
}

/// What a server says in answer to opening the folder.
pub(super) fn from_select(folder: &str, code: Option<&Code<'_>>, text: &str) -> Failure {
    said(code, text).unwrap_or_else(|| {
        Failure::new(
            Cause::Folder,
            format!("the folder \"{folder}\" cannot be opened: {}; make it, or set folder", shown(text)),
        )
    })
}

/// What a code or a known sentence says, wherever it stands. `None`: it depends on what was asked.
pub(super) fn said(code: Option<&Code<'_>>, text: &str) -> Option<Failure> {
    let name = code.map(code_name).unwrap_or_default();
    let lower = text.to_ascii_lowercase();
    if let Some(wait) = suggested_back_off(&lower) {
        let detail = format!("the server asks to stay away for {}: {}", human(wait), shown(text));
        return Some(Failure { asked_wait: Some(wait), ..Failure::new(Cause::Throttled, detail) });
    }
    let cause = match name.as_str() {
        "UNAVAILABLE" | "INUSE" | "LIMIT" | "OVERQUOTA" => Cause::Throttled,
        "AUTHENTICATIONFAILED" => Cause::Authentication,
        "AUTHORIZATIONFAILED" => Cause::Authorization,
        "EXPIRED" => Cause::Expired,
        "PRIVACYREQUIRED" => Cause::LoginDisabled,
        _ if lower.contains("simultaneous connections") => Cause::Throttled,
        _ if lower.contains("authenticated but not connected") => Cause::NotConnected,
        _ => return None,
    };
    let what = match cause {
        Cause::Throttled => "the server asks to come back later",
        Cause::Authentication => "wrong user or password",
        Cause::Authorization => "this user may not read this mailbox",
        Cause::Expired => "the password has expired",
        Cause::LoginDisabled => "the server takes no password without TLS: set ssl or start_tls",
        _ => {
            "Exchange Online: the token is good, but gives no access to this mailbox: the application needs \
             IMAP.AccessAsApp and a permission for the mailbox of `user` (docs/set-up-inbox.md)"
        }
    };
    let code = if name.is_empty() { String::new() } else { format!("[{name}] ") };
    Some(Failure::new(cause, format!("{what}: {code}{}", shown(text))))
}

/// A code's name in upper case, without what may stand behind it; empty for those that make no difference here.
pub(super) fn code_name(code: &Code<'_>) -> String {
    match code {
        Code::Other(other) => {
            let text = String::from_utf8_lossy(other.inner());
            text.split_ascii_whitespace().next().unwrap_or_default().to_ascii_uppercase()
        }
        Code::Alert => "ALERT".to_owned(),
        Code::OverQuota => "OVERQUOTA".to_owned(),
        Code::TryCreate => "TRYCREATE".to_owned(),
        _ => String::new(),
    }
}

/// `Request is throttled. Suggested Backoff Time: 299961 milliseconds` (Exchange Online)
fn suggested_back_off(lower: &str) -> Option<Duration> {
    let rest = lower.split_once("suggested backoff time:")?.1.trim_start();
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok().map(Duration::from_millis)
}

/// A server's words, short and on one line.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    format!("\"{}\"", clean.trim())
}

fn human(wait: Duration) -> impl fmt::Display {
    humantime::format_duration(Duration::from_secs(wait.as_secs()))
}

#[cfg(test)]
mod tests {
    use imap_codec::imap_types::response::CodeOther;

    use super::*;

    fn code(text: &'static str) -> Option<Code<'static>> {
        (!text.is_empty()).then(|| Code::Other(CodeOther::unvalidated(text.as_bytes())))
    }

    #[test]
    fn what_a_server_says_has_its_cause() {
        type Row = (&'static str, &'static str, &'static str, Option<Cause>);
        let rows: &[Row] = &[
            ("Dovecot, password", "AUTHENTICATIONFAILED", "Authentication failed.", Some(Cause::Authentication)),
            ("Dovecot, overloaded", "UNAVAILABLE", "Temporary authentication failure.", Some(Cause::Throttled)),
            ("Dovecot, connections", "LIMIT", "Too many connections", Some(Cause::Throttled)),
            ("in use", "INUSE", "Mailbox in use", Some(Cause::Throttled)),
            ("Gmail, traffic", "OVERQUOTA", "Account exceeded bandwidth limits.", Some(Cause::Throttled)),
            ("case of the code", "unavailable", "x", Some(Cause::Throttled)),
            ("Gmail, connections", "ALERT", "Too many simultaneous connections. (Failure)", Some(Cause::Throttled)),
            ("authorization", "AUTHORIZATIONFAILED", "No such", Some(Cause::Authorization)),
            ("expired", "EXPIRED", "Password expired", Some(Cause::Expired)),
            ("TLS wanted", "PRIVACYREQUIRED", "Encrypt first", Some(Cause::LoginDisabled)),
            ("Exchange", "", "User is authenticated but not connected.", Some(Cause::NotConnected)),
            (
                "Exchange, throttled",
                "",
                "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
                Some(Cause::Throttled),
            ),
            ("nothing known", "", "Server error", None),
            ("a code of another matter", "TRYCREATE", "No such folder", None),
        ];
        for (name, code_text, text, cause) in rows {
            let said = said(code(code_text).as_ref(), text);
            assert_eq!(said.as_ref().map(|failure| failure.cause), *cause, "{name}");
        }
    }

    #[test]
    fn a_server_says_how_long() {
        let failure = said(None, "Request is throttled. Suggested Backoff Time: 299961 milliseconds");
        assert_eq!(failure.map(|failure| failure.wait(7, 0.0)), Some(Duration::from_millis(299_961)));
        let for_ever = said(None, "Suggested Backoff Time: 99999999999 milliseconds");
        assert_eq!(for_ever.map(|failure| failure.wait(0, 0.0)), Some(Duration::from_secs(3600)));
        assert_eq!(said(None, "Suggested Backoff Time: soon"), None);
    }

    #[test]
    fn a_servers_words_stay_on_one_line() {
        let failure = from_bye(None, &format!("a\r\nevent=forged {}", "x".repeat(5000)));
        assert!(failure.detail.len() < 300 && !failure.detail.contains(char::is_control));
    }
}
