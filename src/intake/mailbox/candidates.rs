//! What a reader would take from a mailbox now: for those who only look.

use super::beginning::{Loaded, begin, resume};
use super::failure::Failure;
use super::number_set::NumberSet;
use super::source::{OpenMailbox, Wanted};
use crate::config::Since;

/// The messages that are not done.
#[derive(Debug)]
pub struct Candidates {
    /// Their numbers.
    pub numbers: NumberSet,
    /// What a first run, or a new beginning, would say.
    pub beginning: Option<String>,
    /// What is below was there when the first run began.
    pub began: u32,
}

/// Looks for them, given what the ledger knows. Changes nothing.
///
/// # Errors
/// The connection is over.
pub async fn candidates(open: &mut impl OpenMailbox, loaded: Loaded, since: Since) -> Result<Candidates, Failure> {
    let begun = begin(open, &loaded, since).await?;
    let beginning = begun.as_ref().map(|begun| begun.detail.clone());
    let mut position = match (begun, loaded) {
        (Some(begun), _) => begun.position(),
        (None, Some((state, messages))) => resume(&state, messages),
        (None, None) => return Ok(Candidates { numbers: NumberSet::default(), beginning, began: 0 }),
    };
    let from = position.search_from();
    let found = open.find(Wanted::From(from)).await?;
    position.queue.found(from, &found);
    Ok(Candidates { numbers: position.queue.numbers(), beginning, began: position.began.get() })
}
