//! Writing down what is done.

use super::command::Command;
use super::context::Context;
use super::facts::{Done, What};
use super::transaction::Transaction;
use super::{deliveries, notices, unshared};
use crate::state_dir::StateError;

/// Waits until all that is done is written down. The writer does that in every durable transaction, so there is nothing to do
/// in it; none is needed if all has been taken away, which happens after its commit.
pub(super) struct Record;

impl Command for Record {
    type Value = ();
    const RECORDS: bool = true;

    fn prepare(&mut self, context: &Context) -> Result<Option<()>, StateError> {
        Ok(context.facts().is_empty().then_some(()))
    }

    fn run(&mut self, _: &Transaction<'_>, _: &Context) -> Result<(), StateError> {
        Ok(())
    }
}

/// Writes one down, and that the other hosts are to be told, if there are any.
pub(super) fn write(transaction: &Transaction<'_>, done: &Done, is_shared: bool) -> Result<(), StateError> {
    if is_shared {
        unshared::note(transaction, done)?;
    }
    match &done.what {
        What::Delivered => deliveries::record(transaction, &done.id, done.at),
        What::NoticeSent { canonical, domain } => notices::record(transaction, &done.id, done.at, canonical, domain),
    }
}
