//! The ledger thread: it owns the connection, and puts everything that waits for the disk into one transaction.
//!
//! So sixteen sessions share one fsync, and no task of the service's runtime ever waits for a disk. The thread starts with the
//! first question; a `pipe` for one recipient has none. After an error the connection is closed, and the next question opens
//! it afresh.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::chores::Chores;
use super::error::LedgerError;
use super::open::Database;
use super::shared::{Shared, seconds};

/// Requests in one transaction at most: it must not hold the write lock for long.
const BATCH: usize = 256;

/// How often what has come in meanwhile is taken in before the fsync.
const ROUNDS: usize = 3;

/// How long other processes may be before us in the queue. Each takes an fsync.
const TURN_PATIENCE: Duration = Duration::from_secs(10);

/// How long until what could not be written down is tried again, if nobody asks anything in the meantime.
const RETRY: Duration = Duration::from_secs(5);

/// A question to the ledger, or something to write down.
pub(super) trait Work: Send + 'static {
    /// The answer.
    type Value: Send + 'static;
    /// It writes down what has happened: the commit must survive a power cut, and is made even if nobody waits for it.
    const RECORDS: bool = false;
    /// What can be answered without the database. Claims are taken here, before the transaction begins: whoever held one
    /// before has committed by then, and the transaction sees it.
    fn prepare(&mut self, _shared: &Shared) -> Result<Option<Self::Value>, LedgerError> {
        Ok(None)
    }
    /// Its part of the transaction; `now` is in seconds since 1970.
    fn run(&mut self, transaction: &Connection, shared: &Shared, now: i64) -> Result<Self::Value, Failure>;
}

/// Why a transaction failed.
#[derive(Debug)]
pub(super) enum Failure {
    Database(rusqlite::Error),
    Ledger(LedgerError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// The way to the thread, or what does its work in place.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    jobs: Mutex<Option<Sender<Box<dyn Job>>>>,
    in_place: OnceLock<Mutex<Clerk>>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, jobs: Mutex::new(None), in_place: OnceLock::new() }
    }

    /// From now on the work is done by whoever asks, without a thread.
    pub(super) fn work_in_place(&self) {
        self.in_place.get_or_init(|| Mutex::new(Clerk::new(Arc::clone(&self.shared))));
    }

    /// One step of the chores, if no thread does them.
    pub(super) fn tidy(&self) {
        if let Some(clerk) = self.in_place.get() {
            let mut clerk = clerk.lock().unwrap_or_else(PoisonError::into_inner);
            let Clerk { shared, database, chores, .. } = &mut *clerk;
            chores.step(shared, database);
        }
    }

    /// Hands the work to the thread and waits for the answer.
    pub(super) async fn ask<W: Work>(&self, work: W) -> Result<W::Value, LedgerError> {
        let (answer, waiting) = oneshot::channel();
        self.send(Box::new(Task { work, outcome: None, answer }))?;
        waiting
            .await
            .unwrap_or_else(|_| Err(LedgerError::new("the ledger thread ended; the next message starts it again")))
    }

    fn send(&self, job: Box<dyn Job>) -> Result<(), LedgerError> {
        if let Some(clerk) = self.in_place.get() {
            clerk.lock().unwrap_or_else(PoisonError::into_inner).serve(job, || None);
            return Ok(());
        }
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = match &*jobs {
            None => job,
            Some(sender) => match sender.send(job) {
                Ok(()) => return Ok(()),
                // The thread has panicked.
                Err(mpsc::SendError(job)) => job,
            },
        };
        let (sender, receiver) = mpsc::channel();
        // The channel was just made: its other end is here.
        let _ = sender.send(job);
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || Clerk::new(shared).work(&receiver))
            .map_err(|error| LedgerError::new(format!("cannot start the ledger thread: {error}")))?;
        *jobs = Some(sender);
        Ok(())
    }
}

/// Work of any kind with the one who waits for it.
trait Job: Send {
    /// False if it is settled, or nobody wants it any more.
    fn prepare(&mut self, shared: &Shared) -> bool;
    fn records(&self) -> bool;
    fn run(&mut self, transaction: &Connection, shared: &Shared, now: i64) -> Result<(), Failure>;
    /// Answers; with the error, if the transaction failed.
    fn answer(self: Box<Self>, failure: Option<&LedgerError>);
}

struct Task<W: Work> {
    work: W,
    outcome: Option<Result<W::Value, LedgerError>>,
    answer: oneshot::Sender<Result<W::Value, LedgerError>>,
}

impl<W: Work> Job for Task<W> {
    fn prepare(&mut self, shared: &Shared) -> bool {
        if !W::RECORDS && self.answer.is_closed() {
            return false;
        }
        self.outcome = self.work.prepare(shared).transpose();
        self.outcome.is_none()
    }

    fn records(&self) -> bool {
        W::RECORDS
    }

    fn run(&mut self, transaction: &Connection, shared: &Shared, now: i64) -> Result<(), Failure> {
        self.outcome = Some(Ok(self.work.run(transaction, shared, now)?));
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<&LedgerError>) {
        let Self { work, mut outcome, answer } = *self;
        // A claim in the outcome, or in the work, is free before anybody hears of it.
        drop(work);
        if let Some(error) = failure {
            outcome = Some(Err(error.clone()));
        }
        if let Some(outcome) = outcome {
            // Who has stopped waiting gets no answer; a claim that comes back this way is freed.
            let _ = answer.send(outcome);
        }
    }
}

/// What runs on the thread.
#[derive(Debug)]
struct Clerk {
    shared: Arc<Shared>,
    database: Option<Database>,
    chores: Chores,
    /// The last record could not be written down.
    is_behind: bool,
}

impl Clerk {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, database: None, chores: Chores::default(), is_behind: false }
    }

    fn work(mut self, jobs: &Receiver<Box<dyn Job>>) {
        loop {
            let unrecorded = !self.shared.facts().is_empty();
            match jobs.recv_timeout(self.chores.pause(unrecorded.then_some(RETRY))) {
                Ok(job) => self.serve(job, || jobs.try_recv().ok()),
                Err(RecvTimeoutError::Timeout) if unrecorded => self.record(Vec::new()),
                Err(RecvTimeoutError::Timeout) => self.chores.step(&self.shared, &mut self.database),
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
    fn serve(&mut self, first: Box<dyn Job>, mut waiting: impl FnMut() -> Option<Box<dyn Job>>) {
        let (mut first, mut recording) = (Some(first), Vec::new());
        for _ in 0..ROUNDS {
            let batch: Vec<_> = first.take().into_iter().chain(std::iter::from_fn(&mut waiting)).take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            self.pass(batch, &mut recording);
        }
        if !recording.is_empty() || !self.shared.facts().is_empty() {
            self.record(recording);
        }
    }

    /// Answers what needs no fsync, and leaves the rest.
    ///
    /// After a record that failed all is left: nothing new is begun before the disk has taken what is done.
    fn pass(&mut self, batch: Vec<Box<dyn Job>>, recording: &mut Vec<Box<dyn Job>>) {
        let mut passing = Vec::new();
        for mut job in batch {
            match job.prepare(&self.shared) {
                false => job.answer(None),
                true if job.records() || self.is_behind => recording.push(job),
                true => passing.push(job),
            }
        }
        if !passing.is_empty() {
            self.settle(passing, false);
        }
    }

    fn record(&mut self, jobs: Vec<Box<dyn Job>>) {
        self.is_behind = self.settle(jobs, true);
    }

    /// One transaction; true if it failed.
    fn settle(&mut self, mut jobs: Vec<Box<dyn Job>>, durable: bool) -> bool {
        let failure = self.commit(&mut jobs, durable).err();
        if failure.is_some() {
            self.database = None;
        }
        for job in jobs {
            job.answer(failure.as_ref());
        }
        failure.is_some()
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Job>], durable: bool) -> Result<(), LedgerError> {
        let path = self.shared.paths.database.as_path();
        if let Some(database) = &self.database {
            database.verify(path)?;
        }
        let database = match &mut self.database {
            Some(database) => database,
            closed => closed.insert(Database::open(&self.shared.paths)?),
        };
        transact(database, &self.shared, jobs, durable).map_err(|failure| match failure {
            Failure::Database(error) => LedgerError::database(path, &error),
            Failure::Ledger(error) => error,
        })
    }
}

/// One transaction; a durable one also writes down all that is known to be done.
fn transact(database: &mut Database, shared: &Shared, jobs: &mut [Box<dyn Job>], durable: bool) -> Result<(), Failure> {
    let now = seconds(SystemTime::now());
    let Some(_turn) = shared.claims.turn(TURN_PATIENCE)? else {
        return Err(LedgerError::locked(&shared.paths.database).into());
    };
    let facts: Vec<_> = match durable {
        true => shared.facts().iter().map(|fact| fact.row()).collect(),
        false => Vec::new(),
    };
    database.set_durable(durable)?;
    database.count_commit()?;
    let transaction = database.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for fact in &facts {
        fact.write(&transaction)?;
    }
    for job in jobs {
        job.run(&transaction, shared, now)?;
    }
    transaction.commit()?;
    // Those that came in meanwhile stand behind them. Their claims end here.
    shared.facts().drain(..facts.len());
    Ok(())
}
