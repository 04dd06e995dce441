//! What can go wrong with a connection, and what is done about it: one table (docs/design.md, "The IMAP connection").
//!
//! It must not look at a message: a failure of one message is that message's, not the connection's.

use std::fmt;
use std::time::Duration;

use imap_codec::imap_types::response::Code;

/// What went wrong. Its name stands in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The server closed the connection, or the network did.
    Closed,
    /// No connection could be made: no address, nobody there.
    Unreachable,
    /// Silence for longer than a server may be silent.
    Timeout,
    /// The server said BYE.
    Bye,
    /// What came is not IMAP, or no answer to what was asked.
    Malformed,
    /// A command that every server must know was refused.
    Refused,
    /// Wrong user or password (RFC 5530: AUTHENTICATIONFAILED).
    Authentication,
    /// This user may not read this mailbox (AUTHORIZATIONFAILED).
    Authorization,
    /// The password has expired (EXPIRED).
    Expired,
    /// Exchange Online: logged in, but without access to a mailbox.
    NotConnected,
    /// The token was refused, or none could be had.
    OAuth,
    /// The password cannot be read on this host.
    Credential,
    /// The server asks to come back later: UNAVAILABLE, INUSE, LIMIT, OVERQUOTA, too many connections.
    Throttled,
    /// The server's certificate is not valid for this host, or TLS cannot be agreed on.
    Certificate,
    /// STARTTLS is refused, or was taken out on the way.
    StartTls,
    /// The server, or somebody before it, says that we are logged in before TLS.
    Preauth,
    /// Octets behind the OK to STARTTLS: somebody has written into the connection.
    Injected,
    /// The server takes no password on this connection, or none of its ways to log in is known here.
    LoginDisabled,
    /// The folder is not there, or cannot be opened.
    Folder,
}

/// What is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Connect again soon.
    Reconnect,
    /// Read the credential again; then wait long, because each try with a wrong password counts at the server.
    RereadCredential,
    /// Wait as long as the server says.
    Wait,
    /// No password is sent; a person must look.
    SendNoPassword,
    /// A person must make the folder, or name another.
    FindFolder,
}

/// One row: a cause, its name, what is done.
type Row = (Cause, &'static str, Remedy);

/// The table.
const TABLE: [Row; 19] = [
    (Cause::Closed, "closed", Remedy::Reconnect),
    (Cause::Unreachable, "unreachable", Remedy::Reconnect),
    (Cause::Timeout, "timeout", Remedy::Reconnect),
    (Cause::Bye, "bye", Remedy::Reconnect),
    (Cause::Malformed, "malformed", Remedy::Reconnect),
    (Cause::Refused, "refused", Remedy::Reconnect),
    (Cause::Authentication, "authentication", Remedy::RereadCredential),
    (Cause::Authorization, "authorization", Remedy::RereadCredential),
    (Cause::Expired, "expired", Remedy::RereadCredential),
    (Cause::NotConnected, "not-connected", Remedy::RereadCredential),
    (Cause::OAuth, "oauth", Remedy::RereadCredential),
    (Cause::Credential, "credential", Remedy::RereadCredential),
    (Cause::Throttled, "throttled", Remedy::Wait),
    (Cause::Certificate, "certificate", Remedy::SendNoPassword),
    (Cause::StartTls, "starttls", Remedy::SendNoPassword),
    (Cause::Preauth, "preauth", Remedy::SendNoPassword),
    (Cause::Injected, "injected", Remedy::SendNoPassword),
    (Cause::LoginDisabled, "login-disabled", Remedy::SendNoPassword),
    (Cause::Folder, "folder", Remedy::FindFolder),
];

impl Cause {
    /// All of them, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(cause, ..)| *cause)
    }

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What is done about it.
    pub fn remedy(self) -> Remedy {
        self.row().2
    }

    fn row(self) -> &'static Row {
        // Every cause has its row: a test goes through them.
        TABLE.iter().find(|(cause, ..)| *cause == self).unwrap_or(&TABLE[0])
    }
}

impl Remedy {
    /// The wait after the first failure in a row, and the longest one. It doubles in between.
    fn bounds(self) -> (Duration, Duration) {
        const SECOND: Duration = Duration::from_secs(1);
        const MINUTE: Duration = Duration::from_secs(60);
        match self {
            Self::Reconnect => (SECOND, MINUTE * 5),
            Self::RereadCredential => (MINUTE * 5, MINUTE * 60),
            Self::Wait => (MINUTE, MINUTE * 15),
            Self::SendNoPassword | Self::FindFolder => (MINUTE * 5, MINUTE * 5),
        }
    }

    /// Whether a person must act: it is logged as an error.
    pub fn is_alarm(self) -> bool {
        !matches!(self, Self::Reconnect | Self::Wait)
    }

    /// Whether the next try of a run that is to end soon (`--once`) would fail the same way.
    pub fn is_for_good(self) -> bool {
        self != Self::Reconnect
    }

    /// How long to wait after the `nth` failure in a row, counted from 0.
    ///
    /// `jitter` is a random number from 0 to 1: a server that comes back must not meet all its clients at once. Only what
    /// is tried soon is spread; a wait that a server or a person needs is kept whole.
    pub fn wait(self, nth: u32, jitter: f64) -> Duration {
        let (first, most) = self.bounds();
        let wait = first.saturating_mul(2_u32.saturating_pow(nth)).min(most);
        if self == Self::Reconnect { wait.mul_f64(jitter.clamp(0.0, 1.0)) } else { wait }
    }
}

/// Why a connection ended, or was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it was.
    pub cause: Cause,
    /// What the administrator reads: what was seen, and what to do.
    pub detail: String,
    /// How long the server asks to stay away.
    pub asked_wait: Option<Duration>,
}

impl Failure {
    /// A failure of a cause.
    pub fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into(), asked_wait: None }
    }

    /// How long to wait before the next connection, after `nth` failures of the same remedy in a row.
    pub fn wait(&self, nth: u32, jitter: f64) -> Duration {
        /// A server that asks for more is asked again after this time.
        const LONGEST: Duration = Duration::from_secs(3600);
        self.asked_wait.map_or_else(|| self.cause.remedy().wait(nth, jitter), |asked| asked.min(LONGEST))
    }

    /// What a server says in BYE, or in the greeting that refuses a connection.
    pub(super) fn bye(code: Option<&Code<'_>>, text: &str) -> Self {
        Self::said(code, text).unwrap_or_else(|| Self::new(Cause::Bye, format!("the server said BYE: {}", shown(text))))
    }

    /// What a server says in answer to logging in.
    pub(super) fn login(code: Option<&Code<'_>>, text: &str) -> Self {
        Self::said(code, text).unwrap_or_else(|| {
            Self::new(Cause::Authentication, format!("the server refuses the login: {}", shown(text)))
        })
    }

    /// What a server says in answer to opening the folder.
    pub(super) fn select(folder: &str, code: Option<&Code<'_>>, text: &str) -> Self {
        Self::said(code, text).unwrap_or_else(|| {
            Self::new(
                Cause::Folder,
                format!("the folder \"{folder}\" cannot be opened: {}; make it, or set folder", shown(text)),
            )
        })
    }

    /// What a code or a known sentence says, wherever it stands. `None`: it depends on what was asked.
    pub(super) fn said(code: Option<&Code<'_>>, text: &str) -> Option<Self> {
        let name = code.map(code_name).unwrap_or_default();
        let lower = text.to_ascii_lowercase();
        if let Some(wait) = suggested_back_off(&lower) {
            let detail = format!("the server asks to stay away for {}: {}", human(wait), shown(text));
            return Some(Self { asked_wait: Some(wait), ..Self::new(Cause::Throttled, detail) });
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
        Some(Self::new(cause, format!("{what}: {code}{}", shown(text))))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
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
    fn every_cause_has_one_row_and_one_name() {
        for (index, (cause, name, remedy)) in TABLE.iter().enumerate() {
            assert_eq!((cause.name(), cause.remedy()), (*name, *remedy));
            assert!(TABLE[..index].iter().all(|(other, taken, _)| other != cause && taken != name), "{name} twice");
        }
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
            let said = Failure::said(code(code_text).as_ref(), text);
            assert_eq!(said.as_ref().map(|failure| failure.cause), *cause, "{name}");
        }
    }

    #[test]
    fn a_server_says_how_long() {
        let said = Failure::said(None, "Request is throttled. Suggested Backoff Time: 299961 milliseconds");
        assert_eq!(said.map(|failure| failure.wait(7, 0.0)), Some(Duration::from_millis(299_961)));
        let for_ever = Failure::said(None, "Suggested Backoff Time: 99999999999 milliseconds");
        assert_eq!(for_ever.map(|failure| failure.wait(0, 0.0)), Some(Duration::from_secs(3600)));
        assert_eq!(Failure::said(None, "Suggested Backoff Time: soon"), None);
    }

    #[test]
    fn waits_double_up_to_their_limit() {
        let seconds = |remedy: Remedy, nth| remedy.wait(nth, 1.0).as_secs();
        let rows: &[(Remedy, [u64; 5])] = &[
            (Remedy::Reconnect, [1, 2, 4, 300, 300]),
            (Remedy::RereadCredential, [300, 600, 1200, 3600, 3600]),
            (Remedy::Wait, [60, 120, 240, 900, 900]),
            (Remedy::SendNoPassword, [300; 5]),
            (Remedy::FindFolder, [300; 5]),
        ];
        for (remedy, expected) in rows {
            let waits: Vec<_> = [0, 1, 2, 20, u32::MAX].into_iter().map(|nth| seconds(*remedy, nth)).collect();
            assert_eq!(waits, expected, "{remedy:?}");
        }
        assert_eq!(Remedy::Reconnect.wait(5, 0.25), Duration::from_secs(8));
        assert_eq!(Remedy::Wait.wait(0, 0.25), Duration::from_secs(60));
    }

    #[test]
    fn a_servers_words_stay_on_one_line() {
        let failure = Failure::bye(None, &format!("a\r\nevent=forged {}", "x".repeat(5000)));
        assert!(failure.detail.len() < 300 && !failure.detail.contains(char::is_control));
    }
}
