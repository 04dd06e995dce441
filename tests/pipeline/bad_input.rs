//! Bad input ends in a verdict of the table, and a large message in little memory.

use super::*;

const JANE: &str = "jane@example.org";

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

#[test]
fn bad_input_is_delivered_by_its_envelope() {
    let service = Service::start(&spool_config());
    let mut lmtp = service.lmtp();
    for (name, mail) in bad_messages() {
        let reply = lmtp.send(JANE, &[REPLY_ADDRESS], &mail).remove(0);
        assert!(reply.starts_with("250 2.0.0 delivered"), "{name}: {reply}");
        let place = Place::new(&spool_config());
        let output = place.run(&["pipe", &format!("--recipient={REPLY_ADDRESS}")], &mail);
        assert!(
            output.stdout.starts_with(b"2.0.0 delivered"),
            "{name} by pipe: {:?}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    assert_eq!(service.place.spooled().len(), bad_messages().len());
}

#[test]
fn bad_input_without_a_known_recipient_is_rejected() {
    let service = Service::start(&spool_config());
    let mut lmtp = service.lmtp();
    for (name, mail) in bad_messages() {
        let reply = lmtp.send(JANE, &["nobody@example.com"], &mail).remove(0);
        assert!(reply.starts_with("250 2.0.0 rejected: unknown-address"), "{name}: {reply}");
    }
}

#[test]
fn an_empty_message_by_lmtp_ends_in_a_verdict() {
    let service = Service::start(&spool_config());
    let reply = service.lmtp().send(JANE, &[REPLY_ADDRESS], b"").remove(0);
    assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
}

#[test]
fn a_message_of_50_mib_takes_less_than_three_times_its_size() {
    const SIZE: usize = 50 * 1024 * 1024;
    let service = Service::start(&spool_config());
    let mut mail =
        b"From: jane@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            .to_vec();
    while mail.len() < SIZE - 100 {
        mail.extend_from_slice(b"bWFpbGhhdGNoIG1haWxoYXRjaCBtYWlsaGF0Y2ggbWFpbGhhdGNoIG1haWxoYXRjaCBtYWls\r\n");
    }
    mail.extend_from_slice(b"--b--\r\n");
    let reply = service.lmtp().send(JANE, &[REPLY_ADDRESS], &mail).remove(0);
    assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
    let peak = service.peak_memory();
    println!(
        "a message of {} octets: peak memory {peak} octets, {:.2} times",
        mail.len(),
        peak as f64 / mail.len() as f64
    );
    assert!(peak < 3 * mail.len() as u64, "{peak}");
    let event = service.place.path().join("spool").join(&service.place.spooled()[0]);
    assert_eq!(std::fs::metadata(event.join("message.eml")).unwrap().len(), mail.len() as u64);
}
