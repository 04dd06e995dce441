//! `mailhatch held`: the copies kept back.

use std::path::Path;

use clap::Subcommand;

/// What to do with the copies kept back.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Held {
    /// List them, the oldest first.
    List,
    /// Show one: why it is held, its envelope and its message.
    Show {
        /// Its id, as `list` and the log show it.
        id: String,
    },
    /// Put one through the pipeline again; it is removed if it is not held again.
    Release {
        /// Its id.
        id: String,
    },
    /// Remove what is over `held.keep` and `held.max_size`.
    Purge,
}

pub(super) fn run(_config: &Path, _held: Held) -> u8 {
    super::FAILED
}
