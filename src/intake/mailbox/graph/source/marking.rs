//! Marking messages as done: the mailbox shows what the ledger already knows.

use hyper::Method;

use super::{After, GraphFolder};
use crate::intake::mailbox::failure::Failure;
use crate::intake::mailbox::graph::asking::Question;
use crate::intake::mailbox::graph::refusal::Refusal;
use crate::intake::mailbox::number_set::Number;
use crate::intake::mailbox::source::{Numbers, Shown};
use crate::ledger::MessageState;

/// So many requests are under way at once for one mailbox.
const AT_ONCE: usize = 2;

/// How a mark was taken.
enum Marked {
    Yes,
    /// The message is not there any more.
    Gone,
    /// The service said yes, and shows something else.
    NotShown,
    No(Refusal),
}

impl GraphFolder {
    /// Marks all of these, two at a time.
    pub(super) async fn mark_all(&mut self, numbers: &Numbers) -> Result<Shown, Failure> {
        let mut shown = Shown::default();
        let mut done = Numbers::new();
        let all: Vec<Number> = numbers.iter().copied().collect();
        for some in all.chunks(AT_ONCE) {
            let for_ever = !self.knows_no_permanent_delete;
            let outcomes = match some {
                [one, two] => {
                    let (first, second) = tokio::join!(self.mark(*one, for_ever), self.mark(*two, for_ever));
                    [Some((*one, first)), Some((*two, second))]
                }
                [one] => [Some((*one, self.mark(*one, for_ever).await)), None],
                _ => [None, None],
            };
            for (number, outcome) in outcomes.into_iter().flatten() {
                let outcome = match outcome {
                    Ok(Marked::No(refusal)) if self.may_not_know_permanent_delete(&refusal) => {
                        self.delete_softly(number).await
                    }
                    outcome => outcome,
                };
                match outcome {
                    Ok(Marked::Yes | Marked::Gone) => drop(done.insert(number)),
                    Ok(Marked::NotShown) => {}
                    Ok(Marked::No(refusal)) => {
                        shown.alarm = Some(format!("Graph does not mark messages as done: {}", refusal.said()));
                    }
                    Err(failure) if done.is_empty() => return Err(failure),
                    // What is shown is told first; the failure comes again with the next request.
                    Err(_) => {
                        shown.reached.push((MessageState::Marked, done));
                        return Ok(shown);
                    }
                }
            }
        }
        shown.reached.push((MessageState::Marked, done));
        Ok(shown)
    }

    async fn mark(&self, number: Number, for_ever: bool) -> Result<Marked, Failure> {
        let Some(item) = self.index.item(number).await? else { return Ok(Marked::Gone) };
        let place = &self.source.place;
        let (doing, question) = match (&self.source.after, &self.target) {
            (After::Keep, _) | (After::MoveTo(_), None) => (
                "mark a message as read",
                Question {
                    method: Method::PATCH,
                    body: Some(r#"{"isRead":true}"#.to_owned()),
                    ..Question::get(place.message(&item.id, &[]))
                },
            ),
            (After::MoveTo(_), Some(target)) => (
                "move a message",
                Question {
                    method: Method::POST,
                    body: Some(serde_json::json!({ "destinationId": target }).to_string()),
                    ..Question::get(place.message(&item.id, &["move"]))
                },
            ),
            (After::Delete { expunge: true }, _) if for_ever => (
                "delete a message for ever",
                Question { method: Method::POST, ..Question::get(place.message(&item.id, &["permanentDelete"])) },
            ),
            (After::Delete { .. }, _) => {
                ("delete a message", Question { method: Method::DELETE, ..Question::get(place.message(&item.id, &[])) })
            }
        };
        let is_permanent = question.url.path().ends_with("/permanentDelete");
        let mut given = match self.source.graph.ask(doing, &question).await? {
            Ok(given) => given,
            // Where it is not known, the address is not there; where it is known, the message is not.
            Err(refusal) if refusal.status == 404 && !is_permanent => return Ok(Marked::Gone),
            Err(refusal) => return Ok(Marked::No(refusal)),
        };
        let text = given.whole().await?;
        let is_patch = question.method == Method::PATCH;
        let shows =
            || serde_json::from_slice::<serde_json::Value>(&text).is_ok_and(|message| message["isRead"] == true);
        Ok(if is_patch && !shows() { Marked::NotShown } else { Marked::Yes })
    }

    /// It is known in the global cloud alone. Where it is known, 404 is said of a message that is gone.
    fn may_not_know_permanent_delete(&self, refusal: &Refusal) -> bool {
        self.source.after == After::Delete { expunge: true } && matches!(refusal.status, 404 | 405 | 501)
    }

    /// Deletes as every cloud can. A message that was there all the time tells that the cloud cannot do more.
    async fn delete_softly(&mut self, number: Number) -> Result<Marked, Failure> {
        let marked = self.mark(number, false).await?;
        if matches!(marked, Marked::Yes) && !self.knows_no_permanent_delete {
            self.knows_no_permanent_delete = true;
            let what = "this cloud does not know permanentDelete: messages are deleted into \"Deleted Items\" instead";
            self.source.report.alarm("mark", what);
        }
        Ok(marked)
    }
}
