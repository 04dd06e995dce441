//! `mailhatch credential`: secrets that lie encrypted on the disk, and that systemd hands to the services.

mod editor;
mod interrupt;
mod memory_directory;
mod terminal;

use std::path::Path;
use std::process::{Command, Stdio};

use clap::{Subcommand, ValueEnum};
use nix::sys::resource::{Resource, setrlimit};

use super::output::{FAILED, print_error, say};
use super::set_up::small_runtime;
use crate::config::Config;
use crate::credential::{self, Contents, CredentialName, Field, Unit};
use crate::printable::for_terminal;

/// What stands in a new one before it is edited.
const TEMPLATE: &str = "\
# One line a field; leave out what there is not. The value stands in quotation marks.
#user = \"incoming@example.com\"
#password = \"\"
#client_secret = \"\"
#refresh_token = \"\"
";

/// What to do with credentials.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Action {
    /// Make one, or replace it: asks for its fields without showing what is typed. Standing input that is not a terminal is
    /// the TOML of the credential, or one line with the password.
    Set {
        /// Its name: letters, digits, "_" and "-".
        name: CredentialName,
        /// Its user, which is not a secret.
        #[arg(long)]
        user: Option<String>,
        /// The service that gets it; may be given more than once. Default: fetch, and serve too if an application or the
        /// shared ledger of the configuration names it.
        #[arg(long = "unit", value_name = "SERVICE")]
        units: Vec<Service>,
    },
    /// Decrypt one into memory, change it with $EDITOR, and encrypt it.
    Edit {
        /// Its name.
        name: CredentialName,
    },
    /// Show its user and which fields it has, not their values.
    Show {
        /// Its name.
        name: CredentialName,
    },
    /// Name them all.
    List,
    /// Remove one, and take it from the services.
    Remove {
        /// Its name.
        name: CredentialName,
    },
}

/// A service that takes credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Service {
    /// mailhatch-fetch.service
    Fetch,
    /// mailhatch.service
    Serve,
}

/// Does it and gives the exit status.
pub(super) fn run(config: &Path, action: Action) -> u8 {
    // A core file would be plain text on a disk.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let done = match (nix::unistd::geteuid().is_root(), small_runtime()) {
        (false, _) => Err("only root can encrypt and decrypt for this host: run this as root".to_owned()),
        (true, Err(error)) => Err(format!("no runtime: {error}")),
        (true, Ok(runtime)) => runtime.block_on(work(config, action)),
    };
    match done {
        Ok(()) => 0,
        Err(why) => {
            print_error(format_args!("{why}"));
            FAILED
        }
    }
}

async fn work(config: &Path, action: Action) -> Result<(), String> {
    match action {
        Action::Set { name, user, units } => {
            let contents = terminal::ask(user).await?;
            keep(config, &name, &contents, &units)
        }
        Action::Edit { name } => edit(config, &name).await,
        Action::Show { name } => show(&name),
        Action::List => list(),
        Action::Remove { name } => remove(&name),
    }
}

async fn edit(config: &Path, name: &CredentialName) -> Result<(), String> {
    let before = credential::load(name)?;
    let text = before.as_ref().map(Contents::to_toml);
    let edited = editor::edit(name, text.as_ref().map_or(TEMPLATE, |text| text.as_str())).await?;
    let contents = Contents::parse(&edited).map_err(|why| format!("{why}; nothing was changed"))?;
    if before.as_ref() == Some(&contents) {
        say(format_args!("{name} is as it was"));
        return Ok(());
    }
    keep(config, name, &contents, &[])
}

fn keep(config: &Path, name: &CredentialName, contents: &Contents, asked: &[Service]) -> Result<(), String> {
    credential::save(name, contents)?;
    let mut units = credential::drop_ins(name);
    let wanted = if asked.is_empty() && units.is_empty() { wanted_by(config, name) } else { units_of(asked) };
    units.extend(wanted);
    units.sort_unstable();
    units.dedup();
    credential::add_drop_ins(name, &units)?;
    reload_systemd();
    say(format_args!("{} holds {}", name.path().display(), fields(contents)));
    for unit in units.into_iter().map(Unit::name) {
        say(format_args!("{unit} gets it when it starts: systemctl restart {unit}"));
    }
    Ok(())
}

/// The services whose part of the configuration names it. `fetch` hands mail to applications as `serve` does.
fn wanted_by(config: &Path, name: &CredentialName) -> Vec<Unit> {
    let parsed = std::fs::read_to_string(config).ok().and_then(|text| Config::parse(config, &text).ok());
    let is_for_both = parsed.is_some_and(|config| config.application_credentials().any(|named| named == name));
    if is_for_both { Unit::ALL.to_vec() } else { vec![Unit::Fetch] }
}

fn units_of(services: &[Service]) -> Vec<Unit> {
    let unit = |service: &Service| match service {
        Service::Fetch => Unit::Fetch,
        Service::Serve => Unit::Serve,
    };
    services.iter().map(unit).collect()
}

fn show(name: &CredentialName) -> Result<(), String> {
    let contents = credential::load(name)?.ok_or_else(|| none_of(name))?;
    let units: Vec<_> = credential::drop_ins(name).into_iter().map(Unit::name).collect();
    say(format_args!("name      {name}"));
    say(format_args!("user      {}", for_terminal(contents.get(Field::User).unwrap_or("-"))));
    say(format_args!("fields    {}", fields(&contents)));
    say(format_args!("services  {}", if units.is_empty() { "-".to_owned() } else { units.join(", ") }));
    Ok(())
}

fn fields(contents: &Contents) -> String {
    contents.fields().map(Field::name).collect::<Vec<_>>().join(", ")
}

fn list() -> Result<(), String> {
    for name in credential::list()? {
        say(format_args!("{name}"));
    }
    Ok(())
}

fn remove(name: &CredentialName) -> Result<(), String> {
    // First the drop-ins: a service whose credential is missing does not start.
    credential::remove_drop_ins(name)?;
    let removed = credential::remove(name)?;
    reload_systemd();
    if removed { Ok(()) } else { Err(none_of(name)) }
}

fn none_of(name: &CredentialName) -> String {
    format!("there is no credential with the name \"{name}\" in {}", credential::STORE)
}

/// Where systemd runs (sd_booted(3)), it reads the drop-ins.
fn reload_systemd() {
    if !Path::new("/run/systemd/system").is_dir() {
        return;
    }
    let done = Command::new("systemctl").arg("daemon-reload").stdin(Stdio::null()).status();
    if !done.is_ok_and(|status| status.success()) {
        print_error(format_args!("systemd does not know of it yet: run systemctl daemon-reload"));
    }
}
