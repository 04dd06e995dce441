//! IMAP (RFC 3501): a session without I/O, the connection that drives it, and what is done about each failure.
//!
//! It must not delete, mark or move anything but the UIDs that it is told to.

mod capabilities;
mod connection;
mod credential;
mod endpoint;
mod failures;
mod flags;
mod mailbox_name;
mod part;
mod request;
mod session;
mod uids;

pub use capabilities::Capabilities;
pub use connection::{Connection, Limits, Woken};
pub use credential::{Credential, Proof};
pub use endpoint::Endpoint;
pub use failures::{Cause, Failure, Remedy};
pub use flags::{DONE, Flags, Mark};
pub use part::{Octets, Part};
pub use request::{Answer, Folder, Refusal, Request, Search};
pub use session::{Access, Permanent, Plan, Security, Selected, Session, Step};
pub use uids::Uid;
