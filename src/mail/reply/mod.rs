//! The reply without its quotation: which lines of a message its sender wrote, which are quoted, and which are a signature.
//!
//! The three texts are a partition of the whole. Each line stands in exactly one of them, with its line end, and each text has its
//! lines in the order of the message; nothing is changed and nothing is dropped. Where a message is written from top to
//! bottom as text, quotation, signature, the three put together are the message, octet for octet.
//!
//! Nothing here fails or decides what becomes of a message, and whatever the text is, the time is linear in its length.

mod attribution;
mod body_text;
mod dates;
mod html;
mod html_marks;
mod html_tags;
mod layout;
mod lines;
mod original;
mod signature;
#[rustfmt::skip]
mod words;

use std::ops::Range;

pub use body_text::BodyText;

use layout::Kind;

/// Where the three texts of a message stand in its text: places of whole lines, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    text: Vec<Range<usize>>,
    quoted: Vec<Range<usize>>,
    signature: Vec<Range<usize>>,
}

impl Partition {
    /// Reads the text of a message. `subject` says whether it forwards another, which is then no quotation.
    pub fn read(body: &BodyText<'_>, subject: Option<&str>) -> Self {
        let lines = lines::lines(body.as_str(), body.hints());
        let kinds = layout::kinds(&lines, subject.is_some_and(is_forward));
        let mut partition = Self::default();
        let (mut start, mut end) = (0, 0);
        let mut lines = lines.iter().zip(kinds).peekable();
        while let Some((line, kind)) = lines.next() {
            end += line.whole.len();
            if lines.peek().is_none_or(|(_, next)| *next != kind) {
                let places = match kind {
                    Kind::Text => &mut partition.text,
                    Kind::Quoted => &mut partition.quoted,
                    Kind::Signature => &mut partition.signature,
                };
                places.push(start..end);
                start = end;
            }
        }
        partition
    }

    /// The three texts of the text that was read.
    pub fn of<'t>(&'t self, whole: &'t str) -> Reply<'t> {
        Reply { whole, partition: self }
    }
}

/// The text of a message in three, each in pieces of whole lines.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'t> {
    whole: &'t str,
    partition: &'t Partition,
}

impl<'t> Reply<'t> {
    /// What the sender wrote.
    pub fn text(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        self.pieces(&self.partition.text)
    }

    /// What is quoted, with the lines that introduce it.
    pub fn quoted(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        self.pieces(&self.partition.quoted)
    }

    /// The signature, with the line that marks it.
    pub fn signature(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        self.pieces(&self.partition.signature)
    }

    fn pieces(&self, places: &'t [Range<usize>]) -> impl Iterator<Item = &'t str> + use<'t> {
        let whole = self.whole;
        places.iter().map(move |place| whole.get(place.clone()).unwrap_or_default())
    }
}

/// Whether a subject says that the message forwards another: "FW: RE: x", but not "RE: FW: x".
fn is_forward(subject: &str) -> bool {
    let mut rest = subject.trim_start();
    // A list or a tracker may have put its name before.
    while let Some((tag, behind)) = rest.strip_prefix('[').and_then(|tag| tag.split_once(']')) {
        if tag.contains('[') {
            return false;
        }
        rest = behind.trim_start();
    }
    let Some((word, _)) = rest.split_once([':', '：']) else { return false };
    word.len() <= 40 && words::FORWARDED_SUBJECT.contains(&lines::plain(word).as_str())
}
