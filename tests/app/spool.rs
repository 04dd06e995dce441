//! The spool: an event appears whole, once, and a fault keeps the message with the MTA.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mailhatch::app::{Answer, AppError};
use mailhatch::verdict::Status;

use super::{KEY, Setup, reply};
use crate::support::events;

fn spool(path: &str) -> Setup {
    Setup::new(&format!("kind = \"spool\"\npath = \"{path}\""), "")
}

fn spooled(base: &Path) -> Vec<String> {
    let names = fs::read_dir(base).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "secret" && !name.starts_with('.')).collect()
}

#[tokio::test]
async fn an_event_is_a_directory_with_the_message_and_the_event() {
    let setup = spool("DIR");
    let (app, event) = (setup.app(), setup.event(KEY, reply()));
    for _ in 0..2 {
        assert!(matches!(app.hand_over(&event).await, Ok(Answer::Delivered { .. })));
    }
    let base = setup.directory.path();
    assert_eq!(spooled(base), [event.id.as_str()]);
    assert_eq!(fs::read(base.join(event.id.as_str()).join("message.eml")).unwrap(), reply().into_bytes());
    let json = events::read(&base.join(event.id.as_str()));
    assert_eq!(json["id"], event.id.as_str());
    assert_eq!(json["data"]["message"]["text"], "Yes.\r\n");
}

#[tokio::test]
async fn a_missing_directory_is_an_alarm_that_says_what_to_do() {
    let setup = spool("DIR/missing");
    let error = setup.app().hand_over(&setup.event(KEY, reply())).await.expect_err("no directory");
    let AppError::Unavailable { status, alarm, detail, public, .. } = error else { panic!("{error:?}") };
    assert_eq!((status, alarm), (Status::CONFIGURATION, true));
    assert!(detail.contains("create ") && !public.contains("missing"), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_sees_half_an_event() {
    let setup = spool("DIR");
    let base = setup.directory.path().to_owned();
    let done = Arc::new(AtomicBool::new(false));
    let (reader_base, reader_done) = (base.clone(), done.clone());
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        loop {
            let last = reader_done.load(Ordering::SeqCst);
            for name in spooled(&reader_base) {
                let json = events::read(&reader_base.join(&name));
                let message = fs::read(reader_base.join(&name).join("message.eml")).unwrap();
                assert_eq!(json["id"], name.as_str());
                assert!(message.ends_with(b"end\r\n"), "{name} is short");
                seen += 1;
            }
            if last {
                return seen;
            }
        }
    });
    let app = setup.app();
    for n in 0..20 {
        let message = format!("Subject: {n}\r\n\r\n{}end\r\n", "text\r\n".repeat(50_000));
        app.hand_over(&setup.event(KEY, message)).await.expect("delivered");
    }
    done.store(true, Ordering::SeqCst);
    assert!(reader.join().expect("reader") >= 20);
}
