//! Writing down what is done.

use super::command::Command;
use super::context::Context;
use super::facts::{Done, What};
use super::transaction::Transaction;
use super::{deliveries, notices};
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

/// Writes one down.
pub(super) fn write(transaction: &Transaction<'_>, done: &Done) -> Result<(), StateError> {
    match &done.what {
        What::Delivered => deliveries::record(transaction, &done.id, done.at),
        What::NoticeSent { canonical, domain } => notices::record(transaction, &done.id, done.at, canonical, domain),
    }
}
