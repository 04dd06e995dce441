//! The text of a message as it grows together from its parts, and what their HTML said of its lines.

use std::borrow::Cow;

use super::html;
use super::lines::{Hint, MOST_LINES};

/// The text of a message. HTML has been turned into text, and what it said of quotations is kept beside it.
#[derive(Clone, Debug, Default)]
pub struct BodyText<'t> {
    text: Cow<'t, str>,
    /// Those of the first lines; no line beyond has one.
    hints: Vec<Hint>,
    line_ends: usize,
}

impl<'t> BodyText<'t> {
    /// A text/plain part.
    pub fn from_plain(text: impl Into<Cow<'t, str>>) -> Self {
        let text = text.into();
        let line_ends = count_line_ends(&text);
        Self { text, hints: Vec::new(), line_ends }
    }

    /// A text/html part.
    pub fn from_html(html: &str) -> Self {
        let (text, hints) = html::render(html);
        Self { line_ends: count_line_ends(&text), text: Cow::Owned(text), hints }
    }

    /// The same, without a copy of the text.
    pub fn borrowed(&self) -> BodyText<'_> {
        BodyText { text: Cow::Borrowed(&self.text), hints: self.hints.clone(), line_ends: self.line_ends }
    }

    /// With one more part behind it, on a line of its own.
    pub fn and(mut self, part: Self) -> Self {
        let text = self.text.to_mut();
        if !text.ends_with('\n') {
            text.push('\n');
            self.line_ends += 1;
        }
        text.push_str(&part.text);
        if !part.hints.is_empty() && self.line_ends < MOST_LINES {
            self.hints.resize(self.line_ends, Hint::None);
            self.hints.extend(part.hints);
        }
        self.line_ends += part.line_ends;
        self
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text, where it is not a part's own.
    pub fn into_owned_text(self) -> Option<String> {
        match self.text {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text),
        }
    }

    /// Whether there is nothing to see.
    pub fn is_blank(&self) -> bool {
        self.text.chars().all(char::is_whitespace)
    }

    pub(super) fn hints(&self) -> &[Hint] {
        &self.hints
    }
}

fn count_line_ends(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count()
}
