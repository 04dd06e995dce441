//! What was done: deliveries, first refusals, notices sent. Shared by `serve` and any number of `pipe` processes at once.
//!
//! It decides nothing about mail: it answers what was done before, and writes down what is. Outside of this folder nobody
//! knows how: [`DeliveryLog`] is what the pipeline asks, [`Ledger`] is that on SQLite. It is opened at the first question and
//! again after a failure: a ledger that cannot be read or written defers mail; it never loses or doubles one.
//!
//! | file in `state_dir` | holds |
//! |---|---|
//! | `ledger.sqlite` (and `-wal`, `-shm`) | deliveries, first refusals, notices, how far each inbox is |
//! | `claims` | no bytes: its byte ranges are locked by the processes that are handing an event over |

mod across_hosts;
mod availability;
mod check;
mod command;
mod context;
mod database;
mod deliveries;
mod delivery_log;
mod error;
mod facts;
mod inbox_items;
mod inbox_state;
mod inboxes;
mod lease;
mod maintenance;
mod notices;
mod reader_lease;
mod record;
mod redis_store;
mod renewals;
mod row;
mod schema;
mod shared_store;
mod sharing;
mod sqlite;
mod transaction;
mod unshared;
mod writer;

pub use check::LedgerReport;
pub use delivery_log::{
    Begin, Claim, DeliveryLog, Finished, NoticeClaim, NoticeRequest, Reservation, SharedState, Unrecorded,
};
pub use inbox_items::{ListItem, ListPosition};
pub use inbox_state::{InboxMessage, InboxState, MessageState};
pub use inboxes::{InboxLog, ReaderLock, Wishes};
pub use reader_lease::{ReaderLease, Reading};
pub use shared_store::{StoreFinding, StoreLevel};
pub use sharing::SharedObserver;
pub use sqlite::Ledger;
