//! Which mail is set aside, by which rule, and which is not.

mod corpus;
mod marks;

use std::collections::HashSet;

use mailhatch::config::{ScreenAction, ScreenConfig, SpamAction};
use mailhatch::mail::{Client, Content, Envelope, Message, Sender};
use mailhatch::screen::{self, Class, ScreenHit, Screened, rules};
use mailhatch::trail::{Step, Trail};
use proptest::prelude::*;

const IGNORE: ScreenConfig = ScreenConfig {
    auto_replies: ScreenAction::Ignore,
    bounces: ScreenAction::Ignore,
    reports: ScreenAction::Ignore,
    spam: SpamAction::Ignore,
};

fn message(header: &str) -> Message {
    Message::parse(Content::whole(format!("{header}\r\n\r\nbody\r\n")))
}

fn envelope(sender: Sender) -> Envelope {
    Envelope {
        sender,
        recipients: Vec::new(),
        client: Client::default(),
        queue_id: None,
        origin: mailhatch::mail::Origin::Smtp,
    }
}

fn examine(config: ScreenConfig, sender: &str, message: &Message) -> (Option<ScreenHit>, Vec<Step>) {
    let sender = if sender == "?" { Sender::Unknown } else { Sender::from_path(sender) };
    let findings = screen::examine(&envelope(sender), message, Trail::kept());
    let set_aside = match findings.under(&config) {
        Screened::Ignored(hit) => Some(hit.clone()),
        Screened::Held(_) | Screened::Passed => None,
    };
    (set_aside, findings.steps(&config))
}

/// The rule that hits, or `-`.
fn rule(sender: &str, header: &str) -> &'static str {
    examine(IGNORE, sender, &message(header)).0.map_or("-", |hit| hit.rule)
}

const JANE: &str = "jane@example.org";

/// What the header is, the header, and the rule that hits.
type Row<'a> = (&'a str, &'a str, &'a str);

const REPORTS: &[Row<'_>] = &[
    (
        "MDN",
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
        "disposition-notification",
    ),
    ("MDN alone", "Content-Type: message/disposition-notification", "disposition-notification"),
    ("MDN, international", "Content-Type: message/global-disposition-notification", "disposition-notification"),
    (
        "MDN without its type",
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/disposition-notification\r\n",
        "disposition-notification",
    ),
    (
        "an MDN that a person attached",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/disposition-notification\r\n",
        "-",
    ),
    ("a person asks for an MDN", "Disposition-Notification-To: jane@example.org", "-"),
    ("ARF", "Content-Type: multipart/report; boundary=b; report-type=\"feedback-report\"", "feedback-report"),
    ("ARF in capitals", "CONTENT-TYPE: Multipart/Report; Report-Type=FEEDBACK-REPORT", "feedback-report"),
    ("ARF alone", "Content-Type: message/feedback-report", "feedback-report"),
    ("X-ARF", "X-ARF: YES", "x-arf"),
    ("X-XARF", "X-XARF: PLAIN", "x-arf"),
    ("Feedback-Type in the header", "Feedback-Type: abuse", "x-arf"),
    ("JMRP", "X-HmXmrOriginalRecipient: a@b", "x-arf"),
    ("Feedback-ID stands on newsletters that people forward", "Feedback-ID: 1:2:3:x", "-"),
    ("DSN", "Content-Type: multipart/report; report-type=delivery-status; boundary=b", "delivery-status"),
    (
        "DSN, folded",
        "Content-Type: multipart/report;\r\n\tboundary=\"b\";\r\n\treport-type=delivery-status",
        "delivery-status",
    ),
    ("DSN alone", "Content-Type: message/delivery-status", "delivery-status"),
    ("DSN, international", "Content-Type: message/global-delivery-status", "delivery-status"),
    (
        "DSN that a gateway made mixed",
        "Content-Type: multipart/mixed; report-type=delivery-status; boundary=b",
        "delivery-status",
    ),
    (
        "DSN without its type",
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n",
        "delivery-status",
    ),
    (
        "a DSN that a person attached",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n",
        "-",
    ),
    ("a forwarded message", "Content-Type: message/rfc822", "-"),
    ("report of another type", "Content-Type: multipart/report; report-type=tlsrpt; boundary=b", "other-report"),
    ("report without a type", "Content-Type: multipart/report; boundary=b", "untyped-report"),
    ("report-type without a multipart", "Content-Type: text/plain; report-type=delivery-status", "-"),
    ("signed", "Content-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"", "-"),
];

const BOUNCES: &[Row<'_>] = &[
    ("Exim", "X-Failed-Recipients: a@b", "failed-recipients"),
    ("Exchange", "X-MS-Exchange-Message-Is-Ndr:", "exchange-ndr"),
    ("Exchange 5.5", "X-MS-Embedded-Report:", "exchange-ndr"),
    ("IIS", "X-DSNContext: 335a7efd - 4523 - 00000001 - 80040546", "exchange-ndr"),
    ("Exchange message to people", "X-MS-Has-Attach:\r\nX-MS-TNEF-Correlator:", "-"),
    ("Exchange content class", "Content-Class: urn:content-classes:dsn", "message-class"),
    ("MAPI class", "X-MAPI-Message-Class: REPORT.IPM.Note.NDR", "message-class"),
    ("Exchange content class of people's mail", "Content-Class: urn:content-classes:message", "-"),
    ("MAPI class of people's mail", "X-MAPI-Message-Class: IPM.Note", "-"),
    ("MDaemon", "X-MDDSN-Message: true", "mdaemon-dsn"),
    ("X.400", "Message-Type: Delivery Report", "x400-report"),
    ("X.400, people's mail", "Message-Type: Multiple Part", "-"),
    ("InterScan", "Content-Type: multipart/mixed; boundary=\"------------InterScan_NT_MIME_Boundary\"", "interscan"),
    ("another boundary", "Content-Type: multipart/mixed; boundary=\"----=_NextPart\"", "-"),
    ("mailer daemon", "From: MAILER-DAEMON@example.org", "mailer-daemon"),
    ("mailer daemon with a name", "From: Mail Delivery System <Mailer-Daemon@example.org>", "mailer-daemon"),
    ("mailer daemon with a comment", "From: MAILER-DAEMON@example.org (Mail Delivery System)", "mailer-daemon"),
    ("mailer daemon without a domain", "From: MAILER-DAEMON", "mailer-daemon"),
    ("somebody who runs daemons", "From: daemon-lover@example.org", "-"),
    ("somebody with that name", "From: MAILER-DAEMON fan club <jane@example.org>", "-"),
    ("empty author", "From: \"Jetmail System\" <>", "empty-from"),
    ("empty author, no name", "From: <>", "empty-from"),
    ("no author", "Subject: x", "-"),
    ("postmaster and subject", "From: postmaster@example.org\r\nSubject: Undeliverable: hello", "bounce-subject"),
    (
        "postmaster and encoded subject",
        "From: Postmaster <Postmaster@example.org>\r\nSubject: =?utf-8?b?RGVsaXZlcnkgZmFpbHVyZSBub3RpZmljYXRpb25=?=",
        "bounce-subject",
    ),
    (
        "system administrator",
        "From: \"System Administrator\"@example.com\r\nSubject: Delivery Failure",
        "bounce-subject",
    ),
    ("display name", "From: Mail Delivery System <ndr@example.org>\r\nSubject: Delayed Mail", "bounce-subject"),
    ("SMTP gateway", "From: E500_SMTP_Mail_Service@example.org\r\nSubject: Returned Mail - Error", "bounce-subject"),
    ("postmaster answers", "From: postmaster@example.org\r\nSubject: Re: Undeliverable: hello", "-"),
    (
        "postmaster passes on",
        "From: postmaster@example.org\r\nSubject: [Fwd: Undelivered Mail Returned to Sender]",
        "-",
    ),
    ("postmaster is a person", "From: postmaster@example.org\r\nSubject: Your question", "-"),
    ("subject alone", "From: jane@example.org\r\nSubject: Undelivered Mail Returned to Sender", "-"),
    ("subject alone, smtp as part of a word", "From: smtpfan@example.org\r\nSubject: Delivery failure", "-"),
];

const AUTO_REPLIES: &[Row<'_>] = &[
    // GitLab's section 2: the first block is as there, the second is read as RFC 3834 section 5 says.
    ("no", "Auto-Submitted: no", "-"),
    ("no, blank behind", "Auto-Submitted: no ", "-"),
    ("no, folded", "Auto-Submitted:\r\n no", "-"),
    ("yes", "Auto-Submitted: yes", "auto-submitted"),
    ("auto-generated", "Auto-Submitted: auto-generated", "auto-submitted"),
    ("auto-replied", "Auto-Submitted: auto-replied", "auto-submitted"),
    ("auto-notified", "Auto-Submitted: auto-notified", "auto-submitted"),
    ("no keyword", "Auto-Submitted:", "auto-submitted"),
    ("quoted", "Auto-Submitted: \"no\"", "auto-submitted"),
    ("capital, GitLab ignores it", "Auto-Submitted: No", "-"),
    ("capitals, GitLab ignores it", "Auto-Submitted: NO", "-"),
    ("parameter, GitLab ignores it", "Auto-Submitted: no; x=y", "-"),
    ("comment, GitLab ignores it", "Auto-Submitted: no (a person)", "-"),
    ("comment in front", "Auto-Submitted: (a (nested\\) ; ) person) no", "-"),
    ("comment with a keyword", "Auto-Submitted: auto-replied (no)", "auto-submitted"),
    ("comment with a semicolon", "Auto-Submitted: (no; ) auto-replied", "auto-submitted"),
    ("parameter with a keyword", "Auto-Submitted: auto-replied; no", "auto-submitted"),
    ("a comment that never ends", "Auto-Submitted: (no", "auto-submitted"),
    ("keyword that begins with no", "Auto-Submitted: not-really", "auto-submitted"),
    ("name in lower case", "auto-submitted: AUTO-REPLIED", "auto-submitted"),
    ("twice, GitLab fails", "Auto-Submitted: no\r\nAuto-Submitted: auto-replied", "auto-submitted"),
    ("twice no", "Auto-Submitted: no\r\nAuto-Submitted: no", "-"),
    ("GitLab's verification mail", "Auto-Submitted: no\r\nX-Auto-Response-Suppress: All", "-"),
    ("X-Autoreply yes", "X-Autoreply: yes", "x-autoreply"),
    ("X-Autoreply, blank behind", "X-Autoreply: yes ", "x-autoreply"),
    ("X-Autoreply, capital, GitLab processes it", "X-Autoreply: Yes", "x-autoreply"),
    ("X-Autoreply true", "X-Autoreply: true", "-"),
    ("X-Autoreply 1", "X-Autoreply: 1", "-"),
    ("X-Autoreply empty", "X-Autoreply:", "-"),
    ("X-Autoreply with more", "X-Autoreply: yes; x", "-"),
    ("X-Autoreply twice", "X-Autoreply: no\r\nX-Autoreply: yes", "x-autoreply"),
    ("X-Autorespond with the subject", "X-Autorespond: Re: hello", "x-autorespond"),
    ("X-Auto-Reply-From", "X-Auto-Reply-From: jane@example.org", "x-autorespond"),
    ("X-Autoreply-From", "X-Autoreply-From: jane@example.org", "x-autorespond"),
    ("FirstClass", "X-FC-MachineGenerated: true", "x-autorespond"),
    ("FirstClass, a person", "X-FC-MachineGenerated: false", "-"),
    ("X-Autorespond no", "X-Autorespond: no", "-"),
    ("CommuniGate Pro", "X-Autogenerated: Reply", "x-autogenerated"),
    ("CommuniGate Pro, redirected", "X-Autogenerated: Mirror", "-"),
    ("auto_reply", "Precedence: auto_reply", "precedence"),
    ("X-Precedence", "X-Precedence: auto_reply", "precedence"),
    ("bulk", "Precedence: bulk", "-"),
    ("list", "Precedence: list", "-"),
    ("junk", "Precedence: junk", "-"),
    ("a longer value", "Precedence: auto_reply_not", "-"),
    ("Apple", "X-Apple-Action: VACATION", "apple-vacation"),
    ("Apple, another action", "X-Apple-Action: NOTIFY", "-"),
    ("Apple's id", "Message-ID: <7e23258d-247f-479e-996d-e01f0f30af85-vac@example.com>", "apple-vacation"),
    ("another id", "Message-ID: <summer-vac@example.com>", "-"),
    ("X-POST-MessageClass", "X-POST-MessageClass: 9; Autoresponder", "post-message-class"),
    ("X-POST-MessageClass of people's mail", "X-POST-MessageClass: 1; Mail", "-"),
    ("Content-Identifier", "Content-Identifier: Auto-replied", "content-identifier"),
    ("X400-Content-Identifier", "X400-Content-Identifier: AUTO-REPLIED", "content-identifier"),
    ("Content-Identifier of people's mail", "Content-Identifier: RE: A Q conce...", "-"),
    ("inbox rule, and suppress", "X-MS-Exchange-Inbox-Rules-Loop: a@b\r\nX-Auto-Response-Suppress: All", "-"),
    (
        "inbox rule, and suppress as Exchange writes it",
        "X-MS-Exchange-Inbox-Rules-Loop: a@b\r\nX-Auto-Response-Suppress: DR, OOF, AutoReply",
        "-",
    ),
    ("inbox rule that redirects", "X-MS-Exchange-Inbox-Rules-Loop: a@b", "-"),
    ("suppress alone", "X-Auto-Response-Suppress: All", "-"),
    ("suppress DR", "X-Auto-Response-Suppress: DR, OOF, AutoReply", "-"),
    ("list", "List-Id: <l.example.org>\r\nList-Unsubscribe: <mailto:x@y>\r\nPrecedence: list", "-"),
    ("out of office as a subject alone", "Subject: Out of office: hello", "-"),
];

const SPAM: &[Row<'_>] = &[
    ("flag", "X-Spam-Flag: YES", "x-spam-flag"),
    ("flag in lower case", "x-spam-flag: yes", "x-spam-flag"),
    ("flag no", "X-Spam-Flag: NO", "-"),
    ("second flag yes", "X-Spam-Flag: NO\r\nX-Spam-Flag: YES", "x-spam-flag"),
    ("status", "X-Spam-Status: Yes, score=7.1 required=5.0 tests=BAYES_99", "x-spam-status"),
    ("status, folded", "X-Spam-Status:\r\n\tYes, score=7.1", "x-spam-status"),
    ("status no", "X-Spam-Status: No, score=-0.1 required=5.0 tests=YES", "-"),
    ("rspamd", "X-Spam: Yes", "x-spam"),
    ("rspamd, another word", "X-Spam: Yesterday", "-"),
    ("rspamd no", "X-Spam: No", "-"),
    ("Amazon", "X-SES-Spam-Verdict: FAIL", "x-ses-spam-verdict"),
    ("Amazon, pass", "X-SES-Spam-Verdict: PASS\r\nX-SES-Virus-Verdict: PASS", "-"),
    ("Amazon, gray", "X-SES-Spam-Verdict: GRAY", "-"),
    ("Exchange 5", "X-MS-Exchange-Organization-SCL: 5", "x-ms-exchange-organization-scl"),
    ("Exchange 9", "X-MS-Exchange-Organization-SCL: 9", "x-ms-exchange-organization-scl"),
    ("Exchange 4", "X-MS-Exchange-Organization-SCL: 4", "-"),
    ("Exchange, trusted", "X-MS-Exchange-Organization-SCL: -1", "-"),
    ("Exchange, rubbish", "X-MS-Exchange-Organization-SCL: 5x", "-"),
    (
        "Microsoft 365",
        "X-Forefront-Antispam-Report: CIP:192.0.2.1;CTRY:DE;LANG:de;SCL:5;SRV:;IPV:NLI;SFV:SPM;",
        "x-forefront-antispam-report",
    ),
    (
        "Microsoft 365, folded",
        "X-Forefront-Antispam-Report:\r\n CIP:192.0.2.1;CTRY:DE;LANG:de;\r\n SCL:9;SRV:",
        "x-forefront-antispam-report",
    ),
    ("Microsoft 365, not spam", "X-Forefront-Antispam-Report: CIP:192.0.2.1;SCL:1;SFV:NSPM;DIR:INB;", "-"),
    ("Microsoft 365, another entry", "X-Forefront-Antispam-Report: XSCL:9;SCL:1;PTR:SCL:9", "-"),
    ("a level of stars", "X-Spam-Level: *********", "-"),
    ("a score", "X-Spam-Score: 99", "-"),
];

#[test]
fn a_mark_of_spam_is_a_matter_of_its_own() {
    use SpamAction::{Deliver, Hold, Ignore};
    const VACATION: &str = "Auto-Submitted: auto-replied";
    const SPAM_VACATION: &str = "Auto-Submitted: auto-replied\r\nX-Spam-Flag: YES";
    const SPAM: &str = "X-Spam-Flag: YES";
    let deliver_auto_replies = ScreenConfig { auto_replies: ScreenAction::Deliver, ..IGNORE };
    let rows: &[(&str, &str, ScreenConfig, SpamAction, &str)] = &[
        ("delivered", SPAM, IGNORE, Deliver, "-"),
        ("held", SPAM, IGNORE, Hold, "held x-spam-flag"),
        ("ignored", SPAM, IGNORE, Ignore, "ignored x-spam-flag"),
        ("a marked vacation note is a vacation note", SPAM_VACATION, IGNORE, Hold, "ignored auto-submitted"),
        ("also where spam is delivered", SPAM_VACATION, IGNORE, Deliver, "ignored auto-submitted"),
        ("a delivered class does not deliver spam", SPAM_VACATION, deliver_auto_replies, Hold, "held x-spam-flag"),
        ("nor does it ignore it", SPAM_VACATION, deliver_auto_replies, Ignore, "ignored x-spam-flag"),
        ("both delivered", SPAM_VACATION, deliver_auto_replies, Deliver, "-"),
        ("not marked", VACATION, deliver_auto_replies, Ignore, "-"),
    ];
    for (name, header, config, spam, wanted) in rows {
        let findings = screen::examine(&envelope(Sender::from_path(JANE)), &message(header), Trail::kept());
        let config = ScreenConfig { spam: *spam, ..*config };
        let came = match findings.under(&config) {
            Screened::Passed => "-".to_owned(),
            Screened::Held(hit) => format!("held {}", hit.rule),
            Screened::Ignored(hit) => format!("ignored {}", hit.rule),
        };
        assert_eq!(came, *wanted, "{name}");
        let result = |rule: &str| findings.steps(&config).iter().find(|step| step.rule == rule).map(|step| step.result);
        if header.contains("X-Spam-Flag") {
            assert_eq!(result("x-spam-flag"), Some(if *spam == Deliver { "allowed" } else { "hit" }), "{name}");
        }
    }
}

#[test]
fn each_rule_hits_what_it_is_for_and_misses_what_is_near() {
    for (name, header, wanted) in REPORTS.iter().chain(BOUNCES).chain(AUTO_REPLIES).chain(SPAM) {
        assert_eq!(rule(JANE, header), *wanted, "{name}: {header}");
    }
}

#[test]
fn every_rule_of_the_table_has_a_row() {
    let rows = REPORTS.iter().chain(BOUNCES).chain(AUTO_REPLIES).chain(SPAM).map(|(_, _, rule)| *rule);
    let tested: HashSet<&str> = rows.chain(["null-sender", "return-path"]).collect();
    for rule in rules() {
        assert!(tested.contains(rule.name), "{}", rule.name);
        assert!(!rule.source.is_empty());
    }
    let names: HashSet<&str> = rules().iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), rules().len(), "a name stands twice");
}

#[test]
fn the_page_about_screening_has_every_rule() {
    let page = include_str!("../../docs/screening.md");
    for rule in rules() {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", rule.name)));
        let row = row.unwrap_or_else(|| panic!("docs/screening.md does not know the rule {}", rule.name));
        for field in rule.fields {
            assert!(row.contains(&format!("`{field}`")), "{}: {field}", rule.name);
        }
    }
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, rules().len(), "docs/screening.md has a rule that is gone");
}

#[test]
fn the_null_sender_is_told_from_an_unknown_one() {
    const NULL: &str = "Return-Path: <>\r\nReceived: from a by b";
    let rows: &[(&str, &str, &str, &str)] = &[
        ("null", "<>", "Subject: x", "null-sender"),
        ("null, whatever the message says", "<>", "Auto-Submitted: no", "null-sender"),
        ("what pipe(8) makes of null", "MAILER-DAEMON", "Subject: x", "null-sender"),
        ("a mailbox of that name", "MAILER-DAEMON@example.org", "Subject: x", "-"),
        ("a bare name", "root", "Subject: x", "-"),
        ("unknown", "?", "Subject: x", "-"),
        ("unknown, null Return-Path", "?", NULL, "return-path"),
        ("unknown, null Return-Path with blanks", "?", "Return-Path: < >", "return-path"),
        ("unknown, Return-Path below the trace", "?", "Received: from a by b\r\nReturn-Path: <>", "-"),
        ("unknown, other Return-Path", "?", "Return-Path: <jane@example.org>", "-"),
        ("unknown, second Return-Path null", "?", "Return-Path: <jane@example.org>\r\nReturn-Path: <>", "-"),
        ("unknown, empty Return-Path", "?", "Return-Path:", "-"),
        ("known, null Return-Path", JANE, NULL, "-"),
        ("the more telling rule first", "<>", "Auto-Submitted: auto-replied", "auto-submitted"),
    ];
    for (name, sender, header, wanted) in rows {
        assert_eq!(rule(sender, header), *wanted, "{name}");
    }
}

#[test]
fn what_is_delivered_is_noted_and_not_set_aside_for_another_reason() {
    const DSN: &str = "Content-Type: multipart/report; report-type=delivery-status\r\nAuto-Submitted: auto-replied";
    const MDN: &str =
        "Content-Type: multipart/report; report-type=disposition-notification\r\nAuto-Submitted: auto-replied";
    let deliver = |class: Class| ScreenConfig {
        auto_replies: if class == Class::AutoReply { ScreenAction::Deliver } else { ScreenAction::Ignore },
        bounces: if class == Class::Bounce { ScreenAction::Deliver } else { ScreenAction::Ignore },
        reports: if class == Class::Report { ScreenAction::Deliver } else { ScreenAction::Ignore },
        spam: SpamAction::Deliver,
    };
    let rows = [
        ("bounce", Class::Bounce, DSN, "-"),
        ("report", Class::Report, MDN, "-"),
        ("auto-reply", Class::AutoReply, "Auto-Submitted: auto-replied", "-"),
        ("bounce where reports are delivered", Class::Report, DSN, "delivery-status"),
        ("report where bounces are delivered", Class::Bounce, MDN, "disposition-notification"),
        ("auto-reply where bounces are delivered", Class::Bounce, "Auto-Submitted: auto-replied", "auto-submitted"),
        ("bounce where auto-replies are delivered", Class::AutoReply, DSN, "delivery-status"),
        ("null sender alone where auto-replies are delivered", Class::AutoReply, "Subject: x", "null-sender"),
    ];
    for (name, class, header, wanted) in rows {
        let (hit, steps) = examine(deliver(class), "<>", &message(header));
        assert_eq!(hit.map_or("-", |hit| hit.rule), wanted, "{name}");
        let last = steps.last().unwrap();
        assert_eq!(last.result, if wanted == "-" { "allowed" } else { "hit" }, "{name}");
    }
}

#[test]
fn the_trail_and_the_hit_say_what_was_seen() {
    let (hit, steps) = examine(IGNORE, JANE, &message("Auto-Submitted: auto-replied (vacation)"));
    let hit = hit.unwrap();
    assert_eq!((hit.rule, hit.source, hit.class), ("auto-submitted", "RFC 3834 section 5", Class::AutoReply));
    assert_eq!(hit.detail, "Auto-Submitted: auto-replied (vacation)");
    assert_eq!(steps.last().unwrap().detail, hit.detail);

    let (hit, steps) = examine(IGNORE, JANE, &message("auto-submitted: no"));
    assert_eq!(hit, None);
    assert_eq!(steps.len(), rules().len());
    let seen = |rule: &str| {
        let step = steps.iter().find(|step| step.rule == rule).unwrap();
        format!("{} {}", step.result, step.detail)
    };
    assert_eq!(seen("auto-submitted"), "pass auto-submitted: no");
    assert_eq!(seen("x-autoreply"), "pass no X-Autoreply");
    assert_eq!(seen("null-sender"), "pass envelope sender <jane@example.org>");
}

#[test]
fn a_detail_is_short_enough_for_a_log_line() {
    let (hit, _) = examine(IGNORE, JANE, &message(&format!("X-Autorespond: {}", "ü".repeat(10_000))));
    assert!(hit.unwrap().detail.chars().count() <= 201);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_the_screen_fail(bytes in proptest::collection::vec(any::<u8>(), 0..300), name in 0..rules().len()) {
        let field = rules()[name].fields.first().copied().unwrap_or("Subject");
        let mut content = format!("{field}: ").into_bytes();
        content.extend(bytes);
        let _ = examine(IGNORE, "?", &Message::parse(Content::whole(content)));
    }

    #[test]
    fn a_keyword_is_read_through_comments_and_parameters(
        before in "[ \t]{0,3}(\\([a-z ;]{0,9}\\))?",
        keyword in "no|NO|No|auto-replied|auto-generated",
        after in "[ \t]{0,3}(;[a-z=; ]{0,9})?",
    ) {
        let header = format!("Auto-Submitted: {before}{keyword}{after}");
        let wanted = if keyword.eq_ignore_ascii_case("no") { "-" } else { "auto-submitted" };
        prop_assert_eq!(rule(JANE, &header), wanted, "{}", header);
    }
}
