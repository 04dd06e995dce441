//! Message ids, as `Message-ID`, `In-Reply-To` and `References` have them (RFC 5322 section 3.6.4).
//!
//! Where brackets stand, what is in them is an id, and nothing else: old programs wrote phrases around it (section 4.5.4).
//! Without brackets each word is an id, if all of them look like one. Lists of encoded words are decoded first.

use std::borrow::Cow;

use super::address_list::Listed;
use super::encoded_word;
use super::lexical::without_comments;

/// Reads the unfolded text of a field behind what was read before.
pub(super) fn read(text: &str, list: &mut Listed<String>, most: usize) {
    let decoded = encoded_word::decode(text);
    list.is_whole &= decoded.is_whole;
    let text = decoded.text.as_ref();
    match text.contains('<') {
        true => bracketed(text).all(|id| list.push(id.into_owned(), most)),
        false => bare(text).all(|id| list.push(id.to_owned(), most)),
    };
}

/// What stands in brackets. One that does not close ends at the next one, or its id with the word; one that does not open
/// begins with the word.
fn bracketed(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let (before, behind) = text.split_once('<').unwrap_or((text, ""));
    let opened = behind.split('<').map(|piece| match piece.split_once('>') {
        Some((inside, _)) => without_blanks(inside),
        None => {
            let word = piece.split_ascii_whitespace().next().unwrap_or_default().trim_end_matches([',', ';']);
            Cow::Borrowed(if word.contains('@') { word } else { "" })
        }
    });
    let unopened = before.split_once('>').and_then(|(before, _)| before.split_ascii_whitespace().next_back());
    unopened.map(Cow::Borrowed).into_iter().chain(opened).filter(|id| !id.is_empty())
}

/// Programs fold in the middle of a long id, and old ones put comments between its words (RFC 5322 section 4.5.4).
fn without_blanks(id: &str) -> Cow<'_, str> {
    match id.contains(|c: char| c.is_ascii_whitespace()) {
        true => Cow::Owned(without_comments(id).split_ascii_whitespace().collect()),
        false => Cow::Borrowed(id),
    }
}

fn bare(text: &str) -> impl Iterator<Item = &str> {
    let separates = |c: char| matches!(c, ',' | ';' | '"' | '>') || c.is_ascii_whitespace();
    let words = text.split(separates).filter(|word| !word.is_empty());
    let is_id = |word: &str| word.rsplit_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty());
    // The id of a program that knows no domain.
    let is_one = words.clone().nth(1).is_none();
    let are_ids = is_one || words.clone().all(is_id);
    words.filter(move |_| are_ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_and_phrases_are_not() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("one", "<a@h>", &["a@h"]),
            ("one without brackets", "a@h", &["a@h"]),
            ("one without a domain", "20261124.abc", &["20261124.abc"]),
            ("one without a domain in brackets", "<abc>", &["abc"]),
            ("two", "<a@h> <b@h>", &["a@h", "b@h"]),
            ("two without brackets", "a@h b@h", &["a@h", "b@h"]),
            ("a comma (Exchange)", "<a@h>,<b@h>", &["a@h", "b@h"]),
            ("nothing between", "<a@h><b@h>", &["a@h", "b@h"]),
            ("a blank in an id", "<a-long- id@h>", &["a-long-id@h"]),
            (
                "blanks and comments in an id",
                "<1234   @   local(blah)  .machine .example>",
                &["1234@local.machine.example"],
            ),
            ("parentheses in an id", "<a(b)@h>", &["a(b)@h"]),
            ("rubbish behind", "<a@h> \"x\"", &["a@h"]),
            ("a phrase before", "Your message of \"Tue, 24 Nov 2026\" <a@h>", &["a@h"]),
            ("a phrase with an address", "jane@example.org's message <a@h> of Tuesday", &["a@h"]),
            ("a phrase alone", "Message from Jane Doe of Tuesday", &[]),
            ("a phrase with an address alone", "jane@example.org's message of Tuesday", &[]),
            ("a bracket that does not close", "<a@h b <c@h>", &["a@h", "c@h"]),
            ("a bracket that does not close, and what is not an id", "<a@h> <broken", &["a@h"]),
            ("a bracket that does not open", "a@h>", &["a@h"]),
            ("a bracket that does not open, and one that does", "a@h> <b@h>", &["a@h", "b@h"]),
            ("empty brackets", "<> <a@h>", &["a@h"]),
            ("nothing", "  ", &[]),
            ("an encoded word", "=?utf-8?q?=3Ca=40h=3E?=", &["a@h"]),
            ("an id in two encoded words", "=?utf-8?q?=3Ca?= =?utf-8?q?b=40h=3E?=", &["ab@h"]),
            ("two ids in two encoded words", "=?utf-8?q?=3Ca=40h=3E_?= =?utf-8?q?=3Cb=40h=3E?=", &["a@h", "b@h"]),
        ];
        for (name, text, want) in rows {
            let mut list = Listed::default();
            read(text, &mut list, 1000);
            assert_eq!(list.entries, *want, "{name}");
        }
    }

    #[test]
    fn a_list_ends_at_its_limit() {
        let mut list = Listed::default();
        read("<a@h> <b@h>", &mut list, 2);
        assert!(!list.is_truncated);
        read("<c@h>", &mut list, 2);
        assert_eq!((list.entries.len(), list.is_truncated), (2, true));
    }

    proptest::proptest! {
        #[test]
        fn no_id_is_empty(text in "([a@<>,;\" ]|=\\?utf-8\\?q\\?|\\?=|=3C|\\PC){0,40}") {
            let mut list = Listed::default();
            read(&text, &mut list, 1000);
            proptest::prop_assert!(list.entries.iter().all(|id| !id.is_empty()));
        }
    }
}
