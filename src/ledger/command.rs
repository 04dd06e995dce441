//! A question to the ledger, or something to write down, as the writer takes it.

use super::context::Context;
use super::transaction::Transaction;
use crate::state_dir::StateError;

/// One question, or one thing to write down.
pub(super) trait Command: Send + 'static {
    /// The answer.
    type Value: Send + 'static;

    /// It writes down what has happened: the commit must survive a power cut, and is made even if nobody waits for it.
    const RECORDS: bool = false;

    /// Its only write shows that the ledger can be written: where that was shown a moment ago, it only reads.
    const PROBES: bool = false;

    /// What can be answered without the database. In-flight locks are taken here, before the transaction begins: whoever held
    /// one before has committed by then, and the transaction sees it.
    fn prepare(&mut self, _context: &Context) -> Result<Option<Self::Value>, StateError> {
        Ok(None)
    }

    /// Its part of the transaction.
    fn run(&mut self, transaction: &Transaction<'_>, context: &Context) -> Result<Self::Value, StateError>;
}
