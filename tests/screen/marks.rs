//! The marks that forbid an answer.

use mailhatch::screen::marks::{
    is_auto_submitted, is_list_mail, is_role_or_robot, precedence, suppresses_auto_response,
};

use super::message;

#[test]
fn list_mail_is_known_by_its_fields() {
    let rows = [
        ("List-Id", "List-Id: <l.example.org>", true),
        ("List-Unsubscribe", "LIST-UNSUBSCRIBE: <mailto:x@y>", true),
        ("any other", "List-Whatever: x", true),
        ("a field that begins likewise", "Listing: x", false),
        ("nothing behind the hyphen", "List-: x", false),
        ("none", "Subject: List-Id", false),
    ];
    for (name, header, wanted) in rows {
        assert_eq!(is_list_mail(&message(header)), wanted, "{name}");
    }
}

#[test]
fn precedence_is_read_by_its_value() {
    let rows = [
        ("Precedence: bulk", Some("bulk")),
        ("Precedence: Junk ", Some("junk")),
        ("Precedence: list", Some("list")),
        ("Precedence: auto_reply", Some("auto_reply")),
        ("Precedence: first-class\r\nPrecedence: bulk", Some("bulk")),
        ("Precedence: first-class", None),
        ("Precedence: special-delivery", None),
        ("Precedence: bulky", None),
        ("Precedence:", None),
        ("X-Precedence: bulk", None),
    ];
    for (header, wanted) in rows {
        assert_eq!(precedence(&message(header)).as_deref(), wanted, "{header}");
    }
}

#[test]
fn suppression_is_read_by_its_kinds() {
    let rows = [
        ("All", true),
        ("DR, OOF", true),
        ("autoreply", true),
        ("NDR;RN", true),
        ("None", false),
        ("", false),
        ("Allow", false),
        ("NRN", false),
    ];
    for (value, wanted) in rows {
        assert_eq!(
            suppresses_auto_response(&message(&format!("X-Auto-Response-Suppress: {value}"))),
            wanted,
            "{value}"
        );
    }
    assert!(!suppresses_auto_response(&message("Subject: All")));
}

#[test]
fn automatic_submission_is_read_as_the_screen_reads_it() {
    for (value, wanted) in [("no", false), ("No (x); y", false), ("auto-replied", true), ("", true)] {
        assert_eq!(is_auto_submitted(&message(&format!("Auto-Submitted: {value}"))), wanted, "{value}");
    }
    assert!(!is_auto_submitted(&message("Subject: x")));
}

#[test]
fn roles_and_robots_are_told_from_people() {
    let robots = [
        "MAILER-DAEMON",
        "postmaster",
        "Postmaster",
        "noreply",
        "no-reply",
        "No.Reply",
        "no_reply",
        "donotreply",
        "do-not-reply",
        "noreply+abc",
        "bounces+123=x",
        "bounce-17",
        "list-bounces",
        "list-request",
        "owner-list",
        "list-owner",
        "listserv",
        "majordomo",
        "mailman",
        "root",
        "www-data",
        "\"mailer-daemon\"",
        "abuse",
        "jobs-noreply",
        "notifications",
    ];
    for local in robots {
        assert!(is_role_or_robot(local), "{local}");
    }
    let people = [
        "jane",
        "jane.doe",
        "jane+noreply",
        "info",
        "support",
        "sales",
        "rootbeer",
        "request",
        "owner",
        "abused",
        "newsome",
        "norepl",
        "postmaster.general",
        "",
    ];
    for local in people {
        assert!(!is_role_or_robot(local), "{local}");
    }
}
