//! The command line: one file a subcommand.

mod check;
mod demo;
mod explain;
mod held;
mod import;
mod pipe;
mod serve;

pub use serve::service_runtime;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, DEFAULT_PATH, LogConfig};
use crate::intake::pipe::Arguments;
use crate::ledger::Ledger;
use crate::pipeline::Engine;
use crate::telemetry::Telemetry;

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
    /// The copies kept back.
    #[command(subcommand)]
    Held(held::Held),
    /// Print a configuration made from GitLab's or mail_room's, and what in it has no meaning here.
    Import(import::Options),
    /// Show the main job with nothing set up.
    Demo,
}

/// What pipe(8) knows of a message. An option that is not given is unknown, which is not the same as empty.
#[derive(Clone, Debug, Default, Args)]
struct EnvelopeOptions {
    /// Envelope sender; empty for the null sender.
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<OsString>,
    /// Envelope recipient; may be given more than once.
    #[arg(long = "recipient", value_name = "ADDRESS")]
    recipients: Vec<OsString>,
    /// The recipient before aliases were followed.
    #[arg(long = "original-recipient", value_name = "ADDRESS")]
    original_recipients: Vec<OsString>,
    /// IP address of the SMTP client.
    #[arg(long, value_name = "IP")]
    client_address: Option<OsString>,
    /// What the SMTP client said in HELO.
    #[arg(long, value_name = "NAME")]
    client_helo: Option<OsString>,
    /// Host name of the SMTP client.
    #[arg(long, value_name = "NAME")]
    client_name: Option<OsString>,
    /// Postfix's queue id.
    #[arg(long, value_name = "ID")]
    queue_id: Option<OsString>,
}

impl From<EnvelopeOptions> for Arguments {
    /// Octets that are no UTF-8 become U+FFFD: they must not cost the message.
    fn from(options: EnvelopeOptions) -> Self {
        let text = |value: OsString| value.to_string_lossy().into_owned();
        Self {
            sender: options.sender.map(text),
            recipients: options.recipients.into_iter().map(text).collect(),
            original_recipients: options.original_recipients.into_iter().map(text).collect(),
            client_address: options.client_address.map(text),
            client_helo: options.client_helo.map(text),
            client_name: options.client_name.map(text),
            queue_id: options.queue_id.map(text),
        }
    }
}

/// Exit status of a check or a piece of work that failed.
const FAILED: u8 = 1;
/// Exit status of wrong usage or configuration.
const USAGE: u8 = 2;

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if is_pipe(&arguments) {
        return pipe::run(&arguments);
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
        Command::Demo => demo::run(),
        Command::Explain(options) => explain::run(&line.config, options),
        Command::Held(held) => held::run(&line.config, held),
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

/// Says what is wrong with the configuration; the exit status for it.
fn report(error: &ConfigError) -> u8 {
    print_error(format_args!("{error}"));
    USAGE
}

fn print_error(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "mailhatch: {text}");
}

fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// All rooms, with a ledger and a log of their own.
fn engine(path: &Path, telemetry: impl FnOnce(LogConfig) -> Telemetry) -> Result<Arc<Engine>, ConfigError> {
    let config = Config::load(path)?;
    let telemetry = Arc::new(telemetry(config.log));
    let ledger = Arc::new(Ledger::new(&config));
    Ok(Arc::new(Engine::new(config, ledger, telemetry)?))
}

/// A runtime for one message or one question.
fn small_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
