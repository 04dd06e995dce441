//! The writer: it owns the connection, and puts everything that waits for the disk into one transaction.
//!
//! So sixteen sessions share one fsync, and no task of the service's runtime ever waits for a disk. Its thread starts with the
//! first question; a `pipe` for one recipient has none. After an error the connection is closed, and the next question opens
//! it afresh.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

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
            writer.lock().unwrap_or_else(PoisonError::into_inner).serve(asked, || None);
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
}

impl Writer {
    fn new(context: Arc<Context>) -> Self {
        Self { context, database: None, maintenance: Maintenance::default(), is_behind: false }
    }

    fn work(mut self, queue: &Receiver<Box<dyn Waiting>>) {
        loop {
            let unrecorded = !self.context.facts().is_empty();
            match queue.recv_timeout(self.maintenance.pause(unrecorded.then_some(RETRY))) {
                Ok(asked) => self.serve(asked, || queue.try_recv().ok()),
                Err(RecvTimeoutError::Timeout) if unrecorded => self.record(Vec::new()),
                Err(RecvTimeoutError::Timeout) => self.maintenance.step(&self.context, &mut self.database),
                Err(RecvTimeoutError::Disconnected) => {
                    if unrecorded {
                        self.record(Vec::new());
                    }
                    return;
                }
            }
        }
    }

    /// All that waits, in transactions of two kinds, each committed before any of it is answered: what needs no fsync does not
    /// wait for one, and what is acknowledged while that is written shares the next fsync.
    fn serve(&mut self, first: Box<dyn Waiting>, mut waiting: impl FnMut() -> Option<Box<dyn Waiting>>) {
        let (mut first, mut recording) = (Some(first), Vec::new());
        for _ in 0..ROUNDS {
            let batch: Vec<_> = first.take().into_iter().chain(std::iter::from_fn(&mut waiting)).take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            self.pass(batch, &mut recording);
        }
        if !recording.is_empty() || !self.context.facts().is_empty() {
            self.record(recording);
        }
    }

    /// Answers what needs no fsync, and leaves the rest.
    ///
    /// After a record that failed all is left: nothing new is begun before the disk has taken what is done.
    fn pass(&mut self, batch: Vec<Box<dyn Waiting>>, recording: &mut Vec<Box<dyn Waiting>>) {
        let mut passing = Vec::new();
        for mut asked in batch {
            match asked.prepare(&self.context) {
                false => asked.answer(None),
                true if asked.records() || self.is_behind => recording.push(asked),
                true => passing.push(asked),
            }
        }
        if !passing.is_empty() {
            self.settle(passing, false);
        }
    }

    fn record(&mut self, asked: Vec<Box<dyn Waiting>>) {
        self.is_behind = self.settle(asked, true);
    }

    /// One transaction; true if it failed.
    fn settle(&mut self, mut batch: Vec<Box<dyn Waiting>>, durable: bool) -> bool {
        let failure = self.commit(&mut batch, durable).err();
        if failure.is_some() {
            self.database = None;
        }
        for asked in batch {
            asked.answer(failure.as_ref());
        }
        failure.is_some()
    }

    fn commit(&mut self, batch: &mut [Box<dyn Waiting>], durable: bool) -> Result<(), StateError> {
        if let Some(database) = &self.database {
            database.verify(&self.context.state_dir)?;
        }
        let database = match &mut self.database {
            Some(database) => database,
            closed => closed.insert(Database::open(&self.context.state_dir)?),
        };
        transact(database, &self.context, batch, durable)
    }
}

/// One transaction; a durable one also writes down all that is known to be done.
fn transact(
    database: &mut Database,
    context: &Context,
    batch: &mut [Box<dyn Waiting>],
    durable: bool,
) -> Result<(), StateError> {
    let path = context.database.as_path();
    let failed = |failure: rusqlite::Error| error::database(path, &failure);
    let now = context.now();
    let Some(_turn) = context.in_flight.turn(Queue::Ledger, TURN_PATIENCE)? else { return Err(locked(path)) };
    let done: Vec<_> = match durable {
        true => context.facts().iter().map(|fact| fact.done().clone()).collect(),
        false => Vec::new(),
    };
    database.set_durable(durable).map_err(failed)?;
    database.count_commit().map_err(failed)?;
    let begun = database.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let transaction = Transaction::new(&begun, path, now);
    for done in &done {
        record::write(&transaction, done, context.is_shared())?;
    }
    let told = context.told().clone();
    unshared::forget(&transaction, &told)?;
    for asked in batch {
        asked.run(&transaction, context)?;
    }
    begun.commit().map_err(failed)?;
    context.told().drain(..told.len());
    // Those that came in meanwhile stand behind them. Their guards end here.
    context.facts().drain(..done.len());
    Ok(())
}
