//! Microsoft Graph: a folder of a mailbox by its REST interface. The list of its messages by delta queries, each message as
//! MIME, marks by PATCH, DELETE and move.
//!
//! It must not exceed the limits of the service: requests at once, requests in ten minutes.

mod asking;
mod index;
mod list;
mod pace;
mod place;
mod refusal;
mod source;

pub use asking::Graph;
pub use place::Place;
pub use source::{After, GraphFolder, GraphSource};
