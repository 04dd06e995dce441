//! What the ledger knows of inboxes.

use std::time::Duration;

use mailhatch::ledger::{InboxState, MessageState};

use super::ledger;

fn beginning() -> InboxState {
    InboxState { validity: 5, start: 10, low: 3, began: 10, newest: None, since: None, reader: None }
}

#[tokio::test]
async fn what_is_known_of_an_inbox_survives() {
    let state = tempfile::tempdir().unwrap();
    let known = ledger(state.path());
    let inbox = known.inbox("gitlab");
    inbox.begin_anew(beginning(), vec![3, 4]).await.unwrap();
    inbox.begin(5, 11, 1).await.unwrap();
    inbox.begin(5, 12, 3).await.unwrap();
    inbox.settle(5, 12, Some(std::time::UNIX_EPOCH + Duration::from_secs(1000))).await.unwrap();
    inbox.note(5, vec![3], MessageState::Left).await.unwrap();
    let other = ledger(state.path());
    let inbox = other.inbox("gitlab");
    let states = |messages: Vec<mailhatch::ledger::InboxMessage>| {
        messages.into_iter().map(|message| (message.number, message.state.name(), message.attempts)).collect::<Vec<_>>()
    };
    let (loaded, messages) = inbox.load().await.unwrap().unwrap();
    assert_eq!(loaded.newest, Some(std::time::UNIX_EPOCH + Duration::from_secs(1000)));
    assert_eq!(states(messages), [(3, "left", 0), (4, "new", 0), (11, "begun", 1), (12, "settled", 3)]);
    inbox.advance(5, 4).await.unwrap();
    inbox.note(5, vec![12], MessageState::Marked).await.unwrap();
    let (loaded, messages) = inbox.load().await.unwrap().unwrap();
    assert_eq!((loaded.low, states(messages)), (4, vec![(4, "new", 0), (11, "begun", 1), (12, "marked", 3)]));
    assert_eq!(inbox.retry(None).await.unwrap(), 1, "what is begun is due");
    let wishes = inbox.wishes(5).await.unwrap();
    assert_eq!(states(wishes.due), [(11, "waiting", 1)]);
    inbox.restart("all".to_owned()).await.unwrap();
    assert_eq!(inbox.wishes(5).await.unwrap().since.as_deref(), Some("all"));
    other.inbox("other").restart("unseen".to_owned()).await.unwrap();
    let (loaded, messages) = other.inbox("other").load().await.unwrap().unwrap();
    assert_eq!((loaded.validity, loaded.since.as_deref(), messages.len()), (0, Some("unseen"), 0), "it never began");
    inbox.begin_anew(InboxState { validity: 6, ..beginning() }, Vec::new()).await.unwrap();
    let (loaded, messages) = inbox.load().await.unwrap().unwrap();
    assert_eq!((loaded.since, messages.len()), (None, 0), "a new beginning forgets the old one");
}

#[tokio::test]
async fn an_inbox_has_one_reader() {
    let state = tempfile::tempdir().unwrap();
    let (one, two) = (ledger(state.path()), ledger(state.path()));
    one.inbox("a").begin_anew(beginning(), Vec::new()).await.unwrap();
    let lock = one.inbox("a").lock("process 1").await.unwrap().unwrap();
    assert_eq!(two.inbox("a").lock("process 2").await.unwrap().err(), Some(Some("process 1".to_owned())));
    assert!(two.inbox("a").is_read().unwrap() && !two.inbox("b").is_read().unwrap());
    let _other = two.inbox("b").lock("process 2").await.unwrap().unwrap();
    drop(lock);
    two.inbox("a").lock("process 2").await.unwrap().unwrap();
}
