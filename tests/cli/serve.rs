//! The service as an administrator starts it and changes its configuration.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;

use crate::support::config::{BASE, REPLY_ADDRESS, SPOOL};
use crate::support::process::Process;
use crate::support::service::{Place, Service};
use crate::support::wait::wait_for;

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

/// Its sockets are open, and it is not ready: its log is held up. A reload then waits, and does not end it.
#[test]
fn a_reload_in_the_middle_of_the_start_is_done_after_it() {
    let place = Place::new(&format!("{BASE}{SPOOL}"));
    let (mut log, mut full) = std::io::pipe().unwrap();
    full.write_all(&[b'x'; 64 * 1024]).unwrap();
    let mut service = Process::start(place.command(&["serve"]).stderr(full));
    wait_for("the socket", || UnixStream::connect(place.socket()).ok());
    service.signal(Signal::SIGHUP);
    log.read_exact(&mut [0; 64 * 1024]).unwrap();
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("configuration reloaded")), "ended: {:?}", service.ended());
}
