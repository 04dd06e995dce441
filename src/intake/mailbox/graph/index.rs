//! Which number stands for which id: in the ledger, or, for who only looks, in memory alone.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::intake::mailbox::failure::{Cause, Failure};
use crate::intake::mailbox::number_set::{Number, NumberSet};
use crate::ledger::{InboxLog, ListItem, ListPosition};
use crate::state_dir::StateError;

/// The numbers of one folder.
pub(super) enum Index {
    Ledger { log: InboxLog, validity: u32 },
    Memory(Mutex<Memory>),
}

/// What the ledger knew, and what was seen since.
#[derive(Default)]
pub(super) struct Memory {
    position: ListPosition,
    items: Vec<(u32, ListItem)>,
}

impl Index {
    /// In memory; it begins with what the ledger knows, if there is one.
    pub(super) async fn in_memory(log: Option<&InboxLog>, validity: u32) -> Result<Self, Failure> {
        let mut memory = Memory { position: ListPosition { next: 1, ..ListPosition::default() }, items: Vec::new() };
        if let Some(log) = log {
            memory.position = log.list_position(validity).await.map_err(failed)?;
            memory.items = log.list_items(validity).await.map_err(failed)?;
        }
        Ok(Self::Memory(Mutex::new(memory)))
    }

    fn memory<T>(memory: &Mutex<Memory>, work: impl FnOnce(&mut Memory) -> T) -> T {
        work(&mut memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) async fn position(&self) -> Result<ListPosition, Failure> {
        match self {
            Self::Ledger { log, validity } => log.list_position(*validity).await.map_err(failed),
            Self::Memory(memory) => Ok(Self::memory(memory, |memory| memory.position.clone())),
        }
    }

    pub(super) async fn take_page(&self, items: Vec<ListItem>, link: String, is_end: bool) -> Result<(), Failure> {
        match self {
            Self::Ledger { log, validity } => log.take_page(*validity, items, link, is_end).await.map_err(failed),
            Self::Memory(memory) => {
                Self::memory(memory, |memory| {
                    for item in items {
                        if !memory.items.iter().any(|(_, known)| known.id == item.id) {
                            memory.items.push((memory.position.next, item));
                            memory.position.next += 1;
                        }
                    }
                    memory.position.link = Some(link);
                    memory.position.is_complete |= is_end;
                });
                Ok(())
            }
        }
    }

    pub(super) async fn forget_link(&self) -> Result<(), Failure> {
        match self {
            Self::Ledger { log, validity } => log.forget_link(*validity).await.map_err(failed),
            Self::Memory(memory) => {
                Self::memory(memory, |memory| memory.position.link = None);
                Ok(())
            }
        }
    }

    pub(super) async fn from(&self, from: Number) -> Result<NumberSet, Failure> {
        match self {
            Self::Ledger { log, validity } => {
                log.numbers_from(*validity, from.get()).await.map(numbers).map_err(failed)
            }
            Self::Memory(memory) => Ok(Self::those(memory, |number, _| number >= from.get())),
        }
    }

    pub(super) async fn since(&self, since: SystemTime) -> Result<NumberSet, Failure> {
        match self {
            Self::Ledger { log, validity } => log.numbers_since(*validity, since).await.map(numbers).map_err(failed),
            Self::Memory(memory) => {
                Ok(Self::those(memory, |_, item| item.received.is_none_or(|received| received >= since)))
            }
        }
    }

    pub(super) async fn number_of(&self, id: String) -> Result<Option<Number>, Failure> {
        match self {
            Self::Ledger { log, validity } => {
                log.number_of(*validity, id).await.map(|number| number.and_then(Number::new)).map_err(failed)
            }
            Self::Memory(memory) => Ok(Self::those(memory, |_, item| item.id == id).first()),
        }
    }

    pub(super) async fn item(&self, number: Number) -> Result<Option<ListItem>, Failure> {
        match self {
            Self::Ledger { log, validity } => log.list_item(*validity, number.get()).await.map_err(failed),
            Self::Memory(memory) => Ok(Self::memory(memory, |memory| {
                let found = memory.items.iter().find(|(known, _)| *known == number.get());
                found.map(|(_, item)| item.clone())
            })),
        }
    }

    fn those(memory: &Mutex<Memory>, is_meant: impl Fn(u32, &ListItem) -> bool) -> NumberSet {
        Self::memory(memory, |memory| {
            let meant = memory.items.iter().filter(|(number, item)| is_meant(*number, item));
            numbers(meant.map(|(number, _)| *number).collect())
        })
    }
}

pub(super) fn failed(error: StateError) -> Failure {
    Failure::new(Cause::Ledger, error.to_string())
}

fn numbers(values: Vec<u32>) -> NumberSet {
    values.into_iter().filter_map(Number::new).collect()
}
