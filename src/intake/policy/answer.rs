//! What may be answered: a closed list, because an answer goes to a stranger.

use std::fmt;

use bytesize::ByteSize;

/// The answer to a request. None of them holds anything that the client said, so none can show a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No objection: Postfix goes on with its next restriction. Never `OK` or `PERMIT`, which would skip those.
    Dunno,
    /// The declared SIZE is over the limit, in octets.
    TooLarge {
        /// `limits.message_size`
        limit: u64,
    },
    /// No message for this address could find a mailbox.
    UnknownAddress,
}

impl Answer {
    /// The reason in log lines and the label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dunno => "dunno",
            Self::TooLarge { .. } => "too-large",
            Self::UnknownAddress => "unknown-address",
        }
    }
}

/// The value of `action=` (access(5)): the reply code with its enhanced status (RFC 3463) and the text. Postfix puts the
/// address before the text.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dunno => f.write_str("DUNNO"),
            Self::TooLarge { limit } => {
                write!(f, "552 5.3.4 The message is too large: the limit is {}.", Whole(*limit))
            }
            Self::UnknownAddress => f.write_str("550 5.1.1 The address is not known here."),
        }
    }
}

/// A size as the configuration writes it: `50 MiB` rather than `50.0 MiB`.
struct Whole(u64);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(bytesize::GIB, "GiB"), (bytesize::MIB, "MiB"), (bytesize::KIB, "KiB")];
        match units.into_iter().find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{} {name}", self.0 / unit),
            None => ByteSize(self.0).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_dunno_or_a_permanent_refusal_with_its_enhanced_status() {
        let rows = [
            (Answer::Dunno, "DUNNO"),
            (Answer::UnknownAddress, "550 5.1.1 The address is not known here."),
            (Answer::TooLarge { limit: 50 << 20 }, "552 5.3.4 The message is too large: the limit is 50 MiB."),
            (Answer::TooLarge { limit: 1 << 30 }, "552 5.3.4 The message is too large: the limit is 1 GiB."),
            (Answer::TooLarge { limit: 1536 << 10 }, "552 5.3.4 The message is too large: the limit is 1536 KiB."),
            (Answer::TooLarge { limit: 20_000_000 }, "552 5.3.4 The message is too large: the limit is 19.1 MiB."),
        ];
        for (answer, action) in rows {
            assert_eq!(answer.to_string(), action);
        }
    }
}
