//! `mailhatch import`: the configuration of GitLab or of mail_room as a `mailhatch.toml`, the mailbox that is read included,
//! and every setting in it that has no meaning here.
//!
//! It reads one file and writes to standard output. It never prints a password or a token, and it runs no Ruby: what
//! only Ruby could tell is named as not understood.

mod imported;
mod inbox;
mod meaning;
mod output;
mod ruby;
mod toml_string;
mod yaml;

use std::path::{Path, PathBuf};

use clap::Args;

use imported::{Imported, Refused};

use super::output::{FAILED, USAGE, print_error, say};

/// Options of `import`.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// gitlab.yml, gitlab.rb or mail_room.yml; told apart by what is in it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Imports and gives the exit status.
pub(super) fn run(options: &Options) -> u8 {
    let text = match std::fs::read(&options.file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            print_error(format_args!("{}: {error}", options.file.display()));
            return USAGE;
        }
    };
    match convert(&options.file, &text) {
        Ok(toml) => {
            say(format_args!("{}", toml.trim_end()));
            0
        }
        Err(Refused::NotKnown(why)) => {
            print_error(format_args!("{}: {why}", options.file.display()));
            USAGE
        }
        Err(Refused::NothingToImport(why)) => {
            print_error(format_args!("{}: {why}", options.file.display()));
            FAILED
        }
    }
}

fn convert(path: &Path, text: &str) -> Result<String, Refused> {
    let imported = read(path, text)?;
    output::write(path, &imported)
}

fn read(path: &Path, text: &str) -> Result<Imported, Refused> {
    if path.extension().is_some_and(|extension| extension == "rb") || ruby::is_gitlab_rb(text) {
        return Ok(ruby::read(text));
    }
    yaml::read(text).map_err(Refused::NotKnown)
}

#[cfg(test)]
mod tests;
