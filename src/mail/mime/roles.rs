//! Which part is the text, which the HTML, and which is an attachment (RFC 8621 section 4.1.4).
//!
//! Beyond that section: pictures, sounds and films are attachments wherever they stand, because the event has no other place
//! for them; the root of a multipart/related is the one that `start` names (RFC 2387 section 3.2); the forms of an alternative
//! and the only text of a message are its text whatever their names.

use super::part::Part;

/// The places of the parts by what they are for, each in the order of the message.
#[derive(Debug, Default)]
pub(super) struct Roles {
    pub text: Vec<usize>,
    pub html: Vec<usize>,
    pub attachments: Vec<usize>,
}

/// Says what each part is for.
pub(super) fn assign(parts: &[Part]) -> Roles {
    let mut roles = Roles::default();
    if parts.is_empty() {
        return roles;
    }
    let whole = Place { parts: &[0], of: "mixed", root: 0, wants_text: true, wants_html: true, is_alternative: false };
    roles.assign(parts, whole);
    roles.take_only_text(parts);
    roles
}

/// The parts of a multipart, and where it stands itself.
struct Place<'p> {
    parts: &'p [usize],
    /// Its subtype.
    of: &'p str,
    /// Which of its parts is the root, if it is multipart/related.
    root: usize,
    wants_text: bool,
    wants_html: bool,
    is_alternative: bool,
}

impl Roles {
    /// `parseStructure` of the RFC; as deep as the multiparts are.
    fn assign(&mut self, parts: &[Part], place: Place<'_>) {
        let Place { of, root, mut wants_text, mut wants_html, is_alternative, .. } = place;
        let (text_before, html_before) = (self.text.len(), self.html.len());
        for (number, &index) in place.parts.iter().enumerate() {
            let part = &parts[index];
            let kind = part.content_type.kind.as_str();
            if part.is_multipart() {
                let of = kind.strip_prefix("multipart/").unwrap_or_default();
                let root = if of == "related" { root_of(parts, part) } else { 0 };
                let is_alternative = is_alternative || of == "alternative";
                self.assign(parts, Place { parts: &part.children, of, root, wants_text, wants_html, is_alternative });
            } else if !is_body(part, number, of, root) {
                self.attachments.push(index);
            } else if of == "alternative" {
                match kind {
                    "text/html" if wants_html => self.html.push(index),
                    "text/plain" if wants_text => self.text.push(index),
                    _ => {}
                }
            } else {
                if is_alternative {
                    wants_html &= kind != "text/plain";
                    wants_text &= kind != "text/html";
                }
                if wants_text {
                    self.text.push(index);
                }
                if wants_html {
                    self.html.push(index);
                }
            }
        }
        if of == "alternative" && wants_text && wants_html {
            // Only one of the two forms was found: it is the other's too.
            let (no_text, no_html) = (self.text.len() == text_before, self.html.len() == html_before);
            if no_text {
                self.text.extend_from_slice(&self.html[html_before..]);
            } else if no_html {
                self.html.extend_from_slice(&self.text[text_before..]);
            }
        }
    }

    /// A message without a text, but with one text among its attachments that nobody called an attachment.
    fn take_only_text(&mut self, parts: &[Part]) {
        if !self.text.is_empty() || !self.html.is_empty() {
            return;
        }
        let is_shown = |index: &usize| !parts[*index].disposition.is_attachment();
        let is_body = |index: &usize| is_text(&parts[*index].content_type.kind);
        let texts: Vec<_> =
            self.attachments.iter().copied().filter(|index| is_shown(index) && is_body(index)).collect();
        let only = match texts.as_slice() {
            [only] => *only,
            // A message that is text of another type as a whole.
            [] if parts[0].content_type.main_type() == "text" && is_shown(&0) => 0,
            _ => return,
        };
        self.attachments.retain(|&index| index != only);
        self.text.push(only);
        self.html.push(only);
    }
}

/// Which of the parts of a multipart/related its `start` names; the first if it names none.
fn root_of(parts: &[Part], related: &Part) -> usize {
    let start = related.content_type.parameter("start").map(|id| id.trim().trim_matches(['<', '>']));
    let is_start = |&index: &usize| start.is_some() && parts[index].content_id.as_deref() == start;
    related.children.iter().position(is_start).unwrap_or_default()
}

fn is_text(kind: &str) -> bool {
    matches!(kind, "text/plain" | "text/html")
}

/// Whether the part is shown with the message's text.
fn is_body(part: &Part, number: usize, of: &str, root: usize) -> bool {
    let is_placed = match of {
        "related" => number == root,
        "alternative" => true,
        _ => number == 0 || part.filename().is_none(),
    };
    is_text(&part.content_type.kind) && !part.disposition.is_attachment() && is_placed
}
