//! 200 mails while the application is killed and started twice: each arrives, and twice only where an answer was lost.
//!
//! Action Mailbox stores a mail and then processes it. One that it stored before it was killed is there, and is not processed; what
//! mailhatch owes is that the log says so.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::application::Kind;
use crate::site::{Mail, Tracker};

const MAILS: usize = 200;

/// The application has the whole mail, and its answer is not here: nobody can know whether it took the mail.
const LOST: &[&str] = &["the connection ended before", "no whole answer within"];

#[test]
#[ignore = "needs real applications: make test-apps"]
fn action_mailbox_killed_twice_loses_nothing() {
    kill_twice(Kind::ActionMailbox);
}

#[test]
#[ignore = "needs real applications: make test-apps"]
fn redmine_killed_twice_loses_nothing() {
    kill_twice(Kind::Redmine);
}

#[test]
#[ignore = "needs real applications: make test-apps"]
fn request_tracker_killed_twice_loses_nothing() {
    kill_twice(Kind::RequestTracker);
}

fn kill_twice(kind: Kind) {
    let mut tracker = Tracker::start(kind);
    for number in 0..MAILS {
        tracker.submit(&Mail::new(kind, &format!("mail {number}"), "", b"One of many."));
        match number {
            50 | 130 => tracker.application.stop(),
            100 | 180 => tracker.application.start_again(),
            _ => {}
        }
    }
    wait_until_delivered(&tracker);
    let mut times: HashMap<String, usize> = HashMap::new();
    for mail in tracker.application.arrived() {
        *times.entry(mail.subject).or_default() += 1;
    }
    let log = tracker.site.service_log();
    let (mut doubled, mut unprocessed) = (0, 0);
    let stored = if kind == Kind::ActionMailbox { tracker.application.stored_ids() } else { Vec::new() };
    for number in 0..MAILS {
        let subject = format!("mail {number}");
        let id = format!("mail-{number}@example.org");
        match times.get(&subject) {
            None if stored.iter().filter(|stored| **stored == id).count() == 1 => {
                unprocessed += 1;
                let says_so =
                    |line: &str| line.contains(&format!("message_id={id} ")) && line.contains("pending.find_each");
                assert!(log.lines().any(says_so), "{subject} is not processed, and nobody says so\n{log}");
            }
            None => panic!("{subject} is lost\n{log}"),
            Some(1) => {}
            Some(_) => {
                doubled += 1;
                let is_lost_answer = |line: &str| {
                    line.contains(&format!("message_id={id} ")) && LOST.iter().any(|lost| line.contains(lost))
                };
                assert!(log.lines().any(is_lost_answer), "{subject} arrived twice for nothing\n{log}");
            }
        }
    }
    eprintln!(
        "{}: {MAILS} mails, each arrived, {doubled} of them twice because an answer was lost, {unprocessed} stored and not processed",
        kind.name()
    );
    tracker.site.postfix.assert_nobody_was_written_to();
}

/// Which mail goes first is Postfix's choice: the end of the wait is that none has gone for long.
fn wait_until_delivered(tracker: &Tracker) {
    let postfix = &tracker.site.postfix;
    let (mut left, mut last_flush) = (MAILS + 1, Instant::now());
    while left > 0 {
        left = postfix.wait_for("one more mail to leave the queue", || {
            if last_flush.elapsed() > Duration::from_secs(2) {
                postfix.flush();
                last_flush = Instant::now();
            }
            let queued = postfix.queue().len();
            (queued < left).then_some(queued)
        });
    }
}
