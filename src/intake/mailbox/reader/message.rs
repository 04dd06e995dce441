//! One message: begun, fetched, handed over, and what its end comes to.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Run, random};
use crate::crash_point::crash_point;
use crate::intake::Fetched;
use crate::intake::mailbox::beginning::failed;
use crate::intake::mailbox::delivery::{Delivery, Fate, Finished};
use crate::intake::mailbox::failure::{Cause, Failure};
use crate::intake::mailbox::number_set::Number;
use crate::intake::mailbox::queue::{Held, after_a_crash};
use crate::intake::mailbox::source::{Got, Letter, OpenMailbox, Source};
use crate::ledger::{InboxMessage, MessageState};
use crate::mail::InMailbox;

impl<S: Source> Run<S> {
    /// Fetches a message and hands it over.
    pub(super) async fn begin(&mut self, open: &mut S::Open, number: Number) -> Result<(), Failure> {
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
            Got::Message(letter) if letter.is_done => self.note(number, MessageState::Marked).await,
            Got::Message(letter) => {
                self.reader.report.fetched(letter.content.size());
                self.hand_over(number, validity, *letter, number < began);
                Ok(())
            }
            Got::Gone => {
                position.queue.finish(number);
                self.reader.log.forget(validity, vec![number.get()]).await.map_err(failed)
            }
            Got::Not { cause, detail } => {
                let wait = self.defer(number, Held::Otherwise, cause, None).await?;
                let item = open.item(number).await;
                self.reader.report.waits(&item, cause, &detail, wait);
                Ok(())
            }
        }
    }

    /// The connection ended while a message was fetched. It may be what ended it: the second time it waits.
    pub(super) async fn lost_with_connection(&mut self, number: Number, attempts: u32, failure: &Failure) {
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

    pub(super) fn hand_over(&mut self, number: Number, validity: u32, letter: Letter, first_run: bool) {
        let settings = &self.reader.settings;
        let Letter { content, item, came_in, reservation, .. } = letter;
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
    pub(super) async fn finished(
        &mut self,
        finished: Result<(tokio::task::Id, Finished), tokio::task::JoinError>,
    ) -> Result<(), Failure> {
        let (id, finished) = match finished {
            Ok((id, finished)) => (id, Some(finished)),
            Err(error) => (error.id(), None),
        };
        let number = self.under_way.remove(&id);
        let Some(Finished { number, validity, came_in, item, fate, unsettled }) = finished else {
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
                self.reader.report.left(&item);
                self.note(number, MessageState::Left).await
            }
            Fate::Deferred { cause, retry_after, by_app } => {
                self.is_clean = false;
                let why = if by_app { Held::ByApp } else { Held::Otherwise };
                self.defer(number, why, cause, retry_after).await.map(drop)
            }
        }
    }

    pub(super) fn settled(&mut self, number: Number) {
        if let Some(position) = &mut self.position {
            position.queue.finish(number);
            position.unshown.add(number, MessageState::Settled, Instant::now());
        }
    }

    /// What the ledger could not take before.
    pub(super) async fn settle_again(&mut self) {
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
    pub(super) async fn note(&mut self, number: Number, state: MessageState) -> Result<(), Failure> {
        let Some(position) = &mut self.position else { return Ok(()) };
        position.queue.finish(number);
        self.reader.log.note(position.validity, vec![number.get()], state).await.map_err(failed)
    }

    /// A message waits. Gives how long.
    pub(super) async fn defer(
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
}
