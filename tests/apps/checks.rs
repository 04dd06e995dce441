//! `mailhatch check` names what is wrong with a real application.

use crate::application::{Application, Kind, SECRET};
use crate::site::Tracker;

#[track_caller]
fn assert_check(tracker: &Tracker, state: &str, words: &[&str]) {
    let checked = tracker.check();
    let line = checked.lines().find(|line| line.contains("application tracker")).unwrap_or_default();
    assert!(line.starts_with(state), "{checked}\n{}", tracker.application.log());
    for word in words {
        assert!(line.contains(word), "{word} is not in: {line}");
    }
    eprintln!("{line}");
}

#[test]
#[ignore = "needs real applications: make test-apps"]
fn check_names_the_password_and_the_ingress_of_action_mailbox() {
    let tracker = Tracker::start(Kind::ActionMailbox);
    assert_check(&tracker, "ok", &["the password is accepted, the ingress is :relay"]);
    tracker.set_secret("wrong");
    assert_check(&tracker, "failed", &["401", "secret_file"]);
    let without = Tracker::around(Application::start_with(Kind::ActionMailbox, "export WITHOUT_INGRESS=1;"), SECRET);
    assert_check(&without, "failed", &["404", "config.action_mailbox.ingress = :relay"]);
    assert_eq!(tracker.application.stored_and_pending().0, 0, "nothing is handed over");
}

#[test]
#[ignore = "needs real applications: make test-apps"]
fn check_names_the_key_of_redmine() {
    let tracker = Tracker::start(Kind::Redmine);
    assert_check(&tracker, "ok", &["the key is accepted"]);
    tracker.set_secret("wrong");
    assert_check(&tracker, "failed", &["403", "secret_file"]);
    assert_eq!(tracker.application.arrived(), [], "nothing is handed over");
}

#[test]
#[ignore = "needs real applications: make test-apps"]
fn check_names_the_queue_of_request_tracker() {
    let tracker = Tracker::start(Kind::RequestTracker);
    assert_check(&tracker, "failed", &["nowhere", "temporary failure", "queue"]);
    tracker.site.write_configuration(&tracker.configuration().replace("no such queue", "General"));
    assert_check(&tracker, "ok", &["support: action=correspond, queue=General"]);
    tracker.site.write_configuration(&tracker.configuration().replace("correspond", "answer"));
    assert_check(&tracker, "failed", &["temporary failure", "action"]);
    assert_eq!(tracker.application.arrived(), [], "nothing is handed over");
}
