//! The writer: it owns the connection, and puts everything that waits for the disk into one transaction.
//!
//! So sixteen sessions share one fsync, and no task of the service's runtime ever waits for a disk: what is begun is looked up
//! in the transaction that writes down what is done, and answered before its fsync. Its thread starts with the first question;
//! a `pipe` for one recipient has none. After an error the connection is closed, and the next question opens it afresh.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::TransactionBehavior;
use tokio::sync::oneshot;

use super::command::Command;
use super::context::Context;
use super::database::Database;
use super::error::{self, locked};
use super::maintenance::Maintenance;
use super::transaction::Transaction;
use super::{record, unshared};
use crate::in_flight::Queue;
use crate::state_dir::StateError;

/// Commands in one transaction at most: it must not hold the write lock for long.
const BATCH: usize = 256;

/// How often what has come in meanwhile is taken in before the fsync.
const ROUNDS: usize = 3;

/// How long a commit shows that the ledger can be written, where several ask at once.
const SHOWN: Duration = Duration::from_millis(100);

/// How long other processes may be before us in the queue. Each takes an fsync.
const TURN_PATIENCE: Duration = Duration::from_secs(10);

/// How long until what could not be written down is tried again, if nobody asks anything in the meantime.
const RETRY: Duration = Duration::from_secs(5);

/// The way to the writer: on a thread of its own, or in place.
#[derive(Debug)]
pub(super) struct WriterHandle {
    context: Arc<Context>,
    queue: Mutex<Option<Sender<Box<dyn Waiting>>>>,
    in_place: OnceLock<Mutex<Writer>>,
}

impl WriterHandle {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, queue: Mutex::new(None), in_place: OnceLock::new() }
    }

    /// From now on the work is done by whoever asks, without a thread.
    pub(super) fn work_in_place(&self) {
        self.in_place.get_or_init(|| Mutex::new(Writer::new(Arc::clone(&self.context))));
    }

    /// One step of maintenance, if no thread does it.
    pub(super) fn maintain(&self) {
        if let Some(writer) = self.in_place.get() {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let Writer { context, database, maintenance, .. } = &mut *writer;
            maintenance.step(context, database);
        }
    }

    /// Hands a command over and waits for the answer.
    pub(super) async fn ask<C: Command>(&self, command: C) -> Result<C::Value, StateError> {
        let (answer, waiting) = oneshot::channel();
        self.send(Box::new(Asked { command, outcome: None, answer }))?;
        waiting
            .await
            .unwrap_or_else(|_| Err(StateError::new("the ledger thread ended; the next message starts it again")))
    }

    fn send(&self, asked: Box<dyn Waiting>) -> Result<(), StateError> {
        if let Some(writer) = self.in_place.get() {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.serve(asked, &mut || None);
            return Ok(());
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = match &*queue {
            None => asked,
            Some(sender) => match sender.send(asked) {
                Ok(()) => return Ok(()),
                // The thread has panicked.
                Err(mpsc::SendError(asked)) => asked,
            },
        };
        let (sender, receiver) = mpsc::channel();
        // The channel was just made: its other end is here.
        let _ = sender.send(asked);
        let context = Arc::clone(&self.context);
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || Writer::new(context).work(&receiver))
            .map_err(|error| StateError::new(format!("cannot start the ledger thread: {error}")))?;
        *queue = Some(sender);
        Ok(())
    }
}

/// A command of any kind with the one who waits for its answer.
trait Waiting: Send {
    /// False if it is settled, or nobody wants it any more.
    fn prepare(&mut self, context: &Context) -> bool;
    fn records(&self) -> bool;
    fn probes(&self) -> bool;
    fn run(&mut self, transaction: &Transaction<'_>, context: &Context) -> Result<(), StateError>;
    /// Answers; with the error, if the transaction failed.
    fn answer(self: Box<Self>, failure: Option<&StateError>);
}

struct Asked<C: Command> {
    command: C,
    outcome: Option<Result<C::Value, StateError>>,
    answer: oneshot::Sender<Result<C::Value, StateError>>,
}

impl<C: Command> Waiting for Asked<C> {
    fn prepare(&mut self, context: &Context) -> bool {
        if !C::RECORDS && self.answer.is_closed() {
            return false;
        }
        self.outcome = self.command.prepare(context).transpose();
        self.outcome.is_none()
    }

    fn records(&self) -> bool {
        C::RECORDS
    }

    fn probes(&self) -> bool {
        C::PROBES
    }

    fn run(&mut self, transaction: &Transaction<'_>, context: &Context) -> Result<(), StateError> {
        self.outcome = Some(Ok(self.command.run(transaction, context)?));
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<&StateError>) {
        let Self { command, mut outcome, answer } = *self;
        // An in-flight lock in the outcome, or in the command, is free before anybody hears of it.
        drop(command);
        if let Some(error) = failure {
            outcome = Some(Err(error.clone()));
        }
        if let Some(outcome) = outcome {
            // Who has stopped waiting gets no answer; a claim that comes back this way is freed.
            let _ = answer.send(outcome);
        }
    }
}

/// The one who writes, on its thread or in place.
#[derive(Debug)]
struct Writer {
    context: Arc<Context>,
    database: Option<Database>,
    maintenance: Maintenance,
    /// The last record could not be written down.
    is_behind: bool,
    /// When the disk took something the last time.
    written: Option<Instant>,
}

/// What waits, by what it needs.
#[derive(Default)]
struct Batch {
    /// Writes, and needs no fsync.
    passing: Vec<Box<dyn Waiting>>,
    /// Only reads.
    reading: Vec<Box<dyn Waiting>>,
    /// Needs an fsync.
    recording: Vec<Box<dyn Waiting>>,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

impl Writer {
    fn new(context: Arc<Context>) -> Self {
        Self { context, database: None, maintenance: Maintenance::default(), is_behind: false, written: None }
    }

    fn work(mut self, queue: &Receiver<Box<dyn Waiting>>) {
        loop {
            let unrecorded = !self.context.facts().is_empty();
            let retry = unrecorded.then_some(RETRY);
            let pause = match self.context.in_flight.unlock_ended() {
                Some(pause) => pause,
                None => self.maintenance.pause(retry),
            };
            match queue.recv_timeout(pause) {
                Ok(asked) => self.serve(asked, &mut || queue.try_recv().ok()),
                Err(RecvTimeoutError::Timeout) if self.context.in_flight.unlock_ended().is_some() => {}
                Err(RecvTimeoutError::Timeout) if unrecorded => drop(self.record(Batch::default(), &mut || None)),
                Err(RecvTimeoutError::Timeout) => self.maintenance.step(&self.context, &mut self.database),
                Err(RecvTimeoutError::Disconnected) => {
                    if unrecorded {
                        self.record(Batch::default(), &mut || None);
                    }
                    return;
                }
            }
        }
    }

    /// All that waits, in transactions of three kinds: what needs no fsync does not wait for one, and what is begun or
    /// acknowledged while others are written down shares their transaction.
    fn serve(&mut self, first: Box<dyn Waiting>, more: &mut dyn FnMut() -> Option<Box<dyn Waiting>>) {
        let (mut first, mut prepared) = (Some(first), Vec::new());
        loop {
            self.context.in_flight.begin_batch();
            let mut batch = Batch::default();
            // An in-flight lock that a command has taken is its own: it is not prepared again.
            match self.is_behind {
                true => batch.recording = prepared,
                false => batch.passing = prepared,
            }
            let asked: Vec<_> = std::iter::from_fn(|| first.take().or_else(&mut *more)).take(BATCH).collect();
            // Who is alone shows for himself that the ledger can be written.
            let is_shown = asked.len() > 1 && self.written.is_some_and(|written| written.elapsed() < SHOWN);
            asked.into_iter().for_each(|asked| self.sort(asked, is_shown, &mut batch));
            if !batch.passing.is_empty() {
                self.settle(std::mem::take(&mut batch.passing), Purpose::Write);
            }
            prepared = if !batch.recording.is_empty() || !self.context.facts().is_empty() {
                self.record(batch, more)
            } else {
                if !batch.reading.is_empty() {
                    self.settle(batch.reading, Purpose::Read);
                }
                Vec::new()
            };
            if prepared.is_empty() {
                return;
            }
        }
    }

    /// Answers what needs no database, and finds out what the others need.
    ///
    /// After a record that failed everything waits for the next one: nothing new is begun before the disk has taken what is
    /// done.
    fn sort(&self, mut asked: Box<dyn Waiting>, is_shown: bool, batch: &mut Batch) {
        if !asked.prepare(&self.context) {
            asked.answer(None);
        } else if asked.records() || self.is_behind {
            batch.recording.push(asked);
        } else if asked.probes() && is_shown {
            batch.reading.push(asked);
        } else {
            batch.passing.push(asked);
        }
    }

    /// One transaction for those who ask, each answered at its end.
    fn settle(&mut self, mut asked: Vec<Box<dyn Waiting>>, purpose: Purpose) {
        let done = self.open().and_then(|(database, context)| transact(database, context, &mut asked, purpose));
        self.note(&done, purpose);
        let failure = done.err();
        asked.into_iter().for_each(|asked| asked.answer(failure.as_ref()));
    }

    /// Writes down all that is known to be done. What only reads is answered before the fsync, and so is what comes in until
    /// then; gives what has come in and writes: prepared, not run.
    fn record(&mut self, batch: Batch, more: &mut dyn FnMut() -> Option<Box<dyn Waiting>>) -> Vec<Box<dyn Waiting>> {
        let Batch { mut passing, mut reading, mut recording } = batch;
        let done = self.write_down(&mut passing, &mut reading, &mut recording, more);
        self.note(&done, Purpose::Write);
        self.is_behind = done.is_err();
        let failure = done.err();
        reading.into_iter().chain(recording).for_each(|asked| asked.answer(failure.as_ref()));
        passing
    }

    fn write_down(
        &mut self,
        passing: &mut Vec<Box<dyn Waiting>>,
        reading: &mut Vec<Box<dyn Waiting>>,
        recording: &mut Vec<Box<dyn Waiting>>,
        more: &mut dyn FnMut() -> Option<Box<dyn Waiting>>,
    ) -> Result<(), StateError> {
        let takes_in = !self.is_behind;
        let (database, context) = self.open()?;
        let path = context.database.as_path();
        let failed = |failure: rusqlite::Error| error::database(path, &failure);
        let now = context.now();
        let Some(_turn) = context.in_flight.turn(Queue::Ledger, TURN_PATIENCE)? else { return Err(locked(path)) };
        database.set_durable(true).map_err(failed)?;
        database.count_commit().map_err(failed)?;
        let begun = database.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let mut transaction = Transaction::new(&begun, path, now);
        transaction.is_writable = takes_in;
        let told = context.told().clone();
        unshared::forget(&transaction, &told)?;
        let (mut written, mut ran) = (0, 0);
        for round in 1..=ROUNDS {
            let done: Vec<_> = context.facts().iter().skip(written).map(|fact| fact.done().clone()).collect();
            for done in &done {
                record::write(&transaction, done, context.is_shared())?;
            }
            written += done.len();
            for asked in recording.iter_mut().skip(ran) {
                asked.run(&transaction, context)?;
            }
            ran = recording.len();
            while let Some(asked) = reading.last_mut() {
                asked.run(&transaction, context)?;
                reading.pop().into_iter().for_each(|asked| asked.answer(None));
            }
            if round == ROUNDS || !takes_in {
                break;
            }
            // Nobody else commits meanwhile: whoever had an in-flight lock that is taken now has done so before.
            let mut came_in = false;
            for mut asked in std::iter::from_fn(&mut *more).take(BATCH) {
                came_in = true;
                match asked.prepare(context) {
                    false => asked.answer(None),
                    true if asked.records() => recording.push(asked),
                    true if asked.probes() => reading.push(asked),
                    true => passing.push(asked),
                }
            }
            if !came_in {
                break;
            }
        }
        begun.commit().map_err(failed)?;
        context.told().drain(..told.len());
        // Those that came in meanwhile stand behind them. Their guards end here.
        let recorded: Vec<_> = context.facts().drain(..written).collect();
        context.in_flight.drop_at_once(recorded);
        Ok(())
    }

    fn open(&mut self) -> Result<(&mut Database, &Context), StateError> {
        let Self { context, database, .. } = self;
        if let Some(database) = database {
            database.verify(&context.state_dir)?;
        }
        let database = match database {
            Some(database) => database,
            closed => closed.insert(Database::open(&context.state_dir)?),
        };
        Ok((database, context))
    }

    fn note(&mut self, done: &Result<(), StateError>, purpose: Purpose) {
        match done {
            Err(_) => (self.database, self.written) = (None, None),
            Ok(()) if purpose == Purpose::Read => {}
            Ok(()) => self.written = Some(Instant::now()),
        }
    }
}

/// One transaction without an fsync.
fn transact(
    database: &mut Database,
    context: &Context,
    asked: &mut [Box<dyn Waiting>],
    purpose: Purpose,
) -> Result<(), StateError> {
    let path = context.database.as_path();
    let failed = |failure: rusqlite::Error| error::database(path, &failure);
    let now = context.now();
    let (behavior, _turn) = match purpose {
        Purpose::Read => (TransactionBehavior::Deferred, None),
        Purpose::Write => {
            let Some(turn) = context.in_flight.turn(Queue::Ledger, TURN_PATIENCE)? else { return Err(locked(path)) };
            database.set_durable(false).map_err(failed)?;
            database.count_commit().map_err(failed)?;
            (TransactionBehavior::Immediate, Some(turn))
        }
    };
    let begun = database.connection.transaction_with_behavior(behavior).map_err(failed)?;
    let mut transaction = Transaction::new(&begun, path, now);
    transaction.is_writable = purpose == Purpose::Read;
    let told = if purpose == Purpose::Write { context.told().clone() } else { Vec::new() };
    unshared::forget(&transaction, &told)?;
    for asked in asked {
        asked.run(&transaction, context)?;
    }
    begun.commit().map_err(failed)?;
    context.told().drain(..told.len());
    Ok(())
}
