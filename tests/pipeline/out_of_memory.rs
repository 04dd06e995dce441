//! Out of memory is the end of the process, wherever it comes: what it had answered is there, and what it had not is sent again.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::*;

/// More address space than the process has now, in octets: too little for a large message.
const LEFT: u64 = 4 * 1024 * 1024;

const LARGE: usize = 20 * 1024 * 1024;

/// Lets the process have so little more that the next large message ends it (setrlimit(2), RLIMIT_AS).
fn starve(service: &Service) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmSize:")).unwrap();
    let size = line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024;
    let limit = Command::new("prlimit")
        .arg(format!("--pid={}", service.id()))
        .arg(format!("--as={}", size + LEFT))
        .status()
        .unwrap();
    assert!(limit.success(), "{limit}");
}

fn numbered(number: usize, size: usize) -> Vec<u8> {
    let body = "some words of the text\r\n".repeat(size / 24);
    format!("From: Jane <jane@example.org>\r\nMessage-ID: <{number}@example.org>\r\n\r\n{body}").into_bytes()
}

#[test]
fn a_process_that_runs_out_of_memory_loses_nothing_and_does_nothing_twice() {
    const KILLS: usize = 3;
    let mut service = Service::start(&spool_config());
    let (mut sent, mut number) = (Vec::new(), 0);
    for kill in 0..KILLS {
        for _ in 0..5 {
            number += 1;
            let mail = numbered(number, 2_000);
            let reply = service.lmtp().send("jane@example.org", &[REPLY_ADDRESS], &mail).remove(0);
            assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
            sent.push(mail);
        }
        starve(&service);
        number += 1;
        let mail = numbered(number, LARGE);
        let mut lmtp = service.lmtp();
        lmtp.command(&format!("MAIL FROM:<jane@example.org> SIZE={}", mail.len()), "250");
        lmtp.command(&format!("RCPT TO:<{REPLY_ADDRESS}>"), "250");
        lmtp.write("DATA\r\n");
        let said = lmtp.rest();
        assert!(!said.contains("250 "), "no promise for what is not there: {said}");
        sent.push(mail);
        let (status, place) = service.ended();
        assert_eq!(status.signal(), Some(nix::libc::SIGABRT), "kill {kill}: {status}");
        service = Service::start_in(place, &[]);
    }
    // Postfix sends again whatever it has no answer for, and here also what it has.
    let verdicts: Vec<_> = sent
        .iter()
        .map(|mail| service.lmtp().send("jane@example.org", &[REPLY_ADDRESS], mail).remove(0))
        .map(|reply| reply.split(':').next().unwrap_or_default().to_owned())
        .collect();
    let expected: Vec<_> =
        (0..sent.len()).map(|at| if at % 6 == 5 { "250 2.0.0 delivered" } else { "250 2.0.0 duplicate" }).collect();
    let found: Vec<_> = verdicts.iter().map(|verdict| verdict.split(" id=").next().unwrap_or_default()).collect();
    assert_eq!(found, expected);
    assert_eq!(service.place.spooled().len(), sent.len());
}
