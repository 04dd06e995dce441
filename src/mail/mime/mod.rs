//! A message taken apart into its MIME parts (RFC 2045, 2046), and what each of them is for.
//!
//! Parts are places in the message: nothing is copied or decoded to find them, except a multipart that is itself encoded.
//! What is over a limit is not taken apart and is said to be so; the message itself has it.

mod attachment;
mod part;
mod reader;
mod roles;
mod tree;

pub use attachment::{Attachment, Encoded};
pub use tree::{Body, Mime};
