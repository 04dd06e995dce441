//! Copies that wait for their application: held with the rule `patience`, and handed over when it takes mail again.
//!
//! So no outage of an application, however long, bounces mail. It decides nothing: each copy goes the whole way again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Engine;
use super::execute::RULE_PATIENCE;
use crate::event_id::EventId;
use crate::held::HeldRecord;
use crate::mail::Envelope;
use crate::outcome::Outcome;
use crate::state_dir::StateError;
use crate::verdict::Verdict;

/// So many failures in a row end a round: an application that is away would refuse all others too.
const FAILURES_A_ROUND: usize = 3;

/// How long after the start, or after a copy was held, the first round comes; doubled after each round without success.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two rounds.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often copies are looked for that another process has held.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// What is remembered from round to round.
#[derive(Debug)]
pub struct WaitingCopies {
    /// Who has failed often stands behind the others, so that one poisonous message does not keep all from their turn.
    failures: HashMap<EventId, u32>,
    pause: Option<Duration>,
}

impl Default for WaitingCopies {
    fn default() -> Self {
        Self { failures: HashMap::new(), pause: Some(SHORTEST_PAUSE) }
    }
}

/// How a round ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Copies that are done with: delivered, or with another final verdict.
    pub done: usize,
    /// Copies that go on waiting.
    pub left: usize,
}

impl Engine {
    /// Waits until it is time for a round.
    pub async fn copies_wait(&self, waiting: &WaitingCopies) {
        match waiting.pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => drop(timeout(LOOK_AGAIN, self.waiting.notified()).await),
        }
    }

    /// One round: hands over the copies that wait, the oldest first, one at a time, until they are through or
    /// three in a row have failed.
    ///
    /// # Errors
    /// The held copies cannot be read or removed.
    pub async fn hand_over_waiting(self: &Arc<Self>, waiting: &mut WaitingCopies) -> Result<Round, StateError> {
        let mut copies = self.held.list().await?.records;
        copies.retain(|copy| copy.rule == RULE_PATIENCE);
        copies.sort_by_key(|copy| (waiting.failures.get(&copy.id).copied().unwrap_or(0), copy.held_at));
        let (mut round, mut failures) = (Round { done: 0, left: copies.len() }, 0);
        for copy in copies {
            if self.hand_over_copy(&copy).await? {
                waiting.failures.remove(&copy.id);
                (round.done, round.left, failures) = (round.done + 1, round.left - 1, 0);
                continue;
            }
            *waiting.failures.entry(copy.id).or_default() += 1;
            failures += 1;
            if failures == FAILURES_A_ROUND {
                break;
            }
        }
        waiting.pause = match (round.left, waiting.pause) {
            (0, _) => None,
            (_, Some(pause)) if round.done == 0 => Some((pause * 2).min(LONGEST_PAUSE)),
            _ => Some(SHORTEST_PAUSE),
        };
        Ok(round)
    }

    /// True if the copy need not be tried again.
    async fn hand_over_copy(self: &Arc<Self>, copy: &HeldRecord) -> Result<bool, StateError> {
        // Somebody else has released it in the meantime.
        let Some((record, content)) = self.held.read(&copy.id).await? else { return Ok(true) };
        let envelope = Envelope { recipients: vec![record.recipient], ..record.envelope };
        let outcomes = self.deliver_all(envelope, content).await;
        let Some(Outcome { verdict, id: Some(id), .. }) = outcomes.into_iter().next() else { return Ok(false) };
        match verdict {
            Verdict::Deferred(_) | Verdict::Held { rule: RULE_PATIENCE, .. } => Ok(false),
            Verdict::Delivered | Verdict::Duplicate => self.held.remove(&copy.id).await.map(|_| true),
            // Kept on, but no longer to be tried: `held` shows the new reason.
            Verdict::Held { .. } | Verdict::Ignored { .. } | Verdict::Rejected(_) => {
                if id == copy.id {
                    let (rule, detail) = (verdict.rule().unwrap_or_default(), verdict.detail());
                    self.held.relabel(&copy.id, verdict.name(), rule, detail).await?;
                } else {
                    self.held.remove(&copy.id).await?;
                }
                Ok(true)
            }
        }
    }
}
