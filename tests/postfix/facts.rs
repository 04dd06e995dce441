//! What Postfix does with the pieces in `postfix/`, seen by a stub in mailhatch's place: each line that changes what
//! Postfix does has a test that fails without it.

use crate::service::DOMAIN;
use crate::stubs::{KEYWORDS, Recorder, Sink, write_program};
use crate::support::needs;
use crate::support::postfix::Postfix;
use crate::support::submission::{Client, Submission};

const MESSAGE: &str = "From: Jane <jane@example.org>\r\nSubject: hello\r\n\r\ntext\r\n";

#[needs(postfix, root)]
#[test]
fn pipe_arguments_arrive_whole() {
    let v6 = Client { address: "2001:db8::7", name: "[UNAVAILABLE]", helo: "[IPv6:2001:db8::7]" };
    let rows: &[(&str, Submission, &[&str])] = &[
        (
            "all that is known",
            Submission::new("Jane+x@example.org", &["incoming+Group/Key-1@mail.example.com"], MESSAGE),
            &[
                "pipe",
                "--sender=Jane+x@example.org",
                "--recipient=incoming+Group/Key-1@mail.example.com",
                "--original-recipient=incoming+Group/Key-1@mail.example.com",
                "--client-address=203.0.113.7",
                "--client-helo=helo.example.org",
                "--client-name=mail.example.org",
            ],
        ),
        ("the null sender is empty", Submission::new("", &["a@mail.example.com"], MESSAGE), &["--sender="]),
        (
            "a local part with blanks keeps its quotes",
            Submission::new("\"jane doe\"@example.org", &["\"incoming+a b\"@mail.example.com"], MESSAGE),
            &["--sender=\"jane doe\"@example.org", "--recipient=\"incoming+a b\"@mail.example.com"],
        ),
        (
            "addresses that look like options",
            Submission::new("-oQ/tmp@example.org", &["-x+-k-@mail.example.com"], MESSAGE),
            &["--sender=-oQ/tmp@example.org", "--recipient=-x+-k-@mail.example.com"],
        ),
        (
            "shell characters mean nothing",
            Submission::new("jane@example.org", &["\"a+$(id);`id`|*\"@mail.example.com"], MESSAGE),
            &["--recipient=\"a+$(id);`id`|*\"@mail.example.com"],
        ),
        (
            "IPv6, and a client without a name",
            Submission::new("jane@example.org", &["a@mail.example.com"], MESSAGE).by_client(v6),
            &["--client-address=IPv6:2001:db8::7", "--client-helo=[IPv6:2001:db8::7]", "--client-name=unknown"],
        ),
        (
            "SMTPUTF8",
            Submission::new("jäne@example.org", &["incoming+schlüssel@mail.example.com"], MESSAGE)
                .mail_parameters("SMTPUTF8"),
            &["--sender=jäne@example.org", "--recipient=incoming+schlüssel@mail.example.com"],
        ),
    ];
    // By default Postfix refuses an address that begins with a dash; a site may allow it.
    let recorder = Recorder::start_with("exit 0", |postfix| postfix.set(&["allow_min_user=yes"]));
    for (name, submission, expected) in rows {
        let (arguments, _) = recorder.only_call(submission);
        for argument in *expected {
            assert!(arguments.iter().any(|given| given == argument), "{name}: no {argument} in {arguments:#?}");
        }
        assert_eq!(arguments.len(), 8, "{name}: {arguments:#?}");
        assert!(arguments[7].starts_with("--queue-id=") && arguments[7].len() > 15, "{name}: {arguments:#?}");
    }
}

#[needs(postfix, root)]
#[test]
fn pipe_starts_one_process_for_each_recipient() {
    let recorder = Recorder::start("exit 0");
    let two = Submission::new("jane@example.org", &["a+1@mail.example.com", "a+2@mail.example.com"], MESSAGE);
    let queue_id = recorder.postfix.send(&two);
    recorder.postfix.wait_done(&queue_id);
    let mut recipients: Vec<_> = recorder.calls().iter().map(|(arguments, _)| arguments[2].clone()).collect();
    recipients.sort();
    assert_eq!(recipients, ["--recipient=a+1@mail.example.com", "--recipient=a+2@mail.example.com"]);
}

#[needs(postfix, root)]
#[test]
fn the_original_recipient_is_what_stood_before_an_alias() {
    let recorder = Recorder::start_with("exit 0", |postfix| {
        postfix.set(&[
            "virtual_alias_domains=old.example.com",
            "virtual_alias_maps=inline:{@old.example.com=a@mail.example.com}",
        ]);
    });
    let (arguments, _) =
        recorder.only_call(&Submission::new("jane@example.org", &["incoming+Key1@old.example.com"], MESSAGE));
    assert_eq!(
        arguments[2..4],
        ["--recipient=a@mail.example.com", "--original-recipient=incoming+Key1@old.example.com"]
    );
}

/// A message with everything that a transport may damage.
pub fn delicate_message() -> Vec<u8> {
    // With From, Date and Message-ID: for a client that it takes for local, Postfix adds what is missing.
    let mut message = b"From: Jane <jane@example.org>\r\nMessage-ID: <delicate@example.org>\r\n".to_vec();
    message.extend_from_slice(b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nSubject:  two  blanks\t\r\n");
    message.extend_from_slice(
        b"X-Folded: a\r\n\tb\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n",
    );
    message.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n\r\n");
    message.extend_from_slice(
        b".\r\n..two dots\r\n.one dot\r\nGr\xfc\xdfe \xff\x80\r\nFrom the start\r\n trailing \t \r\n\r\n",
    );
    message.extend(std::iter::repeat_n(b'x', 5000));
    message.extend_from_slice(b"\r\n\r\n\r\n");
    message
}

/// Says that a message arrived as it was sent, behind the one trace field that Postfix adds.
#[track_caller]
pub fn assert_unchanged(arrived: &[u8], sent: &[u8]) {
    let Some(trace) = arrived.strip_suffix(sent) else {
        panic!("sent:\n{}\narrived:\n{}", sent.escape_ascii(), arrived.escape_ascii());
    };
    let trace = String::from_utf8_lossy(trace);
    assert!(trace.starts_with("Received: from "), "{trace}");
    assert!(trace.trim_end().lines().skip(1).all(|line| line.starts_with([' ', '\t'])), "{trace}");
    assert!(trace.split_inclusive('\n').all(|line| line.ends_with("\r\n")), "{}", trace.escape_debug());
}

#[needs(postfix, root)]
#[test]
fn pipe_changes_no_byte() {
    let recorder = Recorder::start("exit 0");
    let sent = delicate_message();
    let submission = Submission::new("jane@example.org", &["a@mail.example.com"], sent.clone());
    let (_, arrived) = recorder.only_call(&submission.mail_parameters("BODY=8BITMIME"));
    assert_unchanged(&arrived, &sent);
}

#[needs(postfix, root)]
#[test]
fn no_end_of_the_program_bounces() {
    let rows = [
        "exit 1",
        "exit 2",
        "exit 64",
        "exit 70",
        "exit 78",
        "exit 101",
        "exit 127",
        "kill -9 $$",
        "echo 5.1.1 no; exit 67",
        "echo 4.3.0 later; exit 75",
    ];
    let recorder = Recorder::start("exit 0");
    for ending in rows {
        write_program(&recorder.postfix, ending);
        let queue_id = recorder.postfix.send(&Submission::new("jane@example.org", &["a@mail.example.com"], MESSAGE));
        recorder.postfix.wait_deferred(&queue_id);
        assert!(!recorder.postfix.bounced(), "{ending}: {}", recorder.postfix.log());
        assert!(recorder.postfix.queue().iter().any(|queued| queued.queue_id == queue_id), "{ending}");
    }
}

#[needs(postfix, root)]
#[test]
fn a_program_over_the_time_limit_does_not_bounce() {
    let recorder = Recorder::start_with("sleep 100", |postfix| postfix.set(&["mailhatch_time_limit=1s"]));
    let queue_id = recorder.postfix.send(&Submission::new("jane@example.org", &["a@mail.example.com"], MESSAGE));
    let line = recorder.postfix.wait_deferred(&queue_id);
    assert!(line.contains("time limit exceeded"), "{line}");
    assert!(!recorder.postfix.bounced());
}

#[needs(postfix, root)]
#[test]
fn with_pipe_a_wish_for_a_success_report_is_not_taken() {
    let wish =
        Submission::new("victim@example.org", &["a@mail.example.com"], MESSAGE).rcpt_parameters("NOTIFY=SUCCESS");
    let recorder = Recorder::start("exit 0");
    assert!(recorder.postfix.submit(&wish).is_err(), "NOTIFY was taken");
    // The control: without the setting the report is sent.
    let open = Recorder::start_with("exit 0", |postfix| postfix.set(&["smtpd_discard_ehlo_keywords="]));
    let queue_id = open.postfix.send(&wish);
    open.postfix.wait_done(&queue_id);
    let report = open.postfix.wait_for("the report", || open.postfix.outgoing().pop());
    assert_eq!(report.recipient, "victim@example.org");
    assert!(report.message.contains("Successful Mail Delivery Report"), "{}", report.message);
}

#[needs(postfix, root)]
#[test]
fn lmtp_tells_of_the_client_the_queue_id_and_the_original_recipient() {
    let sink = Sink::start(KEYWORDS, "250 2.0.0 delivered");
    sink.postfix.set(&[
        "virtual_alias_domains=old.example.com",
        "virtual_alias_maps=inline:{@old.example.com=a@mail.example.com}",
    ]);
    let seen = sink.dialogue(&Submission::new("jane@example.org", &["incoming+Key1@old.example.com"], MESSAGE));
    for part in [
        "NAME=mail.example.org",
        "ADDR=203.0.113.7",
        "HELO=helo.example.org",
        "IDENT=",
        "MAIL FROM:<jane@example.org>",
        "RCPT TO:<a@mail.example.com> ORCPT=rfc822;incoming+2BKey1@old.example.com",
    ] {
        assert!(seen.contains(part), "no {part} in:\n{seen}");
    }
}

#[needs(postfix, root)]
#[test]
fn lmtp_changes_no_byte() {
    let sink = Sink::start(KEYWORDS, "250 2.0.0 delivered");
    let sent = delicate_message();
    let submission = Submission::new("jane@example.org", &["a@mail.example.com"], sent.clone());
    sink.dialogue(&submission.mail_parameters("BODY=8BITMIME"));
    let bytes = sink.bytes();
    let start = find(&bytes, b"DATA\r\n") + 6;
    let end = find(&bytes, b"\r\n.\r\nQUIT") + 2;
    let mut arrived = Vec::new();
    for line in bytes[start..end].split_inclusive(|&byte| byte == b'\n') {
        arrived.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    assert_unchanged(&arrived, &sent);
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    let at = bytes.windows(part.len()).position(|window| window == part);
    at.unwrap_or_else(|| panic!("no {} in:\n{}", part.escape_ascii(), bytes.escape_ascii()))
}

#[needs(postfix, root)]
#[test]
fn no_lmtp_reply_bounces() {
    for reply in ["550 5.1.1 no such user", "554 5.3.0 error", "451 4.3.0 later"] {
        let sink = Sink::start(KEYWORDS, reply);
        let queue_id = sink.postfix.send(&Submission::new("jane@example.org", &["a@mail.example.com"], MESSAGE));
        let line = sink.postfix.wait_deferred(&queue_id);
        assert!(line.contains(&reply[4..]), "{line}");
        assert!(!sink.postfix.bounced(), "{reply}: {}", sink.postfix.log());
    }
}

#[needs(postfix, root)]
#[test]
fn with_dsn_advertised_no_success_report_is_mailed() {
    let wish =
        Submission::new("victim@example.org", &["a@mail.example.com"], MESSAGE).rcpt_parameters("NOTIFY=SUCCESS");
    let sink = Sink::start(KEYWORDS, "250 2.0.0 delivered");
    let seen = sink.dialogue(&wish);
    assert!(seen.contains("NOTIFY=SUCCESS"), "{seen}");
    sink.postfix.assert_nobody_was_written_to();
    // The control: an LMTP service without DSN makes Postfix mail a "relayed" report.
    let without: Vec<_> = KEYWORDS.iter().copied().filter(|&keyword| keyword != "DSN").collect();
    let sink = Sink::start(&without, "250 2.0.0 delivered");
    sink.dialogue(&wish);
    let report = sink.postfix.wait_for("the report", || sink.postfix.outgoing().pop());
    assert_eq!((report.sender.as_str(), report.recipient.as_str()), ("", "victim@example.org"));
    assert!(report.message.contains("Action: relayed"), "{}", report.message);
}

#[needs(postfix, root)]
#[test]
fn lmtp_carries_smtputf8() {
    let sink = Sink::start(KEYWORDS, "250 2.0.0 delivered");
    let submission = Submission::new("jäne@example.org", &["incoming+schlüssel@mail.example.com"], MESSAGE);
    let seen = sink.dialogue(&submission.mail_parameters("SMTPUTF8"));
    assert!(seen.contains("RCPT TO:<incoming+schlüssel@mail.example.com>"), "{seen}");
    assert!(seen.contains("SMTPUTF8"), "{seen}");
}

#[needs(postfix, root)]
#[test]
fn a_subdomain_of_a_wired_domain_is_not_ours() {
    let sink = Sink::start(KEYWORDS, "250 2.0.0 delivered");
    let below = Submission::new("victim@example.org", &["a@below.mail.example.com"], MESSAGE);
    let refused = sink.postfix.submit(&below).unwrap_err();
    assert!(refused.command.starts_with("RCPT") && refused.reply.contains("Relay access denied"), "{refused:?}");
    // The control: relay_domains would take it.
    sink.postfix.set(&["virtual_mailbox_domains=", "relay_domains=texthash:$config_directory/mailhatch/transport"]);
    sink.postfix.wait_for("the subdomain to be taken", || sink.postfix.submit(&below).ok());
}

#[needs(postfix, root)]
#[test]
fn one_address_of_a_local_domain() {
    let local = |postfix: &Postfix| postfix.set(&["mydestination=gitlab.example.com"]);
    let sink = Sink::start_for("incoming@gitlab.example.com", KEYWORDS, "250 2.0.0 delivered", local);
    let seen = sink.dialogue(&Submission::new("jane@example.org", &["incoming+Key-1@gitlab.example.com"], MESSAGE));
    assert!(seen.contains("RCPT TO:<incoming+Key-1@gitlab.example.com>"), "{seen}");
    let other = Submission::new("jane@example.org", &["nobody-of-this-name@gitlab.example.com"], MESSAGE);
    let refused = sink.postfix.submit(&other).unwrap_err();
    assert!(refused.reply.contains("User unknown"), "{refused:?}");
}

#[needs(postfix, root)]
#[test]
fn a_domain_beside_other_virtual_mailboxes() {
    let sites_own = |postfix: &Postfix| {
        postfix.set(&["virtual_mailbox_domains=other.example", "virtual_mailbox_maps=inline:{x@other.example=x}"]);
    };
    let sink = Sink::start_for(DOMAIN, KEYWORDS, "250 2.0.0 delivered", sites_own);
    sink.dialogue(&Submission::new("jane@example.org", &["incoming+Key1@mail.example.com"], MESSAGE));
    let unknown = Submission::new("jane@example.org", &["y@other.example"], MESSAGE);
    assert!(
        sink.postfix.submit(&unknown).unwrap_err().reply.contains("User unknown"),
        "the site's own table still holds"
    );
}

/// With an empty delimiter, the address would be found without its key only: the script says so.
#[needs(postfix, root)]
#[test]
fn an_address_needs_the_recipient_delimiter() {
    let postfix = Postfix::prepare();
    postfix.set(&["mydestination=gitlab.example.com", "recipient_delimiter="]);
    let output = postfix.wire(&["enable", "--yes", "incoming@gitlab.example.com"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("recipient_delimiter"), "{output:?}");
}
