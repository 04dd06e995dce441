//! The copies kept back. The directory is the truth: no database is asked, so that mail can be held while it is out of order.
//!
//! | in `state_dir/held/` | is |
//! |---|---|
//! | `ID/` | one copy: `message.eml` as it came in, `held.json` with why, when and the envelope |
//! | `.bodies/` | one more name of each `message.eml`, by which a second copy of the same message finds it |
//! | `.totals` | what all that takes |
//!
//! This module decides nothing about mail: it keeps what it is told to keep, within the time and the size of the
//! configuration, and says no where it cannot.

mod body;
mod body_digest;
mod claim;
mod copy;
mod files;
mod inventory;
mod message;
mod origin_file;
mod record_file;
mod store;
mod sweep;
mod writing;

pub use claim::{ClaimedCopy, HeldClaim};
pub use copy::{HeldCopy, HeldList, HeldRecord};
pub use message::HeldMessage;
pub use store::HeldStore;
pub use sweep::Purged;
