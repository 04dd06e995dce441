//! Two hosts of one application.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::config::BASE;
use crate::support::http_server::{HttpServer, Reply};
use crate::support::place::Place;
use crate::support::redis::Redis;
use crate::support::service::Service;
use crate::support::wait::wait_for_or;

/// The secret of the application.
pub const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

pub const JANE: &str = "jane@example.org";

/// An application that takes everything.
pub fn application() -> HttpServer {
    HttpServer::tcp(|_| Reply::json(200, "{}"))
}

/// How often the application has each id.
pub fn handed_over(application: &HttpServer) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for request in application.requests() {
        *ids.entry(request.header("webhook-id").to_owned()).or_default() += 1;
    }
    ids
}

/// The lines of `[shared]` for one Redis.
pub fn shared(redis: &Redis) -> String {
    format!("url = \"{}\"", redis.url())
}

/// The configuration of one host; `shared` are the lines of `[shared]`.
pub fn config(name: &str, application: &HttpServer, shared: &str) -> String {
    let base = BASE.replace("mx.example.com", name);
    let shared = if shared.is_empty() { String::new() } else { format!("[shared]\n{shared}\n") };
    format!(
        "{base}{shared}[[mailbox]]\nname = \"m\"\naddress = \"incoming+%{{key}}@mail.example.com\"\napp = \"app\"\n\
         [[app]]\nname = \"app\"\nkind = \"webhook\"\nurl = \"{}\"\nsecret_file = \"{{dir}}/secret\"\n",
        application.url()
    )
}

/// A host before its first process.
pub fn place(name: &str, application: &HttpServer, shared: &str) -> Place {
    let place = Place::new(&config(name, application, shared));
    place.write_secret("secret", SECRET);
    place
}

/// A host with `serve`.
pub fn host(name: &str, application: &HttpServer, shared: &str) -> Service {
    Service::start_in(place(name, application, shared), &[])
}

/// One message, the same wherever it comes in.
pub fn message(number: usize) -> Vec<u8> {
    format!(
        "From: {JANE}\r\nMessage-ID: <{number}@example.org>\r\nDate: Wed, 25 Nov 2026 12:00:00 +0000\r\n\
         Subject: number {number}\r\n\r\nIt works.\r\n"
    )
    .into_bytes()
}

/// For whom message `number` is.
pub fn recipient(number: usize) -> String {
    format!("incoming+key{number}@mail.example.com")
}

/// Hands one message to a host; its reply.
#[track_caller]
pub fn send(host: &Service, number: usize) -> String {
    host.lmtp().send(JANE, &[&recipient(number)], &message(number)).remove(0)
}

/// The same with `pipe`; its first line.
#[track_caller]
pub fn pipe(place: &Place, number: usize) -> String {
    let output = place
        .run(&["pipe", &format!("--sender={JANE}"), &format!("--recipient={}", recipient(number))], &message(number));
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

/// Hands messages to a host over several sessions, and each again that is deferred, as Postfix does. Gives each one's last
/// reply.
pub fn send_all(host: &Service, messages: usize, sessions: usize) -> BTreeMap<usize, String> {
    let (next, replies) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..sessions {
            scope.spawn(|| {
                let mut lmtp = host.lmtp();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= messages {
                        return;
                    }
                    let taken = wait_for_or(
                        "250",
                        || {
                            let reply = lmtp.send(JANE, &[&recipient(number)], &message(number)).remove(0);
                            reply.starts_with("250").then_some(reply)
                        },
                        || host.log(),
                    );
                    replies.lock().unwrap().insert(number, taken);
                }
            });
        }
    });
    replies.into_inner().unwrap()
}

/// The lines of a log that have all these pieces.
pub fn lines(log: &str, pieces: &[&str]) -> Vec<String> {
    log.lines().filter(|line| pieces.iter().all(|piece| line.contains(piece))).map(str::to_owned).collect()
}

/// How many messages: a number that a test can be told.
pub fn messages(usual: usize) -> usize {
    std::env::var("MAILHATCH_SHARED_MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
