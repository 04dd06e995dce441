//! The command line: one file a subcommand.

mod check;
mod credential;
mod demo;
mod envelope_options;
mod explain;
mod fetch;
mod held;
mod import;
mod inbox;
mod output;
mod pipe;
mod reload;
mod serve;
mod service;
mod set_up;
mod sharing;

pub use set_up::service_runtime;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use envelope_options::EnvelopeOptions;
use output::USAGE;

use crate::config::DEFAULT_PATH;

/// A local delivery filter between Postfix and an application.
#[derive(Debug, Parser)]
#[command(name = "mailhatch", version, about, disable_help_subcommand = true)]
struct CommandLine {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the LMTP service.
    Serve,
    /// Take one message on standard input from Postfix's pipe(8).
    Pipe(EnvelopeOptions),
    /// Say what would happen to a message and why; change nothing, write to nobody.
    Explain(explain::Options),
    /// Test the configuration and every real part behind it.
    Check(check::Options),
    /// Read mail from mailboxes.
    Fetch(fetch::Options),
    /// What is known of the inboxes that `fetch` reads.
    #[command(subcommand)]
    Inbox(inbox::Inbox),
    /// The copies kept back.
    #[command(subcommand)]
    Held(held::Held),
    /// Encrypted credentials, for `credential = "NAME"` in the configuration.
    #[command(subcommand)]
    Credential(credential::Action),
    /// Print a configuration made from GitLab's or mail_room's, and what in it has no meaning here.
    Import(import::Options),
    /// Show the main job with nothing set up.
    Demo,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if is_pipe(&arguments) {
        return pipe::run(|| match CommandLine::try_parse_from(&arguments)? {
            CommandLine { config, command: Command::Pipe(options) } => Ok((config, options)),
            _ => Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand)),
        });
    }
    match CommandLine::try_parse_from(&arguments) {
        Ok(line) => ExitCode::from(dispatch(line)),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
        }
    }
}

fn dispatch(line: CommandLine) -> u8 {
    match line.command {
        Command::Check(options) => check::run(&line.config, &options),
        Command::Credential(action) => credential::run(&line.config, action),
        Command::Demo => demo::run(),
        Command::Explain(options) => explain::run(&line.config, options),
        Command::Fetch(options) => fetch::run(&line.config, &options),
        Command::Held(held) => held::run(&line.config, held),
        Command::Inbox(inbox) => inbox::run(&line.config, inbox),
        Command::Import(options) => import::run(&options),
        // `run` has sent it elsewhere: its exit status has rules of its own.
        Command::Pipe(_) => crate::disposition::EX_TEMPFAIL,
        Command::Serve => serve::run(&line.config),
    }
}

/// Whether `pipe` is meant, also where the rest of the line is wrong: then a mail is waiting, and the exit status decides
/// whether Postfix bounces it.
fn is_pipe(arguments: &[OsString]) -> bool {
    let mut words = arguments.iter().skip(1).filter_map(|argument| argument.to_str());
    words.find(|word| Command::has_subcommand(word)) == Some("pipe")
}
