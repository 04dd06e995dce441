//! What stands where: replies above, below and within a quotation, signatures, code, and what only looks like one of them.

use super::{Texts, of_plain, texts};
use mailhatch::mail::BodyText;

/// A message in which each line begins with a letter and a bar for what it is to be: t, q or s. The letter is taken off.
fn marked(marked: &str) -> (String, Texts) {
    let mut message = String::new();
    let mut wanted = Texts { text: String::new(), quoted: String::new(), signature: String::new() };
    for line in marked.lines() {
        let (kind, line) = line.split_once('|').expect("a letter and a bar");
        let line = format!("{line}\n");
        message.push_str(&line);
        match kind {
            "t" => wanted.text.push_str(&line),
            "q" => wanted.quoted.push_str(&line),
            "s" => wanted.signature.push_str(&line),
            other => panic!("{other}: not a kind"),
        }
    }
    (message, wanted)
}

fn check(rows: &[(&str, &str)]) {
    for (name, row) in rows {
        let (message, wanted) = marked(row);
        assert_eq!(of_plain(&message), wanted, "{name}");
        let (message, wanted) = (message.replace('\n', "\r\n"), [wanted.text, wanted.quoted, wanted.signature]);
        let texts = of_plain(&message);
        assert_eq!(
            [texts.text, texts.quoted, texts.signature],
            wanted.map(|text| text.replace('\n', "\r\n")),
            "{name}, CRLF"
        );
    }
}

#[test]
fn words_above_below_and_between_quotations_are_the_text() {
    check(&[
        ("no quotation", "t|Hello.\nt|\nt|How are you?"),
        (
            "above",
            "t|Yes.\nq|\nq|On 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\nq|\nq|> Really?\nq|>\nq|>> No.",
        ),
        ("right above", "t|Yes.\nq|On 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\nq|> Really?"),
        ("above, no attribution", "t|Yes.\nq|\nq|> Really?"),
        ("below", "q|On 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\nq|> Really?\nq|\nt|Yes."),
        (
            "between",
            "q|Bob wrote:\nq|> Is it red?\nq|\nt|Yes.\nt|\nq|> Is it blue?\nt|No.\nt|\nq|> Regards\nq|> Bob\nq|\nt|Bye",
        ),
        ("between, no attribution", "q|> Is it red?\nt|Yes.\nq|> Is it blue?\nt|No."),
        (
            "above and between",
            "t|Hi Bob,\nt|\nq|On 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\nq|> Is it red?\nt|Yes.\nq|> Is it blue?",
        ),
        ("above and below", "t|Hi Bob,\nt|\nq|On 5 Jan 2016, Bob wrote:\nq|> Is it red?\nq|\nt|Yes.\nt|\nt|Jane"),
        (
            "history without marks",
            "t|Yes.\nq|\nq|On Mon, Feb 1, 2016 at 4:58 AM -0800, \"Bob\" <bob@example.org> wrote:\nq|\nq|Really?\nq|\n\
             q|On Sun, Jan 31, 2016 at 9:58 PM -0800, \"Jane\" <jane@example.org> wrote:\nq|\nq|So it is.",
        ),
        ("other marks", "t|Yes.\nq|\nq|2013/7/20 Bob <bob@example.org>\nq|\nq|| Really?\nq|| Bob"),
        (
            "initials",
            "q|On 5 Jan 2016 10:00, Bob wrote:\nq|\nq|BB> Is it red?\nq|BB>\nq|\nt|Yes.\nt|\nq|BB> Is it blue?\nt|No."
                .replace("q|BB> Is it blue", "t|BB> Is it blue")
                .leak(),
        ),
        (
            "attribution in the quotation",
            "t|Yes.\nq|\nq|> On 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\nq|>\nq|> Really?",
        ),
        (
            "attribution with an open bracket",
            "t|Yes.\nq|\nq|On 5 Jan 2016, at 10:00, Bob <bob@example.org\nq|> wrote:\nq|\nq|> Really?",
        ),
        (
            "attribution with a blank line",
            "t|Yes.\nq|\nq|On 5 Jan 2016 at 10:00 Bob\nq|\nq|<\nq|mailto:bob@example.org\nq|> wrote:\nq|\nq|Really?",
        ),
    ]);
}

#[test]
fn nothing_but_a_quotation_leaves_no_text() {
    check(&[
        ("marks", "q|> Really?\nq|>\nq|> Bob"),
        ("attribution and marks", "q|On 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\nq|\nq|> Really?"),
        ("blank lines around", "q|\nq|\nq|> Really?\nq|"),
        (
            "Outlook",
            "q|________________________________\nq|From: Bob\nq|Sent: 5 January 2016 10:00\nq|To: Jane\nq|Subject: It\nq|\nq|Really?",
        ),
        ("Outlook's line", "q|-----Original Message-----\nq|From: Bob\nq|\nq|Really?"),
        (
            "a telephone's words above",
            "s|Sent from my iPhone\ns|\nq|> On 5 Jan 2016, at 10:00, Bob wrote:\nq|>\nq|> Really?",
        ),
        (
            "a telephone's words above, no marks",
            "s|Sent from my iPhone\ns|\nq|On 5 Jan 2016, at 10:00, Bob wrote:\nq|\nq|Really?",
        ),
        ("a signature below", "q|> Really?\nq|\ns|-- \ns|Jane"),
    ]);
}

#[test]
fn signatures_end_what_is_written() {
    check(&[
        ("delimiter", "t|Yes.\nt|\ns|-- \ns|Jane\ns|\ns|Tel. 123".replace("t|\ns|-- ", "s|\ns|-- ").leak()),
        ("delimiter without its blank", "t|Yes.\ns|--\ns|Jane"),
        ("dash", "t|Yes.\ns|\u{2014}\ns|Jane"),
        (
            "above a quotation",
            "t|Yes.\ns|-- \ns|Jane\ns|\nq|On 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\nq|> Really?",
        ),
        ("below a quotation", "t|Yes.\nq|\nq|> Really?\nq|\ns|-- \ns|Jane"),
        ("below words below a quotation", "q|Bob wrote:\nq|> Really?\nq|\nt|Yes.\ns|-- \ns|Jane"),
        ("in a quotation", "t|Yes.\nq|\nq|> Really?\nq|> -- \nq|> Bob"),
        ("only a signature", "s|-- \ns|Jane"),
        (
            "a list's footer",
            "t|Yes.\ns|\ns|_______________________________________________\ns|list mailing list\ns|list@example.org",
        ),
        ("a name behind a dash", "t|Yes.\ns|\ns|-Jane Doe"),
        ("a program nobody knows", "t|Yes.\ns|\ns|Sent from NewApp<https://newapp.example/>"),
        ("a telephone and a signature", "t|Yes.\ns|\ns|Sent from my iPhone\ns|\ns|-- \ns|Jane"),
        (
            "OpenPGP",
            "s|-----BEGIN PGP SIGNED MESSAGE-----\ns|Hash: SHA512\ns|\nt|Yes.\ns|-----BEGIN PGP SIGNATURE-----\ns|\ns|iQ==\n\
             s|-----END PGP SIGNATURE-----",
        ),
    ]);
}

#[test]
fn what_only_looks_like_a_quotation_or_a_signature_is_text() {
    let long = format!("t|Two parts:\nt|--\n{}", "t|A line of the second part.\n".repeat(20));
    check(&[
        ("one citation", "t|> Festina lente.\nt|\nt|Who said that?"),
        (
            "one citation above a quotation",
            "t|> Festina lente.\nt|\nt|Who?\nq|\nq|On 5 Jan 2016, Bob wrote:\nq|> Really?",
        ),
        ("a prompt", "t|It says:\nt|\nt|>>> 1 + 1\nt|2\nt|>>> 2 + 2\nt|4"),
        ("code", "t|Try this:\nt|\nt|```\nt|> a\nt|-- \nt|-----Original Message-----\nt|```\nt|\nt|It works."),
        ("a sentence on a day", "t|On Monday I saw what he wrote:\nt|nothing."),
        ("a sentence with the verb", "t|On the first page my colleague wrote\nt|\nt|that it is late."),
        ("a journey", "t|From: Berlin\nt|To: Paris\nt|Date: 5 January 2016\nt|\nt|Can you book that?"),
        (
            "a header",
            "t|Why is it spam?\nt|\nt|Received: from a by b;\nt|\tMon, 5 Jan 2026 10:00:00 +0000\nt|From: Bob <bob@example.org>\n\
             t|To: Jane\nt|Subject: It\nt|Date: Mon, 5 Jan 2026 10:00:00 +0000\nt|Message-ID: <1@example.org>\nt|\nt|Jane",
        ),
        (
            "a header, from its middle",
            "t|Why is it spam?\nt|\nt|From: Bob <bob@example.org>\nt|To: Jane\nt|Subject: It\n\
             t|Date: Mon, 5 Jan 2026 10:00:00 +0000\nt|X-Spam: yes\nt|\nt|Jane",
        ),
        (
            "what a server said",
            "t|It came back:\nt|\nt|The mail system\nt|\nt|<bob@example.org>: host mx.example.org[192.0.2.1] said:\nt|    550 unknown",
        ),
        (
            "an appointment",
            "t|Invitation:\nt|\nt|Date: Wednesday 3, October 2011\nt|Time: 7:00\nt|Address: 130 Fox St\nt|\nt|Bring it.",
        ),
        ("a form", "t|From: jane@example.org\nt|Subject: a question\nt|\nt|Where is it?"),
        ("a long part below two dashes", long.leak()),
        ("a rule", "t|One.\nt|-----\nt|Two.\nt|___\nt|Three."),
        ("a line to fill in", "t|Your name:\nt|______________________________\nt|and address"),
        ("a sentence about a telephone", "t|Yes.\nt|\nt|Sent from my desk, which is easier than the telephone."),
        ("a sentence about sending", "t|Yes.\nt|\nt|Sent by courier yesterday."),
        ("a sentence about mail", "t|Ja.\nt|\nt|Ich habe die Mail gesendet."),
        ("mail was sent", "t|Evet.\nt|\nt|Mail gönderildi."),
        ("a sentence from a telephone", "t|No.\nt|\nt|From my phone it works."),
        ("a sentence about Outlook", "t|No.\nt|\nt|Outlook for Mac is broken."),
        ("a sentence with a device", "t|Nein.\nt|\nt|Von meinem Handy aus geht es nicht."),
        ("items", "t|- one\nt|- two"),
        ("an option", "t|Yes.\nt|\nt|-v"),
        ("words like Outlook's", "t|Look at the original message:\nt|it is there."),
    ]);
}

#[test]
fn a_text_that_is_blank_or_empty_is_its_own() {
    for text in ["", "\n", " \r\n\r\n", "\u{feff}", "a"] {
        assert_eq!(
            of_plain(text),
            Texts { text: text.to_owned(), quoted: String::new(), signature: String::new() },
            "{text:?}"
        );
    }
}

#[test]
fn the_subject_says_whether_outlook_forwards() {
    let message =
        "See below.\n\nFrom: Bob <bob@example.org>\nSent: 5 January 2016 10:00\nTo: Jane\nSubject: The plan\n\nHere.\n";
    let rows = [
        ("FW: The plan", true),
        ("Fwd: The plan", true),
        ("[desk] WG: The plan", true),
        ("转发：计划", true),
        ("İLT: Plan", true),
        ("fw: re: The plan", true),
        ("RE: FW: The plan", false),
        ("AW: The plan", false),
        ("The plan", false),
        ("FW The plan", false),
        ("", false),
        ("[", false),
    ];
    for (subject, is_forward) in rows {
        let texts = texts(&BodyText::from_plain(message), Some(subject));
        assert_eq!(texts.text == message, is_forward, "{subject}");
        assert_eq!(texts.quoted.is_empty(), is_forward, "{subject}");
    }
    let marked = "See below.\n\nOn 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\n> Here.\n";
    assert_eq!(
        texts(&BodyText::from_plain(marked), Some("FW: x")).text,
        "See below.\n",
        "marks say that it is a quotation"
    );
}
