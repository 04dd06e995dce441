//! `mailhatch check`: every real part behind the configuration, a line each.

use std::path::Path;

use clap::Args;

/// Options of `check`.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {}

pub(super) fn run(_config: &Path, _options: &Options) -> u8 {
    super::FAILED
}
