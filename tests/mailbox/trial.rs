//! A mailbox of ours with strangers' mail in it, an application that counts, and what must have become of both in the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::servers::client::Listed;
use crate::servers::{Dovecot, Imap, PASSWORD};
use crate::site::{Site, address, append, inbox, message};
use crate::support::config::{BASE, WEBHOOK_SECRET, http_app};
use crate::support::events;
use crate::support::http_server::{HttpServer, Reply};

pub const DONE: &str = "$MailhatchDone";
pub const KEEP: &str = "";
pub const DELETE: &str = "delete_after_delivery = true\nexpunge_deleted = true";
pub const MOVE: &str = "move_to = \"Done\"";

/// How many of the messages are ours.
pub const OURS: usize = 4;

/// Ours, with strangers' between them: one unread, one read, and one that somebody has deleted and not expunged.
pub fn fill(client: &mut Imap) {
    client.command("CREATE Done");
    let stranger = |name: &str| message(&format!("{name}@example.net"), name);
    append(client, [message(&address(1), "1"), stranger("joe")]);
    client.append("INBOX", "\\Seen \\Flagged", None, &stranger("ann"));
    append(client, [message(&address(2), "2"), message(&address(3), "3")]);
    client.append("INBOX", "\\Deleted", None, &stranger("bob"));
    append(client, [message(&address(4), "4")]);
}

fn is_ours(message: &Listed) -> bool {
    String::from_utf8_lossy(&message.octets).contains("incoming+")
}

/// An application that counts, and a site that reads by a port.
pub struct Trial {
    pub app: HttpServer,
    pub site: Site,
}

impl Trial {
    pub fn new(port: u16, more: &str, answer: impl Fn() + Send + Sync + 'static) -> Self {
        let app = HttpServer::tcp(move |_| {
            answer();
            Reply::json(200, "{}")
        });
        let webhook = http_app("webhook", app.url(), "");
        let site = Site::with(&format!("{BASE}{webhook}{}", inbox(port, &format!("since = \"all\"\n{more}"))));
        site.place.write_secret("secret", WEBHOOK_SECRET);
        Self { app, site }
    }

    /// Its state directory.
    pub fn state(&self) -> PathBuf {
        self.site.place.path().join("state")
    }

    /// What the application was given: subjects by id, each as often as it came.
    fn taken(&self) -> BTreeMap<String, Vec<String>> {
        let mut taken = BTreeMap::<_, Vec<_>>::new();
        for request in self.app.requests() {
            let event = events::parse(&request.body);
            let subject = event["data"]["message"]["subject"].as_str().unwrap().to_owned();
            taken.entry(request.header("webhook-id").to_owned()).or_default().push(subject);
        }
        taken
    }

    /// Reads until all is done, as a service with a patient administrator would. Gives what was logged.
    pub fn read_on(&self) -> String {
        let mut log = String::new();
        for _ in 0..6 {
            let done = self.site.once();
            log += &done.err();
            let is_done = self.app.requests().len() >= OURS && done.exit_status() == 0;
            if is_done && self.site.run(&["inbox", "show", "test"]).out().contains("pending      0 ") {
                break;
            }
            self.site.run(&["inbox", "retry", "test"]);
        }
        log
    }

    /// Each message once, by its id; the mailbox as it should be.
    pub fn check(&self, name: &str, more: &str, before: &[Listed], client: &mut Imap, log: &str) {
        let taken = self.taken();
        assert!(taken.values().all(|subjects| subjects.len() == 1), "{name}: twice: {taken:?}\n{log}");
        let mut subjects: Vec<_> = taken.into_values().flatten().collect();
        subjects.sort();
        assert_eq!(subjects, ["1", "2", "3", "4"], "{name}: {log}");
        let (ours, others): (Vec<_>, Vec<_>) = client.list("INBOX").into_iter().partition(is_ours);
        let (ours_before, others_before): (Vec<_>, Vec<_>) = before.iter().cloned().partition(is_ours);
        assert_eq!(others, others_before, "{name}: {log}");
        let moved = client.list("Done").len();
        if more == KEEP {
            let expected = ours_before.into_iter().map(|message| Listed { flags: vec![DONE.to_owned()], ..message });
            assert_eq!((ours, moved), (expected.collect(), 0), "{name}: {log}");
        } else {
            let expected = if more == MOVE { OURS } else { 0 };
            assert_eq!((ours.len(), moved), (0, expected), "{name}: {log}");
        }
    }
}

/// What `fill` makes, in the mailbox of another user.
pub fn as_filled(server: &Dovecot) -> Vec<Listed> {
    let mut other = Imap::log_in(server.imap(), "ann", PASSWORD);
    fill(&mut other);
    other.list("INBOX")
}

/// Eight at a time: most of their time is waiting.
pub fn at_once<T: Sync>(rows: &[T], run: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let worker = || {
            while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
                run(row);
            }
        };
        let workers: Vec<_> = (0..8).map(|_| scope.spawn(worker)).collect();
        let failed = workers.into_iter().filter_map(|worker| worker.join().err()).count();
        assert_eq!(failed, 0, "see above");
    });
}
