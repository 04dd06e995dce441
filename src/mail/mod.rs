//! What came in: the envelope, the message with its header fields indexed once, and addresses.
//!
//! Nothing here decides anything. Reading never fails: whatever bytes arrive are a [`Message`], because an
//! unreadable message must still end in a verdict.

mod addr_spec;
mod address;
mod address_list;
mod charset;
mod content;
mod content_type;
mod date;
mod domain;
mod encoded_word;
mod envelope;
mod header;
mod ids;
pub mod lexical;
mod message;
mod mime;
mod origin;
mod parameters;
mod reply;
mod rewritten;
mod transfer;

pub use address::Address;
pub use address_list::{Listed, NamedAddress};
pub use charset::Decoded;
pub use content::{Content, ContentBuilder, Overflow};
pub use content_type::{ContentDisposition, ContentType};
pub use domain::{canonical_domain, comparable_domain, is_same_domain};
pub use envelope::{Client, Envelope, Recipient, Sender};
pub use header::{Field, HeaderPiece};
pub use message::Message;
pub use mime::{Attachment, Body, Encoded, Mime};
pub use origin::{InMailbox, Item, Origin, Provider};
pub use parameters::Parameter;
pub use reply::{BodyText, Partition, Reply};
pub use rewritten::{without_batv, without_prvs, without_srs};
pub use transfer::TransferEncoding;
