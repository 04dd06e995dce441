//! Reads one inbox: connects, looks for messages, fetches and hands over those that are due, and has the mailbox show what is
//! done. It goes on after every failure, and ends when it is told to.
//!
//! A panic costs one connection. A message is shown as done only when every verdict for it is final and on disk.

mod message;
mod reading;
mod showing;

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::beginning::{Position, position};
use super::delivery::Finished;
use super::failure::{Cause, Failure, Remedy};
use super::number_set::Number;
use super::pulse::Pulse;
use super::report::Report;
use super::source::{OpenMailbox, Room, Source};
use crate::config::{Since, UnknownMail};
use crate::intake::DeliverFetched;
use crate::intake::shutdown::Shutdown;
use crate::ledger::{InboxLog, ReaderLease, Reading};
use crate::mail::Provider;
use crate::state_dir::StateError;

/// How often other processes' wishes are looked for, and what the ledger could not take is tried again.
const LOOK: Duration = Duration::from_secs(5);

/// How long deliveries under way may take when the service stops, and how long all of it may.
const GRACE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(8));

/// The same where the connection has used up all of it.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// A connection that held so long was healthy: failures are counted from the beginning again.
const HEALTHY: Duration = Duration::from_secs(60);

/// So many connections are tried by a reader that is to end soon.
const TRIES: u32 = 4;

/// How often messages that wait for too long are told of.
const STUCK_PERIOD: Duration = Duration::from_secs(3600);

/// How an inbox is read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The user of the mailbox: the recipient where nothing else tells.
    pub user: String,
    /// Which messages the first run takes.
    pub since: Since,
    /// What becomes of mail with no address of ours.
    pub unknown: UnknownMail,
    /// Messages in delivery at once.
    pub concurrency: usize,
    /// Whose trace fields are believed.
    pub provider: Provider,
    /// Whether notices may be sent.
    pub notices: bool,
    /// A message that waits longer is told of.
    pub stuck_after: Duration,
    /// Whether to end when nothing is due.
    pub once: bool,
    /// The unit of the waits between connections; other than a second in tests alone.
    pub second: Duration,
}

/// Reads one inbox.
pub struct Reader<S> {
    /// How.
    pub settings: Settings,
    /// Its name.
    pub inbox: String,
    /// Where it is.
    pub source: S,
    /// What is known of it.
    pub log: InboxLog,
    /// Where messages go.
    pub deliver: Arc<dyn DeliverFetched>,
    /// What messages may take.
    pub room: Room,
    /// What happens is told here.
    pub report: Report,
    /// Tells when to stop.
    pub shutdown: Shutdown,
    /// Shows that it moves.
    pub pulse: Pulse,
}

/// How a reader ended.
#[derive(Debug)]
pub enum Ending {
    /// As it was told to; `clean` if nothing was deferred and nothing failed.
    Done {
        /// Whether nothing was deferred and nothing failed.
        clean: bool,
    },
    /// Another reader has this inbox; who, if that is known.
    Taken(Option<String>),
    /// The ledger cannot be opened.
    NoLedger(StateError),
}

/// Why a connection is not needed any more.
enum Enough {
    Shutdown,
    NothingDue,
}

/// How waiting for another host ended.
enum StandBy {
    /// This host reads.
    Over(ReaderLease),
    Stopped,
    /// With `once` nobody waits.
    Taken(String),
}

/// How often a stand-by asks.
const STAND_BY: Duration = Duration::from_secs(5);

/// What outlives a connection.
struct Run<S: Source> {
    reader: Reader<S>,
    name: String,
    position: Option<Position>,
    deliveries: JoinSet<Finished>,
    under_way: HashMap<tokio::task::Id, Number>,
    /// Final, but the ledger could not take it yet.
    unsettled: Vec<(u32, Number, Option<SystemTime>)>,
    is_clean: bool,
    next_look: Instant,
    next_stuck: Instant,
    alarms: HashMap<String, Instant>,
}

impl<S: Source> Reader<S> {
    /// Reads until it is told to stop, or, with `once`, until nothing is due.
    pub async fn run(self) -> Ending {
        let name =
            format!("process {} since {}", std::process::id(), humantime::format_rfc3339_seconds(SystemTime::now()));
        let _lock = match self.log.lock(&name).await {
            Ok(Ok(lock)) => lock,
            Ok(Err(who)) => return Ending::Taken(who),
            Err(error) => return Ending::NoLedger(error),
        };
        let now = Instant::now();
        let mut run = Run {
            reader: self,
            name,
            position: None,
            deliveries: JoinSet::new(),
            under_way: HashMap::new(),
            unsettled: Vec::new(),
            is_clean: true,
            next_look: now,
            next_stuck: now + STUCK_PERIOD,
            alarms: HashMap::new(),
        };
        let mut stop = run.reader.shutdown.clone();
        loop {
            let mut lease = match run.stand_by(&mut stop).await {
                StandBy::Over(lease) => lease,
                StandBy::Stopped => return Ending::Done { clean: run.is_clean },
                StandBy::Taken(host) => return Ending::Taken(Some(host)),
            };
            // In good order when this host is told to stop, and when another one reads.
            let (trigger, shutdown) = Shutdown::new();
            run.reader.shutdown = shutdown;
            let mut told = stop.clone();
            let (done, mut is_done) = oneshot::channel::<()>();
            let watching = tokio::spawn(async move {
                let is_lost = tokio::select! {
                    () = told.requested() => false,
                    () = lease.lost() => true,
                    _ = &mut is_done => return (lease, false),
                };
                trigger.request();
                // The lease is given back when what was under way is done.
                let _ = is_done.await;
                (lease, is_lost)
            });
            let grace = run.connections().await;
            run.finish_deliveries(grace).await;
            drop(done);
            // The task cannot panic; if it did, the lease ends by itself.
            let Ok((lease, is_lost)) = watching.await else { return Ending::Done { clean: false } };
            lease.give_back().await;
            if !is_lost {
                return Ending::Done { clean: run.is_clean };
            }
        }
    }
}

impl<S: Source> Run<S> {
    /// Waits while another host reads this inbox.
    async fn stand_by(&mut self, stop: &mut Shutdown) -> StandBy {
        let mut said = None;
        loop {
            let (host, why) = match self.reader.log.read_for_all_hosts().await {
                Reading::Ours(lease) => {
                    if said.is_some() {
                        self.reader.report.begins("takes-over", "no other host reads this inbox any more");
                    }
                    return StandBy::Over(lease);
                }
                Reading::Elsewhere { host } => {
                    let why = format!("{host} reads this inbox");
                    (Some(host), why)
                }
                Reading::Unknown { why } => (None, why),
            };
            if self.reader.settings.once {
                return StandBy::Taken(host.map_or(why, |host| format!("host {host}")));
            }
            if said.as_ref() != Some(&why) {
                self.reader.report.begins("stand-by", &why);
                said = Some(why);
            }
            let wait = STAND_BY.mul_f64(self.reader.settings.second.as_secs_f64());
            self.reader.pulse.expect_within(wait);
            tokio::select! {
                () = stop.requested() => return StandBy::Stopped,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One connection after the other. Gives how long deliveries under way may take from its end on.
    async fn connections(&mut self) -> Duration {
        let mut failures: HashMap<Remedy, u32> = HashMap::new();
        let mut tries = 0;
        loop {
            let began = Instant::now();
            let mut shutdown = self.reader.shutdown.clone();
            let overdue = async {
                shutdown.requested().await;
                tokio::time::sleep(GRACE.1).await;
            };
            let connection = AssertUnwindSafe(self.connection()).catch_unwind();
            let failure = tokio::select! {
                ended = connection => match ended {
                    Ok(Ok(Enough::Shutdown | Enough::NothingDue)) => {
                        self.reader.report.closed();
                        return GRACE.0;
                    }
                    Ok(Err(failure)) => failure,
                    Err(panic) => {
                        let text = panic_text(&*panic);
                        self.panicked(&text).await
                    }
                },
                () = overdue => return LAST_GRACE,
            };
            if began.elapsed() >= HEALTHY {
                failures.clear();
                tries = 0;
            }
            tries += 1;
            let remedy = failure.cause.remedy();
            let nth = failures.entry(remedy).or_default();
            let wait = failure.wait(*nth, random()).mul_f64(self.reader.settings.second.as_secs_f64());
            *nth = nth.saturating_add(1);
            let gives_up = self.reader.settings.once && (remedy.is_for_good() || tries >= TRIES);
            self.reader.report.failed(&failure, (!gives_up).then_some(wait));
            if gives_up {
                self.is_clean = false;
                return GRACE.0;
            }
            self.reader.pulse.expect_within(wait);
            if self.pause(wait).await {
                return GRACE.0;
            }
        }
    }

    /// What the application has been given is waited for, whatever ended the connection: its answer is written down.
    async fn finish_deliveries(&mut self, grace: Duration) {
        let until = Instant::now() + grace;
        while let Ok(Some(finished)) = tokio::time::timeout_at(until, self.deliveries.join_next_with_id()).await {
            // What the ledger does not take now is asked of the application again, with the same id.
            self.is_clean &= self.finished(finished).await.is_ok();
        }
        self.settle_again().await;
    }

    /// What a panic leaves behind is not looked at: the ledger knows all that counts.
    async fn panicked(&mut self, text: &str) -> Failure {
        let failure = Failure::new(Cause::Internal, format!("a panic ended the connection ({text}): please report it"));
        while self.deliveries.join_next().await.is_some() {}
        self.under_way.clear();
        self.position = None;
        failure
    }

    /// Waits between connections. Deliveries that end meanwhile are noted. True if it is time to stop.
    async fn pause(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut shutdown = self.reader.shutdown.clone();
        loop {
            let finished = tokio::select! {
                () = shutdown.requested() => return true,
                () = tokio::time::sleep_until(until) => return false,
                Some(finished) = self.deliveries.join_next_with_id() => finished,
            };
            // What the ledger cannot take is tried again with the next connection.
            if self.finished(finished).await.is_err() {
                self.is_clean = false;
            }
        }
    }

    /// One connection, from the greeting to its end.
    async fn connection(&mut self) -> Result<Enough, Failure> {
        self.reader.pulse.expect_within(Duration::from_secs(60));
        let mut shutdown = self.reader.shutdown.clone();
        let mut open = tokio::select! {
            open = self.reader.source.open(false) => open?,
            () = shutdown.requested() => return Ok(Enough::Shutdown),
        };
        let standing = open.standing();
        let access = if standing.read_only { ", read-only" } else { "" };
        self.reader
            .report
            .connected(format_args!("UIDVALIDITY {}, UIDNEXT {}{access}", standing.validity, standing.next));
        self.take_position(&mut open).await?;
        let ended = self.read(&mut open).await;
        match ended {
            Ok(enough) => {
                open.close().await;
                Ok(enough)
            }
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn take_position(&mut self, open: &mut S::Open) -> Result<(), Failure> {
        let reader = &self.reader;
        let known = self.position.take();
        let taken = position(open, &reader.log, &reader.report, &self.name, reader.settings.since, known).await?;
        self.position = Some(taken);
        Ok(())
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text").to_owned()
}

/// A random number from 0 to 1.
fn random() -> f64 {
    let mut octets = [0; 4];
    // Without randomness waits are the shortest: still waits.
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets);
    f64::from(u32::from_be_bytes(octets)) / f64::from(u32::MAX)
}
