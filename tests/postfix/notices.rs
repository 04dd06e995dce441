//! Who gets a notice, through the real Postfix: a client in the world (XCLIENT), a name server on loopback, and what goes
//! out is read back by a parser that is not ours.

use std::net::SocketAddr;

use crate::service::{INCOMING, Site, Variant};
use crate::support::name_server::{Fault, NameServer, Zone};
use crate::support::notice_reader::ReadNotice;
use crate::support::postfix::Outgoing;
use crate::support::signer::{Key, Tags, sign};
use crate::support::submission::{Client, REMOTE, Submission};

const UNKNOWN: &str = "nobody@mail.example.com";

/// The usual configuration, with a name server that answers; `notice` are more lines of `[notice]`.
pub fn configure(site: &Site, names: SocketAddr, hostname: &str, notice: &str, sections: &str) {
    let text = format!(
        r#"hostname = "{hostname}"
state_dir = "{dir}/state"
[listen]
lmtp = ["unix:{dir}/run/lmtp.sock"]
[[app]]
name = "spool"
kind = "spool"
path = "{dir}/spool"
[auth]
nameservers = ["{names}"]
events = false
[notice]
smtp = "127.0.0.1:{smtp}"
{notice}
[log]
to = "stderr"
{sections}"#,
        dir = site.postfix.path("").display().to_string().trim_end_matches('/'),
        smtp = site.postfix.port(),
    );
    site.write_configuration(&text);
}

/// A site whose name server answers.
fn start(names: &NameServer, notice: &str) -> Site {
    let site = Site::prepare(Variant::Lmtp);
    configure(&site, names.address(), "mx.example.com", notice, INCOMING);
    site.start_service();
    site
}

fn zone(key: &Key) -> Zone {
    let pass = "v=spf1 ip4:203.0.113.7 -all";
    let mut zone = Zone::new();
    for name in ["pass", "two", "suffix", "batv", "forwarder", "again", "flood", "list", "auto", "relayed", "helo-pass"]
    {
        zone = zone.txt(&format!("{name}.example"), pass);
    }
    zone.txt("v6.example", "v=spf1 ip6:2001:db8::7 -all")
        .txt("fail.example", "v=spf1 -all")
        .txt("soft.example", "v=spf1 ~all")
        .txt("neutral.example", "v=spf1 ?all")
        .txt("broken.example", "v=spf1 moo")
        .txt("all.example", "v=spf1 +all")
        .txt("halves.example", "v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all")
        .txt("mail.example.com", pass)
        .fault("down.example", Fault::ServFail)
        .txt("_dmarc.strict.example", "v=DMARC1; p=reject")
        .txt("_dmarc.lax.example", "v=DMARC1; p=none")
        .txt("s._domainkey.signed.example", &key.record())
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    /// A notice goes out to the envelope sender.
    Sent,
    /// None, for this logged reason.
    Withheld(&'static str),
    /// Machine-made, by this rule: never rejected, so no notice.
    Ignored(&'static str),
}
use crate::support::needs;
use crate::support::process::run_with_input;
use Expected::{Ignored, Sent, Withheld};

/// A message of a name of its own, from someone.
fn text(name: &str, from: &str, fields: &str) -> String {
    format!(
        "From: Jane <{from}>\r\nTo: {UNKNOWN}\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@id.example>\r\n\
         Subject: {name}\r\n{fields}\r\nTHE BODY of {name}.\r\n"
    )
}

#[needs(postfix, root)]
#[test]
fn who_gets_a_notice_and_why_the_others_do_not() {
    let key = Key::ed25519();
    let names = NameServer::start(zone(&key));
    let site = start(&names, "per_domain_per_hour = 3");
    let helo = Client { helo: "helo-pass.example", ..REMOTE };
    let v6 = Client { address: "2001:db8::7", name: "mail.v6.example", helo: "mail.v6.example" };
    let inside = Client { address: "10.0.0.7", name: "[UNAVAILABLE]", helo: "pc" };
    let plain = |name: &str, sender: &str| text(name, sender, "");
    let tags = || Tags { signed: "from:to:cc:subject".to_owned(), ..Tags::ed25519("signed.example") };
    let signed = |name: &str, from: &str| sign(&key, &tags(), &text(name, from, ""));
    let with = |name: &str, from: &str, fields: &str| sign(&key, &tags(), &text(name, from, fields));
    let elsewhere =
        |name: &str, from: &str| sign(&key, &tags(), &text(name, from, "").replace(UNKNOWN, "support@other.example"));
    let not_from = "spf=none, dkim=pass d=signed.example but From is not the envelope sender";
    let not_to = "spf=none, dkim=pass d=signed.example but the recipient is in no signed To or Cc";
    let damaged = |name: &str, from: &str| signed(name, from).replace("THE BODY", "ANOTHER BODY");
    let none = "spf=none, no aligned dkim";
    let everybody = "spf=pass (passes everybody), no aligned dkim";
    let interval = "sender had a notice within the interval";
    let domain_limit = "limit for the sender's domain reached";
    let all = "X-Auto-Response-Suppress: All\r\n";
    type Row<'a> = (&'a str, &'a str, Client, String, Expected);
    #[rustfmt::skip]
    let rows: Vec<Row<'_>> = vec![
        ("spf-pass", "jane@pass.example", REMOTE, plain("spf-pass", "jane@pass.example"), Sent),
        ("spf-pass-v6", "jane@v6.example", v6, plain("spf-pass-v6", "jane@v6.example"), Sent),
        ("spf-fail", "jane@fail.example", REMOTE, plain("spf-fail", "jane@fail.example"), Withheld("spf=fail, no aligned dkim")),
        ("spf-softfail", "jane@soft.example", REMOTE, plain("spf-softfail", "jane@soft.example"), Withheld("spf=softfail, no aligned dkim")),
        ("spf-neutral", "jane@neutral.example", REMOTE, plain("spf-neutral", "jane@neutral.example"), Withheld("spf=neutral, no aligned dkim")),
        ("spf-none", "jane@nothing.example", REMOTE, plain("spf-none", "jane@nothing.example"), Withheld(none)),
        ("spf-temperror", "jane@down.example", REMOTE, plain("spf-temperror", "jane@down.example"), Withheld("spf=temperror, no aligned dkim")),
        ("spf-permerror", "jane@broken.example", REMOTE, plain("spf-permerror", "jane@broken.example"), Withheld("spf=permerror, no aligned dkim")),
        ("spf-everybody", "jane@all.example", REMOTE, plain("spf-everybody", "jane@all.example"), Withheld(everybody)),
        ("spf-two-halves", "jane@halves.example", REMOTE, plain("spf-two-halves", "jane@halves.example"), Withheld(everybody)),
        ("spf-other-client", "jane@pass.example", Client { address: "198.51.100.7", ..REMOTE }, plain("spf-other-client", "jane@pass.example"), Withheld("spf=fail, no aligned dkim")),
        ("inside-client", "jane@all.example", inside, plain("inside-client", "jane@all.example"), Withheld(none)),
        ("helo-only", "jane@nothing.example", helo.clone(), plain("helo-only", "jane@nothing.example"), Withheld(none)),
        ("dkim-aligned", "jane@signed.example", REMOTE, signed("dkim-aligned", "jane@signed.example"), Sent),
        ("dkim-replayed", "victim@signed.example", REMOTE, signed("dkim-replayed", "jane@signed.example"), Withheld(not_from)),
        ("dkim-organizational-domain", "joe@bounce.signed.example", REMOTE, signed("dkim-organizational-domain", "joe@signed.example"), Withheld(not_from)),
        ("dkim-batv", "prvs=0123456789=joe@signed.example", REMOTE, signed("dkim-batv", "joe@signed.example"), Sent),
        ("dkim-forwarded", "ann@signed.example", REMOTE, elsewhere("dkim-forwarded", "ann@signed.example"), Withheld(not_to)),
        ("dkim-list", "ann@signed.example", REMOTE, with("dkim-list", "ann@signed.example", "List-Id: <x.list.example>\r\n"), Withheld("machine-made (List-*)")),
        ("dkim-srs", "SRS0=HHH=TT=signed.example=ann@nothing.example", REMOTE, signed("dkim-srs", "ann@signed.example"), Withheld(none)),
        ("dkim-unaligned", "jane@other.example", REMOTE, signed("dkim-unaligned", "jane@signed.example"), Withheld(none)),
        ("dkim-broken", "ann@signed.example", REMOTE, damaged("dkim-broken", "ann@signed.example"), Withheld(none)),
        ("null-sender", "", helo, plain("null-sender", "jane@pass.example"), Ignored("null-sender")),
        ("out-of-office", "jane@auto.example", REMOTE, text("out-of-office", "jane@auto.example", "Auto-Submitted: auto-replied\r\n"), Ignored("auto-submitted")),
        ("list-mail", "jane@list.example", REMOTE, text("list-mail", "jane@list.example", "List-Id: <x.list.example>\r\n"), Withheld("machine-made (List-*)")),
        ("bulk", "jane@list.example", REMOTE, text("bulk", "jane@list.example", "Precedence: bulk\r\n"), Withheld("machine-made (Precedence: bulk)")),
        ("suppress", "jane@list.example", REMOTE, text("suppress", "jane@list.example", all), Withheld("machine-made (X-Auto-Response-Suppress)")),
        ("our-notice", "jane@list.example", REMOTE, text("our-notice", "jane@list.example", "X-Mailhatch-Notice: other.example\r\n"), Withheld("our own notice")),
        ("role", "postmaster@pass.example", REMOTE, plain("role", "jane@pass.example"), Withheld("role address (postmaster)")),
        ("robot", "no-reply@pass.example", REMOTE, plain("robot", "jane@pass.example"), Withheld("role address (no-reply)")),
        ("own-address", "incoming+Key1@mail.example.com", REMOTE, plain("own-address", "incoming+Key1@mail.example.com"), Withheld("own address")),
        ("unwritable", "jane@[203.0.113.7]", REMOTE, plain("unwritable", "jane@pass.example"), Withheld("sender cannot be written to")),
        ("dmarc-reject", "jane@two.example", REMOTE, plain("dmarc-reject", "ceo@strict.example"), Withheld("dmarc=fail, and the From domain asks to refuse it")),
        ("dmarc-none", "jane@two.example", REMOTE, plain("dmarc-none", "ceo@lax.example"), Sent),
        ("srs", "SRS0=HHH=TT=orig.example=jane@forwarder.example", REMOTE, plain("srs", "jane@orig.example"), Sent),
        ("srs-forwarded", "SRS0=HHH=TT=signed.example=eve@forwarder.example", REMOTE, elsewhere("srs-forwarded", "eve@signed.example"), Sent),
        ("srs-same-person", "SRS0=GGG=UU=orig.example=jane@forwarder.example", REMOTE, plain("srs-same-person", "jane@orig.example"), Withheld(interval)),
        ("srs-robot", "SRS0=HHH=TT=orig.example=noreply@forwarder.example", REMOTE, plain("srs-robot", "jane@orig.example"), Withheld("role address (noreply)")),
        ("batv", "prvs=0123456789=jane@batv.example", REMOTE, plain("batv", "jane@batv.example"), Sent),
        ("batv-same-person", "prvs=9876543210=jane@batv.example", REMOTE, plain("batv-same-person", "jane@batv.example"), Withheld(interval)),
        ("first", "jane@again.example", REMOTE, plain("first", "jane@again.example"), Sent),
        ("second-within-the-interval", "Jane+x@again.example", REMOTE, plain("second", "jane@again.example"), Withheld(interval)),
        ("flood-1", "a@flood.example", REMOTE, plain("flood-1", "a@flood.example"), Sent),
        ("flood-2", "b@flood.example", REMOTE, plain("flood-2", "b@flood.example"), Sent),
        ("flood-3", "c@flood.example", REMOTE, plain("flood-3", "c@flood.example"), Sent),
        ("flood-4", "d@flood.example", REMOTE, plain("flood-4", "d@flood.example"), Withheld(domain_limit)),
        ("flood-5", "e@flood.example", REMOTE, plain("flood-5", "e@flood.example"), Withheld(domain_limit)),
    ];
    let mut recipients = Vec::new();
    for (name, sender, client, message, expected) in &rows {
        let before = site.service_log().len();
        let replies = site.send(&Submission::new(sender, &[UNKNOWN], message.as_bytes()).by_client(client.clone()));
        let log = site.service_log()[before..].to_owned();
        let line = log.lines().find(|line| line.contains("verdict=")).unwrap_or_else(|| panic!("{name}: {log}"));
        let (reply, logged) = match expected {
            Sent => {
                recipients.push((*sender).to_owned());
                ("250 2.0.0 rejected: unknown-address".to_owned(), "notice=sent".to_owned())
            }
            Withheld(why) => ("250 2.0.0 rejected: unknown-address".to_owned(), format!("notice=\"withheld: {why}\"")),
            Ignored(rule) => (format!("250 2.0.0 ignored: {rule}"), format!("reason={rule}")),
        };
        site.assert_reply(&replies, &reply);
        assert!(line.contains(&logged), "{name}: no {logged} in {line}");
        let in_reply = match expected {
            Sent => ", notice sent id=".to_owned(),
            Withheld(why) => format!(", notice withheld: {why} id="),
            Ignored(_) => " id=".to_owned(),
        };
        assert!(replies[0].contains(&in_reply), "{name}: no {in_reply} in Postfix's log: {replies:?}");
        println!("{name:<28} {logged}");
    }
    unknown_sender_by_pipe(&site);
    assert_notices(&site, recipients);
    println!("{} rows, and the unknown sender by pipe", rows.len());
}

/// Without `--sender` nobody is known to write to.
fn unknown_sender_by_pipe(site: &Site) {
    let recipient = format!("--recipient={UNKNOWN}");
    let mut command = site.mailhatch(&["pipe", &recipient, "--client-address=203.0.113.7"]);
    let output = run_with_input(&mut command, text("unknown-sender", "jane@pass.example", "").as_bytes());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(line.contains("rejected: unknown-address") && line.contains("notice withheld: unknown sender"), "{line}");
}

/// Says that exactly these addresses got one notice each, which says what it must.
fn assert_notices(site: &Site, mut recipients: Vec<String>) {
    site.postfix.wait_for("an empty queue", || site.postfix.queue().is_empty().then_some(()));
    let outgoing = site.postfix.outgoing();
    let mut found: Vec<_> = outgoing.iter().map(|mail| mail.recipient.clone()).collect();
    found.sort();
    recipients.sort();
    assert_eq!(found, recipients, "{}", site.service_log());
    assert!(!site.postfix.bounced(), "{}", site.postfix.log());
    outgoing.iter().for_each(assert_notice);
}

/// One notice, as Postfix handed it to the world, field by field.
fn assert_notice(mail: &Outgoing) {
    assert_eq!(mail.sender, "", "envelope sender <>");
    // pipe(8) writes LF.
    let read = ReadNotice::of(mail.message.replace('\n', "\r\n").as_bytes());
    read.assert_sound();
    assert_eq!(read.field("to").trim_matches(['<', '>']), mail.recipient);
    assert_eq!(read.field("from"), "mailhatch <postmaster@mx.example.com>");
    assert_eq!(read.field("subject"), "Auto: your message was not delivered");
    assert_eq!(read.field("x-mailhatch-notice"), "mx.example.com");
    let original = read.field("in-reply-to").to_owned();
    assert!(original.ends_with("@id.example>"), "{original}");
    assert_eq!(read.field("references"), original);
    assert!(read.field("message-id").ends_with(".notice@mx.example.com>"), "{}", read.field("message-id"));
    assert!(read.fields("received").iter().all(|field| field.contains("mx.example.com")), "our own MTA's");
    assert_eq!(read.status(0, "reporting-mta"), Some("dns; mx.example.com"));
    assert_eq!(read.status(1, "final-recipient"), Some("rfc822; nobody@mail.example.com"));
    assert_eq!(read.status(1, "status"), Some("5.1.1"));
    assert_eq!(read.status(1, "diagnostic-code"), Some("x-mailhatch; unknown-address"));
    assert!(read.text(0).contains(UNKNOWN) && read.text(0).contains("postmaster@mx.example.com"), "{}", read.text(0));
    let name = original.trim_start_matches('<').split('@').next().unwrap();
    assert!(read.text(2).contains(&format!("Subject: {name}")), "{}", read.text(2));
    assert!(!mail.message.contains("THE BODY"), "no body of the original ever: {}", mail.message);
}

/// What a client says the original recipient was is not what we know of it (RFC 3461 section 4.2): one of somebody else's mails
/// does not become ours by it.
#[needs(postfix, root)]
#[test]
fn a_signature_for_somebody_else_proves_nothing_whatever_the_client_calls_the_recipient() {
    let key = Key::ed25519();
    let names = NameServer::start(zone(&key));
    let site = start(&names, "");
    let tags = Tags { signed: "from:to:subject".to_owned(), ..Tags::ed25519("signed.example") };
    let mail = |name: &str, to: &str| sign(&key, &tags, &text(name, "jane@signed.example", "").replace(UNKNOWN, to));
    let rows = [
        (
            "somebody-else",
            "bob@other.example",
            "rfc822;bob@other.example",
            "notice withheld: spf=none, dkim=pass d=signed.example but",
        ),
        ("one-of-ours", "before@mail.example.com", "rfc822;before@mail.example.com", "notice sent"),
    ];
    for (name, to, original, expected) in rows {
        let sent = Submission::new("jane@signed.example", &[UNKNOWN], mail(name, to));
        let replies = site.send(&sent.rcpt_parameters(&format!("ORCPT={original}")));
        assert!(replies[0].contains(expected), "{name}: {replies:?}");
    }
}

#[needs(postfix, root)]
#[test]
fn no_notice_goes_out_where_they_are_off() {
    let names = NameServer::start(zone(&Key::ed25519()));
    let site = start(&names, "enabled = false");
    let sent = Submission::new("jane@pass.example", &[UNKNOWN], text("off", "jane@pass.example", ""));
    site.assert_reply(&site.send(&sent), "250 2.0.0 rejected: unknown-address");
    assert!(site.service_log().contains("notice=\"withheld: notices are off\""), "{}", site.service_log());
    site.postfix.assert_nobody_was_written_to();
}

/// The MTA does not take the notice: the message waits in its queue, and later there is one notice.
#[needs(postfix, root)]
#[test]
fn what_the_mta_does_not_take_defers_the_message() {
    let names = NameServer::start(zone(&Key::ed25519()));
    let site = Site::prepare(Variant::Lmtp);
    configure(&site, names.address(), "mx.example.com", "", INCOMING);
    site.start_service();
    site.postfix.set(&["smtpd_sender_restrictions=check_sender_access inline:{{<> = 450 4.3.0 later}}"]);
    let sent = Submission::new("jane@pass.example", &[UNKNOWN], text("refused", "jane@pass.example", ""));
    let queue_id = site.postfix.send(&sent);
    let line = site.postfix.wait_deferred(&queue_id);
    assert!(line.contains("451 4.3.0 deferred: notice"), "{line}");
    assert!(site.postfix.outgoing().is_empty());
    site.postfix.set(&["smtpd_sender_restrictions="]);
    let lines = site.postfix.wait_done(&queue_id);
    assert!(lines.last().unwrap().contains("notice sent"), "{lines:#?}");
    assert_notices(&site, vec!["jane@pass.example".to_owned()]);
}
