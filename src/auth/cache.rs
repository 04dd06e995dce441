//! Answers of DNS that are kept for the next message, bounded in octets: what is kept longest goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::answer::{Answer, Question};

/// What an entry costs besides its name and its answer.
const ENTRY: usize = 256;

/// The cache.
#[derive(Debug)]
pub(super) struct AnswerCache {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Arc<Question>, Entry>,
    /// By age, the oldest first.
    order: BTreeMap<u64, Arc<Question>>,
    next: u64,
    octets: usize,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    until: Instant,
    cost: usize,
    place: u64,
}

impl AnswerCache {
    /// Keeps at most so many octets.
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// The answer, if it is kept and still holds.
    pub(super) fn get(&self, question: &Question) -> Option<Answer> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.entries.get(question)?;
        if entry.until > Instant::now() {
            return Some(entry.answer.clone());
        }
        kept.remove(question);
        None
    }

    /// Keeps an answer, and forgets older ones where there is no room.
    pub(super) fn keep(&self, question: &Question, answer: &Answer, until: Instant) {
        let cost = ENTRY + question.name.len() + answer.cost();
        if cost > self.most {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(question);
        while kept.octets + cost > self.most {
            let Some(oldest) = kept.order.first_key_value().map(|(_, question)| Arc::clone(question)) else { break };
            kept.remove(&oldest);
        }
        let (question, place) = (Arc::new(question.clone()), kept.next);
        kept.next += 1;
        kept.octets += cost;
        kept.order.insert(place, Arc::clone(&question));
        kept.entries.insert(question, Entry { answer: answer.clone(), until, cost, place });
    }
}

impl Kept {
    fn remove(&mut self, question: &Question) {
        if let Some(entry) = self.entries.remove(question) {
            self.order.remove(&entry.place);
            self.octets -= entry.cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hickory_resolver::proto::rr::RecordType;
    use proptest::prelude::*;

    use super::super::answer::Datum;
    use super::*;

    fn question(name: &str) -> Question {
        Question::new(name, RecordType::TXT).expect("name")
    }

    fn texts(lengths: &[usize]) -> Answer {
        Answer::Records(lengths.iter().map(|&length| Datum::Text(vec![b'x'; length].into())).collect())
    }

    #[test]
    fn an_answer_is_kept_until_its_time_is_over() {
        let cache = AnswerCache::new(10_000);
        let (now, hour) = (Instant::now(), Duration::from_secs(3600));
        cache.keep(&question("a.example"), &texts(&[10]), now + hour);
        cache.keep(&question("b.example"), &texts(&[10]), now);
        assert_eq!(cache.get(&question("A.example")), Some(texts(&[10])));
        assert_eq!(cache.get(&question("b.example")), None);
    }

    proptest! {
        /// Whatever is asked in whatever order: the octets are counted, and there are never more than allowed.
        #[test]
        fn it_never_holds_more_than_it_may(
            asked in proptest::collection::vec((0..40_u8, proptest::collection::vec(0..2000_usize, 0..20)), 0..200),
        ) {
            const MOST: usize = 20_000;
            let cache = AnswerCache::new(MOST);
            for (name, lengths) in asked {
                let (question, answer) = (question(&format!("n{name}.example")), texts(&lengths));
                cache.keep(&question, &answer, Instant::now() + Duration::from_secs(u64::from(name % 2) * 60));
                let kept = cache.kept.lock().expect("kept");
                prop_assert!(kept.octets <= MOST);
                prop_assert_eq!(kept.octets, kept.entries.values().map(|entry| entry.cost).sum::<usize>());
                prop_assert_eq!(kept.order.len(), kept.entries.len());
            }
        }
    }
}
