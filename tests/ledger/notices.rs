//! The limits on notices.

use std::sync::Arc;

use mailhatch::ledger::{Begin, DeliveryLog, Ledger, NoticeClaim, NoticeRequest, Reservation};

use super::{config, database, id};

const LIMITS: &str = "[notice]\ninterval = \"24h\"\nper_domain_per_hour = 2\ntotal_per_hour = 3\n";

async fn reserve(ledger: &Ledger, number: u128, address: &str) -> Reservation {
    let (_, domain) = address.split_once('@').expect("address");
    let request =
        NoticeRequest { id: id(number), canonical: address.into(), person: address.into(), domain: domain.into() };
    ledger.reserve_notice(request).await.expect("answer")
}

async fn granted(ledger: &Ledger, number: u128, address: &str) -> NoticeClaim {
    match reserve(ledger, number, address).await {
        Reservation::Granted(claim) => claim,
        other => panic!("{number} {address}: {other:?}"),
    }
}

async fn sent(ledger: &Ledger, number: u128, address: &str) {
    let claim = granted(ledger, number, address).await;
    ledger.confirm_notice(claim).await.expect("recorded");
}

fn name(reservation: &Reservation) -> &'static str {
    match reservation {
        Reservation::Granted(_) => "granted",
        Reservation::AlreadySent => "already sent",
        Reservation::InFlight => "in flight",
        Reservation::TooSoon { .. } => "too soon",
        Reservation::DomainLimit => "domain limit",
        Reservation::TotalLimit => "total limit",
        Reservation::SharedDown { .. } => "shared ledger down",
    }
}

#[tokio::test]
async fn each_limit_says_no_by_itself() {
    let rows: &[(&str, &[&str], &str, i64, &str)] = &[
        ("the first", &[], "a@one.example", 0, "granted"),
        ("the same sender", &["a@one.example"], "a@one.example", 0, "too soon"),
        ("the same sender, just within the interval", &["a@one.example"], "a@one.example", 86_000, "too soon"),
        ("the same sender after the interval", &["a@one.example"], "a@one.example", 86_500, "granted"),
        ("another sender of the domain", &["a@one.example"], "b@one.example", 0, "granted"),
        ("a third of the domain", &["a@one.example", "b@one.example"], "c@one.example", 0, "domain limit"),
        ("a third of the domain after an hour", &["a@one.example", "b@one.example"], "c@one.example", 3700, "granted"),
        ("a fourth", &["a@one.example", "b@one.example", "a@two.example"], "a@three.example", 0, "total limit"),
        (
            "a fourth after an hour",
            &["a@one.example", "b@one.example", "a@two.example"],
            "a@three.example",
            3700,
            "granted",
        ),
        ("long before a clock that was wrong", &["a@one.example"], "a@one.example", -90_000, "granted"),
    ];
    for (what, before, address, later, answer) in rows {
        let state = tempfile::tempdir().expect("directory");
        let ledger = Ledger::new(&config(state.path(), LIMITS));
        for (number, address) in before.iter().enumerate() {
            sent(&ledger, number as u128, address).await;
        }
        if *later != 0 {
            database(state.path()).execute("UPDATE notice SET time = time - ?1", [later]).expect("moved");
        }
        assert_eq!(name(&reserve(&ledger, 99, address).await), *answer, "{what}");
    }
}

#[tokio::test]
async fn an_event_has_one_notice_however_often_it_is_tried() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = Ledger::new(&config(state.path(), LIMITS));
    let claim = granted(&ledger, 1, "a@one.example").await;
    assert_eq!(name(&reserve(&ledger, 1, "a@one.example").await), "in flight");
    ledger.confirm_notice(claim).await.expect("recorded");
    assert_eq!(name(&reserve(&ledger, 1, "a@one.example").await), "already sent");
    // Also when the interval is over, but the MTA still has the message.
    database(state.path()).execute("UPDATE notice SET time = time - 4 * 86400", []).expect("moved");
    ledger.expire().await.expect("expired");
    assert_eq!(name(&reserve(&ledger, 1, "a@one.example").await), "already sent");
    database(state.path()).execute("UPDATE notice SET time = time - 7 * 86400", []).expect("moved");
    ledger.expire().await.expect("expired");
    assert_eq!(name(&reserve(&ledger, 1, "a@one.example").await), "granted");
}

#[tokio::test]
async fn what_was_not_sent_does_not_count() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = Ledger::new(&config(state.path(), LIMITS));
    let claim = granted(&ledger, 1, "a@one.example").await;
    assert_eq!(name(&reserve(&ledger, 2, "a@one.example").await), "too soon", "a reservation counts");
    ledger.cancel_notice(claim).await.expect("given back");
    drop(granted(&ledger, 2, "a@one.example").await);
    drop(granted(&ledger, 3, "b@one.example").await);
    sent(&ledger, 1, "a@one.example").await;
    sent(&ledger, 3, "b@one.example").await;
    let rows: i64 =
        database(state.path()).query_row("SELECT count(*) FROM notice", [], |row| row.get(0)).expect("count");
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn too_soon_says_when_the_last_one_was() {
    let state = tempfile::tempdir().expect("directory");
    let ledger = Ledger::new(&config(state.path(), LIMITS));
    sent(&ledger, 1, "a@one.example").await;
    database(state.path()).execute("UPDATE notice SET time = time - 1000", []).expect("moved");
    let expected: i64 =
        database(state.path()).query_row("SELECT time FROM notice", [], |row| row.get(0)).expect("time");
    let Reservation::TooSoon { last } = reserve(&ledger, 2, "a@one.example").await else { panic!("too soon") };
    assert_eq!(last.duration_since(std::time::UNIX_EPOCH).expect("time").as_secs() as i64, expected);
}

/// What comes in while others are written down waits for its own transaction: with the lock that it has.
#[tokio::test(flavor = "multi_thread")]
async fn notices_reserved_while_deliveries_are_recorded_are_all_granted() {
    let state = tempfile::tempdir().expect("directory");
    let limits = "[notice]\nper_domain_per_hour = 10000\ntotal_per_hour = 10000\n";
    let ledger = Arc::new(Ledger::new(&config(state.path(), limits)));
    let tasks: Vec<_> = (0..400)
        .map(|number| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                let Begin::New(claim) = ledger.begin(&id(number)).await.expect("begun") else { panic!("{number}") };
                ledger.finish(claim).await.expect("recorded");
                drop(granted(&ledger, 1000 + number, &format!("{number}@one.example")).await);
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("task");
    }
}
