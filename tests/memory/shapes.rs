//! Messages of one size and of every shape that could make reading them cost more than their octets.

/// A name, and how a message of about so many octets is made.
pub type Shape = (&'static str, fn(usize) -> Vec<u8>);

/// What the contract names, then what else came to mind.
pub const SHAPES: &[Shape] = &[
    ("plain text", |size| body("text/plain", &lines("some words of the text\r\n", size))),
    ("one attachment in base64", |size| encoded("base64", &lines(BASE64, size))),
    ("nested multiparts", nested),
    ("very many parts", |size| multipart(&lines("--b\r\n\r\n\r\n", size))),
    ("very many fields", |size| header(&lines("X-A: b\r\n", size))),
    ("very many empty fields", |size| header(&lines("X:\r\n", size))),
    ("one very long field", |size| header(&format!("X-A: {}\r\n", lines("a ", size)))),
    ("many references", |size| header(&format!("References: {}\r\n", lines("<a@b>\r\n ", size)))),
    ("many addresses", |size| header(&format!("To: {}\r\n", lines("a <a@b.example>,\r\n ", size)))),
    ("many addresses in From", |size| header(&format!("From: {}\r\n", lines("a@b.example,", size)))),
    ("many encoded words", |size| header(&format!("Subject: {}\r\n", lines("=?utf-8?b?8J+YgA==?=\r\n ", size)))),
    ("encoded words in names", |size| header(&format!("To: {}\r\n", lines("=?koi8-r?q?=C1?= <a@b>,\r\n ", size)))),
    ("many signatures", |size| header(&lines(SIGNATURE, size))),
    ("one signature of many names", |size| header(&format!("DKIM-Signature: {TAGS} h={}\r\n", lines("x:", size)))),
    // Of our own.
    ("one line in base64", |size| encoded("base64", &lines("QUJD", size))),
    ("quoted-printable", |size| encoded("quoted-printable", &lines("=41=42=3D=\r\n", size))),
    ("HTML: open tags", |size| body("text/html", &lines("<div>", size))),
    ("HTML: entities", |size| body("text/html", &lines("&amp;&lt;&#x1F600;", size))),
    ("HTML: blockquotes", |size| body("text/html", &lines("<blockquote>a<br>", size))),
    ("quoted lines", |size| body("text/plain", &lines("> a\r\n", size))),
    ("nothing but line ends", |size| body("text/plain", &lines("\r\n", size))),
    ("lines of attribution", |size| body("text/plain", &lines("On Mon, Jane <a@b.example> wrote:\r\n", size))),
    ("control characters", |size| body("text/plain", &lines("\x01", size))),
    ("ISO-2022-JP, changed at each character", |size| {
        body("text/plain; charset=iso-2022-jp", &lines("\x1b$B0!\x1b(B", size))
    }),
    ("UTF-7", |size| body("text/plain; charset=utf-7", &lines("+AOQ-", size))),
    ("windows-1252, each octet three", |size| {
        [body("text/plain; charset=windows-1252", ""), vec![0x80; size]].concat()
    }),
    ("parameters in pieces", |size| header(&format!("Content-Type: text/plain{}\r\n", lines(";a*1*=%41", size)))),
    ("comments", |size| header(&format!("From: {}\r\n", lines("(", size)))),
    ("quotes", |size| header(&format!("To: {}\r\n", lines("\"\\", size)))),
    ("groups", |size| header(&format!("Cc: {}\r\n", lines("a:b@c.example;", size)))),
    ("folded, a line a letter", |size| header(&format!("Subject: {}\r\n", lines("a\r\n ", size)))),
    ("Received fields", |size| header(&lines("Received: by x for <a@b.example>; y\r\n", size))),
    ("uuencode", |size| body("text/plain", &lines("begin 644 a\r\n#0V%T\r\n`\r\nend\r\n", size))),
    ("an encoded multipart", |size| {
        let part = lines("--b\r\n\r\n\r\n", size).replace('-', "=2D");
        let part = &part[..part.len().min(size)];
        [TOP, "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", part]
            .concat()
            .into_bytes()
    }),
    ("attachments with long names", |size| {
        let name = "n".repeat(9_000);
        let part = format!("--b\r\nContent-Disposition: attachment; filename={name}\r\n\r\nx\r\n");
        multipart(&lines(&part, size))
    }),
];

const TOP: &str = "From: jane@d1.example.org\r\nMessage-ID: <1@example.org>\r\n";
const BASE64: &str = "bWFpbGhhdGNoIG1haWxoYXRjaCBtYWlsaGF0Y2ggbWFpbGhhdGNoIG1haWxoYXRjaCBtYWls\r\n";
const TAGS: &str = "v=1; a=rsa-sha256; d=d1.example.org; s=s; bh=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=; b=QUJD;";
const SIGNATURE: &str = "DKIM-Signature: v=1; a=rsa-sha256; d=d1.example.org; s=s; h=from:to:subject; \
                         bh=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=; b=QUJD\r\n";

fn lines(line: &str, size: usize) -> String {
    line.repeat(size / line.len())
}

fn header(fields: &str) -> Vec<u8> {
    let from = if fields.starts_with("From:") { &TOP[TOP.find("Message-ID").unwrap_or_default()..] } else { TOP };
    format!("{from}{fields}\r\nbody\r\n").into_bytes()
}

fn body(kind: &str, text: &str) -> Vec<u8> {
    format!("{TOP}MIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n{text}").into_bytes()
}

fn encoded(encoding: &str, text: &str) -> Vec<u8> {
    format!("{TOP}MIME-Version: 1.0\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{text}\r\n").into_bytes()
}

fn multipart(parts: &str) -> Vec<u8> {
    format!("{TOP}Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n").into_bytes()
}

fn nested(size: usize) -> Vec<u8> {
    let mut mail = TOP.as_bytes().to_vec();
    for level in 0.. {
        let part = format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
        if mail.len() + part.len() > size {
            break;
        }
        mail.extend_from_slice(part.as_bytes());
    }
    mail.extend_from_slice(b"\r\ndeep\r\n");
    mail
}
