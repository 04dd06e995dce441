//! What a notice says, read back by mail-parser and by a parser that is not ours.

use mail_parser::{MessageParser, MimeHeaders, PartType};

use super::{Desk, Mail};
use crate::support::needs;
use crate::support::notice_reader::ReadNotice;

#[needs(python3)]
#[test]
fn every_field_of_a_notice() {
    let desk = Desk::with("from = \"Mail Desk <desk@mx.example.com>\"", "");
    let fields = "References: <0@example.org>\r\n <00@example.org>\r\nIn-Reply-To: <0@example.org>\r\nTo: incoming+Key@mail.example.com\r\n";
    let mail = Mail::new("jane@example.org", fields).to("all@mail.example.com", Some("incoming+Key@mail.example.com"));
    let bytes = desk.notice(&mail);
    let taken = desk.mta.only();
    assert_eq!(taken.mail, "<>", "the null sender");
    assert_eq!(taken.rcpt, ["<jane@example.org> NOTIFY=NEVER"]);

    let read = ReadNotice::of(&bytes);
    read.assert_sound();
    let rows = [
        ("from", "Mail Desk <desk@mx.example.com>"),
        ("to", "jane@example.org"),
        ("subject", "Auto: your message was not delivered"),
        ("in-reply-to", "<1@example.org>"),
        ("references", "<0@example.org> <00@example.org> <1@example.org>"),
        ("x-mailhatch-notice", "mx.example.com"),
    ];
    for (name, value) in rows {
        assert_eq!(read.field(name).trim_matches(['<', '>']), value.trim_matches(['<', '>']), "{name}");
    }
    let message_id = read.field("message-id");
    assert!(message_id.starts_with('<') && message_id.ends_with(".notice@mx.example.com>"), "{message_id}");
    let rows = [
        (0, "reporting-mta", "dns; mx.example.com"),
        (1, "final-recipient", "rfc822; all@mail.example.com"),
        (1, "action", "failed"),
        (1, "status", "5.1.1"),
        (1, "diagnostic-code", "x-mailhatch; unknown-address"),
    ];
    for (block, name, value) in rows {
        assert_eq!(read.status(block, name), Some(value), "{name}");
    }
    let text = read.text(0);
    for part in ["all@mail.example.com", "The address is not known here.", "desk@mx.example.com"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(['{', '}']), "{text}");
    // ORCPT and the client's name are the client's own words: in the quoted header at most.
    for (name, ours) in [("the text", text), ("the report", read.text(1))] {
        assert!(!ours.contains("incoming+Key") && !ours.contains("mail.example.org"), "{name}: {ours}");
    }
    let header = read.text(2);
    assert!(header.contains("Subject: hello") && header.contains("References: <0@example.org>\r\n <00@"), "{header}");
    assert!(!String::from_utf8_lossy(&bytes).contains("THE BODY"), "no body of the original ever");
}

#[test]
fn the_same_by_the_parser_of_the_house() {
    let desk = Desk::new();
    let bytes = desk.notice(&Mail::jane());
    let message = MessageParser::new().parse(&bytes).expect("a message");
    assert!(message.is_content_type("multipart", "report"));
    assert_eq!(message.content_type().and_then(|t| t.attribute("report-type")), Some("delivery-status"));
    let kinds: Vec<_> = message
        .parts
        .iter()
        .filter_map(|part| part.content_type())
        .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()))
        .collect();
    assert_eq!(kinds, ["multipart/report", "text/plain", "message/delivery-status", "text/rfc822-headers"]);
    assert_eq!(message.in_reply_to().as_text(), Some("1@example.org"));
    assert_eq!(message.header("Auto-Submitted").and_then(|value| value.as_text()), Some("auto-replied"));
    let texts = message.parts.iter().filter(|part| matches!(part.body, PartType::Text(_) | PartType::Message(_)));
    assert!(texts.count() >= 2);
}

#[needs(python3)]
#[test]
fn each_rule_has_its_status_and_its_advice() {
    let rows: &[(&str, &str, &str)] = &[
        ("unknown-address", "5.1.1", "check the address"),
        ("too-large", "5.3.4", "without large attachments"),
        ("app-reject", "5.7.1", "Issue 7 is locked."),
    ];
    for (rule, status, advice) in rows {
        let read = ReadNotice::of(&Desk::new().notice(&Mail::jane().rejected(rule, "Issue 7 is locked.")));
        read.assert_sound();
        assert_eq!(read.status(1, "status"), Some(*status), "{rule}");
        assert!(read.text(0).contains(advice), "{rule}: {}", read.text(0));
    }
}

/// A notice is not a way to send somebody a text by way of its header.
#[needs(python3)]
#[test]
fn of_the_header_at_most_8_kib_go_back() {
    let rows = [
        ("many fields", "X-A: some words of the header\r\n".repeat(2_000)),
        ("folded without a blank", format!("X-A: {}\r\n", "b\r\n ".repeat(2_700))),
        ("one field over it, and one behind", format!("X-A: {}\r\nX-Last: here\r\n", "b".repeat(9_000))),
    ];
    for (name, fields) in rows {
        let read = ReadNotice::of(&Desk::new().notice(&Mail::new("jane@example.org", &fields)));
        let header = read.text(2);
        assert!(header.len() <= 8 * 1024, "{name}: {} octets", header.len());
        assert!(header.contains("Subject: hello"), "{name}: {header}");
        assert_eq!(header.contains("X-Last: here"), fields.contains("X-Last"), "{name}: {header}");
    }
}

#[needs(python3)]
#[test]
fn the_message_id_is_the_same_for_the_same_event_only() {
    let id = |mail: &Mail| ReadNotice::of(&Desk::new().notice(mail)).field("message-id").to_owned();
    assert_eq!(id(&Mail::jane()), id(&Mail::jane()));
    // Trace fields are not part of the event.
    assert_eq!(id(&Mail::jane()), id(&Mail::new("jane@example.org", "Received: by x; y\r\n")));
    assert_ne!(id(&Mail::jane()), id(&Mail::jane().to("other@mail.example.com", None)));
}

#[needs(python3)]
#[test]
fn a_message_without_an_id_has_a_notice_without_a_thread() {
    let read = ReadNotice::of(&Desk::new().notice(&Mail::jane().message("From: jane@example.org\r\n\r\nx\r\n")));
    read.assert_sound();
    assert!(read.fields("in-reply-to").is_empty() && read.fields("references").is_empty());
}

#[needs(python3)]
#[test]
fn international_addresses_are_reported_in_the_global_form() {
    let desk = Desk::new();
    let mail = Mail::new("jäne@bücher.example", "").to("schlüssel@mail.example.com", None);
    let read = ReadNotice::of(&desk.notice(&mail));
    read.assert_sound();
    assert_eq!(read.part(1)["type"], "message/global-delivery-status");
    assert_eq!(read.status(1, "final-recipient"), Some("utf-8; schlüssel@mail.example.com"));
    let taken = desk.mta.only();
    assert_eq!(taken.mail, "<> SMTPUTF8 BODY=8BITMIME");
    assert_eq!(taken.rcpt, ["<jäne@bücher.example> NOTIFY=NEVER"]);
}
