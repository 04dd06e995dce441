//! `mailhatch pipe`: one message from pipe(8).
//!
//! Ends in 0 or 75 whatever happens. Postfix bounces a mail for every other status (a Rust panic is 101, wrong usage 2, a
//! configuration error 78), and also when its own time limit is over, so ours is shorter.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, getppid};
use tokio::runtime::Runtime;

use super::envelope_options::EnvelopeOptions;
use super::set_up::{Site, small_runtime};
use crate::crash_point::crash_point;
use crate::disposition::EX_TEMPFAIL;
use crate::intake::Deliver;
use crate::intake::pipe::{answer, defer, read_message};
use crate::ledger::DeliveryLog;
use crate::log_line::{Level, LogLine};
use crate::mail::Content;
use crate::outcome::{Outcome, StandingAnswers};
use crate::sandbox::Sandbox;
use crate::telemetry::Telemetry;
use crate::verdict::Status;

/// Time for reading standard input before the configuration has said anything else.
const FIRST_DEADLINE: Duration = Duration::from_secs(60);
/// What `limits.deadline` does not cover: recording an answer that the application has given.
const GRACE: Duration = Duration::from_secs(20);
/// How long what waits for the shared ledger may take after the answer.
const TELLING: Duration = Duration::from_secs(2);
/// How long a writer that was killed may take from closing its files to its end.
const LAST_MOMENT: Duration = Duration::from_millis(200);

/// Takes the message and gives the exit status.
pub(super) fn run(parse: impl FnOnce() -> Result<(PathBuf, EnvelopeOptions), clap::Error>) -> ExitCode {
    let parent = getppid();
    std::panic::set_hook(Box::new(|panic| {
        let _ = defer(Status::SYSTEM, "internal error, the message will be tried again", &mut std::io::stdout());
        let line = LogLine::event(Level::Error, format_args!("panic: {panic}"));
        fallback_log(&line);
        std::process::exit(i32::from(EX_TEMPFAIL));
    }));
    let watchdog = Watchdog::start(FIRST_DEADLINE + GRACE);
    match parse() {
        Ok((config, options)) => ExitCode::from(take(&config, options, parent, &watchdog)),
        Err(error) => wrong_usage(&error),
    }
}

fn take(config: &std::path::Path, options: EnvelopeOptions, parent: Pid, watchdog: &Watchdog) -> u8 {
    let mut output = std::io::stdout();
    let site = match Site::load(config, Telemetry::after_the_answer) {
        Ok(site) => site,
        Err(error) => {
            // The sender may read our output in a status report: the line number, but not the line.
            fallback_log(&LogLine::event(Level::Error, format_args!("configuration error: {error}")));
            return defer(Status::CONFIGURATION, &error.brief(), &mut output);
        }
    };
    let engine = &site.engine;
    watchdog.set(engine.config().limits.deadline + GRACE);
    engine.note_standing_answers(watchdog.watch_answers(options.recipients.len()));
    // What could not be raised is no news at each mail: `serve` says it once.
    let _ = Sandbox::enter(engine.config());
    // Several recipients share their fsyncs on the ledger's own thread.
    if options.recipients.len() == 1 {
        site.ledger.work_in_place();
    }
    site.ledger.give_up_sharing_early();
    let mut runtime = None;
    let status = match deliver(&site, options, parent, &mut runtime) {
        Ok(outcomes) => answer(&outcomes, &mut output),
        Err(refusal) => {
            engine.telemetry().log(&LogLine::event(Level::Error, &refusal.detail));
            defer(refusal.status, refusal.public, &mut output)
        }
    };
    watchdog.answered(status);
    crash_point("answered");
    if let Some(runtime) = runtime {
        tell_the_others(&site, runtime);
    }
    settle(&site);
    site.ledger.maintain();
    site.maintain();
    engine.telemetry().release();
    status
}

/// Why a message does not even reach the pipeline.
struct NotTaken {
    status: Status,
    public: &'static str,
    detail: String,
}

fn deliver(
    site: &Site,
    options: EnvelopeOptions,
    parent: Pid,
    kept: &mut Option<Runtime>,
) -> Result<Vec<Outcome>, NotTaken> {
    if options.recipients.is_empty() {
        return Err(NotTaken {
            status: Status::CONFIGURATION,
            public: "wrong usage: no --recipient",
            detail: "pipe was called without --recipient: see postfix/master.cf.pipe".to_owned(),
        });
    }
    let limit = site.engine.config().limits.message_size;
    let content =
        read_message(&mut std::io::stdin().lock(), limit, &overflow_directory(site)).map_err(|error| NotTaken {
            status: Status::SYSTEM,
            public: "the message cannot be read",
            detail: format!("the message cannot be read: {error}"),
        })?;
    crash_point("message-read");
    let runtime = runtime()?;
    if !is_whole(&content, parent) {
        return Err(NotTaken {
            status: Status::SYSTEM,
            public: "the message did not come in whole",
            detail: "whoever wrote the message to standard input ended before all of it was written".to_owned(),
        });
    }
    let outcomes = runtime.block_on(site.engine.clone().deliver(options.into_envelope(), content));
    *kept = Some(runtime);
    crash_point("before-answer");
    Ok(outcomes)
}

fn runtime() -> Result<Runtime, NotTaken> {
    small_runtime().map_err(|error| NotTaken {
        status: Status::SYSTEM,
        public: "no resources",
        detail: format!("no runtime: {error}"),
    })
}

/// What waited for the shared ledger, if this process has found it there; for a short while, because Postfix waits.
fn tell_the_others(site: &Site, runtime: Runtime) {
    if site.engine.config().shared.is_some() {
        let telling = async { tokio::time::timeout(TELLING, site.ledger.tell_the_others()).await };
        // What is left, the next process tells them.
        let _ = runtime.block_on(telling);
    }
    // A name server that hangs in a blocking thread must not keep the process: the answer is known.
    runtime.shutdown_background();
}

/// A delivery that could not be recorded gets a last chance; the answer stands already.
fn settle(site: &Site) {
    if site.ledger.is_settled() {
        return;
    }
    let Ok(runtime) = runtime() else { return };
    if let Err(error) = runtime.block_on(site.ledger.settle()) {
        site.engine.telemetry().log(&LogLine::event(Level::Error, error));
    }
}

/// Whether the end of standard input is the end of the message.
///
/// pipe(8) that is killed in the middle, as `postfix stop` and `postfix abort` do, leaves the same end of file as one that has
/// written everything, and half a message would be another message to the application. But then its process is gone. The
/// kernel closes its files first and tells us of its end a moment later, so that moment is waited for where the message does
/// not end with a line end, as each one of pipe(8) does.
fn is_whole(content: &Content, parent: Pid) -> bool {
    if !content.ends_with_line_end() {
        let looked_since = Instant::now();
        while getppid() == parent && looked_since.elapsed() < LAST_MOMENT {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    getppid() == parent
}

/// Where the rest of a too large message may stand; the system's place for temporary files if there can be no state.
fn overflow_directory(site: &Site) -> std::path::PathBuf {
    match site.prepare() {
        Ok(()) => site.engine.config().state_dir.clone(),
        Err(_) => std::env::temp_dir(),
    }
}

/// Ends the process when the time is over, whatever it hangs in: with the answer that stands, else with 75.
struct Watchdog {
    started: Instant,
    watched: Arc<Mutex<Watched>>,
    thread: Option<Thread>,
}

/// What the watchdog knows.
struct Watched {
    end: Instant,
    /// The output is written; this is the exit status.
    answered: Option<u8>,
    recipients: usize,
    standing: Arc<StandingAnswers>,
}

impl Watchdog {
    fn start(limit: Duration) -> Self {
        let started = Instant::now();
        let watched = Watched { end: started + limit, answered: None, recipients: 0, standing: Arc::default() };
        let watched = Arc::new(Mutex::new(watched));
        let watching = Arc::clone(&watched);
        let watch = move || {
            loop {
                let end = watching.lock().unwrap_or_else(PoisonError::into_inner).end;
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                std::thread::park_timeout(left);
            }
            let watched = watching.lock().unwrap_or_else(PoisonError::into_inner);
            std::process::exit(i32::from(watched.last_word(&mut std::io::stdout())));
        };
        // Without the thread Postfix's own time limit would still be there, so a failure here is no reason to refuse the mail.
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).stack_size(64 * 1024).spawn(watch);
        Self { started, watched, thread: thread.ok().map(|handle| handle.thread().clone()) }
    }

    /// Another limit in place of the first one, counted from the same beginning.
    fn set(&self, limit: Duration) {
        self.watched().end = self.started + limit;
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }

    /// Where the answers for so many recipients are noted as soon as they stand.
    fn watch_answers(&self, recipients: usize) -> Arc<StandingAnswers> {
        let mut watched = self.watched();
        watched.recipients = recipients;
        watched.standing.clone()
    }

    /// The output is written: from now on there is nothing to say but the exit status.
    fn answered(&self, status: u8) {
        self.watched().answered = Some(status);
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn last_word(&self, output: &mut dyn Write) -> u8 {
        if let Some(status) = self.answered {
            return status;
        }
        let standing = self.standing.so_far();
        match self.recipients {
            0 => defer(Status::TIME_EXPIRED, "not done within the deadline", output),
            all if standing.len() == all => answer(&standing, output),
            _ => defer(Status::TIME_EXPIRED, "not done within the deadline", output),
        }
    }
}

fn wrong_usage(error: &clap::Error) -> ExitCode {
    // Somebody at a terminal asks for help; in master.cf it would lose mail.
    if !error.use_stderr() && std::io::stdin().is_terminal() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    fallback_log(&LogLine::event(Level::Error, format_args!("wrong usage: {error}")));
    ExitCode::from(defer(Status::CONFIGURATION, "wrong usage of mailhatch pipe", &mut std::io::stdout()))
}

/// A line to syslog when no configuration says where logs go.
fn fallback_log(line: &LogLine) {
    let config =
        crate::config::LogConfig { to: crate::config::LogTarget::Syslog, format: crate::config::LogFormat::Logfmt };
    Telemetry::new(config).log(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    #[test]
    fn when_the_time_is_over_the_answer_that_stands_is_given() {
        let delivered = |number: usize| {
            let standing = StandingAnswers::default();
            (0..number).for_each(|_| standing.note(Outcome::new(Verdict::Delivered, "x@example.com", Arc::default())));
            Arc::new(standing)
        };
        let rows: &[(&str, Option<u8>, usize, usize, u8, &str)] = &[
            ("before the message is read", None, 0, 0, 75, "4.4.7 deferred"),
            ("nobody has answered", None, 1, 0, 75, "4.4.7 deferred"),
            ("the application has acknowledged it", None, 1, 1, 0, "2.0.0 delivered"),
            ("one of two", None, 2, 1, 75, "4.4.7 deferred"),
            ("both", None, 2, 2, 0, "2.0.0 delivered"),
            ("the output is written, all is done", Some(0), 1, 0, 0, ""),
            ("the output is written, deferred", Some(75), 1, 1, 75, ""),
        ];
        for (name, answered, recipients, standing, status, output) in rows {
            let watched = Watched {
                end: Instant::now(),
                answered: *answered,
                recipients: *recipients,
                standing: delivered(*standing),
            };
            let mut written = Vec::new();
            assert_eq!(watched.last_word(&mut written), *status, "{name}");
            assert!(String::from_utf8_lossy(&written).starts_with(output), "{name}");
            assert_eq!(written.is_empty(), output.is_empty(), "{name}");
        }
    }
}
