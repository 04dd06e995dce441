//! The delivery log on SQLite, in one state directory.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::check::{LedgerReport, Probe, inspect};
use super::context::{Context, LedgerLimits};
use super::deliveries::{BeginDelivery, Delivered, FirstDeferral, FirstRefusal};
use super::delivery_log::{Begin, Claim, DeliveryLog, Finished, NoticeClaim, NoticeRequest, Reservation, Unrecorded};
use super::facts::Fact;
use super::inboxes::InboxLog;
use super::maintenance::Expire;
use super::notices::{CancelNotice, ReserveNotice};
use super::record::Record;
use super::shared_store::StoreFinding;
use super::sharing::{SharedObserver, Sharing};
use super::unshared::OldestUnshared;
use super::writer::WriterHandle;
use crate::age_clock::AgeClock;
use crate::config::Config;
use crate::event_id::EventId;
use crate::state_dir::{StateDir, StateError};

/// The ledger of one state directory.
#[derive(Debug)]
pub struct Ledger {
    context: Arc<Context>,
    writer: Arc<WriterHandle>,
    sharing: Option<Arc<Sharing>>,
}

impl Ledger {
    /// Names the ledger; opens nothing yet.
    pub fn new(config: &Config) -> Self {
        Self::with_clock(Arc::new(AgeClock::new(&StateDir::new(&config.state_dir))), config)
    }

    /// The same by a clock that is there, of its state directory.
    pub fn with_clock(clock: Arc<AgeClock>, config: &Config) -> Self {
        let context = Arc::new(Context::new(clock, LedgerLimits::of(config)));
        let sharing = Sharing::of(config);
        context.set_shared(sharing.is_some());
        Self { writer: Arc::new(WriterHandle::new(Arc::clone(&context))), context, sharing }
    }

    /// The ledger of a configuration that was read again: this one with the new limits, if the state directory is the same.
    /// What this process has not been able to write down yet stays known.
    pub fn reloaded(&self, config: &Config) -> Self {
        if self.context.state_dir.path() != config.state_dir {
            return Self::new(config);
        }
        self.context.set_limits(LedgerLimits::of(config));
        let same = self.sharing.as_ref().filter(|sharing| sharing.is_of(config));
        let sharing = same.cloned().or_else(|| Sharing::of(config));
        self.context.set_shared(sharing.is_some());
        Self { context: Arc::clone(&self.context), writer: Arc::clone(&self.writer), sharing }
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
        InboxLog::new(name, Arc::clone(&self.context), Arc::clone(&self.writer), self.sharing.clone())
    }

    /// Whether all that this process knows is written down.
    pub fn is_settled(&self) -> bool {
        self.context.facts().is_empty()
    }

    /// Tells `observer` how the shared store is from now on.
    pub fn observe_sharing(&self, observer: Arc<dyn SharedObserver>) {
        if let Some(sharing) = &self.sharing {
            sharing.observe(observer);
        }
    }

    /// Tells the other hosts what they may not know yet, as far as the shared store answers: the number of facts that still
    /// wait; `None` where nothing is shared.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub async fn tell_the_others(&self) -> Result<Option<u64>, StateError> {
        let Some(sharing) = &self.sharing else { return Ok(None) };
        loop {
            // What was told is deleted in this transaction.
            let waiting = self.writer.ask(OldestUnshared).await?;
            if waiting.records.is_empty() || !sharing.tell(&self.context, waiting.records).await {
                return Ok(Some(waiting.count));
            }
        }
    }

    /// For a process with one message: a shared store that does not answer once is not asked again.
    pub fn give_up_sharing_early(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.give_up_early();
        }
    }

    /// Asks the shared store whether it is there; nothing where nothing is shared, and while it is left alone.
    pub async fn probe_sharing(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.probe().await;
        }
    }

    /// What is to be said of the shared store; nothing where nothing is shared.
    pub async fn check_sharing(&self) -> Vec<StoreFinding> {
        match &self.sharing {
            Some(sharing) => sharing.store.check().await,
            None => Vec::new(),
        }
    }

    /// Deletes what is past its time, all of it. The ledger does this itself once a day, in small steps.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn expire(&self) -> Result<(), StateError> {
        let mut step = Expire::default();
        while let Some(next) = self.writer.ask(step).await? {
            step = Expire(next);
        }
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
        async {
            match (self.writer.ask(BeginDelivery::new(id)).await?, &self.sharing) {
                (Begin::New(claim), Some(sharing)) => Ok(sharing.claim(claim).await),
                (begun, _) => Ok(begun),
            }
        }
        .boxed()
    }

    fn delivered<'a>(&'a self, id: &'a EventId) -> BoxFuture<'a, Result<Option<Duration>, StateError>> {
        async { self.writer.ask(Delivered::new(id)).await }.boxed()
    }

    fn finish(&self, claim: Claim) -> BoxFuture<'_, Result<Finished, Unrecorded>> {
        async {
            let (id, shared) = (claim.id().clone(), claim.shared_state());
            let at = self.context.now();
            self.context.remember(Fact::delivered(claim, at));
            self.writer.ask(Record).await.map_err(Unrecorded)?;
            match &self.sharing {
                Some(sharing) => Ok(sharing.finish(&self.context, id, at, shared).await),
                None => Ok(Finished::default()),
            }
        }
        .boxed()
    }

    fn release(&self, claim: Claim) -> BoxFuture<'_, ()> {
        claim.give_back().boxed()
    }

    fn first_refusal<'a>(&'a self, id: &'a EventId) -> BoxFuture<'a, Result<Duration, StateError>> {
        async { self.writer.ask(FirstRefusal::new(id)).await }.boxed()
    }

    fn first_deferral<'a>(&'a self, id: &'a EventId) -> BoxFuture<'a, Result<Duration, StateError>> {
        async { self.writer.ask(FirstDeferral::new(id)).await }.boxed()
    }

    fn reserve_notice(&self, request: NoticeRequest) -> BoxFuture<'_, Result<Reservation, StateError>> {
        async {
            let reserved = self.writer.ask(ReserveNotice::new(request)).await?;
            let (claim, sharing) = match (reserved, &self.sharing) {
                (Reservation::Granted(claim), Some(sharing)) => (claim, sharing),
                (reserved, _) => return Ok(reserved),
            };
            match sharing.reserve(&self.context, claim).await {
                Ok(granted) => Ok(Reservation::Granted(granted)),
                Err((claim, refusal)) => {
                    self.writer.ask(CancelNotice::new(claim)).await?;
                    Ok(refusal)
                }
            }
        }
        .boxed()
    }

    fn confirm_notice(&self, claim: NoticeClaim) -> BoxFuture<'_, Result<(), Unrecorded>> {
        async {
            let request = claim.request().clone();
            let at = self.context.now();
            self.context.remember(Fact::notice_sent(claim, at));
            self.writer.ask(Record).await.map_err(Unrecorded)?;
            if let Some(sharing) = &self.sharing {
                sharing.notice_sent(&self.context, request, at).await;
            }
            Ok(())
        }
        .boxed()
    }

    fn cancel_notice(&self, claim: NoticeClaim) -> BoxFuture<'_, Result<(), StateError>> {
        async {
            claim.give_back().await;
            self.writer.ask(CancelNotice::new(claim)).await
        }
        .boxed()
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Unrecorded>> {
        async { if self.is_settled() { Ok(()) } else { self.writer.ask(Record).await.map_err(Unrecorded) } }.boxed()
    }
}
