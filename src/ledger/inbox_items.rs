//! The messages of a mailbox that has ids instead of numbers: which number stands for which id, and how far its list was read.
//!
//! A page of the list is written down before the next is asked for, so that nothing of it can be passed over.

use std::time::SystemTime;

use super::inboxes::InboxLog;
use super::row::{seconds, time};
use super::transaction::Transaction;
use crate::state_dir::StateError;

/// What is done and was seen so long ago is forgotten, in seconds: lists repeat themselves, but not for ever.
const REMEMBERED: i64 = 3 * 24 * 3600;

/// How far the list of an inbox was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPosition {
    /// Where it goes on; `None`: at its beginning.
    pub link: Option<String>,
    /// Whether the list was read to its end once.
    pub is_complete: bool,
    /// The number of the next message that is new.
    pub next: u32,
}

/// A message of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListItem {
    /// Its id.
    pub id: String,
    /// When it came in.
    pub received: Option<SystemTime>,
}

impl InboxLog {
    /// How far the list was read.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn list_position(&self, validity: u32) -> Result<ListPosition, StateError> {
        self.ask(move |transaction, name| position(transaction, name, validity)).await
    }

    /// Notes a page of the list, and where the list goes on behind it. Survives a power cut.
    ///
    /// # Errors
    /// The ledger cannot be written: then the next page must not be asked for.
    pub async fn take_page(
        &self,
        validity: u32,
        items: Vec<ListItem>,
        link: String,
        is_end: bool,
    ) -> Result<(), StateError> {
        self.record(move |transaction, name| {
            let ListPosition { mut next, is_complete, .. } = position(transaction, name, validity)?;
            for ListItem { id, received } in &items {
                let insert = "INSERT INTO inbox_item (inbox, uidvalidity, number, item, received, seen)
                              VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
                let values = (name, validity, next, id, received.map(seconds), transaction.now);
                next += u32::try_from(transaction.execute(insert, values)?).unwrap_or(0);
            }
            let keep = "INSERT OR REPLACE INTO inbox_list (inbox, uidvalidity, link, complete, next)
                        VALUES (?1, ?2, ?3, ?4, ?5)";
            transaction.execute(keep, (name, validity, &link, is_complete || is_end, next))?;
            let forget = "DELETE FROM inbox_item WHERE inbox = ?1 AND seen < ?3 AND (uidvalidity <> ?2 OR number <
                          (SELECT low FROM inbox WHERE name = ?1 AND uidvalidity = ?2))";
            transaction.execute(forget, (name, validity, transaction.now - REMEMBERED)).map(drop)
        })
        .await
    }

    /// The list is read from its beginning the next time. The numbers stay.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn forget_link(&self, validity: u32) -> Result<(), StateError> {
        self.record(move |transaction, name| {
            let statement = "UPDATE inbox_list SET link = NULL WHERE inbox = ?1 AND uidvalidity = ?2";
            transaction.execute(statement, (name, validity)).map(drop)
        })
        .await
    }

    /// The numbers from one on.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn numbers_from(&self, validity: u32, from: u32) -> Result<Vec<u32>, StateError> {
        self.ask(move |transaction, name| {
            let question = "SELECT number FROM inbox_item WHERE inbox = ?1 AND uidvalidity = ?2 AND number >= ?3";
            transaction.all(question, (name, validity, from), |row| row.get(0))
        })
        .await
    }

    /// The numbers of what came in since then.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn numbers_since(&self, validity: u32, since: SystemTime) -> Result<Vec<u32>, StateError> {
        self.ask(move |transaction, name| {
            let question = "SELECT number FROM inbox_item
                            WHERE inbox = ?1 AND uidvalidity = ?2 AND (received IS NULL OR received >= ?3)";
            transaction.all(question, (name, validity, seconds(since)), |row| row.get(0))
        })
        .await
    }

    /// All of them.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn list_items(&self, validity: u32) -> Result<Vec<(u32, ListItem)>, StateError> {
        self.ask(move |transaction, name| {
            let question = "SELECT number, item, received FROM inbox_item WHERE inbox = ?1 AND uidvalidity = ?2";
            transaction.all(question, (name, validity), |row| {
                let received: Option<i64> = row.get(2)?;
                Ok((row.get(0)?, ListItem { id: row.get(1)?, received: received.map(time) }))
            })
        })
        .await
    }

    /// The number of an id.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn number_of(&self, validity: u32, id: String) -> Result<Option<u32>, StateError> {
        self.ask(move |transaction, name| {
            let question = "SELECT number FROM inbox_item WHERE inbox = ?1 AND uidvalidity = ?2 AND item = ?3";
            transaction.first(question, (name, validity, &id), |row| row.get(0))
        })
        .await
    }

    /// The message of a number.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn list_item(&self, validity: u32, number: u32) -> Result<Option<ListItem>, StateError> {
        self.ask(move |transaction, name| {
            let question = "SELECT item, received FROM inbox_item
                            WHERE inbox = ?1 AND uidvalidity = ?2 AND number = ?3";
            transaction.first(question, (name, validity, number), |row| {
                let received: Option<i64> = row.get(1)?;
                Ok(ListItem { id: row.get(0)?, received: received.map(time) })
            })
        })
        .await
    }
}

fn position(transaction: &Transaction<'_>, name: &str, validity: u32) -> Result<ListPosition, StateError> {
    let question = "SELECT link, complete, next FROM inbox_list WHERE inbox = ?1 AND uidvalidity = ?2";
    let found = transaction.first(question, (name, validity), |row| {
        Ok(ListPosition { link: row.get(0)?, is_complete: row.get(1)?, next: row.get(2)? })
    })?;
    Ok(found.unwrap_or(ListPosition { next: 1, ..ListPosition::default() }))
}
