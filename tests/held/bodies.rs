//! One message, one body.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailhatch::held::{HeldMessage, HeldStore};
use mailhatch::mail::Content;

use super::{MUCH, store, try_to_hold, unlike_others};
use crate::ledger::{config, id};

fn body(state: &Path, number: u128) -> PathBuf {
    state.join("held").join(id(number).as_str()).join("message.eml")
}

fn inode(state: &Path, number: u128) -> u64 {
    fs::metadata(body(state, number)).expect("body").ino()
}

/// What `du` says of a directory: a file with two names counts once.
pub fn taken(directory: &Path) -> u64 {
    fn add(directory: &Path, seen: &mut std::collections::HashSet<u64>) -> u64 {
        let mut octets = 0;
        // Another process may have removed it in the meantime, here and below.
        let Ok(entries) = fs::read_dir(directory) else { return 0 };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if seen.insert(metadata.ino()) {
                octets += metadata.len().next_multiple_of(4096);
            }
            if metadata.is_dir() {
                octets += add(&path, seen);
            }
        }
        octets
    }
    add(directory, &mut std::collections::HashSet::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_fifty_is_stored_once() {
    let state = tempfile::tempdir().expect("directory");
    let store = Arc::new(store(state.path()));
    let message = HeldMessage::of(&unlike_others(1, 1_000_000));
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let (store, message) = (Arc::clone(&store), message.clone());
            tokio::spawn(async move { try_to_hold(&store, number, "rejected", &message).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("task").expect("held");
    }
    let one = inode(state.path(), 0);
    for number in 0..50 {
        assert_eq!(inode(state.path(), number), one, "{number}");
        let (_, content) = store.read(&id(number)).await.expect("read").expect("there");
        assert_eq!(content.size(), 1_000_000, "{number}");
    }
    let (copies, octets) = store.totals().await.expect("totals");
    assert_eq!((copies, octets), (50, 1_000_000_u64.next_multiple_of(4096) + 50 * 8192));
    assert_eq!(store.check().await.expect("counted anew"), (copies, octets));
    for number in 0..49 {
        store.remove(&id(number)).await.expect("removed");
    }
    assert_eq!(
        store.read(&id(49)).await.expect("read").expect("there").1.size(),
        1_000_000,
        "the last one has it still"
    );
    store.remove(&id(49)).await.expect("removed");
    assert_eq!(store.totals().await.expect("totals"), (0, 0));
    assert_eq!(fs::read_dir(state.path().join("held/.bodies")).expect("list").count(), 0);
}

#[tokio::test]
async fn another_process_and_another_try_find_the_body() {
    let state = tempfile::tempdir().expect("directory");
    for number in 0..3 {
        // A store of its own: it shares nothing with the others but the directory.
        let (store, message) = (store(state.path()), HeldMessage::of(&unlike_others(1, 50_000)));
        try_to_hold(&store, number, "rejected", &message).await.expect("held");
    }
    assert_eq!([0, 1, 2].map(|number| inode(state.path(), number)), [inode(state.path(), 0); 3]);
}

#[tokio::test]
async fn messages_that_differ_in_one_octet_share_nothing() {
    let state = tempfile::tempdir().expect("directory");
    let store = store(state.path());
    let (one, other) = (vec![b'x'; 10_000], [vec![b'x'; 9_999], vec![b'y']].concat());
    for (number, text) in [(0, one), (1, other)] {
        try_to_hold(&store, number, "rejected", &HeldMessage::of(&Content::whole(text))).await.expect("held");
    }
    assert_ne!(inode(state.path(), 0), inode(state.path(), 1));
}

/// ext4 gives a file 65,000 names; a file system that gives more shares on.
#[tokio::test]
async fn a_body_with_as_many_names_as_it_can_have_costs_a_second_one() {
    let state = tempfile::tempdir().expect("directory");
    let store = HeldStore::new(&config(state.path(), ""));
    let content = || unlike_others(1, 50_000);
    try_to_hold(&store, 0, "rejected", &HeldMessage::of(&content())).await.expect("held");
    let names = state.path().join("names");
    fs::create_dir(&names).expect("directory");
    let full = (0..70_000).find(|number| fs::hard_link(body(state.path(), 0), names.join(number.to_string())).is_err());
    for number in 1..4 {
        try_to_hold(&store, number, "rejected", &HeldMessage::of(&content())).await.expect("held");
        assert_eq!(store.read(&id(number)).await.expect("read").expect("there").1.size(), 50_000);
    }
    assert_eq!(inode(state.path(), 0) != inode(state.path(), 1), full.is_some());
    assert_eq!(inode(state.path(), 2), inode(state.path(), 3), "the second body is shared as the first one was");
    fs::remove_dir_all(names).expect("removed");
    assert_eq!(store.totals().await.expect("totals"), store.check().await.expect("counted anew"));
}

/// As a file system without hard links: the names of the bodies cannot be made.
#[tokio::test]
async fn without_hard_links_each_copy_has_a_body_of_its_own() {
    let state = tempfile::tempdir().expect("directory");
    let store = store(state.path());
    for number in 0..3 {
        try_to_hold(&store, number, "rejected", &HeldMessage::of(&unlike_others(1, 50_000))).await.expect("held");
        let bodies = state.path().join("held/.bodies");
        fs::remove_dir_all(&bodies).expect("removed");
    }
    assert_ne!(inode(state.path(), 0), inode(state.path(), 1));
    assert_eq!(store.totals().await.expect("totals"), store.check().await.expect("counted anew"));
    store.purge(super::DAY, MUCH).await.expect("purged");
    for number in 0..3 {
        store.remove(&id(number)).await.expect("removed");
    }
    assert_eq!(store.totals().await.expect("totals"), (0, 0));
}
