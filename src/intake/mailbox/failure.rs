//! What can go wrong with the way to a mailbox, and what is done about it: one table.
//!
//! It must not look at a message: a failure of one message is that message's, not the connection's.

use std::fmt;
use std::time::Duration;

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
    /// The folder was made anew while it was open: its numbers mean other messages.
    Renumbered,
    /// The ledger cannot be read or written.
    Ledger,
    /// A bug of ours.
    Internal,
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
    /// A person must look at this host.
    RepairHost,
}

/// One row: a cause, its name, what is done.
type Row = (Cause, &'static str, Remedy);

/// The table.
const TABLE: [Row; 22] = [
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
    (Cause::Renumbered, "renumbered", Remedy::Reconnect),
    (Cause::Ledger, "ledger", Remedy::RepairHost),
    (Cause::Internal, "internal-error", Remedy::RepairHost),
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
            Self::RepairHost => (SECOND * 5, MINUTE),
        }
    }

    /// Whether a person must act: it is logged as an error.
    pub fn is_alarm(self) -> bool {
        !matches!(self, Self::Reconnect | Self::Wait)
    }

    /// Whether the next try of a run that is to end soon (`--once`) would fail the same way.
    pub fn is_for_good(self) -> bool {
        !matches!(self, Self::Reconnect | Self::RepairHost)
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
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_one_row_and_one_name() {
        for (index, (cause, name, remedy)) in TABLE.iter().enumerate() {
            assert_eq!((cause.name(), cause.remedy()), (*name, *remedy));
            assert!(TABLE[..index].iter().all(|(other, taken, _)| other != cause && taken != name), "{name} twice");
        }
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
            (Remedy::RepairHost, [5, 10, 20, 60, 60]),
        ];
        for (remedy, expected) in rows {
            let waits: Vec<_> = [0, 1, 2, 20, u32::MAX].into_iter().map(|nth| seconds(*remedy, nth)).collect();
            assert_eq!(waits, expected, "{remedy:?}");
        }
        assert_eq!(Remedy::Reconnect.wait(5, 0.25), Duration::from_secs(8));
        assert_eq!(Remedy::Wait.wait(0, 0.25), Duration::from_secs(60));
    }
}
