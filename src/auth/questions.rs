//! All questions about one message, under one roof: so many and no more, no longer than the deadline, each asked once.
//!
//! SPF, DKIM and DMARC have a share each, so that what one of them meets does not change what another can find.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hickory_resolver::proto::rr::RecordType;
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Question};
use super::resolver::Resolver;

/// Questions for SPF, its control included: ten look-ups (RFC 7208 section 4.6.4), the hosts behind them, and what the
/// control asks again because the client's address stands in the name.
pub(super) const FOR_SPF: usize = 40;
/// One for each signature that is looked at.
pub(super) const FOR_DKIM: usize = 8;
/// RFC 9989 section 4.10: at most eight for one domain, and one whether the domain exists.
pub(super) const FOR_DMARC: usize = 12;

/// The questions of one part.
pub(super) struct Questions<'r> {
    resolver: &'r Resolver,
    deadline: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    left: usize,
    answers: HashMap<Question, Answer>,
}

impl<'r> Questions<'r> {
    /// At most `most`, answered before `deadline`.
    pub(super) fn new(resolver: &'r Resolver, most: usize, deadline: Instant) -> Self {
        Self { resolver, deadline, state: Mutex::new(State { left: most, answers: HashMap::new() }) }
    }

    /// What DNS says of a name. The same question is asked once, and counts once, whether or not its answer is in the cache: so the
    /// result for a message does not depend on what came before it.
    pub(super) async fn ask(&self, name: &str, kind: RecordType) -> Answer {
        match Question::new(name, kind) {
            Some(question) => self.answer(question).await,
            // What DNS cannot carry does not exist (RFC 7208 section 4.3); asking costs nothing.
            None => Answer::Nothing { has_name: false },
        }
    }

    /// The same for a question that is made already.
    pub(super) async fn answer(&self, question: Question) -> Answer {
        let known = self.state().answers.get(&question).cloned();
        if let Some(known) = known {
            return known;
        }
        let mut answer = Answer::TooMuch("it takes too many questions to DNS");
        for _ in 0..=self.resolver.limits().retries {
            if !self.count_one() {
                break;
            }
            let asked = timeout_at(self.deadline, self.resolver.answer(&question)).await;
            answer = asked.unwrap_or_else(|_| Answer::Fault("DNS did not answer in time".into()));
            if !matches!(answer, Answer::Fault(_)) {
                break;
            }
        }
        self.state().answers.insert(question, answer.clone());
        answer
    }

    fn count_one(&self) -> bool {
        let mut state = self.state();
        let left = state.left.checked_sub(1);
        state.left = left.unwrap_or(0);
        left.is_some()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
