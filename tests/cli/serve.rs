//! The service as an administrator starts it and changes its configuration.

use crate::support::config::{BASE, REPLY_ADDRESS, SPOOL};
use crate::support::service::{Place, Service};

const SENDER: &str = "jane@example.org";

fn config(message_size: &str, recipients: usize) -> String {
    format!("{BASE}[limits]\nmessage_size = \"{message_size}\"\nrecipients = {recipients}\n{SPOOL}")
}

fn message(octets: usize) -> Vec<u8> {
    let line = format!("{}\r\n", "x".repeat(70));
    let header = format!("From: {SENDER}\r\nMessage-ID: <{octets}@example.org>\r\n\r\n");
    [header.as_bytes(), line.repeat(octets / line.len() + 1).as_bytes()].concat()
}

/// Postfix keeps a connection for many messages, so the limits must not be those of its beginning.
#[test]
fn a_reload_changes_the_limits_of_a_connection_that_is_open() {
    let service = Service::start(&config("100KiB", 1));
    let mut client = service.lmtp();
    let large = message(200 * 1024);
    let reply = client.send(SENDER, &[REPLY_ADDRESS], &large).remove(0);
    assert!(reply.starts_with("250 2.0.0 rejected: too-large ("), "{reply}");
    assert!(reply.contains("the limit is 100.0 KiB"), "{reply}");

    service.place.configure(&config("1MiB", 2));
    service.reload();
    let two = [REPLY_ADDRESS, "incoming+Another1@gitlab.example.com"];
    let replies = client.send(SENDER, &two, &large);
    assert!(replies[0].starts_with("250 2.0.0 delivered"), "{replies:?}");
    assert_eq!(replies.len(), 2);

    service.place.configure(&config("100KiB", 2));
    service.reload();
    let reply = client.send(SENDER, &[REPLY_ADDRESS], &message(300 * 1024)).remove(0);
    assert!(reply.contains("the limit is 100.0 KiB"), "{reply}");
}

/// Otherwise a message that the new message_size lets in would be deferred until a restart.
#[test]
fn a_reload_changes_the_memory_for_messages_too() {
    let with =
        |size: &str, memory: &str| format!("{BASE}[limits]\nmessage_size = \"{size}\"\nmemory = \"{memory}\"\n{SPOOL}");
    let service = Service::start(&with("100KiB", "200KiB"));
    let mut client = service.lmtp();
    service.place.configure(&with("4MiB", "8MiB"));
    service.reload();
    let reply = client.send(SENDER, &[REPLY_ADDRESS], &message(3 * 1024 * 1024)).remove(0);
    assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
}

#[test]
fn a_service_without_a_socket_does_not_start() {
    let place = Place::new(&format!("{BASE}{SPOOL}").replace("[\"unix:{dir}/lmtp.sock\"]", "[]"));
    let output = place.run(&["serve"], b"");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("there is nothing to listen on: set listen.lmtp, or start mailhatch.socket"), "{text}");
}
