//! The elements of HTML that change what people see of its text, and what their attributes say.

use super::html_marks::{Attribute, Purpose, purpose};

/// The longest address of a link that is written out, in octets.
const LONGEST_LINK: usize = 1000;

/// An element by what it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tag {
    Anchor,
    /// Begins and ends a line.
    Block,
    Blockquote,
    Break,
    Cell,
    Div,
    Hidden(Hidden),
    List {
        is_numbered: bool,
    },
    ListItem,
    #[default]
    Other,
    Paragraph,
    Pre,
    Rule,
    Span,
    Table,
}

/// An element whose content nobody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    Script,
    Style,
    Title,
}

/// An element of which the open ones are counted, because it can bear a mark or keeps blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Blockquote,
    Div,
    Pre,
    Span,
    Table,
}

impl Counted {
    pub const NUMBER: usize = 5;
}

/// How an element stands among the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Within one.
    None,
    /// Within one, apart from the words before.
    Apart,
    /// On a line of its own.
    Line,
    /// With a blank line around it.
    Paragraph,
}

impl Tag {
    /// The element of this name, in lower case.
    pub fn named(name: &[u8]) -> Self {
        match name {
            b"a" => Self::Anchor,
            b"blockquote" => Self::Blockquote,
            b"br" => Self::Break,
            b"div" => Self::Div,
            b"hr" => Self::Rule,
            b"li" => Self::ListItem,
            b"ol" => Self::List { is_numbered: true },
            b"ul" | b"menu" | b"dir" => Self::List { is_numbered: false },
            b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"dl" => Self::Paragraph,
            b"pre" => Self::Pre,
            b"script" => Self::Hidden(Hidden::Script),
            b"span" => Self::Span,
            b"style" => Self::Hidden(Hidden::Style),
            b"table" => Self::Table,
            b"td" | b"th" => Self::Cell,
            b"title" => Self::Hidden(Hidden::Title),
            b"address" | b"article" | b"aside" | b"body" | b"caption" | b"center" | b"dd" | b"details" | b"dt"
            | b"fieldset" | b"figcaption" | b"figure" | b"footer" | b"form" | b"header" | b"main" | b"nav"
            | b"section" | b"summary" | b"tbody" | b"tfoot" | b"thead" | b"tr" => Self::Block,
            _ => Self::Other,
        }
    }

    pub fn counted(self) -> Option<Counted> {
        Some(match self {
            Self::Blockquote => Counted::Blockquote,
            Self::Div => Counted::Div,
            Self::Pre => Counted::Pre,
            Self::Span => Counted::Span,
            Self::Table => Counted::Table,
            _ => return None,
        })
    }

    pub fn block(self) -> Block {
        match self {
            Self::Blockquote | Self::List { .. } | Self::Paragraph | Self::Pre => Block::Paragraph,
            Self::Block | Self::Div | Self::ListItem | Self::Rule | Self::Table => Block::Line,
            Self::Cell => Block::Apart,
            Self::Anchor | Self::Break | Self::Hidden(_) | Self::Other | Self::Span => Block::None,
        }
    }
}

/// A start tag as its attributes come in.
#[derive(Debug, Default)]
pub(super) struct StartTag {
    pub name: Tag,
    pub purpose: Option<Purpose>,
    /// Where a link leads to, if that is worth writing out.
    pub href: Option<String>,
    /// A `blockquote` by which somebody only moved a paragraph to the right.
    pub only_indents: bool,
    /// A paragraph without a blank line around it.
    pub is_close: bool,
    attribute: Option<Attribute>,
}

impl StartTag {
    /// The tag of an element of this name, in lower case.
    pub fn named(name: &[u8]) -> Self {
        Self { name: Tag::named(name), ..Self::default() }
    }

    pub fn begin_attribute(&mut self, name: &[u8]) {
        self.attribute = Attribute::named(name);
    }

    pub fn end_attribute(&mut self, value: &[u8]) {
        let (Some(attribute), Ok(value)) = (self.attribute.take(), std::str::from_utf8(value)) else { return };
        if self.purpose.is_none() {
            self.purpose = purpose(attribute, value.trim());
        }
        match (self.name, attribute) {
            (Tag::Anchor, Attribute::Href) => self.href = link(value),
            // Gmail and Outlook; WebKit, with which many write.
            (Tag::Blockquote, Attribute::Style) => self.only_indents = has_no_border(value),
            (Tag::Blockquote, Attribute::Class) => self.only_indents = value.contains("webkit-indent-blockquote"),
            (Tag::Paragraph, Attribute::Class) => self.is_close = value.starts_with("Mso"),
            _ => {}
        }
        // A blockquote is what the frame is for, whatever class it shares with it.
        if self.name == Tag::Blockquote && self.purpose == Some(Purpose::QuotationFrame) {
            self.purpose = Some(Purpose::Quotation);
        }
        self.only_indents &= self.purpose.is_none();
    }

    pub fn block(&self) -> Block {
        if self.is_close || self.only_indents { Block::Line } else { self.name.block() }
    }
}

fn has_no_border(style: &str) -> bool {
    style.split(';').filter_map(|rule| rule.split_once(':')).any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("border")
            && value.trim().get(..4).is_some_and(|v| v.eq_ignore_ascii_case("none"))
    })
}

fn link(address: &str) -> Option<String> {
    let address = address.trim();
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let is_one_word = !address.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>'));
    (is_web && is_one_word && address.len() <= LONGEST_LINK).then(|| address.to_owned())
}
