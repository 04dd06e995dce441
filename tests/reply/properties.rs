//! What holds for whatever there is to read: nothing is lost, nothing changes, and the time is that of its length.

use std::fmt::Write as _;

use mailhatch::mail::{BodyText, Partition};
use proptest::prelude::*;

use super::of_plain;

/// Whether the three texts have every octet of the whole once, in order.
fn is_partition(body: &BodyText<'_>, subject: Option<&str>) -> bool {
    let partition = Partition::read(body, subject);
    let reply = partition.of(body.as_str());
    let texts: [Vec<&str>; 3] = [reply.text().collect(), reply.quoted().collect(), reply.signature().collect()];
    // The pieces of each text are in order, and all together cover the whole.
    let is_in_order = |pieces: &Vec<&str>| pieces.windows(2).all(|pair| pair[0].as_ptr() < pair[1].as_ptr());
    let in_order = texts.iter().all(is_in_order);
    let mut pieces = texts.concat();
    let ends = pieces.iter().all(|piece| piece.ends_with('\n') || body.as_str().ends_with(piece));
    pieces.sort_by_key(|piece| piece.as_ptr());
    in_order && ends && pieces.concat() == body.as_str()
}

const PIECES: &[&str] = &[
    "\n",
    "\r\n",
    "\n\n",
    " ",
    ">",
    "> ",
    ">> ",
    "Hello",
    "On 5 Jan 2016, at 10:00, ",
    "Bob <bob@example.org>",
    " wrote:",
    "wrote:",
    "\n> wrote:",
    "From: a@example.org\n",
    "Sent: 5 January 2016 10:00\n",
    "To: b\n",
    "Subject: c\n",
    "-- \n",
    "--\n",
    "_____________________________\n",
    "-----Original Message-----\n",
    "---------- Forwarded message ----------\n",
    "Sent from my iPhone",
    "-Jane",
    "```\n",
    "| ",
    "JD> ",
    "2013/10/2 Bob <bob@example.org>\n",
    "<\n",
    "Am ",
    "schrieb ",
    "在 ",
    "写道：",
    "\u{200e}",
    "\u{a0}",
    "\0",
    "é",
    "-----BEGIN PGP SIGNATURE-----\n",
];

const TAGS: &[&str] = &[
    "<div>",
    "</div>",
    "<div class=gmail_quote>",
    "<div class=\"gmail_attr\">",
    "<blockquote type=cite>",
    "<blockquote>",
    "</blockquote>",
    "<p>",
    "</p>",
    "<br>",
    "<hr>",
    "<div id=divRplyFwdMsg>",
    "<div id=appendonsend></div>",
    "<span class=gmail_signature>",
    "</span>",
    "<li>",
    "<ul>",
    "</ul>",
    "<ol>",
    "<pre>",
    "</pre>",
    "<style>",
    "</style>",
    "<title>",
    "<a href=\"https://example.org/\">",
    "</a>",
    "<table>",
    "<td>",
    "<tr>",
    "&lt;",
    "&#0;",
    "&#xd800;",
    "<!--",
    "-->",
    "<",
    ">",
    "\"",
    "text",
    " ",
    "\n",
    "&nbsp;",
    "On 5 Jan 2016, at 10:00, Bob wrote:",
    "-- ",
    "<div style=\"border-top:solid; padding:3.0pt 0\">",
];

proptest! {
    #[test]
    fn nothing_of_a_text_is_lost(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60), subject in prop::option::of(".{0,12}")) {
        let text = pieces.concat();
        prop_assert!(is_partition(&BodyText::from_plain(text.as_str()), subject.as_deref()), "{text:?}");
    }

    #[test]
    fn nothing_of_any_characters_is_lost(text in "\\PC{0,400}|(?s).{0,200}") {
        prop_assert!(is_partition(&BodyText::from_plain(text.as_str()), Some("FW: x")), "{text:?}");
    }

    #[test]
    fn nothing_that_html_shows_is_lost(pieces in prop::collection::vec(prop::sample::select(TAGS), 0..80)) {
        let html = pieces.concat();
        prop_assert!(is_partition(&BodyText::from_html(&html), None), "{html:?}");
    }

    #[test]
    fn nothing_of_several_parts_is_lost(parts in prop::collection::vec((any::<bool>(), prop::collection::vec(prop::sample::select(TAGS), 0..12)), 1..5)) {
        let parts: Vec<_> = parts.into_iter().map(|(is_html, pieces)| (is_html, pieces.concat())).collect();
        let body = |(is_html, text): &(bool, String)| if *is_html { BodyText::from_html(text) } else { BodyText::from_plain(text.clone()) };
        let whole = parts.iter().map(body).reduce(BodyText::and).unwrap();
        prop_assert!(is_partition(&whole, None), "{parts:?}");
        for part in &parts {
            prop_assert!(whole.as_str().contains(body(part).as_str()), "{parts:?}");
        }
    }

    /// Words between quotations are the writer's, however many there are.
    #[test]
    fn words_between_quotations_stay_text(lines in prop::collection::vec(any::<bool>(), 1..40)) {
        let mut message = "On 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\n> first\n".to_owned();
        let mut words = String::new();
        for (number, is_quoted) in lines.iter().enumerate() {
            if *is_quoted {
                let _ = writeln!(message, "> question {number}");
            } else {
                let _ = writeln!(message, "answer {number}");
                let _ = writeln!(words, "answer {number}");
            }
        }
        prop_assert_eq!(of_plain(&message).text, words);
    }

    /// What is quoted has no influence on the words above it.
    #[test]
    fn the_words_above_do_not_depend_on_what_is_quoted(quoted in prop::collection::vec("\\PC{0,30}", 0..20)) {
        let quoted: String = quoted.iter().map(|line| format!("> {line}\n")).collect();
        let message = format!("Yes.\n\nOn 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\n> first\n{quoted}");
        prop_assert_eq!(of_plain(&message).text, "Yes.\n");
    }
}

/// What an attacker would send. How long ten megabytes of it take is measured in `benches/rooms`; here it must lose nothing.
#[test]
fn large_and_hostile_texts_are_read() {
    const SIZE: usize = 1_000_000;
    let lines = [
        ">",
        ">\n",
        "\n",
        " ",
        "On ",
        "On \n",
        "> On 1:00 wrote:\n",
        "On 5 Jan 2016 at 10:00, a\n",
        "wrote:\n",
        "x wrote x:\n",
        "From: a\n",
        "To: a\n",
        "a:\n",
        "--\n",
        "-- \n",
        "-----\n",
        "Sent from my iPhone\n",
        "```\n",
        "<a@b>:\n",
        "2016-01-01 GMT+\n",
        "a\n>\n",
        "| a\n",
        "-----Original Message-\n",
        "\0",
        "(",
        "<",
        "a@",
        "____________________\n\n",
    ];
    for line in lines {
        let text = line.repeat(SIZE / line.len());
        assert!(is_partition(&BodyText::from_plain(text.as_str()), None), "{line:?}");
    }
    let html = [
        "<div>",
        "<blockquote>",
        "<blockquote type=cite>a",
        "</div>",
        "<p>",
        "<br>",
        "<li>a",
        "<ul>",
        "<",
        "<a",
        "<a href=http://x>",
        "&",
        "&lt",
        "<!--",
        "a ",
        "<div class=gmail_quote>",
        "<div id=divRplyFwdMsg>a<br>",
        "<pre>\n",
        "<hr>",
        "<td>",
        "<x a=b c=d ",
        "\"",
        "<script>",
        "</a>",
        "&nbsp;",
    ];
    for tag in html {
        let text = tag.repeat(SIZE / tag.len());
        let body = BodyText::from_html(&text);
        assert!(is_partition(&body, None), "{tag:?}");
        assert!(body.as_str().len() <= 4 * SIZE, "{tag:?}: {} octets of text", body.as_str().len());
    }
}

#[test]
fn quotations_in_quotations_cost_no_more_the_deeper_they_are() {
    let deep = format!("<p>a{}b", "<blockquote><p>".repeat(100_000));
    assert_eq!(BodyText::from_html(&deep).as_str(), "a\n\n>>>>> b\n");
}
