//! The bounce over the wall: what Postfix still has at the end of its queue lifetime it returns to a sender that may be forged,
//! body included. Before that the message is held, and it arrives by itself when the application is back.

use std::fs;
use std::time::Duration;

use crate::service::{INCOMING, Site, Variant, message, over_lmtp_and_pipe};
use crate::support::needs;
use crate::support::postfix::{USER, chown};
use crate::support::process::run;
use crate::support::submission::Submission;

/// Postfix's own limit in these tests; it looks at its queue each second.
const QUEUE_LIFETIME: &str = "maximal_queue_lifetime=10s";

/// A site whose application is away, and a message that waits for it.
fn away(variant: Variant, patience: &str) -> (Site, String) {
    let site = Site::prepare(variant);
    site.postfix.set(&[QUEUE_LIFETIME, "bounce_queue_lifetime=10s", "maximal_backoff_time=1s"]);
    site.configure(&format!("{INCOMING}[limits]\npatience = \"{patience}\"\n"));
    site.start_service();
    fs::remove_dir(site.postfix.path("spool")).unwrap();
    let submission = Submission::new("jane@example.org", &["incoming+Key1@mail.example.com"], message("patient"));
    let queue_id = site.postfix.send(&submission);
    assert!(site.postfix.wait_deferred(&queue_id).contains("deferred: app ("));
    (site, queue_id)
}

over_lmtp_and_pipe! {
    fn an_outage_longer_than_the_queue_lifetime_bounces_nothing(variant) {
        let (site, queue_id) = away(variant, "3s");
        let lines = site.postfix.wait_done(&queue_id);
        assert!(lines.iter().any(|line| line.contains("status=sent")), "{lines:#?}");
        assert!(site.held().contains("held: patience"), "{}", site.held());
        // Longer than Postfix would have kept it.
        std::thread::sleep(Duration::from_secs(11));
        site.postfix.assert_nobody_was_written_to();

        let spool = site.postfix.path("spool");
        fs::create_dir(&spool).unwrap();
        chown(&spool, USER);
        if variant == Variant::Pipe {
            let released = run(&mut site.mailhatch(&["held", "release", "--waiting"]));
            assert!(released.status.success(), "{released:?}");
        }
        site.postfix.wait_for("the event", || (site.delivered().len() == 1).then_some(()));
        site.postfix.wait_for("no held copy", || site.held().is_empty().then_some(()));
        site.postfix.assert_nobody_was_written_to();
    }
}

/// What would happen without: the test above can fail.
#[needs(postfix, root)]
#[test]
fn without_patience_postfix_returns_the_message_to_its_sender() {
    let (site, _) = away(Variant::Lmtp, "1h");
    site.postfix.wait_for("a bounce", || site.postfix.outgoing().into_iter().next());
    assert_eq!(site.postfix.outgoing()[0].recipient, "jane@example.org");
}
