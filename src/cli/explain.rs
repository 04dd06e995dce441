//! `mailhatch explain`: what would happen to a message, and why.

use std::io::{IsTerminal, Read};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::envelope_options::EnvelopeOptions;
use super::fetch::look;
use super::fetch::source::graph_source;
use super::output::{FAILED, USAGE, print_error, report, say_json, say_painted};
use super::set_up::{Site, small_runtime};
use crate::config::InboxSource;
use crate::event_id::EventId;
use crate::intake::mailbox::report::Report;
use crate::intake::mailbox::source::{Got, OpenMailbox};
use crate::intake::pipe::read_message;
use crate::ledger::ListItem;
use crate::mail::{Content, Message, Recipient};
use crate::notice::NoticePreview;
use crate::outcome::{Explanation, Outcome};
use crate::pipeline::FetchedExplanation;
use crate::printable::for_terminal;
use crate::telemetry::Telemetry;
use crate::trail::Step;

/// Options of `explain`.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    envelope: EnvelopeOptions,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    /// The message; `-` for standard input.
    #[arg(value_name = "FILE", required_unless_present = "inbox", conflicts_with_all = ["inbox", "uid", "id"])]
    file: Option<PathBuf>,
    /// A message that lies in this inbox, instead of a file.
    #[arg(long, value_name = "NAME")]
    inbox: Option<String>,
    /// Which message of the inbox.
    #[arg(long, value_name = "UID", requires = "inbox", conflicts_with = "id")]
    uid: Option<NonZeroU32>,
    /// Which message of an inbox of kind graph.
    #[arg(long, value_name = "ID", requires = "inbox")]
    id: Option<String>,
}

#[derive(Serialize)]
struct ExplainedMessage<'a> {
    message_id: Option<String>,
    size: u64,
    #[serde(flatten)]
    inbox: Option<&'a ExplainedInbox>,
    recipients: Vec<ExplainedRecipient<'a>>,
}

#[derive(Serialize)]
struct ExplainedRecipient<'a> {
    recipient: &'a str,
    verdict: &'static str,
    mailbox: Option<&'a str>,
    action: Option<&'a str>,
    key: Option<&'a str>,
    source: Option<&'static str>,
    reason: Option<&'static str>,
    detail: Option<&'a str>,
    notice: Option<&'a NoticePreview>,
    id: Option<&'a str>,
    trail: &'a [Step],
}

/// Which message of an inbox.
enum Which {
    Uid(NonZeroU32),
    Id(String),
}

/// What is known of a message because of where it lies.
#[derive(Serialize)]
struct ExplainedInbox {
    inbox: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Whether the provider's trace fields have the form that is believed.
    believed: bool,
    /// Whether it would be left where it is.
    left: bool,
}

/// All that is to be told, before it is put into words.
struct Explained {
    content: Content,
    recipients: Vec<Recipient>,
    explanations: Vec<Explanation>,
    inbox: Option<ExplainedInbox>,
}

/// Explains and gives the exit status.
pub(super) fn run(config: &Path, options: Options) -> u8 {
    let Options { envelope, json, file, inbox, uid, id } = options;
    let which = uid.map(Which::Uid).or(id.map(Which::Id));
    let explained = match (file, inbox, which) {
        (Some(file), ..) => explain_file(config, &file, envelope),
        (None, Some(inbox), Some(which)) => explain_in_inbox(config, &inbox, which),
        (None, Some(_), None) => {
            print_error(format_args!("--inbox needs --uid=UID, or --id=ID for an inbox of kind graph"));
            Err(USAGE)
        }
        // The options cannot be given so.
        _ => Err(USAGE),
    };
    let explained = match explained {
        Ok(explained) => explained,
        Err(status) => return status,
    };
    let message = Message::parse(explained.content.clone());
    let explanation = ExplainedMessage {
        message_id: message.message_id(),
        size: message.size(),
        inbox: explained.inbox.as_ref(),
        recipients: explained
            .recipients
            .iter()
            .zip(&explained.explanations)
            .map(|(recipient, explanation)| explained_for(&recipient.address, explanation, explained.inbox.as_ref()))
            .collect(),
    };
    if json {
        say_json(&explanation);
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        show(&explanation, Paint(colour));
    }
    0
}

fn failed(why: impl std::fmt::Display) -> u8 {
    print_error(format_args!("{why}"));
    FAILED
}

fn explain_file(config: &Path, file: &Path, envelope: EnvelopeOptions) -> Result<Explained, u8> {
    let engine = match Site::load_as_is(config, |_| Telemetry::silent()) {
        Ok(site) => site.engine,
        Err(error) => return Err(report(&error)),
    };
    let content = read(file, engine.config().limits.message_size)
        .map_err(|error| failed(format_args!("{}: {error}", file.display())))?;
    let mut envelope = envelope.into_envelope();
    if envelope.recipients.is_empty() {
        // Nobody said whom it was sent to: the header alone must tell.
        envelope.recipients.push(Recipient::new(""));
    }
    let recipients = envelope.recipients.clone();
    let runtime = small_runtime().map_err(|error| failed(format_args!("no runtime: {error}")))?;
    let explanations = runtime.block_on(engine.explain(envelope, content.clone()));
    runtime.shutdown_background();
    let explanations =
        explanations.map_err(|deferral| failed(format_args!("{}: {}", file.display(), deferral.detail)))?;
    Ok(Explained { content, recipients, explanations, inbox: None })
}

/// A message where it lies: it is fetched without a trace, and its envelope is worked out as `fetch` does.
fn explain_in_inbox(config: &Path, name: &str, which: Which) -> Result<Explained, u8> {
    // As the service's user, who can read the password and whom the ledger belongs to.
    let site = Site::load(config, |_| Telemetry::silent()).map_err(|error| report(&error))?;
    let config = site.engine.config();
    let Some(inbox) = config.inbox(name) else {
        return Err(report(&config.error(format!("there is no [[inbox]] with the name \"{name}\""))));
    };
    let runtime = small_runtime().map_err(|error| failed(format_args!("no runtime: {error}")))?;
    let explained = runtime.block_on(async {
        let room = look::room(config);
        let (got, uid, id) = match (which, &inbox.source) {
            (Which::Uid(uid), InboxSource::Imap(_)) => {
                let mut open = look::open(&site, inbox).await?;
                let got = open.fetch(uid, &room).await.map_err(|failure| failure.to_string())?;
                open.close().await;
                (got, Some(uid), None)
            }
            (Which::Id(id), InboxSource::Graph(graph)) => {
                let source = graph_source(config, inbox, graph, None, Report::silent(name));
                let source = source.map_err(|error| error.to_string())?;
                let item = ListItem { id: id.clone(), received: None };
                let got = source.fetch(item, &room).await.map_err(|failure| failure.to_string())?;
                (got, None, Some(id))
            }
            (Which::Uid(_), InboxSource::Graph(_)) => return Err("it is of kind graph: use --id".to_owned()),
            (Which::Id(_), InboxSource::Imap(_)) => return Err("it is of kind imap: use --uid".to_owned()),
        };
        let shown = uid.map_or_else(|| format!("id {}", id.as_deref().unwrap_or("?")), |uid| format!("UID {uid}"));
        let known = look::known(&site, name).await?;
        let letter = match got {
            Got::Message(letter) => *letter,
            Got::Gone => return Err(format!("there is no message with the {shown} in {}", inbox.folder)),
            Got::Not { cause, detail } => return Err(format!("{shown}: {cause}: {detail}")),
        };
        let content = letter.content.clone();
        let first_run = known.is_none_or(|(state, _)| uid.is_some_and(|uid| uid.get() < state.began));
        let fetched = look::fetched(config, inbox, letter, first_run)?;
        let explained = site.engine.explain_fetched(fetched).await.map_err(|deferral| deferral.detail)?;
        let FetchedExplanation { recipients, is_left, is_believed, explanations } = explained;
        let inbox = ExplainedInbox { inbox: name.to_owned(), uid, id, believed: is_believed, left: is_left };
        Ok(Explained { content, recipients, explanations, inbox: Some(inbox) })
    });
    runtime.shutdown_background();
    explained.map_err(|why| failed(format_args!("inbox \"{name}\": {why}")))
}

fn read(file: &Path, limit: u64) -> std::io::Result<Content> {
    let mut input: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(std::fs::File::open(file)?),
    };
    read_message(&mut input, limit, &std::env::temp_dir())
}

fn explained_for<'a>(
    recipient: &'a str,
    explanation: &'a Explanation,
    inbox: Option<&ExplainedInbox>,
) -> ExplainedRecipient<'a> {
    let Outcome { verdict, id, destination, .. } = &explanation.outcome;
    let destination = destination.as_ref();
    let is_left = inbox.is_some_and(|inbox| inbox.left);
    if is_left {
        return ExplainedRecipient {
            recipient,
            verdict: "left",
            mailbox: None,
            action: None,
            key: None,
            source: None,
            reason: Some("unknown-address"),
            detail: Some("no address of a mailbox; unknown = \"leave\": it stays as it is"),
            notice: None,
            id: None,
            trail: &explanation.trail,
        };
    }
    ExplainedRecipient {
        recipient,
        verdict: verdict.name(),
        mailbox: destination.map(|found| found.mailbox.as_str()),
        action: destination.and_then(|found| found.action.as_deref()),
        key: destination.map(|found| found.key.reveal()),
        source: destination.map(|found| found.matched.source.name()),
        reason: verdict.rule(),
        detail: Some(verdict.detail()).filter(|detail| !detail.is_empty()),
        notice: explanation.notice.as_ref(),
        id: id.as_ref().map(EventId::as_str),
        trail: &explanation.trail,
    }
}

/// Colour for a terminal, nothing for a file.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn result(self, text: &str) -> String {
        let code = match text.trim_end() {
            "delivered" | "match" | "proven" | "would be sent" => "32",
            "hit" | "ignored" | "refused" | "rejected" | "held" | "withheld" => "33",
            "deferred" | "error" => "31",
            _ => "2",
        };
        self.with(code, text)
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn is_quiet(step: &Step) -> bool {
    step.step == "screen" && step.result == "pass"
}

fn show(explanation: &ExplainedMessage<'_>, paint: Paint) {
    let id = for_terminal(explanation.message_id.as_deref().unwrap_or("without a Message-ID"));
    say_painted(format_args!("message {} ({} octets)", paint.bold(&id), explanation.size));
    if let Some(ExplainedInbox { inbox, uid, id, believed, .. }) = explanation.inbox {
        let which = match (uid, id) {
            (Some(uid), _) => format!("uid {uid}"),
            (None, id) => format!("id {}", for_terminal(id.as_deref().unwrap_or("?"))),
        };
        let trace = if *believed { "have" } else { "do not have" };
        say_painted(format_args!("inbox {inbox}, {which}; its topmost trace fields {trace} the form that is believed"));
    }
    for recipient in &explanation.recipients {
        let name = if recipient.recipient.is_empty() { "(no recipient given)" } else { recipient.recipient };
        say_painted(format_args!("\nrecipient {}", paint.bold(&for_terminal(name))));
        // The screen has many rules, and most of them have nothing to say: they share a line.
        let mut quiet = recipient.trail.iter().filter(|step| is_quiet(step)).count();
        for step in recipient.trail {
            if is_quiet(step) {
                if quiet > 0 {
                    let result = paint.result(&format!("{:<13}", "pass"));
                    let rules = format!("{} rules", std::mem::take(&mut quiet));
                    say_painted(format_args!("  {:<7} {rules:<24} {result} --json names them", "screen"));
                }
                continue;
            }
            let result = paint.result(&format!("{:<13}", step.result));
            let (rule, detail) = (for_terminal(&step.rule), for_terminal(&step.detail));
            say_painted(format_args!("  {:<7} {rule:<24} {result} {detail}", step.step));
        }
        let mut why = String::new();
        if let Some(reason) = recipient.reason {
            why.push_str(&format!(": {reason}"));
        }
        if let Some(detail) = recipient.detail {
            why.push_str(&format!(" ({})", for_terminal(detail)));
        }
        say_painted(format_args!("  {:<7} {}{why}", "verdict", paint.result(recipient.verdict)));
        if let (Some(mailbox), Some(key)) = (recipient.mailbox, recipient.key) {
            let action = recipient.action.unwrap_or("none");
            let whose = for_terminal(&format!("mailbox {mailbox}, action {action}, key {key}"));
            say_painted(format_args!("  {:<7} {whose}", ""));
        }
    }
}
