//! `mailhatch import`: the configuration of GitLab or of mail_room as a `mailhatch.toml`, the mailbox that is read included,
//! and every setting in it that has no meaning here.
//!
//! It reads one file and writes to standard output. It never prints a password or a token, and it runs no Ruby: what
//! only Ruby could tell is named as not understood.

mod inbox;
mod meaning;
mod output;
mod ruby;
mod yaml;

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{FAILED, USAGE, print_error, say};

/// Options of `import`.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// gitlab.yml, gitlab.rb or mail_room.yml; told apart by what is in it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    GitlabRb,
    GitlabYml,
    MailRoomYml,
}

/// Which of GitLab's two mailboxes; the names are those of its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    IncomingEmail,
    ServiceDeskEmail,
}

impl Kind {
    const ALL: [Self; 2] = [Self::IncomingEmail, Self::ServiceDeskEmail];

    fn name(self) -> &'static str {
        match self {
            Self::IncomingEmail => "incoming_email",
            Self::ServiceDeskEmail => "service_desk_email",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A value as far as it can be read without running Ruby.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// A literal.
    Text(String),
    /// What only Ruby or ERB could tell: the source text.
    Unread(String),
}

impl Value {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Unread(_) => None,
        }
    }

    fn is_true(&self) -> bool {
        matches!(self.text(), Some("true" | "yes" | "on"))
    }
}

/// One setting, by GitLab's name for it and by the name that it has in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    key: String,
    shown: String,
    value: Value,
}

/// What the file says of one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    kind: Kind,
    settings: Vec<Setting>,
}

impl Section {
    fn value(&self, key: &str) -> Option<&Value> {
        self.settings.iter().rfind(|setting| setting.key == key).map(|setting| &setting.value)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.value(key).and_then(Value::text).filter(|text| !text.is_empty())
    }
}

/// All that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Imported {
    origin: Origin,
    sections: Vec<Section>,
    /// Where GitLab is, as far as the file says it apart from the mailboxes.
    gitlab_url: Option<String>,
    /// What was left out, and why.
    notes: Vec<String>,
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

/// Why nothing is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refused {
    /// The file is none of the three.
    NotKnown(String),
    /// It is, but no mailbox comes of it.
    NothingToImport(String),
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
