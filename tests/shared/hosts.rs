//! Two hosts of one application.

use std::collections::BTreeMap;

use crate::support::config::BASE;
use crate::support::http_server::{HttpServer, Reply};
use crate::support::place::Place;
use crate::support::service::Service;

/// The secret of the application.
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

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
        "From: jane@example.org\r\nMessage-ID: <{number}@example.org>\r\nDate: Wed, 25 Nov 2026 12:00:00 +0000\r\n\
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
    host.lmtp().send("jane@example.org", &[&recipient(number)], &message(number)).remove(0)
}

/// The lines of a log that have all these pieces.
pub fn lines(log: &str, pieces: &[&str]) -> Vec<String> {
    log.lines().filter(|line| pieces.iter().all(|piece| line.contains(piece))).map(str::to_owned).collect()
}
