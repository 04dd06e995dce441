//! Encrypted credentials: a name, a few fields, and the files of `systemd-creds` that hold them.
//!
//! Plain text is here in memory alone: it goes to `systemd-creds` and comes back through pipes, and stands in no argument, no
//! environment, no log line, no error and no file of a disk.

mod contents;
mod name;
mod opened;
mod store;
mod systemd_creds;
mod units;

pub use contents::{Contents, Field};
pub use name::CredentialName;
pub use opened::Opened;
pub use store::{STORE, list, load, read, remove, save};
pub use units::{Unit, add_drop_ins, drop_ins, remove_drop_ins};
