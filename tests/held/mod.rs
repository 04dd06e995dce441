//! Copies kept back.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use mailhatch::held::{HeldCopy, HeldStore};
use mailhatch::mail::{Client, Content, ContentBuilder, Envelope, Message, Recipient, Sender};

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
    let (envelope, message) = (envelope(), Message::parse(content));
    let (id, recipient) = (id(number), &envelope.recipients[0]);
    let detail = "Auto-Submitted: auto-replied";
    let copy = HeldCopy {
        id: &id,
        verdict: "ignored",
        rule: "auto-submitted",
        detail,
        envelope: &envelope,
        recipient,
        message: &message,
    };
    store.hold(&copy).await.expect("held");
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
async fn the_old_ones_go_by_time_then_the_oldest_by_size() {
    let state = tempfile::tempdir().expect("directory");
    let store = store(state.path());
    for number in 1..=5 {
        hold(&store, number, Content::whole(vec![b'x'; 100_000])).await;
        // The later held, the higher the number.
        held_days_ago(state.path(), number, 10 - number as u32);
    }
    let untouched = store.purge(DAY * 10, MUCH).await.expect("purged");
    assert_eq!((untouched.removed, untouched.kept), (0, 5));
    assert!((500_000..1_000_000).contains(&untouched.kept_size), "{untouched:?}");
    let by_time = store.purge(DAY * 8, MUCH).await.expect("purged");
    assert_eq!((by_time.removed, by_time.kept), (2, 3));
    assert_eq!(numbers(&store).await, [3, 4, 5]);
    let by_size = store.purge(DAY * 10, untouched.kept_size / 5 * 2).await.expect("purged");
    assert_eq!((by_size.removed, by_size.kept), (1, 2));
    assert_eq!(numbers(&store).await, [4, 5]);
    store.purge(DAY * 10, 1).await.expect("purged");
    assert_eq!(numbers(&store).await, [5], "the newest may just have been promised to be safe");
}

#[tokio::test]
async fn holding_keeps_to_the_configured_size_without_being_asked() {
    let state = tempfile::tempdir().expect("directory");
    // Each copy is more than the 64th part of the limit, so a sweep follows each.
    let store = HeldStore::new(&config(state.path(), "[held]\nmax_size = \"500KiB\"\n"));
    for number in 1..=8 {
        hold(&store, number, Content::whole(vec![b'x'; 100_000])).await;
        held_days_ago(state.path(), number, 20 - number as u32);
    }
    let kept = numbers(&store).await;
    assert!((3..=5).contains(&kept.len()), "{kept:?}");
    assert_eq!(kept, (9 - kept.len() as u128..=8).collect::<Vec<_>>(), "the oldest went first");
    hold(&store, 9, Content::whole(vec![b'x'; 1_000_000])).await;
    assert_eq!(numbers(&store).await, [9], "a copy over the whole limit is kept all the same");
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
