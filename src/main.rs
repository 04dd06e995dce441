//! The command line of mailhatch.

use std::process::ExitCode;

fn main() -> ExitCode {
    mailhatch::cli::run()
}
