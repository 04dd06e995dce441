//! Mail that is somebody's arrives at the application: whole, once, with all that Postfix knew of it.

use crate::facts::{assert_unchanged, delicate_message};
use crate::service::{Delivered, Site, message, message_with, over_lmtp_and_pipe};
use crate::support::postfix::Outgoing;
use crate::support::submission::{Client, Submission};

over_lmtp_and_pipe! {
    fn the_event_has_the_whole_envelope(variant) {
        let site = Site::start(variant);
        let sent = Submission::new("jane+x@example.org", &["incoming+Key1@mail.example.com"], message("envelope"));
        let queue_id = site.postfix.send(&sent);
        site.postfix.wait_done(&queue_id);
        let delivered = site.delivered();
        assert_eq!(delivered.len(), 1, "{}", site.postfix.log());
        let event = &delivered[0];
        let rows = [
            ("/mailbox", "incoming"),
            ("/action", "message"),
            ("/key", "Key1"),
            ("/matched/source", "envelope"),
            ("/envelope/sender", "jane+x@example.org"),
            ("/envelope/recipient", "incoming+Key1@mail.example.com"),
            ("/envelope/client/address", "203.0.113.7"),
            ("/envelope/client/helo", "helo.example.org"),
            ("/envelope/client/name", "mail.example.org"),
            ("/envelope/queue_id", &queue_id),
            ("/message/message_id", "envelope@example.org"),
            ("/message/subject", "envelope"),
        ];
        for (pointer, expected) in rows {
            assert_eq!(event.text(pointer), Some(expected), "{pointer} of {:#}", event.event);
        }
    }
}

over_lmtp_and_pipe! {
    fn a_client_over_ipv6_without_a_name(variant) {
        let site = Site::start(variant);
        let client = Client { address: "2001:db8::7", name: "[UNAVAILABLE]", helo: "[IPv6:2001:db8::7]" };
        let sent = Submission::new("jane@example.org", &["incoming+Key1@mail.example.com"], message("v6"));
        let event = site.send_one(&sent.by_client(client));
        assert_eq!(event.text("/envelope/client/address"), Some("2001:db8::7"));
        assert_eq!(event.text("/envelope/client/helo"), Some("[IPv6:2001:db8::7]"));
        assert_eq!(event.text("/envelope/client/name"), None, "unknown is no name");
    }
}

over_lmtp_and_pipe! {
    fn the_message_arrives_unchanged(variant) {
        let site = Site::start(variant);
        let sent = delicate_message();
        let submission = Submission::new("jane@example.org", &["incoming+Key1@mail.example.com"], sent.clone());
        let event = site.send_one(&submission.mail_parameters("BODY=8BITMIME"));
        assert_unchanged(&event.message, &sent);
    }
}

fn keys(delivered: &[Delivered]) -> Vec<&str> {
    let mut keys: Vec<_> = delivered.iter().map(|event| event.text("/key").unwrap()).collect();
    keys.sort_unstable();
    keys
}

over_lmtp_and_pipe! {
    fn two_keys_in_one_message_are_two_events(variant) {
        let site = Site::start(variant);
        let both = ["incoming+Key1@mail.example.com", "incoming+Key2@mail.example.com"];
        let text = message_with("two", "To: incoming+Key1@mail.example.com, incoming+Key2@mail.example.com\r\n");
        let replies = site.send(&Submission::new("jane@example.org", &both, text));
        assert_eq!(replies.len(), 2, "{replies:#?}");
        assert_eq!(keys(&site.delivered()), ["Key1", "Key2"]);
    }
}

over_lmtp_and_pipe! {
    fn a_blind_copy_goes_to_its_own_key(variant) {
        let site = Site::start(variant);
        let text = message_with("bcc", "To: incoming+Key1@mail.example.com\r\n");
        let event = site.send_one(&Submission::new("jane@example.org", &["incoming+Secret@mail.example.com"], text));
        assert_eq!(event.text("/key"), Some("Secret"));
    }
}

over_lmtp_and_pipe! {
    fn forwarded_mail_is_found_by_received(variant) {
        let site = Site::start(variant);
        let fields = "Received: from a.example.org by old.example.net with ESMTP id 1\r\n\tfor <incoming+Key1@mail.example.com>; Sun, 22 Nov 2026 10:00:00 +0000\r\n";
        let text = format!("{fields}{}", message_with("forwarded", "To: team@old.example.net\r\n"));
        let event = site.send_one(&Submission::new("jane@example.org", &["everything@mail.example.com"], text));
        assert_eq!((event.text("/key"), event.text("/matched/source")), (Some("Key1"), Some("received")));
    }
}

over_lmtp_and_pipe! {
    fn a_catch_all_keeps_the_key_in_the_original_recipient(variant) {
        let site = Site::start(variant);
        site.postfix.set(&["virtual_alias_maps=inline:{@mail.example.com=everything@mail.example.com}"]);
        let event = site.send_one(&Submission::new("jane@example.org", &["incoming+Key1@mail.example.com"], message("all")));
        assert_eq!(event.text("/key"), Some("Key1"));
        assert_eq!(event.text("/envelope/recipient"), Some("everything@mail.example.com"));
        assert_eq!(event.text("/envelope/original_recipient"), Some("incoming+Key1@mail.example.com"));
        assert_eq!(event.text("/matched/source"), Some("envelope"));
    }
}

over_lmtp_and_pipe! {
    fn a_key_keeps_its_case_and_its_signs(variant) {
        let site = Site::start(variant);
        let key = "Group-Sub/Project_1.x-20-aBcD+tail-issue";
        let recipient = format!("InComing+{key}@MAIL.example.com");
        let event = site.send_one(&Submission::new("jane@example.org", &[&recipient], message("case")));
        assert_eq!(event.text("/key"), Some(key));
    }
}

over_lmtp_and_pipe! {
    fn an_international_address(variant) {
        let site = Site::start(variant);
        let sent = Submission::new("jäne@example.org", &["incoming+schlüssel@mail.example.com"], message("utf8"));
        let event = site.send_one(&sent.mail_parameters("SMTPUTF8"));
        assert_eq!(event.text("/key"), Some("schlüssel"));
        assert_eq!(event.text("/envelope/sender"), Some("jäne@example.org"));
    }
}

over_lmtp_and_pipe! {
    fn a_dedicated_address_is_answered_by_references(variant) {
        let mailbox = "[[mailbox]]\nname = \"support\"\naddress = \"support@mail.example.com\"\napp = \"spool\"\n";
        let site = Site::start_with(variant, mailbox);
        let fields = "In-Reply-To: <x@example.com>\r\nReferences: <x@example.com>\r\n <reply-Key1@mail.example.com>\r\n";
        let text = message_with("dedicated", fields);
        let event = site.send_one(&Submission::new("jane@example.org", &["support@mail.example.com"], text));
        let found = (event.text("/key"), event.text("/action"), event.text("/matched/source"));
        assert_eq!(found, (Some("Key1"), Some("reply"), Some("references")));
    }
}

over_lmtp_and_pipe! {
    fn the_same_message_is_delivered_once(variant) {
        let site = Site::start(variant);
        let sent = Submission::new("jane@example.org", &["incoming+Key1@mail.example.com"], message("again"));
        site.assert_reply(&site.send(&sent), "250 2.0.0 delivered: incoming message");
        site.assert_reply(&site.send(&sent), "250 2.0.0 duplicate");
        assert_eq!(site.delivered().len(), 1);
    }
}

over_lmtp_and_pipe! {
    fn a_success_report_is_never_mailed(variant) {
        let site = Site::start(variant);
        let plain = Submission::new("victim@example.org", &["incoming+Key1@mail.example.com"], message("report"));
        let wish = plain.clone().rcpt_parameters("NOTIFY=SUCCESS");
        // Over pipe Postfix does not take the wish, so a client sends without it.
        let queue_id = site.postfix.submit(&wish).unwrap_or_else(|_| site.postfix.send(&plain));
        site.postfix.wait_done(&queue_id);
        assert_eq!(site.delivered().len(), 1);
        let outgoing: Vec<Outgoing> = site.postfix.outgoing();
        assert!(outgoing.is_empty(), "{outgoing:#?}");
        site.postfix.assert_nobody_was_written_to();
    }
}
