//! One transaction, as a command sees it: the statements of this folder stand beside the tables that they are about
//! (`deliveries`, `notices`, `maintenance`), and none of them outside of it.

use std::path::Path;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

use super::error;
use crate::state_dir::StateError;

/// What is read and written between BEGIN and COMMIT.
#[derive(Debug)]
pub(super) struct Transaction<'c> {
    connection: &'c Connection,
    /// The file, for error messages.
    path: &'c Path,
    /// The time of the transaction in seconds since 1970, by the clock of ages.
    pub(super) now: i64,
    /// That the ledger can be written was shown a moment ago.
    pub(super) is_writable: bool,
}

impl<'c> Transaction<'c> {
    pub(super) fn new(connection: &'c Connection, path: &'c Path, now: i64) -> Self {
        Self { connection, path, now, is_writable: false }
    }

    /// Runs a statement; the number of rows that it changed.
    pub(super) fn execute(&self, statement: &str, values: impl Params) -> Result<usize, StateError> {
        self.prepared(statement, |prepared| prepared.execute(values))
    }

    /// The first row of a question, if there is one.
    pub(super) fn first<T>(
        &self,
        question: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StateError> {
        self.prepared(question, |prepared| prepared.query_row(values, read).optional())
    }

    /// The one row of a question that always has one.
    pub(super) fn only<T>(
        &self,
        question: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        self.prepared(question, |prepared| prepared.query_row(values, read))
    }

    /// All rows of a question.
    pub(super) fn all<T>(
        &self,
        question: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StateError> {
        self.prepared(question, |prepared| prepared.query_map(values, read)?.collect())
    }

    fn prepared<T>(
        &self,
        statement: &str,
        run: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        let done = self.connection.prepare_cached(statement).and_then(|mut prepared| run(&mut prepared));
        done.map_err(|failure| error::database(self.path, &failure))
    }
}
