//! HTML to text, as people see it, with what it says of quotations beside each line.
//!
//! One pass over the tokens of a WHATWG tokenizer, and no tree: of open elements only a number is kept, so nesting costs next to
//! nothing. A quotation becomes lines with `>`, a list item a line with `-` or its number, a link its words and `<address>`.
//! Nothing that is shown is left out, and what is written is at most a small multiple of what was read.

use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

use super::html_marks::Purpose;
use super::html_tags::{Block, Counted, Hidden, StartTag, Tag};
use super::lines::{Hint, MOST_LINES};

/// As many quotation marks are put before a line at most: each costs an octet a line, and the sender one element once.
const MOST_MARKS: usize = 5;

/// As many lists in one another are numbered.
const MOST_LISTS: usize = 100;

/// The text of HTML, and the hints of its first lines.
pub(super) fn render(html: &str) -> (String, Vec<Hint>) {
    let mut page = Page { text: String::with_capacity(html.len() / 2), ..Page::default() };
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| -> Option<Infallible> {
        page.take(event);
        None
    });
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(html, emitter).finish();
    page.end_line();
    (page.text, page.hints)
}

/// An element that bears a mark. It ends when no more of its name are open than before it.
#[derive(Clone, Copy)]
struct Marked {
    element: Counted,
    open_before: usize,
    purpose: Purpose,
    /// The first line that it can hold.
    first_line: usize,
}

struct Link {
    address: String,
    /// Where its words begin.
    words: usize,
}

#[derive(Default)]
struct Page {
    text: String,
    hints: Vec<Hint>,
    line_ends: usize,
    /// Where the words of the line in progress begin; `None` before the first.
    words: Option<usize>,
    wants_space: bool,
    /// A paragraph ended: a blank line comes before whatever follows.
    wants_blank_line: bool,
    is_last_line_blank: bool,
    /// The last line with words.
    last_words: usize,
    /// The line that introduces a quotation, if one begins right below it.
    introduction: Option<usize>,
    /// The paragraph in progress has no blank line around it.
    is_close: bool,
    marks_of_last_line: usize,
    /// What a mark said of the next line with words.
    next_hint: Option<Hint>,
    open: [usize; Counted::NUMBER],
    /// The outermost element that bears a mark.
    marked: Option<Marked>,
    /// Whether a quotation began in the frame that is `marked`.
    is_frame_used: bool,
    /// Whether it quotes, for each `blockquote` that is open.
    blockquotes: Vec<bool>,
    quotations: usize,
    /// The number of the last item, for each list that is open; `None` where they are not numbered.
    lists: Vec<Option<u32>>,
    bullet: Option<String>,
    hidden: Option<Hidden>,
    tag: StartTag,
    link: Option<Link>,
}

impl Page {
    fn take(&mut self, event: CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => self.tag = StartTag::named(name),
            CallbackEvent::AttributeName { name } => self.tag.begin_attribute(name),
            CallbackEvent::AttributeValue { value } => self.tag.end_attribute(value),
            CallbackEvent::CloseStartTag { .. } => self.start(),
            CallbackEvent::EndTag { name } => self.end(Tag::named(name)),
            CallbackEvent::String { value } => self.write(&String::from_utf8_lossy(value)),
            CallbackEvent::Comment { .. } | CallbackEvent::Doctype { .. } | CallbackEvent::Error(_) => {}
        }
    }

    fn start(&mut self) {
        let tag = std::mem::take(&mut self.tag);
        self.block(tag.block());
        match tag.name {
            Tag::Paragraph => self.is_close = tag.is_close,
            Tag::Anchor => self.link = tag.href.map(|address| Link { address, words: self.text.len() }),
            Tag::Blockquote => {
                self.blockquotes.push(!tag.only_indents);
                self.quotations += usize::from(!tag.only_indents);
                self.is_frame_used |= !tag.only_indents;
                if let Some(line) = self.introduction.take() {
                    self.hints.resize(self.hints.len().max(line + 1), Hint::None);
                    self.hints[line] = Hint::Quoted;
                }
            }
            Tag::Break => self.break_line(),
            Tag::Hidden(hidden) => self.hidden = Some(hidden),
            Tag::List { is_numbered } if self.lists.len() < MOST_LISTS => self.lists.push(is_numbered.then_some(0)),
            Tag::ListItem => self.bullet = Some(self.next_bullet()),
            Tag::Rule => {
                self.write("-----");
                self.end_line();
            }
            _ => {}
        }
        let counted = tag.name.counted();
        if let Some(purpose) = tag.purpose {
            self.mark(purpose, counted);
        }
        if let Some(element) = counted {
            self.open[element as usize] += 1;
        }
    }

    fn end(&mut self, tag: Tag) {
        self.tag = StartTag::default();
        let mut block = tag.block();
        match tag {
            Tag::Paragraph if self.is_close => block = Block::Line,
            Tag::Anchor => self.end_link(),
            Tag::Blockquote => {
                let quoted = self.blockquotes.pop().unwrap_or_default();
                self.quotations -= usize::from(quoted);
                if !quoted {
                    block = Block::Line;
                }
            }
            // Browsers take it for a line break.
            Tag::Break => self.break_line(),
            Tag::Hidden(hidden) if self.hidden == Some(hidden) => self.hidden = None,
            Tag::List { .. } => drop(self.lists.pop()),
            _ => {}
        }
        self.block(block);
        if let Some(element) = tag.counted() {
            let open = &mut self.open[element as usize];
            *open = open.saturating_sub(1);
            let ended = self.marked.take_if(|marked| marked.element == element && *open <= marked.open_before);
            if let Some(Marked { purpose: Purpose::Introduction, first_line, .. }) = ended {
                self.introduction = Some(self.last_words).filter(|line| (first_line..MOST_LINES).contains(line));
            }
        }
    }

    fn mark(&mut self, purpose: Purpose, element: Option<Counted>) {
        let from_here = match purpose {
            Purpose::QuotationFromHere => Some(Hint::QuotedFromHere),
            Purpose::HeaderFromHere if self.next_hint.is_none() => Some(Hint::HeaderFromHere),
            Purpose::ForwardedMessage => Some(Hint::ForwardedFromHere),
            _ => None,
        };
        if from_here.is_some() {
            self.next_hint = from_here;
            return;
        }
        let Some(element) = element else { return };
        if self.marked.is_none() && purpose != Purpose::HeaderFromHere {
            self.is_frame_used = false;
            let open_before = self.open[element as usize];
            self.marked = Some(Marked { element, open_before, purpose, first_line: self.line_ends });
        }
    }

    fn hint(&mut self) -> Hint {
        let marked = self.marked.map(|marked| marked.purpose);
        self.next_hint.take().unwrap_or(match marked {
            Some(Purpose::Quotation) => Hint::Quoted,
            Some(Purpose::QuotationFrame) if !self.is_frame_used => Hint::Quoted,
            Some(Purpose::Signature) => Hint::Signature,
            _ => Hint::None,
        })
    }

    fn block(&mut self, block: Block) {
        match block {
            Block::None => {}
            Block::Apart => self.wants_space |= self.words.is_some(),
            Block::Line => self.end_line(),
            Block::Paragraph if !self.lists.is_empty() => self.end_line(),
            Block::Paragraph => {
                self.end_line();
                self.wants_blank_line = !self.text.is_empty();
            }
        }
    }

    fn write(&mut self, words: &str) {
        if self.hidden.is_some() {
            return;
        }
        let keeps_blanks = self.open[Counted::Pre as usize] > 0;
        for c in words.chars() {
            match c {
                '\n' if keeps_blanks => self.break_line(),
                ' ' | '\t' if keeps_blanks => self.put(c),
                ' ' | '\t' | '\r' | '\n' | '\x0c' => self.wants_space |= self.words.is_some(),
                '\u{a0}' => self.put(' '),
                _ => self.put(c),
            }
        }
    }

    fn put(&mut self, c: char) {
        if self.words.is_none() {
            self.begin_line();
        }
        if std::mem::take(&mut self.wants_space) {
            self.text.push(' ');
        }
        self.text.push(c);
    }

    /// Begins a line that has words.
    fn begin_line(&mut self) {
        let marks = self.quotations.min(MOST_MARKS);
        if std::mem::take(&mut self.wants_blank_line) && !self.is_last_line_blank {
            self.blank_line(marks.min(self.marks_of_last_line));
        }
        self.introduction = None;
        let hint = self.hint();
        if hint != Hint::None && self.line_ends < MOST_LINES {
            self.hints.resize(self.line_ends, Hint::None);
            self.hints.push(hint);
        }
        self.marks_of_last_line = marks;
        self.put_marks(marks);
        if marks > 0 {
            self.text.push(' ');
        }
        self.text.push_str(&self.bullet.take().unwrap_or_default());
        self.words = Some(self.text.len());
    }

    fn end_line(&mut self) {
        let ends_with_space = std::mem::take(&mut self.wants_space);
        let Some(start) = self.words.take() else { return };
        let line = self.text[start..].trim_end_matches(' ');
        let (length, is_dashes) = (line.len(), line == "--");
        let ends_with_space = ends_with_space || self.text.len() > start + length;
        self.text.truncate(start + length);
        self.is_last_line_blank = length == 0;
        if length > 0 {
            self.last_words = self.line_ends;
        }
        // The blank of a signature's "-- " is its mark (RFC 3676 section 4.3).
        self.text.push_str(if is_dashes && ends_with_space { " \n" } else { "\n" });
        self.line_ends += 1;
    }

    /// Ends a line, or makes a blank one.
    fn break_line(&mut self) {
        if self.words.is_some() {
            self.end_line();
        } else {
            self.wants_blank_line = false;
            self.blank_line(self.quotations.min(MOST_MARKS));
        }
    }

    fn blank_line(&mut self, marks: usize) {
        self.put_marks(marks);
        self.text.push('\n');
        self.line_ends += 1;
        self.is_last_line_blank = true;
    }

    fn put_marks(&mut self, marks: usize) {
        self.text.extend(std::iter::repeat_n('>', marks));
    }

    fn next_bullet(&mut self) -> String {
        match self.lists.last_mut() {
            Some(Some(number)) => {
                *number = number.saturating_add(1);
                format!("{number}. ")
            }
            _ => "- ".to_owned(),
        }
    }

    fn end_link(&mut self) {
        let Some(Link { address, words }) = self.link.take() else { return };
        let words = self.text.get(words..).unwrap_or_default().trim();
        let bare = address.split_once("://").map_or("", |(_, rest)| rest.trim_end_matches('/'));
        if !words.is_empty() && !words.contains(bare) {
            self.wants_space = true;
            self.write(&format!("<{address}>"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_read_as_people_see_it() {
        let rows: &[(&str, &str, &str)] = &[
            ("words", "Hello   <b>there</b>,\n Jane", "Hello there, Jane\n"),
            ("lines", "<div>one</div><div>two<br></div><div><br></div>three", "one\ntwo\n\nthree\n"),
            ("paragraphs", "<p>one</p>\n<p>two</p>", "one\n\ntwo\n"),
            (
                "Outlook's paragraphs",
                "<p class=MsoNormal>one<o:p></o:p></p><p class=\"MsoNormal\">&nbsp;</p><p class=MsoNormal>two",
                "one\n\ntwo\n",
            ),
            ("entities", "a &lt; b &amp;&#8364;&nbsp;x", "a < b &€ x\n"),
            (
                "what nobody sees",
                "<head><title>t</title><style>p {}</style></head><script>x</script><!-- c -->seen",
                "seen\n",
            ),
            (
                "a list",
                "<ul><li>one<li>two</ul><ol><li>first</li><li>second</li></ol>",
                "- one\n- two\n\n1. first\n2. second\n",
            ),
            ("a table", "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc\n"),
            ("preformatted", "<pre>a  b\n\tc</pre>", "a  b\n\tc\n"),
            ("a link", "see <a href=\"https://example.org/x\">this</a>.", "see this <https://example.org/x>.\n"),
            ("a link that is its address", "<a href=\"https://example.org/\">example.org</a>", "example.org\n"),
            ("a link to an address", "<a href=\"mailto:a@example.org\">Jane</a>", "Jane\n"),
            ("a rule", "one<hr>two", "one\n-----\ntwo\n"),
            (
                "a quotation",
                "a<blockquote><p>b</p><p>c</p><blockquote>d</blockquote></blockquote>e",
                "a\n\n> b\n>\n> c\n>\n>> d\n\ne\n",
            ),
            (
                "an indented paragraph",
                "<blockquote style=\"margin: 0 0 0 40px; border: none; padding: 0px\">a</blockquote>",
                "a\n",
            ),
            ("a signature's mark", "a<br>-- <br>Jane", "a\n-- \nJane\n"),
            ("nothing", "<p></p><br>", "\n"),
            ("ends that nothing began", "</div></blockquote></p></ul></a>a", "a\n"),
            ("no end", "<div><blockquote><p>a", "> a\n"),
            ("broken tags", "a <b c=\"<d>\" e <f>g", "a g\n"),
        ];
        for (name, html, text) in rows {
            assert_eq!(render(html).0, *text, "{name}");
        }
    }
}
