//! Out of memory is the end of the process, wherever it comes: what it had answered is there, and what it had not is sent again.

use std::os::unix::process::ExitStatusExt;
use std::thread;

use super::*;
use crate::support::dialogue::{Dialogue, stuffed};

/// Messages at once that are more than the process may take, and their size in octets.
const LARGE: usize = 3;
const SIZE: usize = 45 * 1024 * 1024;

fn numbered(number: usize, size: usize) -> Vec<u8> {
    let body = "some words of the text\r\n".repeat(size / 24);
    format!("From: Jane <jane@example.org>\r\nMessage-ID: <{number}@example.org>\r\n\r\n{body}").into_bytes()
}

#[test]
fn a_process_that_runs_out_of_memory_loses_nothing_and_does_nothing_twice() {
    let mut service = Service::start(&spool_config());
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for kill in 0..2 {
        for _ in 0..5 {
            let mail = numbered(small.len() + large.len(), 2_000);
            let reply = service.lmtp().send("jane@example.org", &[REPLY_ADDRESS], &mail).remove(0);
            assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
            small.push(mail);
        }
        service.starve(4 * 1024 * 1024);
        let at_once: Vec<_> = (0..LARGE).map(|more| numbered(small.len() + large.len() + more, SIZE)).collect();
        thread::scope(|scope| {
            for mail in &at_once {
                let socket = service.place.socket();
                scope.spawn(move || {
                    let Ok(mut lmtp) = Dialogue::unix(&socket) else { return };
                    let commands = format!(
                        "LHLO client.example.com\r\nMAIL FROM:<jane@example.org> SIZE={}\r\nRCPT TO:<{REPLY_ADDRESS}>\r\nDATA\r\n",
                        mail.len()
                    );
                    // The process may be gone at any octet of it.
                    let _ = lmtp.write(commands.as_bytes()).and_then(|()| lmtp.write(&stuffed(mail)));
                    let said = lmtp.rest();
                    assert!(!said.contains("delivered"), "no promise for what is not there: {said}");
                });
            }
        });
        large.extend(at_once);
        let (status, place) = service.ended();
        assert_eq!(status.signal(), Some(6), "kill {kill}: SIGABRT, not {status}");
        service = Service::start_in(place, &[]);
    }
    // An MTA sends again whatever it has no answer for; here also what it has.
    for (mails, verdict) in [(&small, "250 2.0.0 duplicate"), (&large, "250 2.0.0 delivered")] {
        for mail in mails {
            let reply = service.lmtp().send("jane@example.org", &[REPLY_ADDRESS], mail).remove(0);
            assert!(reply.starts_with(verdict), "{reply}");
        }
    }
    assert_eq!(service.place.spooled().len(), small.len() + large.len());
}
