//! Releasing a copy: once, by one, and never for another message's sake.

use std::fs;
use std::time::Duration;

use mailhatch::held::{HeldClaim, HeldMessage, HeldRecord};
use mailhatch::ledger::{DeliveryLog, Ledger};

use super::{DAY, MUCH, hold, numbers, store, try_to_hold, unlike_others};
use crate::ledger::{claimed, config, id};
use crate::support::config::{BASE, REPLY_ADDRESS, SPOOL};
use crate::support::service::Place;

#[tokio::test]
async fn a_copy_is_in_the_hands_of_one() {
    let state = tempfile::tempdir().expect("directory");
    let (one, other) = (store(state.path()), store(state.path()));
    hold(&one, 1, unlike_others(1, 1000)).await;
    let HeldClaim::Claimed(claimed) = one.claim(&id(1)).await.expect("answer") else { panic!("claimed") };
    assert_eq!((claimed.record.id.clone(), claimed.content.size()), (id(1), 1000));
    assert!(claimed.age < Duration::from_secs(60));
    for store in [&one, &other] {
        assert!(matches!(store.claim(&id(1)).await, Ok(HeldClaim::InUse)));
    }
    other.purge(Duration::ZERO, 1).await.expect("purged");
    assert_eq!(numbers(&one).await, [1], "it is not swept meanwhile");
    // The same message once more: it is there, or is handed over.
    let content = unlike_others(1, 1000);
    try_to_hold(&one, 1, "held", &HeldMessage::of(&content.clone())).await.expect("held");
    try_to_hold(&other, 1, "ignored", &HeldMessage::of(&content)).await.expect("held");
    drop(claimed);
    assert!(matches!(other.claim(&id(1)).await, Ok(HeldClaim::Claimed(_))));
    assert!(matches!(other.claim(&id(2)).await, Ok(HeldClaim::None)));
    let promised = HeldMessage::of(&unlike_others(3, 1000));
    try_to_hold(&one, 3, "held", &promised).await.expect("held");
    assert!(matches!(other.claim(&id(3)).await, Ok(HeldClaim::InUse)), "its message is not answered yet");
    drop(promised);
    assert!(matches!(other.claim(&id(3)).await, Ok(HeldClaim::Claimed(_))));
}

#[tokio::test]
async fn the_copies_of_a_rule_come_in_their_order() {
    let state = tempfile::tempdir().expect("directory");
    let store = store(state.path());
    for number in [3, 1, 2] {
        hold(&store, number, unlike_others(number, 100)).await;
    }
    let ids = |copies: Vec<HeldRecord>| copies.into_iter().map(|copy| copy.id).collect::<Vec<_>>();
    assert_eq!(ids(store.of_rule("auto-submitted").await.expect("list")), [id(3), id(1), id(2)]);
    assert_eq!(ids(store.of_rule("patience").await.expect("list")), []);
    store.purge(DAY, MUCH).await.expect("purged");
}

fn unproven(place_config: &str) -> String {
    place_config.replace("app = \"spool\"\n[[app]]", "app = \"spool\"\nunproven = \"hold\"\n[[app]]")
}

const MESSAGE: &[u8] = b"From: jane@example.org\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n";

fn pipe(place: &Place) -> String {
    let output = place.run(&["pipe", "--sender=jane@example.org", &format!("--recipient={REPLY_ADDRESS}")], MESSAGE);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The copy is not what was delivered: it was kept although the same event had been delivered.
#[test]
fn a_copy_whose_event_was_delivered_before_it_was_kept_stays() {
    let place = Place::new(&format!("{BASE}{SPOOL}"));
    assert!(pipe(&place).starts_with("2.0.0 delivered"));
    std::thread::sleep(Duration::from_millis(1100));
    place.configure(&unproven(&format!("{BASE}{SPOOL}")));
    assert!(pipe(&place).starts_with("2.0.0 held: unproven-sender"));
    let held = place.held();
    place.configure(&format!("{BASE}{SPOOL}"));
    let released = place.run(&["held", "release", &held[0]], b"");
    let said = format!("{}{}", String::from_utf8_lossy(&released.stdout), String::from_utf8_lossy(&released.stderr));
    assert!(!released.status.success() && said.contains("duplicate") && said.contains("it stays held"), "{said}");
    assert_eq!(place.held(), held);
    let list = String::from_utf8(place.run(&["held", "list"], b"").stdout).expect("text");
    assert!(list.contains("held: duplicate"), "{list}");
}

/// A release that was killed after the application's yes was written down.
#[test]
fn a_copy_that_was_delivered_while_it_was_kept_goes() {
    let place = Place::new(&unproven(&format!("{BASE}{SPOOL}")));
    assert!(pipe(&place).starts_with("2.0.0 held: unproven-sender"));
    let held = place.held();
    place.configure(&format!("{BASE}{SPOOL}"));
    // As the killed release did: the same message, the same id. The ledger counts in seconds.
    std::thread::sleep(Duration::from_millis(2100));
    assert!(pipe(&place).starts_with("2.0.0 delivered"));
    let released = place.run(&["held", "release", &held[0]], b"");
    assert!(released.status.success(), "{released:?}");
    assert_eq!(place.held(), [""; 0]);
    assert_eq!(place.spooled(), held, "once");
}

#[test]
fn a_copy_that_is_delivered_goes() {
    let place = Place::new(&unproven(&format!("{BASE}{SPOOL}")));
    assert!(pipe(&place).starts_with("2.0.0 held: unproven-sender"));
    let held = place.held();
    let still = place.run(&["held", "release", &held[0]], b"");
    assert!(!still.status.success() && String::from_utf8_lossy(&still.stderr).contains("it stays held"), "{still:?}");
    assert_eq!(place.held(), held);
    place.configure(&format!("{BASE}{SPOOL}"));
    assert!(place.run(&["held", "release", &held[0]], b"").status.success());
    assert_eq!((place.held(), place.spooled()), (vec![], held));
    assert_eq!(fs::read_dir(place.path().join("state/held/.bodies")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_ledger_says_how_long_ago_an_event_was_delivered() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = Ledger::new(&config(state.path(), ""));
    let claim = claimed(&ledger, 1).await;
    assert_eq!(ledger.delivered(&id(1)).await.expect("read"), None);
    ledger.finish(claim).await.expect("recorded");
    assert!(ledger.delivered(&id(1)).await.expect("read").is_some_and(|age| age < Duration::from_secs(60)));
}
