//! IMAP (RFC 3501): a session without I/O, the connection that drives it, and what is done about each failure.
//!
//! It must not delete, mark or move anything but the UIDs that it is told to.

mod capabilities;
mod connection;
mod credential;
mod endpoint;
mod flags;
mod folder;
mod mailbox_name;
mod marking;
mod part;
mod request;
mod said;
mod session;
mod uids;

pub use capabilities::Capabilities;
pub use connection::{Connection, Limits, Woken};
pub use credential::{Credential, Proof};
pub use endpoint::Endpoint;
pub use flags::{DONE, Flags, Mark};
pub(in crate::intake::mailbox) use folder::Builder;
pub use folder::{CredentialSource, ImapFolder, ImapSource};
pub use marking::After;
pub use part::{Octets, Part};
pub use request::{Answer, Folder, Refusal, Request, Search};
pub use session::{Access, Permanent, Plan, Security, Selected, Session, Step};
pub use uids::Uid;
