//! Reads one inbox: connects, looks for messages, fetches and hands over those that are due, and has the mailbox show what is
//! done. It goes on after every failure, and ends when it is told to.
//!
//! A panic costs one connection. A message is shown as done only when every verdict for it is final and on disk.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::beginning::{Position, failed, position};
use super::delivery::{Delivery, Fate, Finished};
use super::failure::{Cause, Failure, Remedy};
use super::pulse::Pulse;
use super::queue::{Held, Number, after_a_crash};
use super::report::Report;
use super::source::{Got, Letter, OpenMailbox, Room, Source, Wanted};
use crate::config::{Since, UnknownMail};
use crate::crash_point::crash_point;
use crate::intake::shutdown::Shutdown;
use crate::intake::{DeliverFetched, Fetched};
use crate::ledger::{InboxLog, InboxMessage, MessageState};
use crate::mail::{InMailbox, Provider};
use crate::state_dir::StateError;

/// How often other processes' wishes are looked for, and what the ledger could not take is tried again.
const LOOK: Duration = Duration::from_secs(5);

/// How long deliveries under way may take when the service stops, and how long all of it may.
const GRACE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(8));

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
        run.connections().await;
        Ending::Done { clean: run.is_clean }
    }
}

impl<S: Source> Run<S> {
    /// One connection after the other.
    async fn connections(&mut self) {
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
                        return;
                    }
                    Ok(Err(failure)) => failure,
                    Err(panic) => {
                        let text = panic_text(&*panic);
                        self.panicked(&text).await
                    }
                },
                () = overdue => return,
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
                return;
            }
            self.reader.pulse.expect_within(wait);
            if self.pause(wait).await {
                return;
            }
        }
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

    async fn take_position(&mut self, open: &mut S::Open) -> Result<(), Failure> {
        let reader = &self.reader;
        let known = self.position.take();
        let taken = position(open, &reader.log, &reader.report, &self.name, reader.settings.since, known).await?;
        self.position = Some(taken);
        Ok(())
    }

    /// Reads an open mailbox.
    async fn read(&mut self, open: &mut S::Open) -> Result<Enough, Failure> {
        let mut next_search = Instant::now();
        loop {
            self.reader.pulse.expect_within(Duration::ZERO);
            while let Some(finished) = self.deliveries.try_join_next_with_id() {
                self.finished(finished).await?;
            }
            let now = Instant::now();
            if now >= self.next_look {
                self.look_around(open).await?;
            }
            self.show(open, false).await?;
            if self.reader.shutdown.is_requested() {
                self.stop(open).await?;
                return Ok(Enough::Shutdown);
            }
            if open.has_news() || Instant::now() >= next_search {
                self.search(open).await?;
                next_search = Instant::now() + open.pause();
            }
            let has_place = self.deliveries.len() < self.reader.settings.concurrency;
            if let Some(number) = self.next().filter(|_| has_place) {
                self.begin(open, number).await?;
                continue;
            }
            // Where nothing more can begin, a message that comes in can wait, too.
            if !has_place || (self.reader.settings.once && !self.deliveries.is_empty()) {
                self.next_finished().await?;
                continue;
            }
            if self.reader.settings.once {
                if self.is_at_rest(open).await? {
                    return Ok(Enough::NothingDue);
                }
                continue;
            }
            self.show(open, true).await?;
            if self.wait(open, next_search).await? {
                next_search = Instant::now();
            }
        }
    }

    /// Waits until a delivery ends, or it is time to stop.
    async fn next_finished(&mut self) -> Result<(), Failure> {
        let mut shutdown = self.reader.shutdown.clone();
        let finished = tokio::select! {
            finished = self.deliveries.join_next_with_id() => finished,
            () = shutdown.requested() => None,
        };
        match finished {
            Some(finished) => self.finished(finished).await,
            None => Ok(()),
        }
    }

    /// Whether a reader that is to end soon has nothing left to do.
    async fn is_at_rest(&mut self, open: &mut S::Open) -> Result<bool, Failure> {
        self.settle_again().await;
        self.show(open, true).await?;
        let is_shown = self.position.as_ref().is_none_or(|position| position.unshown.is_empty());
        self.is_clean &= is_shown && self.unsettled.is_empty();
        self.is_clean &=
            !self.position.as_ref().is_some_and(|position| position.queue.waits_for_app(Instant::now().into_std()));
        Ok(!open.has_news())
    }

    /// The next message to begin.
    fn next(&self) -> Option<Number> {
        self.position.as_ref().and_then(|position| position.queue.next(Instant::now().into_std()))
    }

    /// Waits for something to happen. True if it is time to search.
    async fn wait(&mut self, open: &mut S::Open, next_search: Instant) -> Result<bool, Failure> {
        let Some(position) = &self.position else { return Ok(true) };
        let until = [position.queue.next_at().map(Instant::from_std), position.unshown.next_at()];
        let until = until.into_iter().flatten().min().map_or(next_search, |at| at.min(next_search));
        self.reader.pulse.expect_within(until.saturating_duration_since(Instant::now()));
        let (mut finished, mut shutdown) = (None, self.reader.shutdown.clone());
        let (deliveries, log, validity, look) =
            (&mut self.deliveries, &self.reader.log, position.validity, self.next_look);
        let wake = async {
            tokio::select! {
                Some(done) = deliveries.join_next_with_id() => finished = Some(done),
                () = shutdown.requested() => {}
                () = wished(log, validity, look) => {}
            }
        };
        let has_news = open.wait(until, wake).await?;
        if let Some(finished) = finished {
            self.finished(finished).await?;
        }
        Ok(has_news || Instant::now() >= next_search)
    }

    async fn search(&mut self, open: &mut S::Open) -> Result<(), Failure> {
        let Some(position) = &mut self.position else { return Ok(()) };
        let from = position.queue.low().map_or(position.start, |low| low.max(position.start));
        let found = open.find(Wanted::From(from)).await?;
        let gone = position.queue.found(from, &found, Instant::now().into_std());
        let validity = position.validity;
        if !gone.is_empty() {
            let gone = gone.into_iter().map(Number::get).collect();
            self.reader.log.forget(validity, gone).await.map_err(failed)?;
        }
        self.advance().await?;
        self.tell_pending();
        Ok(())
    }

    fn tell_pending(&self) {
        let Some(position) = &self.position else { return };
        let oldest = position.queue.oldest().and_then(|first| SystemTime::now().duration_since(first).ok());
        self.reader.report.pending(position.queue.len(), oldest);
    }

    /// Everything below the lowest message that is not done need not be remembered.
    async fn advance(&mut self) -> Result<(), Failure> {
        let Some(position) = &mut self.position else { return Ok(()) };
        let before = position.queue.low();
        let low = position.queue.advance();
        if let Some(low) = low.filter(|_| low != before) {
            self.reader.log.advance(position.validity, low.get()).await.map_err(failed)?;
        }
        Ok(())
    }

    /// What other processes wish, and what is to be told now and then.
    async fn look_around(&mut self, open: &mut S::Open) -> Result<(), Failure> {
        self.next_look = Instant::now() + LOOK;
        self.settle_again().await;
        let Some(position) = &mut self.position else { return Ok(()) };
        let wishes = self.reader.log.wishes(position.validity).await.map_err(failed)?;
        let (now, clock) = (Instant::now().into_std(), SystemTime::now());
        for message in wishes.due {
            if let Some(known) = known(message) {
                position.queue.take(known, now, clock);
            }
        }
        if wishes.since.is_some() {
            while let Some(finished) = self.deliveries.join_next_with_id().await {
                self.finished(finished).await?;
            }
            self.show(open, true).await?;
            self.position = None;
            self.take_position(open).await?;
            self.search(open).await?;
        }
        self.tell_stuck();
        Ok(())
    }

    fn tell_stuck(&mut self) {
        let Some(position) = &self.position else { return };
        if Instant::now() < self.next_stuck {
            return;
        }
        self.next_stuck = Instant::now() + STUCK_PERIOD;
        let limit = SystemTime::now().checked_sub(self.reader.settings.stuck_after);
        let Some(limit) = limit else { return };
        let stuck: Vec<_> = position.queue.stuck(limit).collect();
        if let Some((number, attempts, cause)) = stuck.first() {
            self.reader.report.stuck(stuck.len(), *number, *attempts, cause);
        }
    }

    /// Fetches a message and hands it over.
    async fn begin(&mut self, open: &mut S::Open, number: Number) -> Result<(), Failure> {
        let Some(position) = &mut self.position else { return Ok(()) };
        let (validity, began) = (position.validity, position.began);
        let attempts = position.queue.begin(number, SystemTime::now());
        if let Err(error) = self.reader.log.begin(validity, number.get(), attempts).await {
            position.queue.put_back(number, false, Instant::now().into_std());
            return Err(failed(error));
        }
        crash_point("message-begun");
        let got = match open.fetch(number, &self.reader.room).await {
            Ok(got) => got,
            Err(failure) => {
                self.lost_with_connection(number, attempts, &failure).await;
                return Err(failure);
            }
        };
        match got {
            Got::Message(letter) => {
                self.reader.report.fetched(letter.content.size());
                self.hand_over(number, validity, *letter, number < began);
                Ok(())
            }
            Got::Done => self.note(number, MessageState::Marked).await,
            Got::Gone => {
                position.queue.finish(number);
                self.reader.log.forget(validity, vec![number.get()]).await.map_err(failed)
            }
            Got::Not { cause, detail } => {
                let wait = self.defer(number, Held::Otherwise, cause, None).await?;
                self.reader.report.waits(number, cause, &detail, wait);
                Ok(())
            }
        }
    }

    /// The connection ended while a message was fetched. It may be what ended it: the second time it waits.
    async fn lost_with_connection(&mut self, number: Number, attempts: u32, failure: &Failure) {
        let Some(position) = &mut self.position else { return };
        let now = Instant::now().into_std();
        let counts = failure.cause != Cause::Throttled;
        if !counts || after_a_crash(attempts).is_zero() {
            position.queue.put_back(number, counts, now);
        } else {
            let cause = failure.cause.name();
            // The ledger has it as begun, which comes to the same.
            let _ = self.defer(number, Held::Otherwise, cause, None).await;
        }
    }

    fn hand_over(&mut self, number: Number, validity: u32, letter: Letter, first_run: bool) {
        let settings = &self.reader.settings;
        let Letter { content, item, came_in, reservation } = letter;
        let origin = Arc::new(InMailbox {
            inbox: self.reader.inbox.clone(),
            item,
            provider: settings.provider.clone(),
            came_in,
            first_run,
            notices: settings.notices,
        });
        let fetched = Fetched { origin, user: settings.user.clone(), unknown: settings.unknown, content };
        let delivery = Delivery { number, validity, came_in, fetched, reservation };
        let task = self.deliveries.spawn(delivery.run(self.reader.deliver.clone(), self.reader.log.clone()));
        self.under_way.insert(task.id(), number);
    }

    /// A delivery has ended.
    async fn finished(
        &mut self,
        finished: Result<(tokio::task::Id, Finished), tokio::task::JoinError>,
    ) -> Result<(), Failure> {
        let (id, finished) = match finished {
            Ok((id, finished)) => (id, Some(finished)),
            Err(error) => (error.id(), None),
        };
        let number = self.under_way.remove(&id);
        let Some(Finished { number, validity, came_in, fate, unsettled }) = finished else {
            // It panicked where a panic is not caught: a bug, and the message is tried again.
            return match number {
                Some(number) => self.defer(number, Held::Otherwise, "internal-error", None).await.map(drop),
                None => Ok(()),
            };
        };
        let Some(position) = self.position.as_mut().filter(|position| position.validity == validity) else {
            return Ok(());
        };
        match fate {
            Fate::Final { verdicts, app_answered } => {
                if app_answered {
                    position.queue.app_answered();
                }
                verdicts.iter().for_each(|verdict| self.reader.report.settled(verdict));
                match unsettled {
                    None => self.settled(number),
                    Some(error) => {
                        self.unsettled.push((validity, number, came_in));
                        self.alarm("ledger", &error.to_string());
                    }
                }
                Ok(())
            }
            Fate::Left => {
                self.reader.report.left(number);
                self.note(number, MessageState::Left).await
            }
            Fate::Deferred { cause, retry_after, by_app } => {
                self.is_clean = false;
                let why = if by_app { Held::ByApp } else { Held::Otherwise };
                self.defer(number, why, cause, retry_after).await.map(drop)
            }
        }
    }

    fn settled(&mut self, number: Number) {
        if let Some(position) = &mut self.position {
            position.queue.finish(number);
            position.unshown.add(number, MessageState::Settled, Instant::now());
        }
    }

    /// What the ledger could not take before.
    async fn settle_again(&mut self) {
        for (validity, number, came_in) in std::mem::take(&mut self.unsettled) {
            match self.reader.log.settle(validity, number.get(), came_in).await {
                Ok(()) if self.position.as_ref().is_some_and(|position| position.validity == validity) => {
                    self.settled(number);
                }
                Ok(()) => {}
                Err(_) => self.unsettled.push((validity, number, came_in)),
            }
        }
    }

    /// A message is done without having been handed over.
    async fn note(&mut self, number: Number, state: MessageState) -> Result<(), Failure> {
        let Some(position) = &mut self.position else { return Ok(()) };
        position.queue.finish(number);
        self.reader.log.note(position.validity, vec![number.get()], state).await.map_err(failed)
    }

    /// A message waits. Gives how long.
    async fn defer(
        &mut self,
        number: Number,
        why: Held,
        cause: &str,
        asked: Option<Duration>,
    ) -> Result<Duration, Failure> {
        self.is_clean = false;
        let Some(position) = &mut self.position else { return Ok(Duration::ZERO) };
        let wait = position.queue.defer(number, why, cause, asked, Instant::now().into_std(), random());
        let message = InboxMessage {
            number: number.get(),
            state: MessageState::Waiting,
            attempts: position.queue.attempts(number),
            next_try: SystemTime::now().checked_add(wait),
            first: None,
            cause: Some(cause.to_owned()),
        };
        self.reader.log.defer(position.validity, message).await.map_err(failed)?;
        Ok(wait)
    }

    /// Has the mailbox show what is done; with `all`, at once.
    async fn show(&mut self, open: &mut S::Open, all: bool) -> Result<(), Failure> {
        let mut any = false;
        while let Some(position) = &mut self.position {
            let now = Instant::now();
            let Some((state, batch)) = position.unshown.batch(now, all) else { break };
            any = true;
            let shown = open.show(&batch, state).await?;
            let mut left = batch;
            for (reached, numbers) in shown.reached {
                if numbers.is_empty() {
                    continue;
                }
                crash_point("message-marked");
                let values = numbers.iter().map(|number| number.get()).collect();
                match reached {
                    MessageState::Copied => self.reader.log.note_copied(position.validity, values).await,
                    reached => self.reader.log.note(position.validity, values, reached).await,
                }
                .map_err(failed)?;
                position.unshown.reached(&numbers, reached, now);
                left = left.difference(&numbers).copied().collect();
            }
            position.unshown.postpone(&left, now);
            if let Some(alarm) = shown.alarm {
                self.alarm("mark", &alarm);
            } else if !left.is_empty() {
                self.is_clean = false;
                self.alarm(
                    "mark",
                    &format!("the server took marks of {} messages, and does not show them", left.len()),
                );
            }
        }
        if any {
            self.advance().await?;
            self.tell_pending();
        }
        Ok(())
    }

    /// The same alarm is told once an hour.
    fn alarm(&mut self, event: &str, detail: &str) {
        let now = Instant::now();
        let is_new = self.alarms.get(detail).is_none_or(|told| now - *told >= STUCK_PERIOD);
        if is_new {
            self.alarms.insert(detail.to_owned(), now);
            self.reader.report.alarm(event, detail);
        }
    }

    /// Ends in good order: what the application has is settled and shown.
    async fn stop(&mut self, open: &mut S::Open) -> Result<(), Failure> {
        let until = Instant::now() + GRACE.0;
        while let Ok(Some(finished)) = tokio::time::timeout_at(until, self.deliveries.join_next_with_id()).await {
            self.finished(finished).await?;
        }
        self.settle_again().await;
        self.show(open, true).await
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text").to_owned()
}

/// Waits until another process wishes something.
async fn wished(log: &InboxLog, validity: u32, first_look: Instant) {
    let mut look = first_look;
    loop {
        tokio::time::sleep_until(look).await;
        // A ledger that cannot be read is told of where it is needed.
        if log.wishes(validity).await.is_ok_and(|wishes| wishes.since.is_some() || !wishes.due.is_empty()) {
            return;
        }
        look = Instant::now() + LOOK;
    }
}

fn known(message: InboxMessage) -> Option<super::queue::Known> {
    let InboxMessage { number, attempts, next_try, first, cause, .. } = message;
    Some(super::queue::Known { number: Number::new(number)?, attempts, next_try, first, cause })
}

/// A random number from 0 to 1.
fn random() -> f64 {
    let mut octets = [0; 4];
    // Without randomness waits are the shortest: still waits.
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets);
    f64::from(u32::from_be_bytes(octets)) / f64::from(u32::MAX)
}
