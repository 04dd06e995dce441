//! What the session says: reply texts with their enhanced status codes (RFC 5321 section 4.2, RFC 3463).
//!
//! The rule behind the codes: whatever a correct client may run into is 4yz. 5yz is left for what only a broken client,
//! or no LMTP client at all, can send.

/// The commands and parameters this server knows, below the name of the host.
pub(super) const EXTENSIONS: [&str; 7] = [
    "PIPELINING",
    "ENHANCEDSTATUSCODES",
    "8BITMIME",
    "SMTPUTF8",
    // Without a number: Postfix itself would bounce what is over one (RFC 1870 section 4 allows to name none).
    "SIZE",
    // So that NOTIFY=SUCCESS ends here: Postfix would else mail a "relayed" report to a sender nobody has proven.
    "DSN",
    "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
];

pub(super) const DONE: &str = "250 2.0.0 Ok";
pub(super) const SENDER_OK: &str = "250 2.1.0 Sender ok";
pub(super) const RECIPIENT_OK: &str = "250 2.1.5 Recipient ok";
pub(super) const GO_AHEAD: &str = "354 End data with <CR><LF>.<CR><LF>";
pub(super) const NOT_VERIFIED: &str = "252 2.0.0 Send some mail and see";
pub(super) const HELP: &str = "214 2.0.0 LMTP (RFC 2033): LHLO XFORWARD MAIL RCPT DATA RSET NOOP VRFY HELP QUIT";

pub(super) const LINE_TOO_LONG: &str = "500 5.5.2 Line too long";
pub(super) const UNKNOWN_COMMAND: &str = "500 5.5.1 Unknown command";
pub(super) const SAY_LHLO: &str = "500 5.5.1 This is LMTP: say LHLO";
pub(super) const LHLO_NAME: &str = "501 5.5.4 LHLO needs the name of the client";
pub(super) const LHLO_FIRST: &str = "503 5.5.1 Say LHLO first";
pub(super) const MAIL_FIRST: &str = "503 5.5.1 Say MAIL first";
pub(super) const NESTED_MAIL: &str = "503 5.5.1 A transaction is open already";
pub(super) const XFORWARD_IN_TRANSACTION: &str = "503 5.5.1 XFORWARD must stand before MAIL";
pub(super) const NO_RECIPIENTS: &str = "503 5.5.1 No valid recipients";
pub(super) const DATA_ARGUMENT: &str = "501 5.5.4 DATA takes no argument";
pub(super) const MAIL_SYNTAX: &str = "501 5.5.4 Syntax: MAIL FROM:<address>";
pub(super) const RCPT_SYNTAX: &str = "501 5.5.4 Syntax: RCPT TO:<address>";
pub(super) const XFORWARD_SYNTAX: &str = "501 5.5.4 Syntax: XFORWARD attribute=value";
/// RFC 5321 section 4.1.1.11 gives 555 for a parameter that is not known and 455 for one that cannot be met now. A 555
/// would bounce the message of an MTA that is newer than we are; with 455 it stays in the queue, and its log says why.
pub(super) const BAD_PARAMETER: &str = "455 4.5.4 Parameter not known, or its value not understood";
/// RFC 5321 section 4.5.3.1.10: the client sends the excess recipients in another transaction.
pub(super) const TOO_MANY_RECIPIENTS: &str = "452 4.5.3 Too many recipients, send the others again";
/// For a recipient that [`Deliver`](crate::intake::Deliver) left without an outcome.
pub(super) const NO_OUTCOME: &str = "451 4.3.0 deferred: internal error, the message stays in the queue";

/// Why the driver does not take a message now. All are temporary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `limits.memory` is used up by other messages.
    NoMemory,
    /// The part over `limits.message_size` cannot be written to the state directory.
    NoDisk,
}

impl Refusal {
    /// The reply line without its end.
    pub fn reply(self) -> &'static str {
        match self {
            Self::NoMemory => "451 4.3.1 deferred: too many messages in memory, try again later",
            Self::NoDisk => "451 4.3.1 deferred: no room for a large message, try again later",
        }
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said QUIT.
    Quit,
    /// It made too many protocol errors.
    TooManyErrors,
    /// It speaks HTTP: somebody makes a browser or an application talk to us.
    Http,
    /// It said nothing for too long.
    Idle,
    /// It stopped in the middle of a message.
    DataStalled,
    /// The service stops.
    ShuttingDown,
    /// `limits.connections` are open.
    TooManyConnections,
    /// A TCP peer that is not on this machine.
    ForeignAddress,
    /// A Unix peer whose user may not connect.
    ForeignUser,
}

impl CloseReason {
    /// The reply line without its end.
    pub fn reply(self) -> &'static str {
        match self {
            Self::Quit => "221 2.0.0 Bye",
            Self::TooManyErrors => "421 4.7.0 Too many errors",
            Self::Http => "421 4.7.0 This is LMTP, not HTTP",
            Self::Idle => "421 4.4.2 Nothing said for too long",
            Self::DataStalled => "421 4.4.2 Message not finished in time",
            Self::ShuttingDown => "421 4.3.2 Service is stopping",
            Self::TooManyConnections => "421 4.3.2 Too many connections",
            Self::ForeignAddress => "421 4.7.0 Only clients on this machine are served",
            Self::ForeignUser => "421 4.7.0 This user is not served",
        }
    }

    /// Its name in log lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::TooManyErrors => "too-many-errors",
            Self::Http => "http",
            Self::Idle => "idle",
            Self::DataStalled => "data-stalled",
            Self::ShuttingDown => "shutting-down",
            Self::TooManyConnections => "too-many-connections",
            Self::ForeignAddress => "foreign-address",
            Self::ForeignUser => "foreign-user",
        }
    }
}
