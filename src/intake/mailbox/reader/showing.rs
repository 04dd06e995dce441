//! Having the mailbox show what is done, and the end in good order.

use tokio::time::Instant;

use super::{GRACE, Run, STUCK_PERIOD};
use crate::crash_point::crash_point;
use crate::intake::mailbox::beginning::failed;
use crate::intake::mailbox::failure::Failure;
use crate::intake::mailbox::source::{OpenMailbox, Source};
use crate::ledger::MessageState;

impl<S: Source> Run<S> {
    /// Has the mailbox show what is done; with `all`, at once.
    pub(super) async fn show(&mut self, open: &mut S::Open, all: bool) -> Result<(), Failure> {
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
    pub(super) fn alarm(&mut self, event: &str, detail: &str) {
        let now = Instant::now();
        let is_new = self.alarms.get(detail).is_none_or(|told| now - *told >= STUCK_PERIOD);
        if is_new {
            self.alarms.insert(detail.to_owned(), now);
            self.reader.report.alarm(event, detail);
        }
    }

    /// Ends in good order: what the application has is settled and shown.
    pub(super) async fn stop(&mut self, open: &mut S::Open) -> Result<(), Failure> {
        let until = Instant::now() + GRACE.0;
        while let Ok(Some(finished)) = tokio::time::timeout_at(until, self.deliveries.join_next_with_id()).await {
            self.finished(finished).await?;
        }
        self.settle_again().await;
        self.show(open, true).await
    }
}
