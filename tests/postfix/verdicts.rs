//! Mail that nobody gets: it is answered well, a copy is held, and nobody innocent is written to.

use crate::service::{INCOMING, Site, message, message_with, over_lmtp_and_pipe};
use crate::support::submission::Submission;

const KEY1: &str = "incoming+Key1@mail.example.com";

/// Sends one that is set aside, and says all that must hold then.
#[track_caller]
fn assert_set_aside(site: &Site, sent: &Submission, verdict: &str, rule: &str) {
    let replies = site.send(sent);
    site.assert_reply(&replies, &format!("250 2.0.0 {verdict}: {rule}"));
    assert!(site.delivered().is_empty(), "handed over: {:#?}", site.delivered());
    let held = site.held();
    assert!(held.contains(verdict) && held.contains(rule), "held list:\n{held}\n{}", site.service_log());
    site.postfix.assert_nobody_was_written_to();
}

over_lmtp_and_pipe! {
    fn the_null_sender_is_ignored(variant) {
        let site = Site::start(variant);
        let sent = Submission::new("", &[KEY1], message("bounce"));
        assert_set_aside(&site, &sent, "ignored", "null-sender");
    }
}

over_lmtp_and_pipe! {
    fn an_out_of_office_note_is_ignored(variant) {
        let site = Site::start(variant);
        let text = message_with("vacation", "Auto-Submitted: auto-replied\r\nTo: incoming+Key1@mail.example.com\r\n");
        let sent = Submission::new("jane@example.org", &[KEY1], text);
        assert_set_aside(&site, &sent, "ignored", "auto-submitted");
    }
}

over_lmtp_and_pipe! {
    fn an_unknown_address_is_rejected_in_silence(variant) {
        let site = Site::start(variant);
        let sent = Submission::new("victim@example.org", &["nobody@mail.example.com"], message("unknown"));
        assert_set_aside(&site, &sent, "rejected", "unknown-address");
    }
}

over_lmtp_and_pipe! {
    fn a_wish_for_a_failure_report_changes_nothing(variant) {
        let site = Site::start(variant);
        let plain = Submission::new("victim@example.org", &["nobody@mail.example.com"], message("failure"));
        let wish = plain.clone().rcpt_parameters("NOTIFY=FAILURE,DELAY");
        let queue_id = site.postfix.submit(&wish).unwrap_or_else(|_| site.postfix.send(&plain));
        site.postfix.wait_done(&queue_id);
        assert!(site.held().contains("unknown-address"), "{}", site.held());
        site.postfix.assert_nobody_was_written_to();
    }
}

over_lmtp_and_pipe! {
    /// Not a bounce of Postfix, which would write to whoever the sender is said to be.
    fn what_is_too_large_is_our_verdict(variant) {
        let site = Site::start_with(variant, &format!("{INCOMING}\n[limits]\nmessage_size = \"10KiB\"\n"));
        let mut text = message("large");
        text.push_str(&"0123456789abcdef\r\n".repeat(5000));
        let sent = Submission::new("victim@example.org", &[KEY1], text);
        assert_set_aside(&site, &sent, "rejected", "too-large");
    }
}

over_lmtp_and_pipe! {
    fn one_of_two_recipients_is_unknown(variant) {
        let site = Site::start(variant);
        let both = [KEY1, "nobody@mail.example.com"];
        let replies = site.send(&Submission::new("victim@example.org", &both, message("both")));
        assert_eq!(replies.len(), 2, "{replies:#?}");
        assert_eq!(site.delivered().len(), 1);
        assert!(site.held().contains("unknown-address"), "{}", site.held());
        site.postfix.assert_nobody_was_written_to();
    }
}
