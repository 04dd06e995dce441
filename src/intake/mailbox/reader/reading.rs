//! Reading an open mailbox: looking for messages, beginning those that are due, waiting, and what other processes ask for.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Enough, LOOK, Run, STUCK_PERIOD};
use crate::intake::mailbox::beginning::failed;
use crate::intake::mailbox::failure::Failure;
use crate::intake::mailbox::number_set::Number;
use crate::intake::mailbox::queue::Known;
use crate::intake::mailbox::source::{OpenMailbox, Source, Wanted};
use crate::ledger::{InboxLog, InboxMessage};

impl<S: Source> Run<S> {
    /// Reads an open mailbox.
    pub(super) async fn read(&mut self, open: &mut S::Open) -> Result<Enough, Failure> {
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
    pub(super) async fn next_finished(&mut self) -> Result<(), Failure> {
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
    pub(super) async fn is_at_rest(&mut self, open: &mut S::Open) -> Result<bool, Failure> {
        self.settle_again().await;
        self.show(open, true).await?;
        let is_shown = self.position.as_ref().is_none_or(|position| position.unshown.is_empty());
        self.is_clean &= is_shown && self.unsettled.is_empty();
        self.is_clean &=
            !self.position.as_ref().is_some_and(|position| position.queue.waits_for_app(Instant::now().into_std()));
        Ok(!open.has_news())
    }

    /// The next message to begin.
    pub(super) fn next(&self) -> Option<Number> {
        self.position.as_ref().and_then(|position| position.queue.next(Instant::now().into_std()))
    }

    /// Waits for something to happen. True if it is time to search.
    pub(super) async fn wait(&mut self, open: &mut S::Open, next_search: Instant) -> Result<bool, Failure> {
        let Some(position) = &self.position else { return Ok(true) };
        let until =
            [position.queue.next_at(Instant::now().into_std()).map(Instant::from_std), position.unshown.next_at()];
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

    pub(super) async fn search(&mut self, open: &mut S::Open) -> Result<(), Failure> {
        let Some(position) = &mut self.position else { return Ok(()) };
        let from = position.search_from();
        let mut found = open.find(Wanted::From(from)).await?;
        let missing = position.queue.missing(from, &found);
        if !missing.is_empty() {
            found.extend(open.still_there(&missing).await?.iter());
        }
        let unexplained = position.queue.unexplained(from, &found);
        if !unexplained.is_empty() {
            found.extend(open.overlooked(&unexplained).await?.iter());
        }
        let gone = position.queue.found(from, &found);
        let validity = position.validity;
        if !gone.is_empty() {
            let gone = gone.into_iter().map(Number::get).collect();
            self.reader.log.forget(validity, gone).await.map_err(failed)?;
        }
        self.advance().await?;
        self.tell_pending();
        Ok(())
    }

    pub(super) fn tell_pending(&self) {
        let Some(position) = &self.position else { return };
        let oldest = position.queue.oldest().and_then(|first| SystemTime::now().duration_since(first).ok());
        self.reader.report.pending(position.queue.len(), oldest);
    }

    /// Everything below the lowest message that is not done need not be remembered.
    pub(super) async fn advance(&mut self) -> Result<(), Failure> {
        let Some(position) = &mut self.position else { return Ok(()) };
        let before = position.queue.low();
        let low = position.queue.advance();
        if let Some(low) = low.filter(|_| low != before) {
            self.reader.log.advance(position.validity, low.get()).await.map_err(failed)?;
        }
        Ok(())
    }

    /// What other processes wish, and what is to be told now and then.
    pub(super) async fn look_around(&mut self, open: &mut S::Open) -> Result<(), Failure> {
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
        self.tell_stuck(open).await;
        Ok(())
    }

    pub(super) async fn tell_stuck(&mut self, open: &mut S::Open) {
        let Some(position) = &self.position else { return };
        if Instant::now() < self.next_stuck {
            return;
        }
        self.next_stuck = Instant::now() + STUCK_PERIOD;
        let limit = SystemTime::now().checked_sub(self.reader.settings.stuck_after);
        let Some(limit) = limit else { return };
        let stuck: Vec<_> = position.queue.stuck(limit).collect();
        if let Some((number, attempts, cause)) = stuck.first() {
            let item = open.item(*number).await;
            self.reader.report.stuck(stuck.len(), &item, *attempts, cause);
        }
    }
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

fn known(message: InboxMessage) -> Option<Known> {
    let InboxMessage { number, attempts, next_try, first, cause, .. } = message;
    Some(Known { number: Number::new(number)?, attempts, next_try, first, cause })
}
