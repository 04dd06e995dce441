//! What each room costs by itself: `cargo bench --bench rooms`. For the whole beside its peers see `figures`.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../tests/support/name_server.rs"]
#[allow(dead_code)]
mod name_server;
mod samples;

use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use divan::Bencher;
use divan::counter::BytesCount;
use mailhatch::app::Event;
use mailhatch::auth::Authenticator;
use mailhatch::config::{Config, EventPart};
use mailhatch::event_id::{EventId, MessageDigest};
use mailhatch::intake::lmtp::{Session, SessionLimits, Step};
use mailhatch::ledger::{Begin, DeliveryLog, Ledger};
use mailhatch::mail::{BodyText, Content, Message, Partition};
use mailhatch::route::Routes;
use mailhatch::screen;
use mailhatch::trail::Trail;
use tokio::runtime::Runtime;

use samples::{config, envelope, message, signed};

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A message's header, indexed; the body is only looked for.
#[divan::bench(args = [2_000, 100_000, 10_000_000])]
fn mail_parse(bencher: Bencher<'_, '_>, octets: usize) {
    let content = Content::whole(message(1, octets));
    bencher.bench(|| Message::parse(black_box(content.clone())));
}

#[divan::bench]
fn mail_addresses_and_subject(bencher: Bencher<'_, '_>) {
    let message = Message::parse(Content::whole(message(1, 2_000)));
    bencher.bench(|| (black_box(&message).addresses("To"), message.subject(), message.message_id()));
}

/// All rules, none of which matches.
#[divan::bench]
fn screen(bencher: Bencher<'_, '_>) {
    let envelope = envelope();
    let message = Message::parse(Content::whole(message(1, 2_000)));
    bencher.bench(|| screen::examine(black_box(&envelope), black_box(&message), Trail::off()));
}

/// Found in the envelope, in the last mailbox.
#[divan::bench(args = [1, 100, 10_000])]
fn route(bencher: Bencher<'_, '_>, mailboxes: usize) {
    let (routes, envelope) = (Routes::new(&config(mailboxes)).unwrap(), envelope());
    let message = Message::parse(Content::whole(message(1, 2_000)));
    bencher.bench(|| routes.find(black_box(&message), black_box(&envelope.recipients[0]), &mut Trail::off()).unwrap());
}

/// Found nowhere: every source is looked at.
#[divan::bench(args = [1, 100, 10_000])]
fn route_unknown(bencher: Bencher<'_, '_>, mailboxes: usize) {
    let (routes, mut envelope) = (Routes::new(&config(mailboxes)).unwrap(), envelope());
    envelope.recipients[0].address = "nobody@app.example.com".to_owned();
    let text = String::from_utf8(message(1, 2_000)).unwrap().replace("incoming+", "nobody-");
    let message = Message::parse(Content::whole(text.into_bytes()));
    bencher
        .bench(|| routes.find(black_box(&message), black_box(&envelope.recipients[0]), &mut Trail::off()).unwrap_err());
}

/// What an application answered, without the keys that could stand in it: the message's own, also those of its header.
#[divan::bench(args = [1, 100, 10_000])]
fn mask(bencher: Bencher<'_, '_>, mailboxes: usize) {
    let (routes, envelope) = (Routes::new(&config(mailboxes)).unwrap(), envelope());
    let message = Message::parse(Content::whole(message(1, 2_000)));
    bencher.bench(|| {
        routes.mask_of(black_box(&envelope), Some(black_box(&message))).text("the application answered 200 OK")
    });
}

/// A recipient in which everything is a little wrong.
#[divan::bench(args = [1, 100, 10_000])]
fn mask_mistyped(bencher: Bencher<'_, '_>, mailboxes: usize) {
    let routes = Routes::new(&config(mailboxes)).unwrap();
    bencher.bench(|| routes.mask_recipient(black_box("incomming.0123456789abcdef@ap.example.com")));
}

#[divan::bench(args = [1, 100, 10_000], sample_count = 10)]
fn config_parse(bencher: Bencher<'_, '_>, mailboxes: usize) {
    let text = samples::config_text(mailboxes);
    bencher.bench(|| Config::parse(std::path::Path::new("bench.toml"), black_box(&text)).unwrap());
}

/// The LMTP session on octets, without a socket: one message over a kept session.
#[divan::bench(args = [4_096, 102_400, 10_000_000])]
fn lmtp_session(bencher: Bencher<'_, '_>, octets: usize) {
    let limits = SessionLimits { recipients: 100, message_size: 50_000_000 };
    let mut session = Session::new("mx.example.com", limits);
    session.push(b"LHLO client.example.org\r\n");
    while !matches!(session.step(), Step::Read) {}
    let mut input = b"MAIL FROM:<jane@example.org>\r\nRCPT TO:<incoming+key@app.example.com>\r\nDATA\r\n".to_vec();
    input.extend_from_slice(&message(1, octets));
    input.extend_from_slice(b".\r\n");
    bencher.counter(BytesCount::new(input.len())).bench_local(|| {
        let mut pieces = input.chunks(64 * 1024);
        let mut taken = None;
        loop {
            match session.step() {
                Step::Read => match pieces.next() {
                    Some(piece) => session.push(piece),
                    None => break,
                },
                Step::Begin { .. } => session.go(),
                Step::Submit(transaction) => {
                    taken = Some(transaction);
                    session.answer(["250 2.0.0 delivered"]);
                }
                Step::Write(_) => {}
                other => panic!("{other:?}"),
            }
        }
        taken.unwrap()
    });
}

#[divan::bench(args = [2_000, 100_000, 10_000_000])]
fn event_id(bencher: Bencher<'_, '_>, octets: usize) {
    let message = Message::parse(Content::whole(message(1, octets)));
    bencher.counter(BytesCount::new(octets)).bench(|| MessageDigest::of(black_box(&message), None));
}

/// The event's JSON with body, attachments and reply.
#[divan::bench(args = [2_000, 100_000, 10_000_000])]
fn event_json(bencher: Bencher<'_, '_>, octets: usize) {
    let event = event(octets);
    let parts = [EventPart::Body, EventPart::Attachments, EventPart::Reply];
    bencher.counter(BytesCount::new(octets)).bench(|| {
        let mut out = Vec::new();
        black_box(&event).write_json(&parts, &mut out).unwrap();
        out
    });
}

/// Ten megabytes of what an attacker would send: the time is linear in the length, whatever stands in it.
#[divan::bench(sample_count = 5, args = [">", ">\n", "On \n", "On 5 Jan 2016 at 10:00, a\n", "wrote:\n", "From: a\nTo: a\n", "--\n", "a <a@b>\n"])]
fn reply(bencher: Bencher<'_, '_>, line: &str) {
    let text = line.repeat(10_000_000 / line.len());
    bencher.bench(|| Partition::read(&BodyText::from_plain(black_box(text.as_str())), None));
}

/// The same in HTML, with turning it into text.
#[divan::bench(sample_count = 5, args = ["<div>", "<blockquote>a", "<br>", "<p>a", "<a href=http://x>a</a>", "&lt;", "<hr>", "<"])]
fn reply_html(bencher: Bencher<'_, '_>, tag: &str) {
    let html = tag.repeat(10_000_000 / tag.len());
    bencher.bench(|| Partition::read(&BodyText::from_html(black_box(&html)), None));
}

fn event(octets: usize) -> Event {
    let config = config(1);
    let (routes, envelope) = (Routes::new(&config).unwrap(), envelope());
    let message = Message::parse(Content::whole(message(1, octets)));
    let recipient = envelope.recipients[0].clone();
    let route = routes.find(&message, &recipient, &mut Trail::off()).unwrap();
    let id = EventId::of("box", route.key.reveal(), &MessageDigest::of(&message, None).expect("digest"));
    Event {
        id,
        time: SystemTime::UNIX_EPOCH,
        route,
        envelope: Arc::new(envelope),
        recipient,
        message,
        authentication: None,
    }
}

/// SPF, DKIM (RSA-2048) and DMARC of one message, the answers of a loopback name server in the cache.
#[divan::bench(args = [2_000, 100_000])]
fn authentication(bencher: Bencher<'_, '_>, octets: usize) {
    let (mail, zone) = signed(octets);
    let name_server = name_server::NameServer::start(zone);
    let mut config = config(1);
    config.auth.nameservers = vec![name_server.address()];
    config.auth.method = mailhatch::config::AuthMethod::Verify;
    let (authenticator, envelope) = (Authenticator::new(&config).unwrap(), envelope());
    let message = Message::parse(Content::whole(mail));
    let runtime = runtime();
    let found = runtime.block_on(authenticator.examine(&envelope, &message));
    assert_eq!(found.dmarc.name(), "pass", "{:?}", found.steps);
    bencher.bench_local(|| runtime.block_on(authenticator.examine(&envelope, &message)));
}

/// One delivery begun and recorded, by itself: it waits for the disk.
#[divan::bench(sample_count = 50)]
fn ledger_one_at_a_time(bencher: Bencher<'_, '_>) {
    deliveries(bencher, 1);
}

/// The same with sixteen at once: they share the disk.
#[divan::bench(sample_count = 50)]
fn ledger_sixteen_at_once(bencher: Bencher<'_, '_>) {
    deliveries(bencher, 16);
}

fn deliveries(bencher: Bencher<'_, '_>, at_once: u64) {
    let directory = tempfile::Builder::new().prefix("mh-bench-").tempdir_in("/var/tmp").unwrap();
    let mut config = config(1);
    config.state_dir = directory.path().join("state");
    let (ledger, runtime) = (Arc::new(Ledger::new(&config)), runtime());
    let mut number = 0;
    bencher.counter(divan::counter::ItemsCount::new(at_once)).bench_local(|| {
        let tasks: Vec<_> = (0..at_once)
            .map(|_| {
                number += 1;
                let ledger = Arc::clone(&ledger);
                let id = EventId::parse(&format!("{number:032x}")).unwrap();
                runtime.spawn(async move {
                    let Begin::New(claim) = ledger.begin(&id).await.unwrap() else { panic!("begun before") };
                    ledger.finish(claim).await.unwrap();
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    });
}
