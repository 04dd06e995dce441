//! Text for people: clipped, on one line, without what would drive a terminal.

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
    text.chars().map(|c| if c.is_control() || is_bidirectional_control(c) { '\u{fffd}' } else { c }).collect()
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
}
