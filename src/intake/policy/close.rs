//! Why a connection ends.

use crate::intake::accept::TurnedAway;

/// Why a connection ends, other than that the client went away. None of them is answered: Postfix goes on without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// A TCP peer that is not on this machine.
    ForeignAddress,
    /// A Unix peer whose user may not connect.
    ForeignUser,
    /// Nothing was asked for longer than Postfix keeps a connection.
    Idle,
    /// A line that is not `name=value`.
    Malformed,
    /// Working the answer out panicked: a bug.
    Panicked,
    /// The service stops.
    ShuttingDown,
    /// A request that began, and had no further line in time; or an answer that was not read.
    Stalled,
    /// A request of more than [`LONGEST_REQUEST`](super::LONGEST_REQUEST).
    TooLong,
    /// All places are taken.
    TooManyConnections,
}

impl CloseReason {
    /// Its name in log lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::ForeignAddress => "foreign-address",
            Self::ForeignUser => "foreign-user",
            Self::Idle => "idle",
            Self::Malformed => "malformed-request",
            Self::Panicked => "internal-error",
            Self::ShuttingDown => "shutting-down",
            Self::Stalled => "request-stalled",
            Self::TooLong => "request-too-long",
            Self::TooManyConnections => "too-many-connections",
        }
    }

    /// Whether somebody has to know.
    pub(super) fn is_warning(self) -> bool {
        !matches!(self, Self::Idle | Self::ShuttingDown)
    }

    /// Whether a request was left without an answer that should have had one.
    pub(super) fn is_error(self) -> bool {
        match self {
            Self::Malformed | Self::Panicked | Self::Stalled | Self::TooLong | Self::TooManyConnections => true,
            Self::ForeignAddress | Self::ForeignUser | Self::Idle | Self::ShuttingDown => false,
        }
    }
}

impl From<TurnedAway> for CloseReason {
    fn from(why: TurnedAway) -> Self {
        match why {
            TurnedAway::ForeignAddress => Self::ForeignAddress,
            TurnedAway::ForeignUser => Self::ForeignUser,
            TurnedAway::TooManyConnections => Self::TooManyConnections,
        }
    }
}
