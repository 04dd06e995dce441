//! Faults of the application, the configuration and mailhatch itself: the mail stays with Postfix, and arrives once
//! when the fault is gone.

use std::fs;

use crate::service::{DOMAIN, INCOMING, Site, Variant, message, over_lmtp_and_pipe};
use crate::support::needs;
use crate::support::postfix::{USER, chown};
use crate::support::process::run;
use crate::support::submission::Submission;

fn one() -> Submission {
    Submission::new("jane@example.org", &["incoming+Key1@mail.example.com"], message("patient"))
}

/// Sends, says that it waits in the queue with this text, mends, and says that it then arrives once.
#[track_caller]
fn assert_waits(site: &Site, text: &str, fix: impl FnOnce(&Site)) {
    let queue_id = site.postfix.send(&one());
    let line = site.postfix.wait_deferred(&queue_id);
    assert!(line.contains(text), "no \"{text}\" in: {line}");
    assert!(site.delivered().is_empty());
    let queue = site.postfix.queue();
    let queued = queue.iter().find(|queued| queued.queue_id == queue_id);
    let reasons = &queued.unwrap_or_else(|| panic!("not in the queue: {queue:?}")).delay_reasons;
    assert!(reasons.iter().all(|reason| reason.contains(text)), "{reasons:?}");
    fix(site);
    site.postfix.wait_done(&queue_id);
    assert_eq!(site.delivered().len(), 1, "{}", site.postfix.log());
    site.postfix.assert_nobody_was_written_to();
}

over_lmtp_and_pipe! {
    fn an_application_that_is_down(variant) {
        let site = Site::start(variant);
        let spool = site.postfix.path("spool");
        fs::remove_dir(&spool).unwrap();
        assert_waits(&site, "deferred: app (the message cannot be stored at the moment)", |_| {
            fs::create_dir(&spool).unwrap();
            chown(&spool, USER);
        });
    }
}

over_lmtp_and_pipe! {
    /// The configuration's text never reaches Postfix's log: it could travel back to a sender.
    fn local_state_that_cannot_be_written(variant) {
        let site = Site::prepare(variant);
        site.configure(INCOMING);
        let state = site.postfix.path("state");
        fs::remove_dir(&state).unwrap();
        fs::write(&state, "in the way").unwrap();
        site.start_service();
        assert_waits(&site, "deferred: ledger", |_| {
            fs::remove_file(&state).unwrap();
            fs::create_dir(&state).unwrap();
            chown(&state, USER);
        });
    }
}

#[needs(postfix, root)]
#[test]
fn pipe_with_a_broken_configuration() {
    let site = Site::prepare(Variant::Pipe);
    site.write_configuration("[[mailbox]]\nname = \"private name\"\nadress = \"typo\"\n");
    assert_waits(&site, "configuration error in line", |site| site.configure(INCOMING));
    assert!(!site.postfix.log().contains("private name"), "{}", site.postfix.log());
}

#[needs(postfix, root)]
#[test]
fn pipe_without_a_configuration() {
    let site = Site::prepare(Variant::Pipe);
    assert_waits(&site, "the configuration cannot be read", |site| site.configure(INCOMING));
}

#[needs(postfix, root)]
#[test]
fn pipe_with_an_option_that_does_not_exist() {
    let site = Site::start(Variant::Pipe);
    let enable = |site: &Site, option: &str| {
        let program = format!(
            "{} --config {} {option}",
            site.postfix.path("mailhatch").display(),
            site.postfix.path("mailhatch.toml").display()
        );
        let arguments = ["enable", "--yes", "--variant", "pipe", "--program", program.trim(), "--user", USER, DOMAIN];
        let output = site.postfix.wire(&arguments);
        assert!(output.status.success(), "{output:?}");
    };
    enable(&site, "--no-such-option");
    assert_waits(&site, "wrong usage", |site| enable(site, ""));
}

#[needs(postfix, root)]
#[test]
fn pipe_without_the_program() {
    let site = Site::start(Variant::Pipe);
    let (program, away) = (site.postfix.path("mailhatch"), site.postfix.path("away"));
    fs::rename(&program, &away).unwrap();
    assert_waits(&site, "", |_| fs::rename(&away, &program).unwrap());
}

#[needs(postfix, root)]
#[test]
fn lmtp_while_the_service_does_not_run() {
    let site = Site::prepare(Variant::Lmtp);
    site.configure(INCOMING);
    assert_waits(&site, "lmtp.sock", Site::start_service);
}

#[needs(postfix, root)]
#[test]
fn lmtp_after_the_service_was_killed() {
    let site = Site::start(Variant::Lmtp);
    site.kill_service();
    assert_waits(&site, "lmtp.sock", Site::start_service);
}

/// A service with a broken configuration does not start: status 2, and its error points at the line.
#[needs(postfix, root)]
#[test]
fn serve_with_a_broken_configuration() {
    let site = Site::prepare(Variant::Lmtp);
    site.write_configuration("[[mailbox]]\nname = \"incoming\"\nadress = \"typo\"\n");
    let output = run(&mut site.mailhatch(&["serve"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("mailhatch.toml:3:") && error.contains("adress"), "{error}");
}
