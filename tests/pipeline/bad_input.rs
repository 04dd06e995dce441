//! Bad input ends in a verdict of the table, and a large message in little memory.

use super::*;
use crate::support::bad_messages::bad_messages;

const JANE: &str = "jane@example.org";

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
