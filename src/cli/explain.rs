//! `mailhatch explain`: what would happen to a message, and why.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::envelope_options::EnvelopeOptions;
use super::output::{FAILED, print_error, report, say_json, say_painted};
use super::set_up::{Site, small_runtime};
use crate::event_id::EventId;
use crate::intake::pipe::read_message;
use crate::mail::{Content, Message, Recipient};
use crate::notice::NoticePreview;
use crate::outcome::{Explanation, Outcome};
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
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Serialize)]
struct ExplainedMessage<'a> {
    message_id: Option<String>,
    size: u64,
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

/// Explains and gives the exit status.
pub(super) fn run(config: &Path, options: Options) -> u8 {
    let engine = match Site::load_as_is(config, |_| Telemetry::silent()) {
        Ok(site) => site.engine,
        Err(error) => return report(&error),
    };
    let content = match read(&options.file, engine.config().limits.message_size) {
        Ok(content) => content,
        Err(error) => {
            print_error(format_args!("{}: {error}", options.file.display()));
            return FAILED;
        }
    };
    let mut envelope = options.envelope.into_envelope();
    if envelope.recipients.is_empty() {
        // Nobody said whom it was sent to: the header alone must tell.
        envelope.recipients.push(Recipient::new(""));
    }
    let recipients = envelope.recipients.clone();
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(format_args!("no runtime: {error}"));
            return FAILED;
        }
    };
    let explanations = runtime.block_on(engine.explain(envelope, content.clone()));
    runtime.shutdown_background();
    let explanations = match explanations {
        Ok(explanations) => explanations,
        Err(deferral) => {
            print_error(format_args!("{}: {}", options.file.display(), deferral.detail));
            return FAILED;
        }
    };
    let message = Message::parse(content);
    let explanation = ExplainedMessage {
        message_id: message.message_id(),
        size: message.size(),
        recipients: recipients
            .iter()
            .zip(&explanations)
            .map(|(recipient, explanation)| explained(&recipient.address, explanation))
            .collect(),
    };
    if options.json {
        say_json(&explanation);
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        show(&explanation, Paint(colour));
    }
    0
}

fn read(file: &Path, limit: u64) -> std::io::Result<Content> {
    let mut input: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(std::fs::File::open(file)?),
    };
    read_message(&mut input, limit, &std::env::temp_dir())
}

fn explained<'a>(recipient: &'a str, explanation: &'a Explanation) -> ExplainedRecipient<'a> {
    let Outcome { verdict, id, destination, .. } = &explanation.outcome;
    let destination = destination.as_ref();
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
