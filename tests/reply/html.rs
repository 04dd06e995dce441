//! HTML as mail programs write it, with words of ours.

use super::{of_html, texts};
use mailhatch::mail::BodyText;

/// The texts without blank lines and without the blanks at their ends.
fn words(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.trim_matches('>').is_empty()).collect()
}

#[test]
fn each_program_marks_its_quotation() {
    // In no language that is known, so that only the marks can tell.
    let rows: &[(&str, &str, &[&str], &[&str])] = &[
        (
            "Gmail",
            r#"<div dir="ltr">Yes.</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">Zu 5 Bob zet:<br></div>
               <blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204);padding-left:1ex"><div>Now?</div></blockquote></div>"#,
            &["Yes."],
            &["Zu 5 Bob zet:", "> Now?"],
        ),
        (
            "Gmail, words between",
            r#"<div class="gmail_quote"><div class="gmail_attr">Zu 5 Bob zet:<br></div><blockquote class="gmail_quote">Red?</blockquote><div>Yes.</div>
               <blockquote class="gmail_quote">Blue?</blockquote><div>No.</div></div>"#,
            &["Yes.", "No."],
            &["Zu 5 Bob zet:", "> Red?", "> Blue?"],
        ),
        (
            "Gmail, years ago",
            r#"Yes.<div class="gmail_quote">Zu 5 Bob zet:<div>Now?</div></div>"#,
            &["Yes."],
            &["Zu 5 Bob zet:", "Now?"],
        ),
        (
            "Outlook on the web",
            r#"<div>Yes.</div><div id="appendonsend"></div><hr style="display:inline-block;width:98%" tabindex="-1">
               <div id="divRplyFwdMsg" dir="ltr"><font><b>Zu:</b> Bob<br><b>Xu:</b> 5<br></font></div><div>Now?</div>"#,
            &["Yes."],
            &["-----", "Zu: Bob", "Xu: 5", "Now?"],
        ),
        (
            "Outlook on a telephone",
            r#"<div>Yes.</div><div id="ms-outlook-mobile-signature">Jane</div><div id="mail-editor-reference-message-container"><div><div>Zu: Bob</div>Now?</div></div>"#,
            &["Yes."],
            &["Zu: Bob", "Now?"],
        ),
        (
            "Outlook for Windows",
            r#"<div class="WordSection1"><p class="MsoNormal">Yes.<o:p></o:p></p><p class="MsoNormal"><o:p>&nbsp;</o:p></p>
               <div><div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0in 0in 0in"><p class="MsoNormal"><b>Zu:</b> Bob &lt;bob@example.org&gt;<br>
               <b>Xu:</b> 5 Qa 2016 10:00<br><b>Yu:</b> Jane<br><b>Wu:</b> It<o:p></o:p></p></div></div><p class="MsoNormal">Now?</p></div>"#,
            &["Yes."],
            &["Zu: Bob <bob@example.org>", "Xu: 5 Qa 2016 10:00", "Yu: Jane", "Wu: It", "Now?"],
        ),
        (
            "Outlook for the Mac",
            r#"<div>Yes.</div><span id="OLK_SRC_BODY_SECTION"><div>Zu: Bob</div><div>Now?</div></span>"#,
            &["Yes."],
            &["Zu: Bob", "Now?"],
        ),
        (
            "Apple Mail",
            r#"<body>Yes.<br><div><br><blockquote type="cite"><div>Zu 5 Bob zet:</div><br><div>Now?</div></blockquote></div></body>"#,
            &["Yes."],
            &["> Zu 5 Bob zet:", "> Now?"],
        ),
        (
            "Thunderbird",
            r#"<p>Yes.</p><div class="moz-cite-prefix">Zu 5 Bob zet:<br></div><blockquote type="cite" cite="mid:1@example.org"><p>Now?</p></blockquote>"#,
            &["Yes."],
            &["Zu 5 Bob zet:", "> Now?"],
        ),
        (
            "Thunderbird, words below",
            r#"<div class="moz-cite-prefix">Zu 5 Bob zet:<br></div><blockquote type="cite"><p>Now?</p></blockquote><p>Yes.</p>"#,
            &["Yes."],
            &["Zu 5 Bob zet:", "> Now?"],
        ),
        (
            "Thunderbird, words where the attribution stands",
            r#"<div class="moz-cite-prefix">Hello Bob,</div><div class="moz-cite-prefix"><br></div><div class="moz-cite-prefix">yes.<br><br>
               Zu 5 Bob zet:<br></div><blockquote type="cite">Now?</blockquote><br>Jane"#,
            &["Hello Bob,", "yes.", "Jane"],
            &["Zu 5 Bob zet:", "> Now?"],
        ),
        (
            "Yahoo",
            r#"<div>Yes.</div><div id="ydp1yahoo_quoted_1" class="ydp1yahoo_quoted"><div>Zu 5 Bob zet:</div><div><blockquote>old</blockquote>Now?</div></div>"#,
            &["Yes."],
            &["Zu 5 Bob zet:", "> old", "Now?"],
        ),
        (
            "Proton Mail",
            r#"<div>Yes.</div><div class="protonmail_quote">Zu 5 Bob zet:<br><blockquote class="protonmail_quote" type="cite">Now?</blockquote><br></div>"#,
            &["Yes."],
            &["Zu 5 Bob zet:", "> Now?"],
        ),
        (
            "Zimbra",
            r#"<div>Yes.</div><hr id="zwchr" data-marker="__DIVIDER__"><div data-marker="__HEADERS__">Zu: Bob</div><div>Now?</div>"#,
            &["Yes."],
            &["-----", "Zu: Bob", "Now?"],
        ),
        (
            "GMX",
            r#"<div>Yes.</div><div name="quote" style="border-left:2px solid"><div><b>Zu:</b> Bob</div>Now?</div>"#,
            &["Yes."],
            &["Zu: Bob", "Now?"],
        ),
        (
            "Spark",
            r#"<div name="messageBodySection">Yes.</div><div name="messageSignatureSection">Jane</div><div name="messageReplySection">Zu 5 Bob zet:<br>
               <blockquote type="cite">Now?</blockquote></div>"#,
            &["Yes."],
            &["Zu 5 Bob zet:", "> Now?"],
        ),
        (
            "Zoho",
            r#"<div>Yes.</div><div class="zmail_extra"><div>Zu 5 Bob zet</div><blockquote>Now?</blockquote></div>"#,
            &["Yes."],
            &["Zu 5 Bob zet", "> Now?"],
        ),
        (
            "Tuta",
            r#"<div>Yes.</div>Zu:<br><blockquote class="tutanota_quote">Now?</blockquote>"#,
            &["Yes.", "Zu:"],
            &["> Now?"],
        ),
        (
            "a forwarded message in what is quoted",
            r#"<div>Yes.</div><div class="yahoo_quoted"><div>Zu 5 Bob zet:</div><div>---------- Forwarded message ---------</div>Now?</div>
               <div>Jane</div>"#,
            &["Yes.", "Jane"],
            &["Zu 5 Bob zet:", "---------- Forwarded message ---------", "Now?"],
        ),
        (
            "nothing but a quotation",
            r#"<div class="gmail_quote"><blockquote class="gmail_quote">Now?</blockquote></div>"#,
            &[],
            &["> Now?"],
        ),
        (
            "words only",
            "Yes.<br><br>On 5 Jan 2016, at 10:00, Bob wrote:<br>Now?",
            &["Yes."],
            &["On 5 Jan 2016, at 10:00, Bob wrote:", "Now?"],
        ),
        (
            "the header in words only",
            "<p>Yes.</p><p><b>Von:</b> Bob<br><b>Gesendet:</b> 5. Januar 2016 10:00<br><b>An:</b> Jane<br><b>Betreff:</b> Es</p><p>Jetzt?</p>",
            &["Yes."],
            &["Von: Bob", "Gesendet: 5. Januar 2016 10:00", "An: Jane", "Betreff: Es", "Jetzt?"],
        ),
    ];
    for (name, html, text, quoted) in rows {
        let found = of_html(html);
        assert_eq!(words(&found.text), *text, "{name}");
        assert_eq!(words(&found.quoted), *quoted, "{name}");
    }
}

#[test]
fn each_program_marks_its_signature() {
    let rows = [
        (
            "Gmail",
            r#"<div>Yes.</div><span class="gmail_signature_prefix">-- </span><br><div dir="ltr" class="gmail_signature"><div>Jane</div></div>"#,
            "-- \nJane\n",
        ),
        ("Outlook", r#"<div>Yes.</div><div id="Signature"><div>Jane</div></div>"#, "Jane\n"),
        ("Outlook on a telephone", r#"Yes.<div id="ms-outlook-mobile-signature">Jane</div>"#, "Jane\n"),
        ("Thunderbird", r#"<p>Yes.</p><div class="moz-signature">-- <br>Jane</div>"#, "\n-- \nJane\n"),
        ("Apple Mail", r#"<div>Yes.</div><div id="AppleMailSignature">Jane</div>"#, "Jane\n"),
        ("Proton Mail", r#"<div>Yes.</div><div class="protonmail_signature_block">Jane</div>"#, "Jane\n"),
        ("words only", "Yes.<br>--&nbsp;<br>Jane", "-- \nJane\n"),
        ("a telephone", "Yes.<br><br>Sent from my iPhone", "\nSent from my iPhone\n"),
    ];
    for (name, html, signature) in rows {
        let found = of_html(html);
        assert_eq!((found.text.as_str(), found.signature.as_str()), ("Yes.\n", signature), "{name}");
    }
}

#[test]
fn what_a_program_forwards_is_no_quotation() {
    let rows = [
        (
            "Gmail",
            r#"<div>Look.</div><div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------<br>From: Bob &lt;bob@example.org&gt;<br>
               Date: Tue, 5 Jan 2016 at 10:00<br>Subject: It<br>To: Jane<br></div><br><blockquote type=cite>Old</blockquote>New</div>"#,
        ),
        (
            "Apple Mail",
            r#"Look.<blockquote type="cite"><div>Begin forwarded message:</div><div><b>From: </b>Bob</div><div>New</div></blockquote>"#,
        ),
        (
            "Thunderbird",
            r#"<p>Look.</p><div class="moz-forward-container"><br>-------- Zu zet --------<table><tr><th>Zu: </th><td>Bob</td></tr></table><p>New</p></div>"#,
        ),
    ];
    for (name, html) in rows {
        let found = of_html(html);
        assert_eq!((found.quoted.as_str(), found.signature.as_str()), ("", ""), "{name}");
        assert!(found.text.starts_with("Look.") && found.text.contains("New"), "{name}: {}", found.text);
    }
    let outlook =
        r#"<div>Look.</div><div id="divRplyFwdMsg"><b>From:</b> Bob<br><b>Subject:</b> It</div><div>New</div>"#;
    let body = BodyText::from_html(outlook);
    assert_eq!(words(&texts(&body, Some("WG: It")).text), ["Look.", "From: Bob", "Subject: It", "New"]);
    assert_eq!(words(&texts(&body, Some("AW: It")).text), ["Look."]);
}

#[test]
fn a_mark_ends_with_its_element() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("element in element", r#"<div class="yahoo_quoted"><div>q</div><div><div>q</div></div></div>text"#, &["text"]),
        ("mark in mark", r#"<div class="yahoo_quoted"><div class="gmail_signature">q</div>q</div>text"#, &["text"]),
        ("ends too many", r#"</div></div><div class="yahoo_quoted">q</div>text</div>"#, &["text"]),
        (
            "another element in between",
            r#"<div class="yahoo_quoted"><table><tr><td>q</td></tr></table>q</div>text"#,
            &["text"],
        ),
        (
            "indented words are no quotation",
            r#"text<blockquote style="margin:0 0 0 40px;border:none;padding:0px">text</blockquote>"#,
            &["text", "text"],
        ),
    ];
    for (name, html, text) in rows {
        assert_eq!(words(&of_html(html).text), *text, "{name}");
    }
}
