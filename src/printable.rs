//! Text for people: clipped, on one line, without what would drive a terminal.

use std::borrow::Cow;
use std::io::{self, Write};

/// The text, at most `most` characters of it; a `…` says that there was more.
pub fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Text of an application or of a stranger on one line, at most `most` characters long.
pub fn one_line(text: &str, most: usize) -> String {
    let words: Vec<_> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    clipped(&words.join(" "), most)
}

/// Text as a terminal may get it: a control character, also one that changes the direction of writing, becomes U+FFFD.
pub fn for_terminal(text: &str) -> String {
    text.chars().map(|c| if drives_a_terminal(c) { '\u{fffd}' } else { c }).collect()
}

/// JSON as a terminal and a log may get it: what serde_json writes as it is (DEL, C1, what changes the direction of writing) is
/// escaped. It can only stand in strings.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    let octets = json.as_bytes();
    // Only these octets begin a character that matters: DEL, C1, U+061C, U+200E to U+2069. Base64 has none of them.
    if memchr::memchr3(0x7f, 0xc2, 0xd8, octets).is_none() && memchr::memchr(0xe2, octets).is_none() {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => escaped.push(c),
            c if drives_a_terminal(c) => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// A message on its way to a terminal: line by line, each as [`for_terminal`] shows it.
pub struct ForTerminal<W: Write> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> ForTerminal<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn finish(mut self) -> io::Result<()> {
        self.end_line(false)?;
        self.out.flush()
    }

    fn end_line(&mut self, is_whole: bool) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        // A tab only moves to the right.
        let shown = String::from_utf8_lossy(line).split('\t').map(for_terminal).collect::<Vec<_>>().join("\t");
        self.out.write_all(shown.as_bytes())?;
        if is_whole { self.out.write_all(b"\n") } else { Ok(()) }
    }
}

impl<W: Write> Write for ForTerminal<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        /// A line without an end is written in pieces.
        const LONGEST: usize = 64 * 1024;
        for piece in octets.split_inclusive(|&octet| octet == b'\n') {
            let (text, is_whole) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            self.line.extend_from_slice(text);
            if is_whole || self.line.len() > LONGEST {
                self.end_line(is_whole)?;
            }
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn drives_a_terminal(c: char) -> bool {
    c.is_control() || is_bidirectional_control(c)
}

/// Characters that change the order in which a text is shown (Unicode Standard Annex 9): a stranger's name could show as another.
pub fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_short_and_on_one_line() {
        assert_eq!(one_line("a\r\nb\u{0}\tc", 200), "a b c");
        assert_eq!(one_line(&"x".repeat(10), 3), "xxx…");
        assert_eq!(clipped("äöü", 2), "äö…");
        assert_eq!(clipped("äöü", 3), "äöü");
    }

    #[test]
    fn nothing_drives_a_terminal() {
        assert_eq!(for_terminal("a\x1b[2Jb\u{9b}c\u{7f}\u{202e}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}d");
    }

    #[test]
    fn json_is_escaped_and_means_the_same() {
        let text = "a\x1b[2J\u{9b}2J\u{7f}\u{202e}\u{61c}\u{2066}\u{e9}\u{20ac}\u{1f600}\n\"\\";
        let json = serde_json::to_string_pretty(&[text]).expect("json");
        let escaped = escaped_json(&json);
        assert!(!escaped.chars().any(|c| c != '\n' && drives_a_terminal(c)), "{escaped:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).expect("json"), [text]);
    }

    #[test]
    fn a_message_is_shown_line_by_line() {
        for step in 1..8 {
            let mut shown = Vec::new();
            let mut out = ForTerminal::new(&mut shown);
            let message = "a\tb\x1b]0;x\x07\r\n\u{9b}c\u{ff}\n\u{202e}d".as_bytes();
            message.chunks(step).for_each(|piece| out.write_all(piece).expect("written"));
            out.finish().expect("written");
            let expected = "a\tb\u{fffd}]0;x\u{fffd}\n\u{fffd}c\u{ff}\n\u{fffd}d";
            assert_eq!(String::from_utf8(shown).expect("UTF-8"), expected, "in pieces of {step}");
        }
    }
}
