//! Which part is what, and where each begins and ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{attachments, message, text};

/// What it is, the message with LF as its line ends, its text, its HTML, its attachments.
type Row<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>, &'a [&'a str]);

const PDF: &str = "Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\nJVBERi0xLjQgeA==";

fn check(rows: &[Row<'_>]) {
    for (name, source, want_text, want_html, want_attachments) in rows {
        let source = source.replace("PDF", PDF);
        for line_end in ["\r\n", "\n"] {
            let got = message(source.replace('\n', line_end));
            assert_eq!(text(&got, "text").as_deref(), *want_text, "{name}: text");
            assert_eq!(text(&got, "html").as_deref(), *want_html, "{name}: html");
            assert_eq!(attachments(&got), *want_attachments, "{name}: attachments");
        }
    }
}

#[test]
fn delimiters_are_lines_of_their_own() {
    // RFC 2046 section 5.1.
    check(&[
        (
            "the boundary in the middle of a line",
            "Content-Type: multipart/mixed; boundary=b7\n\n--b7\n\na --b7 c\nx--b7\n --b7\n--b7--\n",
            Some("a --b7 c\nx--b7\n --b7"),
            None,
            &[],
        ),
        (
            "the boundary with more behind it",
            "Content-Type: multipart/mixed; boundary=b7\n\n--b7\n\n--b77\n--b7x\n--b7 x\n--b7--\n",
            Some("--b77\n--b7x\n--b7 x"),
            None,
            &[],
        ),
        (
            "blanks behind the boundary",
            "Content-Type: multipart/mixed; boundary=b7\n\n--b7 \t\n\none\n--b7-- \n",
            Some("one"),
            None,
            &[],
        ),
        (
            "the inner one begins with the outer one",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=bb\n\n\
             --bb\n\none\n--bb\nContent-Type: text/html\n\n<p>one\n--bb--\n--b\nPDF\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &["a.pdf application/pdf 10"],
        ),
        (
            "the inner one is -- and the outer one",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=\"--b\"\n\n\
             ----b\n\none\n----b\nContent-Type: text/html\n\n<p>one\n----b--\n--b\nPDF\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &["a.pdf application/pdf 10"],
        ),
        (
            "the inner one is the outer one and --",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=\"b--\"\n\n\
             --b--\n\none\n--b--\nContent-Type: text/html\n\n<p>one\n--b----\n--b\nPDF\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &["a.pdf application/pdf 10"],
        ),
        (
            "both are the same",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=b\n\n\
             --b\n\none\n--b\nContent-Type: text/html\n\n<p>one\n--b--\n--b\nPDF\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &["a.pdf application/pdf 10"],
        ),
        (
            "a boundary with blanks and signs",
            "Content-Type: multipart/mixed; boundary=\"=_a b'(+)?/:,.=\"\n\n--=_a b'(+)?/:,.=\n\none\n--=_a b'(+)?/:,.=--\n",
            Some("one"),
            None,
            &[],
        ),
        (
            "a boundary that a comment follows",
            "Content-Type: multipart/mixed; boundary=b7 (a comment)\n\n--b7\n\none\n--b7--\n",
            Some("one"),
            None,
            &[],
        ),
        (
            "a boundary whose quote does not close",
            "Content-Type: multipart/mixed; boundary=\"b7\n\n--b7\n\none\n--b7--\n",
            Some("one"),
            None,
            &[],
        ),
        (
            "a delimiter right behind the header",
            "Content-Type: multipart/mixed; boundary=b7\n\n--b7\nContent-Type: text/plain\n--b7\n\none\n--b7--\n",
            Some("\none"),
            None,
            &[],
        ),
        (
            "text before and behind the parts",
            "Content-Type: multipart/mixed; boundary=b7\n\nbefore\n--b7\n\none\n--b7--\nbehind\n--b7\n\ntwo\n",
            Some("one"),
            None,
            &[],
        ),
    ]);
}

#[test]
fn what_is_missing_costs_nothing_else() {
    check(&[
        (
            "no last delimiter",
            "Content-Type: multipart/mixed; boundary=b7\n\n--b7\n\none\n--b7\nPDF\n",
            Some("one"),
            None,
            &["a.pdf application/pdf 10"],
        ),
        (
            "no last delimiter of the inner one",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=i\n\n\
             --i\n\none\n--i\nContent-Type: text/html\n\n<p>one\n--b\nPDF\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &["a.pdf application/pdf 10"],
        ),
        (
            "no last delimiter of either",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=i\n\n\
             --i\n\none\n--i\nContent-Type: text/html\n\n<p>one",
            Some("one"),
            Some("<p>one"),
            &[],
        ),
        ("no delimiter at all", "Content-Type: multipart/mixed; boundary=b\n\none\ntwo\n", Some("one\ntwo"), None, &[]),
        ("no boundary", "Content-Type: multipart/mixed\n\n--b\n\none\n", Some("--b\n\none"), None, &[]),
        (
            "no empty line behind the header of a part",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n<p>one\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &[],
        ),
        (
            "no empty line and no header",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\none\ntwo: three\n--b--\n",
            Some("one\ntwo: three"),
            None,
            &[],
        ),
        (
            "no blank before a folded parameter",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain;\ncharset=iso-8859-1\n\
             Content-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe\n--b--\n",
            Some("Grüße"),
            None,
            &[],
        ),
        (
            "no blank before a folded parameter of the message",
            "Content-Type: multipart/mixed;\nboundary=b\n\n--b\n\none\n--b\nPDF\n--b--\n",
            Some("one"),
            None,
            &["a.pdf application/pdf 10"],
        ),
        (
            "a blank at the end of the boundary",
            "Content-Type: multipart/mixed; boundary=\"b \"\n\n--b \n\none\n--b \nPDF\n--b --\n",
            Some("one"),
            None,
            &["a.pdf application/pdf 10"],
        ),
        ("no header but a type", "Content-Type: text/html\n\n<p>one", Some("one"), Some("<p>one"), &[]),
        ("no subtype", "Content-Type: text\n\none\n", Some("one"), None, &[]),
        (
            "no subtype of a multipart",
            "Content-Type: multipart; boundary=b\n\n--b\n\none\n--b--\n",
            Some("one"),
            None,
            &[],
        ),
        (
            "no semicolon",
            "Content-Type: multipart/mixed boundary=b\n\n--b\nContent-Type: text/html charset=iso-8859-1\n\
             Content-Transfer-Encoding: quoted-printable\n\n<p>=FC\n--b--\n",
            Some("ü"),
            Some("<p>ü"),
            &[],
        ),
    ]);
}

#[test]
fn of_doubled_fields_the_first_counts() {
    check(&[
        (
            "type, multipart first",
            "Content-Type: multipart/mixed; boundary=b\nContent-type: text/plain\n\n--b\n\none\n--b--\n",
            Some("one"),
            None,
            &[],
        ),
        (
            "type, text first",
            "Content-Type: text/plain\nContent-Type: text/html\n\n<p>one\n",
            Some("<p>one"),
            None,
            &[],
        ),
        (
            "type of a part",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\nContent-Type: text/plain\n\n<p>one\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &[],
        ),
        (
            "encoding",
            "Content-Transfer-Encoding: quoted-printable\nContent-Transfer-Encoding: base64\n\na=3Db\n",
            Some("a=b"),
            None,
            &[],
        ),
        (
            "encoding of a part",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\
             Content-Transfer-Encoding: 7bit\n\nb25l\n--b--\n",
            Some("one"),
            None,
            &[],
        ),
        (
            "disposition",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Disposition: attachment; filename=a.txt\n\
             Content-Disposition: inline; filename=b.txt\n\ntwo\n--b--\n",
            Some("one"),
            None,
            &["a.txt text/plain 3"],
        ),
        (
            "parameter",
            "Content-Type: multipart/mixed; boundary=b; boundary=c\n\n--b\n\none\n--c\n--b--\n",
            Some("one\n--c"),
            None,
            &[],
        ),
        (
            "id",
            "Content-Type: multipart/related; boundary=b; start=\"<h>\"\n\n--b\nContent-Type: image/png\nContent-ID: <i>\n\
             Content-ID: <h>\n\nx\n--b\nContent-Type: text/html\nContent-ID: <h>\n\n<p>one\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &["- image/png 1"],
        ),
    ]);
}

#[test]
fn each_part_is_for_what_rfc_8621_says() {
    check(&[
        (
            "a text with a name of either field is an attachment",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/plain; name=a.txt\n\ntwo\n\
             --b\nContent-Disposition: inline; filename=b.txt\n\nthree\n--b--\n",
            Some("one"),
            None,
            &["a.txt text/plain 3", "b.txt text/plain 5"],
        ),
        (
            "a name of blanks is none",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/plain; name=\" \"\n\ntwo\n--b--\n",
            Some("one\ntwo"),
            None,
            &[],
        ),
        (
            "the only text has a name",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nPDF\n--b\nContent-Type: text/plain; name=body.txt\n\none\n--b--\n",
            Some("one"),
            None,
            &["a.pdf application/pdf 10"],
        ),
        (
            "the only text is HTML and has a name",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nPDF\n--b\nContent-Type: text/html; name=body.html\n\n<p>one\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &["a.pdf application/pdf 10"],
        ),
        (
            "the only text is the whole message and has a name",
            "Content-Type: text/plain; name=body.txt\nContent-Disposition: inline; filename=body.txt\n\none\n",
            Some("one"),
            None,
            &[],
        ),
        (
            "the only text is called an attachment",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment; filename=a.log\n\none\n--b--\n",
            None,
            None,
            &["a.log text/plain 3"],
        ),
        (
            "both forms have names",
            "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; name=a.txt\n\none\n\
             --b\nContent-Type: text/html; name=a.html\n\n<p>one\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &[],
        ),
        (
            "a disposition that cannot be read is that of an attachment (RFC 2183 section 2.8)",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Disposition: =?utf-8?Q?any?=\n\ntwo\n--b--\n",
            Some("one"),
            None,
            &["- text/plain 3"],
        ),
        (
            "an invitation beside both forms",
            "Content-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/html\n\n<p>one\n\
             --b\nContent-Type: text/calendar\n\nBEGIN\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &["- text/calendar 5"],
        ),
        (
            "HTML alone in an alternative",
            "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>one\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &[],
        ),
        (
            "related in an alternative",
            "Content-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\nContent-Type: multipart/related; boundary=r\n\n\
             --r\nContent-Type: text/html\n\n<p>one\n--r\nContent-Type: image/png\nContent-ID: <i>\n\nx\n--r--\n--b--\n",
            Some("one"),
            Some("<p>one"),
            &["- image/png 1"],
        ),
        (
            "an alternative in related",
            "Content-Type: multipart/related; boundary=r\n\n--r\nContent-Type: multipart/alternative; boundary=b\n\n\
             --b\n\none\n--b\nContent-Type: text/html\n\n<p>one\n--b--\n--r\nContent-Type: image/png\n\nx\n--r--\n",
            Some("one"),
            Some("<p>one"),
            &["- image/png 1"],
        ),
        (
            "the root of related is an alternative that start names",
            "Content-Type: multipart/related; boundary=r; start=\"<root>\"\n\n--r\nContent-Type: image/png\n\nx\n\
             --r\nContent-Type: multipart/alternative; boundary=b\nContent-ID: <root>\n\n\
             --b\n\none\n--b\nContent-Type: text/html\n\n<p>one\n--b--\n--r--\n",
            Some("one"),
            Some("<p>one"),
            &["- image/png 1"],
        ),
        (
            "start names nothing",
            "Content-Type: multipart/related; boundary=r; start=x\n\n--r\nContent-Type: text/html\n\n<p>one\n\
             --r\nContent-Type: text/html\n\n<p>two\n--r--\n",
            Some("one"),
            Some("<p>one"),
            &["- text/html 6"],
        ),
        (
            "pictures are attachments wherever they stand",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: image/png\nContent-Disposition: inline\n\nx\n\
             --b\n\ntwo\n--b--\n",
            Some("one\ntwo"),
            None,
            &["- image/png 1"],
        ),
        (
            "a picture is the whole message",
            "Content-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAEC\n",
            None,
            None,
            &["- image/png 3"],
        ),
        (
            "a text of another type is the whole message",
            "Content-Type: text/markdown\n\n# one\n",
            Some("# one"),
            None,
            &[],
        ),
        (
            "a digest holds messages",
            "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x; one\n--b--\n",
            None,
            None,
            &["- message/rfc822 15"],
        ),
        (
            "signed",
            "Content-Type: multipart/signed; boundary=b\n\n--b\n\none\n--b\nContent-Type: application/pgp-signature\n\nx\n--b--\n",
            Some("one"),
            None,
            &["- application/pgp-signature 1"],
        ),
        (
            "an unknown kind of multipart",
            "Content-Type: multipart/x-any; boundary=b\n\n--b\n\none\n--b\nPDF\n--b--\n",
            Some("one"),
            None,
            &["a.pdf application/pdf 10"],
        ),
    ]);
}

#[test]
fn an_encoded_multipart_is_taken_apart() {
    // RFC 2045 section 6.4 forbids it; SAP does it.
    let inner = "--b\r\n\r\none\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\n%PDF\r\n--b--\r\n";
    let encoded = STANDARD.encode(inner);
    let printable = inner.replace('-', "=2D");
    let nested = STANDARD.encode(format!(
        "--o\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n--o--\r\n"
    ));
    let rows = [
        ("base64", "base64", "b", encoded.as_str()),
        ("quoted-printable", "quoted-printable", "b", &printable),
        ("twice", "base64", "o", &nested),
        ("said to be, but not", "base64", "b", inner),
        ("said to be printable, but not", "quoted-printable", "b", inner),
        ("binary", "binary", "b", inner),
    ];
    for (name, encoding, boundary, body) in rows {
        let got = message(format!(
            "Content-Type: multipart/mixed; boundary={boundary}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"
        ));
        assert_eq!(got["text"], "one", "{name}");
        assert_eq!(attachments(&got), ["a.pdf application/pdf 4"], "{name}");
    }
}

#[test]
fn attachments_are_what_was_attached_octet_for_octet() {
    let patch = b"--- a\r\n+++ b\r\n@@ -1 +1 @@\r\n-\xe4 \t\r\n \r\n+\xc3\xa4\r\n\\ No newline at end of file".to_vec();
    let binary: Vec<u8> = (0..=255).chain([0, 13, 10, 61, 61, 46, 13, 10]).collect();
    for (name, octets) in [("patch", patch), ("binary", binary)] {
        let base64 = STANDARD.encode(&octets);
        let folded =
            base64.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line)).collect::<Vec<_>>().join("\r\n");
        let printable: String = octets.iter().map(|octet| format!("={octet:02X}")).collect();
        let uuencoded = uuencoded(&octets);
        let rows: &[(&str, &[u8])] = &[
            ("x-uuencode", uuencoded.as_bytes()),
            ("base64", folded.as_bytes()),
            ("\"Base64\"", folded.as_bytes()),
            ("base64 (as usual)", folded.as_bytes()),
            ("base64;", base64.as_bytes()),
            ("base64", base64.trim_end_matches('=').as_bytes()),
            ("quoted-printable", printable.as_bytes()),
            ("8bit", &octets),
            ("binary", &octets),
        ];
        for kind in
            ["text/x-patch; charset=iso-8859-1", "text/plain; charset=utf-16", "application/octet-stream", "text/html"]
        {
            for (encoding, encoded) in rows {
                let mut source = format!(
                    "Content-Type: multipart/mixed; boundary=b7\r\n\r\n--b7\r\n\r\none\r\n--b7\r\nContent-Type: {kind}\r\n\
                     Content-Transfer-Encoding: {encoding}\r\nContent-Disposition: attachment\r\n\r\n"
                )
                .into_bytes();
                source.extend_from_slice(encoded);
                source.extend_from_slice(b"\r\n--b7--\r\n");
                let got = message(source);
                let content = STANDARD.decode(got["attachments"][0]["content"].as_str().unwrap()).unwrap();
                assert!(content == octets, "{name}, {kind}, {encoding}");
            }
        }
    }
}

fn uuencoded(octets: &[u8]) -> String {
    let sign = |bits: u32, place: u32| char::from(b' ' + (bits >> (18 - 6 * place) & 0x3f) as u8);
    let line = |line: &[u8]| {
        let groups = line.chunks(3).flat_map(|group| {
            let bits = (0..3).fold(0, |bits, n| bits << 8 | u32::from(group.get(n).copied().unwrap_or_default()));
            (0..4).map(move |place| sign(bits, place))
        });
        let length = char::from(b' ' + u8::try_from(line.len()).unwrap());
        format!("{length}{}\r\n", groups.collect::<String>())
    };
    let lines: String = octets.chunks(45).map(line).collect();
    format!("begin 644 a.bin\r\n{lines}`\r\nend\r\n")
}
