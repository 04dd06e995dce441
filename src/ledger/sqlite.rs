//! The delivery log on SQLite, in one state directory.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::check::{LedgerReport, Probe, inspect};
use super::context::{Context, LedgerLimits};
use super::deliveries::{BeginDelivery, FirstDeferral, FirstRefusal};
use super::delivery_log::{Begin, Claim, DeliveryLog, NoticeClaim, NoticeRequest, Reservation, Unrecorded};
use super::facts::Fact;
use super::inboxes::InboxLog;
use super::maintenance::Expire;
use super::notices::{CancelNotice, ReserveNotice};
use super::record::Record;
use super::writer::WriterHandle;
use crate::config::Config;
use crate::event_id::EventId;
use crate::state_dir::{StateDir, StateError};

/// The ledger of one state directory.
#[derive(Debug)]
pub struct Ledger {
    context: Arc<Context>,
    writer: Arc<WriterHandle>,
}

impl Ledger {
    /// Names the ledger; opens nothing yet.
    pub fn new(config: &Config) -> Self {
        let context = Arc::new(Context::new(StateDir::new(&config.state_dir), LedgerLimits::of(config)));
        Self { writer: Arc::new(WriterHandle::new(Arc::clone(&context))), context }
    }

    /// The ledger of a configuration that was read again: this one with the new limits, if the state directory is the same.
    /// What this process has not been able to write down yet stays known.
    pub fn reloaded(&self, config: &Config) -> Self {
        if self.context.state_dir.path() != config.state_dir {
            return Self::new(config);
        }
        self.context.set_limits(LedgerLimits::of(config));
        Self { context: Arc::clone(&self.context), writer: Arc::clone(&self.writer) }
    }

    /// Before the first question: each is answered in the thread that asks. For a process with one event, for which a thread
    /// costs more than it saves; it does some maintenance by calling [`Ledger::maintain`].
    pub fn work_in_place(&self) {
        self.writer.work_in_place();
    }

    /// Deletes a little of what is past its time, if it is due and no thread does so.
    pub fn maintain(&self) {
        self.writer.maintain();
    }

    /// The ledger of one inbox.
    pub fn inbox(&self, name: &str) -> InboxLog {
        InboxLog::new(name, Arc::clone(&self.context), Arc::clone(&self.writer))
    }

    /// Whether all that this process knows is written down.
    pub fn is_settled(&self) -> bool {
        self.context.facts().is_empty()
    }

    /// Tries once more to write down what this process could not; for the end of a process.
    ///
    /// # Errors
    /// It cannot be written down still.
    pub async fn settle(&self) -> Result<(), Unrecorded> {
        if self.is_settled() { Ok(()) } else { self.writer.ask(Record).await.map_err(Unrecorded) }
    }

    /// Deletes what is past its time, all of it. The ledger does this itself once an hour, in small steps.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn expire(&self) -> Result<(), StateError> {
        while !self.writer.ask(Expire).await? {}
        Ok(())
    }

    /// Writes to the ledger durably and reads it. Makes what is missing.
    ///
    /// # Errors
    /// It cannot be written, or what it holds cannot be trusted.
    pub async fn check(&self) -> Result<LedgerReport, StateError> {
        self.writer.ask(Probe).await?;
        let context = Arc::clone(&self.context);
        let inspected = tokio::task::spawn_blocking(move || inspect(&context)).await;
        inspected.unwrap_or_else(|error| Err(StateError::new(format!("the check of the ledger ended: {error}"))))
    }
}

impl DeliveryLog for Ledger {
    fn begin<'a>(&'a self, id: &'a EventId) -> BoxFuture<'a, Result<Begin, StateError>> {
        async { self.writer.ask(BeginDelivery::new(id)).await }.boxed()
    }

    fn finish(&self, claim: Claim) -> BoxFuture<'_, Result<(), Unrecorded>> {
        async {
            self.context.remember(Fact::delivered(claim));
            self.writer.ask(Record).await.map_err(Unrecorded)
        }
        .boxed()
    }

    fn first_refusal<'a>(&'a self, id: &'a EventId) -> BoxFuture<'a, Result<Duration, StateError>> {
        async { self.writer.ask(FirstRefusal::new(id)).await }.boxed()
    }

    fn first_deferral<'a>(&'a self, id: &'a EventId) -> BoxFuture<'a, Result<Duration, StateError>> {
        async { self.writer.ask(FirstDeferral::new(id)).await }.boxed()
    }

    fn reserve_notice(&self, request: NoticeRequest) -> BoxFuture<'_, Result<Reservation, StateError>> {
        async { self.writer.ask(ReserveNotice::new(request)).await }.boxed()
    }

    fn confirm_notice(&self, claim: NoticeClaim) -> BoxFuture<'_, Result<(), Unrecorded>> {
        async {
            self.context.remember(Fact::notice_sent(claim));
            self.writer.ask(Record).await.map_err(Unrecorded)
        }
        .boxed()
    }

    fn cancel_notice(&self, claim: NoticeClaim) -> BoxFuture<'_, Result<(), StateError>> {
        async { self.writer.ask(CancelNotice::new(claim)).await }.boxed()
    }
}
