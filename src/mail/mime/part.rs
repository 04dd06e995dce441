//! One part of a message: what its header says, and where its body stands.

use std::ops::Range;

use super::super::content_type::{ContentDisposition, ContentType, find};
use super::super::parameters::Parameter;
use super::super::transfer::TransferEncoding;

/// One part, or the message as a whole.
#[derive(Debug)]
pub(super) struct Part {
    pub content_type: ContentType,
    pub disposition: ContentDisposition,
    pub encoding: TransferEncoding,
    pub content_id: Option<String>,
    /// Which of the sources it stands in.
    pub source: usize,
    /// Where its body stands in the source.
    pub body: Range<usize>,
    /// The places of its parts, if it is a multipart.
    pub children: Vec<usize>,
}

impl Part {
    /// Its name, whichever field says it; of blanks alone it is none.
    pub fn filename(&self) -> Option<&Parameter> {
        let names = [self.disposition.filename(), find(&self.content_type.parameters, "name")];
        names.into_iter().flatten().find(|name| !name.value.trim().is_empty())
    }

    pub fn is_multipart(&self) -> bool {
        !self.children.is_empty()
    }
}
