//! The ledger on real files, with real processes.

mod deliveries;
mod faults;
mod in_flight;
mod inboxes;
mod notices;
mod processes;
mod state;
mod upgrade;

use std::path::Path;

pub use state::{claimed, config, id};
use state::{held, hold, ledger, refused};

/// The database from outside, as another process would use it.
fn database(state_dir: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(state_dir.join("ledger.sqlite")).expect("database")
}
