//! Messages that no well-behaved program writes.

fn nested_parts(depth: usize) -> Vec<u8> {
    let mut mail = b"From: jane@example.org\r\nMIME-Version: 1.0\r\n".to_vec();
    for level in 0..depth {
        mail.extend_from_slice(
            format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n").as_bytes(),
        );
    }
    mail.extend_from_slice(b"Content-Type: text/plain\r\n\r\ndeep\r\n");
    mail
}

/// A name, and a message that no well-behaved program writes.
pub fn bad_messages() -> Vec<(&'static str, Vec<u8>)> {
    let with_header = |header: &[u8]| {
        // Each is another message: the Message-ID is part of the event's id, trace fields are not.
        let id = format!("Message-ID: <{}@example.org>\r\n", header.len());
        [b"From: jane@example.org\r\n", id.as_bytes(), header, b"\r\nbody\r\n"].concat()
    };
    vec![
        ("no header", b"just text\r\n".to_vec()),
        ("a body without a header", b"\r\njust text\r\n".to_vec()),
        ("100,000 header fields", with_header("X-A: b\r\n".repeat(100_000).as_bytes())),
        ("100,000 Received fields", with_header("Received: by x for <<\r\n".repeat(100_000).as_bytes())),
        ("1 MB in one header line", with_header(format!("To: {}\r\n", "a,".repeat(500_000)).as_bytes())),
        ("1 MB in one body line", with_header(format!("\r\n{}\r\n", "x".repeat(1_000_000)).as_bytes())),
        ("1 MB of References", with_header(format!("References: {}\r\n", "<a@b>".repeat(200_000)).as_bytes())),
        ("1000 nested parts", nested_parts(1000)),
        ("20,000 nested parts", nested_parts(20_000)),
        ("NULs", with_header(b"Subject: a\0b\r\nTo: \0\0\r\n")),
        ("invalid UTF-8", with_header(b"Subject: \xff\xfe\xc3\x28\r\nTo: \xff@\xff\r\n")),
        ("bare CR", b"From: jane@example.org\rTo: x@example.com\r\rbody".to_vec()),
        ("only line ends", b"\r\n\r\n\r\n".to_vec()),
        ("one octet", b"x".to_vec()),
    ]
}
