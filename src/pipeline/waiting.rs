//! Copies that wait for their application: held with the rule `patience`, and handed over when it takes mail again.
//!
//! So no outage of an application, however long, bounces mail. It decides nothing: each copy is released as by hand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::execute::RULE_PATIENCE;
use super::{Engine, Released};
use crate::event_id::EventId;
use crate::state_dir::StateError;

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
            None => drop(timeout(LOOK_AGAIN, self.held.begins_to_wait()).await),
        }
    }

    /// One round: hands over the copies that wait, the oldest first, one at a time, until they are through or
    /// three in a row have failed.
    ///
    /// # Errors
    /// The held copies cannot be read or removed.
    pub async fn hand_over_waiting(self: &Arc<Self>, waiting: &mut WaitingCopies) -> Result<Round, StateError> {
        let mut copies = self.held.of_rule(RULE_PATIENCE).await?;
        // A copy may have been released or removed by hand since.
        let held: HashSet<&EventId> = copies.iter().map(|copy| &copy.id).collect();
        waiting.failures.retain(|id, _| held.contains(id));
        copies.sort_by_key(|copy| (waiting.failures.get(&copy.id).copied().unwrap_or(0), copy.held_at));
        let (mut round, mut failures) = (Round { done: 0, left: copies.len() }, 0);
        for copy in copies {
            match self.release(&copy.id).await? {
                // Its message is not answered yet, or somebody releases it by hand.
                Released::InUse => {}
                Released::Waits(_) => {
                    *waiting.failures.entry(copy.id).or_default() += 1;
                    failures += 1;
                    if failures == FAILURES_A_ROUND {
                        break;
                    }
                }
                Released::Delivered(_) | Released::StillHeld(_) | Released::DeliveredBefore(_) | Released::None => {
                    waiting.failures.remove(&copy.id);
                    (round.done, round.left, failures) = (round.done + 1, round.left - 1, 0);
                }
            }
        }
        waiting.pause = match (round.left, waiting.pause) {
            (0, _) => None,
            (_, Some(pause)) if round.done == 0 => Some((pause * 2).min(LONGEST_PAUSE)),
            _ => Some(SHORTEST_PAUSE),
        };
        Ok(round)
    }
}
