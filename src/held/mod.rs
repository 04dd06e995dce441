//! The copies kept back. The directory is the truth: no database is asked, so that mail can be held while it is out of order.
//!
//! `state_dir/held/ID/` is one copy: `message.eml` as it came in, `held.json` with why, when and the envelope. This module
//! decides nothing about mail: it keeps what it is told to keep, within the time and the size of the configuration.

mod copy;
mod files;
mod origin_file;
mod record_file;
mod store;
mod sweep;

pub use copy::{HeldCopy, HeldList, HeldRecord};
pub use store::HeldStore;
pub use sweep::Purged;
