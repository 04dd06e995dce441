//! How much memory mailhatch takes when much comes at once, and after very many messages; how long it takes over bad input.
//!
//! `make memory` runs it with a release build and prints the figures. Not part of `make test`: it says how fast a machine is.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and prints its result")]

mod shapes;
#[path = "../support/mod.rs"]
mod support;

use std::process::Stdio;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::bad_messages::bad_messages;
use support::config::{BASE, REPLY_ADDRESS, SPOOL, WEBHOOK_SECRET, http_app};
use support::http_server::{HttpServer, Reply};
use support::name_server::{NameServer, Zone};
use support::process::Process;
use support::service::{Place, Service, stuffed};
use support::wait::LIMIT;

const MIB: u64 = 1024 * 1024;

/// One line of `/proc/PID/status`, in MiB.
fn memory(service: &Service, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// With senders checked, as they are by default.
fn verifying(names: &NameServer) -> String {
    BASE.replace("method = \"off\"", &format!("method = \"verify\"\nnameservers = [\"{}\"]", names.address()))
}

fn names() -> NameServer {
    NameServer::start(Zone::new().txt("*.example.org", "v=spf1 ip4:198.51.100.1 -all"))
}

fn large_message(number: usize, size: usize) -> Vec<u8> {
    let mut mail = format!(
        "From: Jane <jane@example.org>\r\nMessage-ID: <{number}@example.org>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n\
         Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    .into_bytes();
    while mail.len() < size - 100 {
        mail.extend_from_slice(b"bWFpbGhhdGNoIG1haWxoYXRjaCBtYWlsaGF0Y2ggbWFpbGhhdGNoIG1haWxoYXRjaCBtYWls\r\n");
    }
    mail.extend_from_slice(b"--b--\r\n");
    mail
}

/// All at once, each with its size declared as Postfix does it; what is deferred is sent again.
fn two_hundred_connections(service: &Service, what: &str) {
    const CONNECTIONS: usize = 200;
    let idle = memory(service, "VmRSS");
    let (together, deferred, start) = (Barrier::new(CONNECTIONS), AtomicUsize::new(0), Instant::now());
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (together, deferred) = (&together, &deferred);
            scope.spawn(move || {
                let mail = large_message(number, 10 * MIB as usize);
                let data = stuffed(&mail);
                let mut lmtp = service.lmtp();
                together.wait();
                loop {
                    lmtp.command(&format!("MAIL FROM:<jane@d{number}.example.org> SIZE={}", mail.len()), "250");
                    lmtp.command(&format!("RCPT TO:<{REPLY_ADDRESS}>"), "250");
                    lmtp.write(b"DATA\r\n");
                    let mut reply = lmtp.reply();
                    if reply.starts_with("354") {
                        lmtp.write(&data);
                        reply = lmtp.reply();
                    }
                    if reply.starts_with("250 2.0.0 delivered") {
                        return;
                    }
                    assert!(reply.starts_with("45"), "{reply}");
                    deferred.fetch_add(1, Ordering::SeqCst);
                    lmtp.command("RSET", "250");
                }
            });
        }
    });
    let peak = memory(service, "VmHWM");
    println!(
        "200 connections with 10 MiB each at once, {what}: peak {peak} MiB (idle {idle} MiB), {} replies \"later\", {:.1} s",
        deferred.load(Ordering::SeqCst),
        start.elapsed().as_secs_f32()
    );
    // limits.memory is 512 MiB for the messages; what is worked out from them is small beside it.
    assert!(peak < 1024, "{peak} MiB");
}

#[test]
#[ignore = "figures: make memory"]
fn much_at_once_into_a_spool() {
    two_hundred_connections(&Service::start(&format!("{BASE}{SPOOL}")), "spool");
}

/// The event carries each attachment once more, in base64.
#[test]
#[ignore = "figures: make memory"]
fn much_at_once_into_a_webhook() {
    let server = HttpServer::tcp(|_| Reply::json(200, "{}"));
    server.drop_bodies();
    two_hundred_connections(&Service::start_in(webhook(BASE, &server), &[]), "webhook");
}

fn webhook(config: &str, server: &HttpServer) -> Place {
    Place::with_http_app(config, "webhook", server.url())
}

/// Each message another one, from 500 domains, to a webhook, its sender checked: 100,000, or as many as MESSAGES says.
#[test]
#[ignore = "figures: make memory"]
fn no_growth_over_many_messages() {
    const SESSIONS: usize = 20;
    let messages = std::env::var("MAILHATCH_MEMORY_MESSAGES").ok().filter(|text| !text.is_empty());
    let messages = messages.map_or(100_000, |text| text.parse::<usize>().unwrap());
    let tenth = messages / 10;
    let (names, server) = (names(), HttpServer::tcp(|_| Reply::json(200, "{}")));
    let service = Service::start_in(webhook(&verifying(&names), &server), &[]);
    let (start, mut sizes) = (Instant::now(), Vec::new());
    for step in 0..10 {
        thread::scope(|scope| {
            for session in 0..SESSIONS {
                let service = &service;
                scope.spawn(move || {
                    let mut lmtp = service.lmtp();
                    for number in (step * tenth..(step + 1) * tenth).skip(session).step_by(SESSIONS) {
                        let sender = format!("jane@d{}.example.org", number % 500);
                        let mail = format!(
                            "From: {sender}\r\nMessage-ID: <{number}@example.org>\r\nSubject: {number}\r\n\r\n{}",
                            "some words of the text\r\n".repeat(number % 200)
                        );
                        let reply = lmtp.send(&sender, &[REPLY_ADDRESS], mail.as_bytes()).remove(0);
                        assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
                    }
                });
            }
        });
        server.forget_requests();
        sizes.push(memory(&service, "VmRSS"));
        println!(
            "after {:>7} messages: {:>3} MiB resident (peak {} MiB), {:.0} s",
            (step + 1) * tenth,
            sizes[step],
            memory(&service, "VmHWM"),
            start.elapsed().as_secs_f32()
        );
    }
    // Caches are full after the first tenth.
    assert!(sizes[9] <= sizes[0] + 8, "{sizes:?} MiB");
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Each kind of bad input through the service, and through a process of its own.
#[test]
#[ignore = "figures: make memory"]
fn bad_input_takes_less_than_a_second() {
    let names = names();
    let service = Service::start(&format!("{}{SPOOL}", verifying(&names)));
    let mut lmtp = service.lmtp();
    let server = HttpServer::tcp(|_| Reply::json(200, "{}"));
    let hook = Service::start_in(webhook(&verifying(&names), &server), &[]);
    let mut hook_lmtp = hook.lmtp();
    // Their first message opens the ledger and reads certificates.
    for lmtp in [&mut lmtp, &mut hook_lmtp] {
        lmtp.send("jane@d1.example.org", &[REPLY_ADDRESS], b"Subject: warm\r\n\r\nup\r\n");
    }
    println!("{:<28} {:>10} {:>14} {:>14} {:>14}", "message", "octets", "spool, ms", "webhook, ms", "pipe, ms");
    let mut slowest = Duration::ZERO;
    for (name, mail) in bad_messages() {
        let mut times = Vec::new();
        for lmtp in [&mut lmtp, &mut hook_lmtp] {
            let start = Instant::now();
            let reply = lmtp.send("jane@d1.example.org", &[REPLY_ADDRESS], &mail).remove(0);
            times.push(start.elapsed());
            assert!(reply.starts_with("250 2.0.0 delivered"), "{name}: {reply}");
        }
        let place = Place::new(&format!("{}{SPOOL}", verifying(&names)));
        let start = Instant::now();
        let output =
            place.run(&["pipe", "--sender=jane@d1.example.org", &format!("--recipient={REPLY_ADDRESS}")], &mail);
        times.push(start.elapsed());
        assert!(output.stdout.starts_with(b"2.0.0 delivered"), "{name}: {output:?}");
        let shown: Vec<_> = times.iter().map(|time| format!("{:>14.1}", milliseconds(*time))).collect();
        println!("{name:<28} {:>10} {}", mail.len(), shown.join(" "));
        slowest = times.into_iter().fold(slowest, Duration::max);
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// CPU time of the service so far.
fn cpu(service: &Service) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.id())).unwrap();
    // Behind the name in brackets the third field comes; utime and stime are the 14th and 15th, in hundredths (proc_pid_stat(5)).
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = [11, 12].iter().map(|&field: &usize| fields[field].parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// The longest that a short message of another connection waits for its answer while `busy` runs, a message after the other.
fn longest_wait(service: &Service, busy: impl FnOnce() + Send) -> Duration {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let done = &done;
        let other = scope.spawn(move || {
            let (mut lmtp, mut longest, mut number) = (service.lmtp(), Duration::ZERO, 0);
            while !done.load(Ordering::SeqCst) {
                number += 1;
                let mail = format!("Message-ID: <small-{number}@example.org>\r\n\r\nhello\r\n");
                let start = Instant::now();
                let reply = lmtp.send("jane@d2.example.org", &[REPLY_ADDRESS], mail.as_bytes()).remove(0);
                assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
                longest = longest.max(start.elapsed());
            }
            longest
        });
        // Ends the other one also where it panics.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(busy));
        done.store(true, Ordering::SeqCst);
        let longest = other.join().unwrap();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        longest
    })
}

/// One mail of 10 MB of each shape to 50 recipients, of a service of its own, to a webhook with all that an event can carry: what
/// `docs/security.md` promises of it.
#[test]
#[ignore = "figures: make memory"]
fn ten_megabytes_of_any_shape_to_fifty_recipients() {
    const RECIPIENTS: usize = 50;
    let names = names();
    let recipients: Vec<_> =
        (0..RECIPIENTS).map(|number| format!("incoming+{number:032x}@gitlab.example.com")).collect();
    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
    let wanted = std::env::var("MAILHATCH_MEMORY_SHAPE").unwrap_or_default();
    println!(
        "{:<40} {:>9} {:>9} {:>22} {:>17}",
        "10 MB to 50 recipients", "octets", "peak, MiB", "CPU a recipient, ms", "another waits, ms"
    );
    let mut wrong = Vec::new();
    for (name, make) in shapes::SHAPES.iter().filter(|(name, _)| name.contains(&wanted)) {
        let mail = make(10_000_000);
        let server = HttpServer::tcp(|_| Reply::json(200, "{}"));
        server.drop_bodies();
        let config = verifying(&names) + "[limits]\ndeadline = \"600s\"\n";
        let parts = "parts = [\"body\", \"attachments\", \"reply\", \"raw\"]";
        let place = Place::new(&format!("{config}{}", http_app("webhook", server.url(), parts)));
        place.write_secret("secret", WEBHOOK_SECRET);
        let service = Service::start_in(place, &[]);
        service.lmtp().send("jane@d1.example.org", &[REPLY_ADDRESS], b"Subject: warm\r\n\r\nup\r\n");
        let before = cpu(&service);
        let longest = longest_wait(&service, || {
            for reply in service.lmtp().send("jane@d1.example.org", &recipients, &mail) {
                assert!(reply.starts_with("250 2.0.0 delivered"), "{name}: {reply}");
            }
        });
        let each = (cpu(&service) - before) / u32::try_from(RECIPIENTS).unwrap();
        let peak = memory(&service, "VmHWM");
        println!("{name:<40} {:>9} {peak:>9} {:>22.0} {:>17.0}", mail.len(), milliseconds(each), milliseconds(longest));
        if peak >= 400 || each >= Duration::from_secs(1) || longest >= Duration::from_secs(1) {
            wrong.push(*name);
        }
    }
    assert!(wrong.is_empty(), "over the bounds: {wrong:?}");
}

/// What a process of `pipe` takes for a small and for a large message.
#[test]
#[ignore = "figures: make memory"]
fn peak_of_one_pipe_process() {
    for (name, size) in [("1 KiB", 1024), ("10 MiB", 10 * MIB as usize), ("50 MiB", 50 * MIB as usize - 1000)] {
        let place = Place::new(&format!("{BASE}{SPOOL}"));
        let mail = place.path().join("mail");
        std::fs::write(&mail, large_message(1, size.max(1024))).unwrap();
        // Looked at until it ends: the peak is known from the last look.
        let mut command = place.command(&["pipe", &format!("--recipient={REPLY_ADDRESS}")]);
        command.stdin(std::fs::File::open(&mail).unwrap()).stdout(Stdio::null());
        let mut process = Process::start(&mut command);
        let status = format!("/proc/{}/status", process.id());
        let (mut peak, started) = (0_u32, Instant::now());
        while process.ended().is_none() {
            assert!(started.elapsed() < LIMIT, "pipe has no end");
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            peak = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(peak).max(peak);
        }
        println!("pipe with a message of {name}: peak {:.1} MiB", f64::from(peak) / 1024.0);
        assert!(u64::from(peak) * 1024 < 3 * size as u64 + 64 * MIB, "{peak} KiB");
    }
}
