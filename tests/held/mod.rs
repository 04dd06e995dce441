//! Copies kept back.

mod bodies;
mod clock;
mod killed;
mod promises;
mod released;
mod room;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use mailhatch::held::{HeldCopy, HeldMessage, HeldStore};
use mailhatch::mail::{Client, Content, ContentBuilder, Envelope, Recipient, Sender};
use mailhatch::state_dir::StateError;

use crate::ledger::{config, id};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MUCH: u64 = 1 << 40;

fn envelope() -> Envelope {
    Envelope {
        sender: Sender::Unknown,
        recipients: vec![Recipient {
            address: "in+Key@example.com".into(),
            original: Some("alias@example.com".into()),
        }],
        client: Client { address: "2001:db8::7".parse().ok(), helo: Some("h".into()), name: None },
        queue_id: Some("4XyZ".into()),
        origin: mailhatch::mail::Origin::Smtp,
    }
}

fn store(state: &Path) -> HeldStore {
    HeldStore::new(&config(state, ""))
}

async fn hold(store: &HeldStore, number: u128, content: Content) {
    try_to_hold(store, number, "ignored", &HeldMessage::of(&content)).await.expect("held");
}

async fn try_to_hold(
    store: &HeldStore,
    number: u128,
    verdict: &'static str,
    message: &HeldMessage,
) -> Result<(), StateError> {
    let envelope = envelope();
    let (id, recipient) = (id(number), &envelope.recipients[0]);
    let (rule, detail) = ("auto-submitted", "Auto-Submitted: auto-replied");
    let copy = HeldCopy { id: &id, verdict, rule, detail, envelope: &envelope, recipient, message };
    store.hold(&copy).await
}

/// A message of so many octets that is not any other one.
fn unlike_others(number: u128, octets: usize) -> Content {
    let mut text = format!("Subject: {number}\r\n\r\n").into_bytes();
    text.resize(octets, b'x');
    Content::whole(text)
}

/// As if it had been held so many days ago.
fn held_days_ago(state: &Path, number: u128, days: u32) {
    let file = fs::File::open(state.join("held").join(id(number).as_str()).join("held.json")).expect("file");
    file.set_modified(SystemTime::now() - DAY * days).expect("time");
}

async fn numbers(store: &HeldStore) -> Vec<u128> {
    let list = store.list().await.expect("list");
    assert!(list.unreadable.is_empty(), "{:?}", list.unreadable);
    let mut numbers: Vec<_> =
        list.records.iter().map(|record| u128::from_str_radix(record.id.as_str(), 16).expect("number")).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_copy_is_kept_shown_read_and_removed() {
    let state = tempfile::tempdir().expect("directory");
    let store = store(state.path());
    assert_eq!(numbers(&store).await, [0; 0], "none, before anything was held");
    let text = &b"Subject: a\r\n\r\nb\xff\0\r\n"[..];
    hold(&store, 1, Content::whole(text)).await;
    let record = store.show(&id(1)).await.expect("shown").expect("there");
    assert_eq!((record.envelope.clone(), record.recipient.clone()), (envelope(), envelope().recipients[0].clone()));
    assert_eq!(
        (record.verdict.as_str(), record.rule.as_str(), record.size),
        ("ignored", "auto-submitted", text.len() as u64)
    );
    let (again, content) = store.read(&id(1)).await.expect("read").expect("there");
    assert_eq!((again, content.head().as_ref()), (record, text));
    assert!(store.remove(&id(1)).await.expect("removed"));
    assert!(!store.remove(&id(1)).await.expect("nothing to remove"));
    assert_eq!(store.show(&id(1)).await.expect("shown"), None);
    assert!(store.read(&id(1)).await.expect("read").is_none());
}

#[tokio::test]
async fn a_copy_is_for_its_owner_only() {
    let state = tempfile::tempdir().expect("directory");
    hold(&store(state.path()), 1, Content::whole(&b"\r\n"[..])).await;
    let copy = state.path().join("held").join(id(1).as_str());
    let rows = [("", 0o700), ("message.eml", 0o600), ("held.json", 0o600), ("..", 0o700)];
    for (name, mode) in rows {
        assert_eq!(fs::metadata(copy.join(name)).expect(name).permissions().mode() & 0o777, mode, "{name}");
    }
}

#[tokio::test]
async fn a_second_try_finds_the_copy_of_the_first() {
    let state = tempfile::tempdir().expect("directory");
    let store = store(state.path());
    hold(&store, 1, Content::whole(&b"\r\nfirst"[..])).await;
    held_days_ago(state.path(), 1, 29);
    hold(&store, 1, Content::whole(&b"\r\nsecond"[..])).await;
    let (_, content) = store.read(&id(1)).await.expect("read").expect("there");
    assert_eq!(content.head().as_ref(), b"\r\nfirst");
    store.purge(DAY, MUCH).await.expect("purged");
    assert_eq!(numbers(&store).await, [1], "its time begins anew");
}

#[tokio::test]
async fn a_too_large_message_is_kept_and_read_whole() {
    let state = tempfile::tempdir().expect("directory");
    let store = HeldStore::new(&config(state.path(), "[limits]\nmessage_size = \"10KiB\"\n"));
    let (head, rest) = (vec![b'h'; 10 * 1024], vec![b'r'; 100_000]);
    let mut builder = ContentBuilder::new(head.len() as u64, state.path());
    builder.push(&[head.as_slice(), &rest].concat()).expect("written");
    hold(&store, 1, builder.finish()).await;
    let (record, content) = store.read(&id(1)).await.expect("read").expect("there");
    assert_eq!((record.size, content.size(), content.is_too_large()), (110_240, 110_240, true));
    let mut whole = Vec::new();
    content.write_to(&mut whole).expect("written");
    assert!(whole == [head, rest].concat());
}

#[tokio::test]
async fn a_sweep_takes_what_a_killed_process_left_and_nothing_else() {
    let state = tempfile::tempdir().expect("directory");
    let store = store(state.path());
    hold(&store, 1, Content::whole(&b"\r\n"[..])).await;
    let held = state.path().join("held");
    for (name, age) in [(".tmp-old", DAY), (".tmp-new", Duration::ZERO), ("of the administrator", DAY)] {
        fs::create_dir(held.join(name)).expect("directory");
        fs::write(held.join(name).join("message.eml"), "x").expect("file");
        fs::File::open(held.join(name)).expect("open").set_modified(SystemTime::now() - age).expect("time");
    }
    let purged = store.purge(DAY, MUCH).await.expect("purged");
    assert_eq!((purged.removed, purged.kept), (0, 1));
    assert!(
        !held.join(".tmp-old").exists() && held.join(".tmp-new").exists() && held.join("of the administrator").exists()
    );
}

#[tokio::test]
async fn a_copy_that_cannot_be_read_does_not_hide_the_others() {
    let state = tempfile::tempdir().expect("directory");
    let store = store(state.path());
    for number in [1, 2] {
        hold(&store, number, Content::whole(&b"\r\n"[..])).await;
    }
    let broken = state.path().join("held").join(id(1).as_str()).join("held.json");
    fs::write(&broken, "{").expect("broken");
    let list = store.list().await.expect("list");
    assert_eq!((list.records.len(), list.unreadable.len()), (1, 1));
    assert!(list.unreadable[0].detail.contains(broken.to_str().expect("path")), "{}", list.unreadable[0]);
    store.show(&id(1)).await.expect_err("not readable");
    assert!(broken.with_file_name("message.eml").metadata().expect("message").size() > 0);
}
