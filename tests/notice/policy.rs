//! Who is written to, and the reason for everybody else.

use mailhatch::event_id::{EventId, MessageDigest};
use mailhatch::mail::Sender;
use mailhatch::notice::Rejected;

use super::{Desk, Mail};

/// `[screen]` that sets nothing aside, so that everything reaches the policy.
const DELIVER: &str = "[screen]\nauto_replies = \"deliver\"\nbounces = \"deliver\"\nreports = \"deliver\"\n";

fn by(sender: &str) -> Mail {
    Mail::new(sender, "")
}

fn with(fields: &str) -> Mail {
    Mail::new("jane@example.org", fields)
}

fn sender(sender: Sender) -> Mail {
    Mail { sender, ..Mail::jane() }
}

#[tokio::test]
async fn each_condition_has_its_reason() {
    let machine = |mark: &str| format!("withheld: machine-made ({mark})");
    let role = |name: &str| format!("withheld: role address ({name})");
    let unwritable = "withheld: sender cannot be written to".to_owned();
    let own = "withheld: own address".to_owned();
    let sent = "sent".to_owned();
    let suppress = |value: &str| with(&format!("X-Auto-Response-Suppress: {value}\r\n"));
    let rows: Vec<(&str, Mail, String)> = vec![
        ("a person", Mail::jane(), sent.clone()),
        ("null sender", sender(Sender::Null), "withheld: null sender".into()),
        ("unknown sender", sender(Sender::Unknown), "withheld: unknown sender".into()),
        ("a bare name", sender(Sender::from_path("root")), unwritable.clone()),
        ("address literal", by("jane@[203.0.113.7]"), unwritable.clone()),
        ("a name without a dot", by("jane@localhost"), unwritable.clone()),
        ("an address for a name", by("jane@203.0.113.7"), unwritable.clone()),
        ("empty label", by("jane@example..org"), unwritable.clone()),
        ("dot at the end", by("jane@example.org."), unwritable.clone()),
        ("label of 64", by(&format!("jane@{}.org", "x".repeat(64))), unwritable.clone()),
        ("255 octets", by(&format!("{}@example.org", "x".repeat(243))), unwritable.clone()),
        ("254 octets", by(&format!("{}@example.org", "x".repeat(242))), sent.clone()),
        ("a quote that does not end", by("a\"b@example.org"), unwritable.clone()),
        ("a quote in a quoted local part", by("\"a\"b\"@example.org"), unwritable.clone()),
        ("an escape that does not end", by("\"a\\\"@example.org"), unwritable.clone()),
        ("a backslash", by("a\\b@example.org"), unwritable.clone()),
        ("two at signs", by("a@b@example.org"), unwritable.clone()),
        ("a comment", by("a(b)@example.org"), unwritable.clone()),
        ("a route", by("@relay.example:jane@example.org"), unwritable.clone()),
        ("a quoted local part", by("\"jane doe\"@example.org"), sent.clone()),
        ("an escaped quote", by("\"jane\\\"doe\"@example.org"), sent.clone()),
        ("two dots in a row, as a Japanese provider has them", by("j..ane.@example.org"), sent.clone()),
        ("all signs of an atom", by("!#$%&'*+-/=?^_`{|}~@example.org"), sent.clone()),
        ("SMTPUTF8", by("jäne@bücher.example"), sent.clone()),
        ("marked as spam", with("X-Spam-Flag: YES\r\n"), "withheld: marked as spam (x-spam-flag)".into()),
        ("our own notice", with("X-Mailhatch-Notice: mx.example.com\r\n"), "withheld: our own notice".into()),
        ("out of office", with("Auto-Submitted: auto-replied\r\n"), machine("Auto-Submitted")),
        (
            "Auto-Submitted with a comment",
            with("Auto-Submitted: (no) auto-generated; x=no\r\n"),
            machine("Auto-Submitted"),
        ),
        (
            "Auto-Submitted twice",
            with("Auto-Submitted: no\r\nAuto-Submitted: auto-replied\r\n"),
            machine("Auto-Submitted"),
        ),
        ("Auto-Submitted: no", with("Auto-Submitted: no (really)\r\n"), sent.clone()),
        ("list mail", with("List-Id: <l.example.org>\r\n"), machine("List-*")),
        ("list mail, by List-Unsubscribe alone", with("List-Unsubscribe: <mailto:x@y.z>\r\n"), machine("List-*")),
        ("a field that only begins like one", with("Listen: yes\r\n"), sent.clone()),
        ("bulk", with("Precedence: bulk\r\n"), machine("Precedence: bulk")),
        ("junk", with("Precedence: Junk\r\n"), machine("Precedence: junk")),
        ("list", with("Precedence: LIST\r\n"), machine("Precedence: list")),
        ("auto_reply", with("Precedence: auto_reply\r\n"), machine("Precedence: auto_reply")),
        ("first-class", with("Precedence: first-class\r\n"), sent.clone()),
        ("suppress all", suppress("All"), machine("X-Auto-Response-Suppress")),
        ("suppress OOF", suppress("DR, OOF, AutoReply"), machine("X-Auto-Response-Suppress")),
        ("suppress NDR", suppress("ndr"), machine("X-Auto-Response-Suppress")),
        ("suppress nothing of ours", suppress("NRN"), sent.clone()),
        ("a report", with("Content-Type: multipart/report; report-type=x\r\n"), machine("multipart/report")),
        ("X-Autoreply", with("X-Autoreply: yes\r\n"), machine("x-autoreply")),
        ("X-Autorespond", with("X-Autorespond: vacation\r\n"), machine("x-autorespond")),
        ("a bounce that lost its type", with("X-Failed-Recipients: x@y.example\r\n"), machine("failed-recipients")),
        ("vacation of Apple", with("X-Apple-Action: VACATION\r\n"), machine("apple-vacation")),
        ("postmaster", by("Postmaster@example.org"), role("Postmaster")),
        ("mailer-daemon", by("MAILER-DAEMON@example.org"), role("MAILER-DAEMON")),
        ("noreply", by("no-reply+x@example.org"), role("no-reply+x")),
        ("a list's owner", by("owner-list@example.org"), role("owner-list")),
        ("a list's robot", by("list-request@example.org"), role("list-request")),
        ("a role behind BATV", by("prvs=0123456789=postmaster@example.org"), role("postmaster")),
        ("a role behind SRS", by("SRS0=H=T=a.example=noreply@example.org"), role("noreply")),
        ("our mailbox", by("incoming+key@mail.example.com"), own.clone()),
        ("our domain", by("jane@Mail.Example.COM"), own.clone()),
        ("our mailbox behind SRS", by("SRS0=H=T=mail.example.com=incoming+key@example.org"), own.clone()),
        ("what our notices come from", by("desk@mx.example.com"), own.clone()),
        ("another person on our host", by("jane@mx.example.com"), sent.clone()),
        (
            "another client",
            Mail { client: "198.51.100.1", ..Mail::jane() },
            "withheld: spf=fail, no aligned dkim".into(),
        ),
        ("no client", Mail { client: "", ..Mail::jane() }, "withheld: spf=none, no aligned dkim".into()),
        ("+all", by("jane@all.example.org"), "withheld: spf=pass (passes everybody), no aligned dkim".into()),
        (
            "DMARC reject of another From",
            Mail::jane().message("From: b@strict.example\r\n\r\nx\r\n"),
            "withheld: dmarc=fail, and the From domain asks to refuse it".into(),
        ),
    ];
    for (name, mail, expected) in rows {
        let desk = Desk::with("from = \"Desk <desk@mx.example.com>\"", DELIVER);
        let outcome = desk.reject(&mail).await.unwrap_or_else(|deferral| panic!("{name}: {deferral:?}"));
        assert_eq!(outcome.to_string(), expected, "{name}");
        assert_eq!(desk.mta.taken().len(), usize::from(expected == "sent"), "{name}");
    }
}

#[tokio::test]
async fn notices_that_are_off_ask_nobody() {
    let desk = Desk::with("enabled = false", "");
    assert_eq!(desk.reject(&Mail::jane()).await.unwrap().to_string(), "withheld: notices are off");
    assert!(desk._names.questions().is_empty());
}

#[tokio::test]
async fn what_is_withheld_for_a_cheap_reason_asks_no_name_server() {
    let desk = Desk::new();
    desk.reject(&with("List-Id: <x.example.org>\r\n")).await.unwrap();
    assert!(desk._names.questions().is_empty());
}

#[tokio::test]
async fn the_limits_hold_for_all_forms_of_one_sender() {
    let desk = Desk::with("per_domain_per_hour = 2\ntotal_per_hour = 3", "");
    let interval = "withheld: sender had a notice within the interval";
    let rows: &[(&str, &str, &str)] = &[
        ("the first", "jane@example.org", "sent"),
        ("again", "jane@example.org", interval),
        ("in capitals", "Jane@EXAMPLE.org", interval),
        ("with a sub-address", "jane+x@example.org", interval),
        ("with BATV", "prvs=1=jane@example.org", interval),
        ("forwarded with SRS", "SRS0=H=T=example.org=jane@example.net", interval),
        ("another", "joe@example.org", "sent"),
        ("a third of the domain", "jim@example.org", "withheld: limit for the sender's domain reached"),
        ("a sender of another domain", "ann@example.net", "sent"),
        ("too many in all", "eve@example.net", "withheld: limit for all notices reached"),
    ];
    for (number, (name, address, expected)) in rows.iter().enumerate() {
        let mail = Mail::new(address, &format!("X-Number: {number}\r\nTo: {number}@x.example\r\n"));
        let mail = mail.to(&format!("nobody{number}@mail.example.com"), None);
        assert_eq!(desk.reject(&mail).await.unwrap().to_string(), *expected, "{name}");
    }
    assert_eq!(desk.mta.taken().len(), 3);
}

/// A copy of one message from two senders is two refusals: what one of them was told, the other was not.
#[tokio::test]
async fn sent_is_said_of_the_sender_who_got_it() {
    let desk = Desk::new();
    let rows = [
        ("jane@example.org", "sent", 1),
        ("joe@example.net", "sent", 2),
        ("jane@example.org", "sent before", 2),
        ("joe@example.net", "sent before", 2),
        ("jane@all.example.org", "withheld: spf=pass (passes everybody), no aligned dkim", 2),
    ];
    for (sender, expected, notices) in rows {
        assert_eq!(desk.reject(&by(sender)).await.unwrap().to_string(), expected, "{sender}");
        assert_eq!(desk.mta.taken().len(), notices, "{sender}");
    }
    let told: Vec<_> = desk.mta.taken().into_iter().map(|taken| taken.rcpt[0].clone()).collect();
    assert_eq!(told, ["<jane@example.org> NOTIFY=NEVER", "<joe@example.net> NOTIFY=NEVER"]);
}

/// Anybody can write under an address that says it forwards for another: that must not use up the other's notice.
#[tokio::test]
async fn only_the_address_that_is_written_to_has_had_its_notice() {
    let desk = Desk::new();
    let interval = "withheld: sender had a notice within the interval";
    let rows: &[(&str, &str, &str)] = &[
        ("a stranger who claims to forward for her", "SRS0=H=T=example.org=jane@example.net", "sent"),
        ("the same stranger at another time", "SRS0=I=U=example.org=jane@example.net", interval),
        ("herself", "jane@example.org", "sent"),
        ("herself again", "jane@example.org", interval),
        ("a forwarder, when she has had one", "SRS1=H=x.example==H=T=example.org=jane@mx.example.com", interval),
    ];
    for (number, (name, address, expected)) in rows.iter().enumerate() {
        let mail = Mail::new(address, &format!("X-Number: {number}\r\n"));
        assert_eq!(desk.reject(&mail).await.unwrap().to_string(), *expected, "{name}");
    }
}

#[tokio::test]
async fn an_international_domain_has_one_limit_in_both_its_forms() {
    let desk = Desk::new();
    assert_eq!(desk.reject(&by("jane@bücher.example")).await.unwrap().to_string(), "sent");
    let other = by("jane@xn--bcher-kva.example").to("other@mail.example.com", None);
    assert!(desk.reject(&other).await.unwrap().to_string().contains("within the interval"));
}

#[tokio::test]
async fn what_explain_previews_is_what_happens() {
    let desk = Desk::new();
    for mail in [Mail::jane(), by("postmaster@example.org"), by("jane@all.example.org")] {
        let message = mailhatch::mail::Message::parse(mailhatch::mail::Content::whole(mail.message.clone()));
        let envelope = mailhatch::mail::Envelope {
            sender: mail.sender.clone(),
            recipients: vec![mail.recipient.clone()],
            client: mailhatch::mail::Client { address: mail.client.parse().ok(), ..Default::default() },
            queue_id: None,
            origin: mailhatch::mail::Origin::Smtp,
        };
        let authentication = async { std::sync::Arc::new(desk.authenticator.examine(&envelope, &message).await) };
        let rejected = Rejected {
            id: &EventId::of("", &mail.recipient.address, &MessageDigest::of(&message, None).unwrap()),
            envelope: &envelope,
            message: &message,
            recipient: &mail.recipient,
            rejection: &mail.rejection,
            findings: &mailhatch::screen::Findings::default(),
            routes: &desk.routes,
        };
        let preview = desk.notifier.preview(rejected, authentication).await;
        let before = desk.mta.taken().len();
        assert_eq!(before, 0, "explain writes to nobody");
        let expected = if preview.would_send { "sent".to_owned() } else { format!("withheld: {}", preview.why) };
        let fresh = Desk::new();
        assert_eq!(fresh.reject(&mail).await.unwrap().to_string(), expected);
        assert_eq!(preview.to.as_deref(), preview.would_send.then_some("jane@example.org"));
    }
}
