//! `mailhatch fetch --dry-run`: what would become of the mail that is there, counted. Nothing is marked, nothing handed over.

use std::collections::BTreeMap;

use super::look::{fetched, known, open, room};
use super::readers::wanted;
use crate::cli::output::{FAILED, print_error, say};
use crate::cli::set_up::{Site, small_runtime};
use crate::config::InboxConfig;
use crate::intake::mailbox::candidates::{Candidates, candidates};
use crate::intake::mailbox::source::{Got, OpenMailbox};

/// Messages by verdict and reason.
#[derive(Debug, Default)]
struct Counts(BTreeMap<(&'static str, String), usize>);

/// Counts, prints, and gives the exit status.
pub(super) fn run(site: &Site, asked: &[String]) -> u8 {
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(format_args!("no runtime: {error}"));
            return FAILED;
        }
    };
    let mut status = 0;
    for inbox in wanted(site.engine.config(), asked) {
        if let Err(why) = runtime.block_on(look_through(site, inbox)) {
            print_error(format_args!("inbox \"{}\": {why}", inbox.name.value));
            status = FAILED;
        }
    }
    runtime.shutdown_background();
    status
}

async fn look_through(site: &Site, inbox: &InboxConfig) -> Result<(), String> {
    let config = site.engine.config();
    let mut open = open(site, inbox).await?;
    let loaded = known(site, &inbox.name.value).await?;
    let Candidates { numbers, beginning, began } =
        candidates(&mut open, loaded, inbox.since).await.map_err(|failure| failure.to_string())?;
    let room = room(config);
    let mut counts = Counts::default();
    for number in numbers.iter() {
        match open.fetch(number, &room).await.map_err(|failure| failure.to_string())? {
            Got::Message(letter) if letter.is_done => {}
            Got::Message(letter) => {
                let previewed =
                    site.engine.preview_fetched(fetched(config, inbox, *letter, number.get() < began)?).await;
                match previewed {
                    Ok(Some(outcomes)) => outcomes.iter().for_each(|outcome| {
                        counts.add(outcome.verdict.name(), outcome.verdict.rule().unwrap_or("-"));
                    }),
                    Ok(None) => counts.add("left", "unknown-address"),
                    Err(deferral) => counts.add("deferred", deferral.cause),
                }
            }
            Got::Gone => {}
            Got::Not { cause, .. } => counts.add("deferred", cause),
        }
    }
    open.close().await;
    say(format_args!("inbox {}: {} messages that are not done", inbox.name.value, numbers.len()));
    if let Some(beginning) = beginning {
        say(format_args!("  first run, {beginning}"));
    }
    for ((verdict, reason), count) in &counts.0 {
        say(format_args!("  {verdict:<10} {reason:<24} {count:>8}"));
    }
    Ok(())
}

impl Counts {
    fn add(&mut self, verdict: &'static str, reason: &str) {
        *self.0.entry((verdict, reason.to_owned())).or_default() += 1;
    }
}
