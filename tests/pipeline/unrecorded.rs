//! The application has acknowledged, and the ledger cannot be written: the process that knows it must not forget it while
//! there is still a chance to write it down.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use super::*;
use crate::support::http_server::{HttpServer, Reply};
use crate::support::process::Process;

const JANE: &str = "jane@example.org";

/// The ledger waits for a lock longer than this message may take.
#[test]
fn a_ledger_that_is_locked_does_not_outlast_the_deadline() {
    let place = Place::new(&format!("{}[limits]\ndeadline = \"1s\"\n", spool_config()));
    let service = Service::start_in(place, &[]);
    let mut client = service.lmtp();
    assert!(client.send(JANE, &[REPLY_ADDRESS], &message("", "first")).remove(0).starts_with("250 2.0.0 delivered"));
    let lock = rusqlite::Connection::open(service.place.path().join("state/ledger.sqlite")).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let reply = client.send(JANE, &[REPLY_ADDRESS], &message("", "second")).remove(0);
    assert!(reply.starts_with("451 4.4.7 deferred: deadline (not done within the deadline)"), "{reply}");
    drop(lock);
    let reply = client.send(JANE, &[REPLY_ADDRESS], &message("", "second")).remove(0);
    assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
    assert_eq!(service.place.spooled().len(), 2);
}

/// An application that locks the ledger while it has the event, as a backup or a curious administrator might.
struct Locking {
    server: HttpServer,
    ledger: Arc<Mutex<PathBuf>>,
    lock: Arc<Mutex<Option<rusqlite::Connection>>>,
}

impl Locking {
    fn start() -> Self {
        let (ledger, lock) = (Arc::new(Mutex::new(PathBuf::new())), Arc::new(Mutex::new(None)));
        let (path, holder) = (ledger.clone(), lock.clone());
        let server = HttpServer::tcp(move |_| {
            let connection = rusqlite::Connection::open(&*path.lock().unwrap()).unwrap();
            connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
            *holder.lock().unwrap() = Some(connection);
            Reply::json(200, "{}")
        });
        Self { server, ledger, lock }
    }

    fn place(&self) -> Place {
        let place = Place::with_http_app(BASE, "webhook", self.server.url());
        *self.ledger.lock().unwrap() = place.path().join("state/ledger.sqlite");
        place
    }

    fn unlock(&self) {
        drop(self.lock.lock().unwrap().take().expect("the lock"));
    }

    /// Another process is told of the delivery, so it is written down.
    fn assert_recorded(&self, place: &Place, mail: &[u8]) {
        let output = place.run(&["pipe", &format!("--recipient={REPLY_ADDRESS}")], mail);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.starts_with("2.0.0 duplicate"), "{text}");
        assert_eq!(self.server.requests().len(), 1);
    }
}

#[test]
fn a_service_that_stops_writes_down_what_it_could_not() {
    let application = Locking::start();
    let service = Service::start_in(application.place(), &[]);
    let mail = message("", "locked");
    let reply = service.lmtp().send(JANE, &[REPLY_ADDRESS], &mail).remove(0);
    assert!(reply.starts_with("250 2.0.0 delivered"), "the application has it: {reply}");
    assert!(service.log().contains("delivered, but not recorded"), "{}", service.log());
    application.unlock();
    service.signal("TERM");
    let (status, place) = service.ended();
    assert!(status.success());
    application.assert_recorded(&place, &mail);
}

#[test]
fn a_pipe_process_tries_once_more_after_its_answer() {
    let application = Locking::start();
    let place = application.place();
    let mail = message("", "locked");
    let mut command = place.command(&["pipe", &format!("--recipient={REPLY_ADDRESS}")]);
    let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()));
    process.stdin().write_all(&mail).unwrap();
    let line = process.lines().next();
    assert!(line.starts_with("2.0.0 delivered"), "{line}");
    application.unlock();
    assert_eq!(process.wait().code(), Some(0));
    application.assert_recorded(&place, &mail);
}
