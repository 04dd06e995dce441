//! One message on its way from a mailbox through the modules to the ledger.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;

use super::number_set::Number;
use crate::crash_point::crash_point;
use crate::intake::budget::Reservation;
use crate::intake::{DeliverFetched, Fetched, Handled};
use crate::ledger::InboxLog;
use crate::mail::Item;
use crate::outcome::Outcome;
use crate::state_dir::StateError;
use crate::verdict::Verdict;

/// A message that was fetched.
pub(super) struct Delivery {
    pub(super) number: Number,
    pub(super) validity: u32,
    pub(super) came_in: Option<SystemTime>,
    pub(super) fetched: Fetched,
    pub(super) reservation: Reservation,
}

/// A message whose delivery has ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) number: Number,
    pub(super) validity: u32,
    pub(super) came_in: Option<SystemTime>,
    /// What the mailbox calls it.
    pub(super) item: Item,
    pub(super) fate: Fate,
    /// It is final, but the ledger could not take that.
    pub(super) unsettled: Option<StateError>,
}

/// What becomes of a message in its mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Every verdict is final.
    Final {
        verdicts: Vec<&'static str>,
        /// The application answered: it works.
        app_answered: bool,
    },
    /// It is not ours.
    Left,
    /// A recipient is not done.
    Deferred {
        cause: &'static str,
        retry_after: Option<Duration>,
        /// The application did not take it.
        by_app: bool,
    },
}

impl Delivery {
    /// Hands the message over, and writes down that it is done.
    pub(super) async fn run(self, deliver: Arc<dyn DeliverFetched>, log: InboxLog) -> Finished {
        let Self { number, validity, came_in, fetched, reservation } = self;
        let item = fetched.origin.item.clone();
        let handled = AssertUnwindSafe(async { deliver.deliver_fetched(fetched).await }).catch_unwind().await;
        drop(reservation);
        let fate =
            handled.map_or(Fate::Deferred { cause: "internal-error", retry_after: None, by_app: false }, Fate::of);
        let mut unsettled = None;
        if matches!(fate, Fate::Final { .. }) {
            unsettled = log.settle(validity, number.get(), came_in).await.err();
            crash_point("message-settled");
        }
        Finished { number, validity, came_in, item, fate, unsettled }
    }
}

impl Fate {
    /// The most unfinished verdict decides.
    fn of(handled: Handled) -> Self {
        let outcomes = match handled {
            Handled::Left => return Self::Left,
            Handled::Answered(outcomes) => outcomes,
        };
        let deferrals = outcomes.iter().filter_map(|outcome| match &outcome.verdict {
            Verdict::Deferred(deferral) => Some(deferral),
            _ => None,
        });
        let Some(worst) = deferrals.clone().max_by_key(|deferral| deferral.retry_after) else {
            let answered = |outcome: &Outcome| outcome.effects.app.is_some();
            let app_answered = outcomes.iter().any(answered);
            return Self::Final {
                verdicts: outcomes.iter().map(|outcome| outcome.verdict.name()).collect(),
                app_answered,
            };
        };
        let by_app = deferrals.clone().any(|deferral| deferral.cause == "app");
        Self::Deferred { cause: if by_app { "app" } else { worst.cause }, retry_after: worst.retry_after, by_app }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Deferral, Rejection, Status};

    #[test]
    fn the_most_unfinished_verdict_decides() {
        let app = |seconds: Option<u64>| {
            let deferral = Deferral::app(Status::NO_ANSWER, String::new(), String::new(), false);
            Verdict::Deferred(deferral.after(seconds.map(Duration::from_secs)))
        };
        let rejected = || Verdict::Rejected(Rejection { rule: "unknown-address", reason: String::new() });
        let ledger = || Verdict::Deferred(Deferral::local_state("full", true));
        let minute = Some(Duration::from_secs(60));
        let done = |verdicts: &[&'static str]| Fate::Final { verdicts: verdicts.to_vec(), app_answered: false };
        let rows: Vec<(&str, Vec<Verdict>, Fate)> = vec![
            ("delivered", vec![Verdict::Delivered], done(&["delivered"])),
            ("all final", vec![Verdict::Duplicate, rejected()], done(&["duplicate", "rejected"])),
            (
                "one deferred",
                vec![Verdict::Delivered, ledger()],
                Fate::Deferred { cause: "ledger", retry_after: None, by_app: false },
            ),
            (
                "the longest time that was asked for",
                vec![app(None), app(Some(60)), app(Some(5))],
                Fate::Deferred { cause: "app", retry_after: minute, by_app: true },
            ),
            (
                "the application among others",
                vec![ledger(), app(None)],
                Fate::Deferred { cause: "app", retry_after: None, by_app: true },
            ),
        ];
        for (name, verdicts, expected) in rows {
            let outcomes = verdicts.into_iter().map(|verdict| Outcome::new(verdict, "x", Arc::default())).collect();
            assert_eq!(Fate::of(Handled::Answered(outcomes)), expected, "{name}");
        }
        assert_eq!(Fate::of(Handled::Left), Fate::Left);
    }
}
