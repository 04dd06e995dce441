//! Who can make us write to whom: a signature says who wrote a message, never who sends this copy of it. Every row goes through
//! the running service, from a client for which SPF proves nothing but where a row says so.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::name_server::{NameServer, Zone};
use crate::support::service::{Service, stuffed};
use crate::support::signer::{Key, Tags, sign};
use crate::support::smtp_server::SmtpServer;

const US: &str = "nobody@mail.example.com";
/// The host that SPF passes, and one that it does not.
const SENDER: &str = "203.0.113.7";
const STRANGER: &str = "203.0.113.99";

fn zone(key: &Key) -> Zone {
    let record = key.record();
    let zone = Zone::new()
        .txt("s._domainkey.signed.example", &record)
        .txt("s._domainkey.testing.example", &format!("{record}; t=s : y"))
        .txt("s._domainkey.voice.example", &format!("{record}; s=voice"))
        .txt("s._domainkey.old-hash.example", &format!("{record}; h=sha1"))
        .txt("s._domainkey.email.example", &format!("{record}; s=voice:email; h=sha1:sha256; t=s"))
        .txt("_dmarc.strict.example", "v=DMARC1; p=reject")
        .txt("_dmarc.careful.example", "v=DMARC1; p=quarantine")
        .txt("_dmarc.lax.example", "v=DMARC1; p=none")
        .txt("three-quarters.example", "v=spf1 ip4:0.0.0.0/1 ip4:192.0.0.0/2 -all")
        .txt("almost-all.example", "v=spf1 -ip4:192.0.2.0/24 -ip4:198.51.100.0/24 ip4:128.0.0.0/1 ip4:0.0.0.0/2 -all")
        .txt(
            "void-a.example",
            "v=spf1 a:v1.void-a.example a:v2.void-a.example a:v3.void-a.example ip4:203.0.113.7 -all",
        )
        .txt(
            "void-exists.example",
            "v=spf1 exists:v1.x.example exists:v2.x.example exists:v3.x.example ip4:203.0.113.7 -all",
        )
        .txt("void-mx.example", "v=spf1 mx:v1.x.example mx:v2.x.example mx:v3.x.example ip4:203.0.113.7 -all")
        .txt("void-mixed.example", "v=spf1 exists:v1.x.example mx:v2.x.example a:v3.x.example ip4:203.0.113.7 -all")
        .txt("void-include.example", "v=spf1 include:void-part.example exists:v3.x.example ip4:203.0.113.7 -all")
        .txt("void-part.example", "v=spf1 exists:v1.x.example exists:v2.x.example -all")
        .txt("void-two.example", "v=spf1 exists:v1.x.example mx:v2.x.example ip4:203.0.113.7 -all");
    zone.txt("pass.example", "v=spf1 ip4:203.0.113.7 -all")
}

struct Stage {
    service: Service,
    mta: SmtpServer,
    key: Key,
    _names: NameServer,
}

/// A copy of a message, as a client hands it over.
#[derive(Clone)]
struct Copy {
    sender: String,
    client: &'static str,
    rcpt: String,
    text: String,
}

impl Stage {
    fn start() -> Self {
        let key = Key::ed25519();
        let names = NameServer::start(zone(&key));
        let mta = SmtpServer::start();
        let config = format!(
            "hostname = \"mx.example.com\"\nstate_dir = \"{{dir}}/state\"\n[listen]\nlmtp = [\"unix:{{dir}}/lmtp.sock\"]\n\
             [[mailbox]]\nname = \"m\"\naddress = \"incoming+%{{key}}@mail.example.com\"\nactions = \"any\"\napp = \"spool\"\n\
             [[app]]\nname = \"spool\"\nkind = \"spool\"\npath = \"{{dir}}/spool\"\n\
             [auth]\nnameservers = [\"{}\"]\n[notice]\nsmtp = \"{}\"\nper_domain_per_hour = 1000\n[log]\nto = \"stderr\"\n",
            names.address(),
            mta.address(),
        );
        Self { service: Service::start(&config), mta, key, _names: names }
    }

    /// What became of the notice.
    fn send(&self, copy: &Copy) -> String {
        let mut lmtp = self.service.lmtp();
        lmtp.command(&format!("XFORWARD ADDR={} NAME=mail.example.org HELO=mail.example.org", copy.client), "250");
        lmtp.command(&format!("MAIL FROM:<{}>", copy.sender), "250");
        lmtp.command(&format!("RCPT TO:{}", copy.rcpt), "250");
        lmtp.command("DATA", "354");
        lmtp.write(stuffed(copy.text.as_bytes()));
        let reply = lmtp.reply();
        assert!(reply.starts_with("250 2.0.0 rejected: unknown-address"), "{reply}");
        let (_, notice) = reply.split_once(", notice ").expect("what became of the notice");
        notice.rsplit_once(" id=").expect("an id").0.to_owned()
    }

    /// A message signed for `domain`, with `more` tags and these names in h=.
    fn signed(&self, domain: &'static str, signed: &str, more: &str, text: &str) -> String {
        let tags = Tags { signed: signed.to_owned(), more: more.to_owned(), ..Tags::ed25519(domain) };
        sign(&self.key, &tags, text)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A fresh message: each name is another message, so that no row is another's second try.
fn text(name: &str, from: &str, fields: &str) -> String {
    let name = name.replace([' ', ',', '='], "-");
    format!("From: {from}\r\n{fields}Message-ID: <{name}@id.example>\r\nSubject: s\r\n\r\nHello from {name}.\r\n")
}

/// What a sender's own provider signs.
const SIGNED: &str = "from:to:cc:subject";
const JANE: &str = "jane@signed.example";

/// A signed message, and how somebody sends a copy of it.
struct Row {
    name: &'static str,
    /// Whether it proves the envelope sender.
    proves: bool,
    sender: &'static str,
    rcpt: &'static str,
    domain: &'static str,
    signed: &'static str,
    more: String,
    from: &'static str,
    fields: String,
    /// What stands above the signature.
    above: &'static str,
}

/// Everything as it should be.
fn good(name: &'static str) -> Row {
    Row {
        name,
        proves: true,
        sender: JANE,
        rcpt: "<nobody@mail.example.com>",
        domain: "signed.example",
        signed: SIGNED,
        more: at(-60),
        from: JANE,
        fields: to(US),
        above: "",
    }
}

/// The same, but for what the caller changes.
fn bad(name: &'static str) -> Row {
    Row { proves: false, ..good(name) }
}

/// A key's own domain, with a person in it.
fn of(domain: &'static str, from: &'static str, row: Row) -> Row {
    Row { domain, sender: from, from, ..row }
}

fn to(address: &str) -> String {
    format!("To: {address}\r\n")
}

/// t=, so many seconds from now.
fn at(seconds: i64) -> String {
    format!(" t={};", now().saturating_add_signed(seconds))
}

fn expiring(signed: i64, expires: i64) -> String {
    format!("{} x={};", at(signed), now().saturating_add_signed(expires))
}

const DAY: i64 = 24 * 3600;

fn rows() -> Vec<Row> {
    let below = "jane@mail.signed.example";
    let original = "<all@mail.example.com> ORCPT=rfc822;nobody@mail.example.com";
    let elsewhere = "<nobody@mail.example.com> ORCPT=rfc822;bob@other.example";
    vec![
        good("to us"),
        Row { more: String::new(), ..good("without t=") },
        Row { more: at(-6 * DAY), ..good("six days old") },
        Row { more: expiring(-60, 60), ..good("not expired") },
        Row { sender: "jane@SIGNED.example", ..good("domain in another case") },
        Row { sender: "prvs=0123456789=jane@signed.example", ..good("BATV") },
        Row { sender: below, from: below, ..good("signed by the domain above") },
        Row { fields: format!("To: x@other.example\r\nCc: y@other.example, {US}\r\n"), ..good("in Cc") },
        Row {
            from: "\"Jane, Doe\" <jane@signed.example>",
            fields: to(&format!("\"Desk\" <{US}>")),
            ..good("with names")
        },
        Row { fields: to("nobody@MAIL.example.com"), ..good("our domain in another case") },
        Row { rcpt: original, ..good("the original recipient") },
        of("email.example", "jane@email.example", good("a key for mail among others")),
        // What somebody else makes of it.
        Row { sender: "victim@signed.example", ..bad("another MAIL FROM of the domain") },
        Row { sender: "Jane@signed.example", ..bad("MAIL FROM in another case") },
        Row { sender: "jane+x@signed.example", ..bad("MAIL FROM with a sub-address") },
        Row { sender: "jane@x.signed.example", ..bad("MAIL FROM below the domain") },
        Row { sender: "prvs=0123456789=victim@signed.example", ..bad("BATV of another") },
        Row { fields: to("bob@other.example"), ..bad("sent to somebody else") },
        Row { fields: to("all@mail.example.com"), ..bad("sent to another of our addresses") },
        Row { fields: to(&format!("\"{US}\" <bob@other.example>")), ..bad("we are a display name") },
        Row { signed: "from:subject", ..bad("To is not signed") },
        Row { signed: "from:cc:subject", ..bad("only Cc is signed") },
        Row {
            fields: to("bob@other.example"),
            above: "To: nobody@mail.example.com\r\n",
            ..bad("a To above the signed one")
        },
        Row {
            signed: "from:to",
            fields: to("bob@other.example"),
            above: "Cc: nobody@mail.example.com\r\n",
            ..bad("a Cc put in")
        },
        Row { more: at(-8 * DAY), ..bad("eight days old") },
        Row { more: at(3600), ..bad("from the future") },
        Row { more: expiring(-600, -60), ..bad("expired") },
        Row { more: " t=x;".to_owned(), ..bad("t= that is not a number") },
        Row { more: format!(" t=1;{}", at(0)), ..bad("t= twice") },
        Row { more: format!("{} x=soon;", at(0)), ..bad("x= that is not a number") },
        of("testing.example", "jane@testing.example", bad("a key for testing")),
        of("voice.example", "jane@voice.example", bad("a key for something else")),
        of("old-hash.example", "jane@old-hash.example", bad("a key for another hash")),
        Row { from: "jane@signed.example, joe@signed.example", ..bad("two From addresses") },
        Row { above: "From: jane@signed.example\r\n", ..bad("another From above") },
        // RCPT's ORCPT is what any client says.
        Row { rcpt: elsewhere, fields: to("bob@other.example"), ..bad("ORCPT of somebody else") },
    ]
}

#[test]
fn a_signature_proves_who_sends_a_copy_only_where_everything_says_so() {
    let stage = Stage::start();
    let mut wrong = Vec::new();
    for (number, row) in rows().into_iter().enumerate() {
        // Each row has a person of its own, so that none is another's second mail.
        let own =
            |text: &str| text.replace("jane", &format!("jane{number}")).replace("Jane@", &format!("Jane{number}@"));
        let message = stage.signed(row.domain, row.signed, &row.more, &text(row.name, &own(row.from), &row.fields));
        let text = format!("{}{message}", own(row.above));
        let notice = stage.send(&Copy { sender: own(row.sender), client: STRANGER, rcpt: row.rcpt.to_owned(), text });
        let said = if row.proves { notice == "sent" } else { notice.starts_with("withheld: spf=") };
        if !said {
            wrong.push(format!("{}: {notice}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    assert!(stage.mta.taken().iter().all(|taken| !taken.rcpt[0].contains("victim")), "somebody who never wrote");
}

/// Shown on 0.1.0: twenty notices to twenty people who never wrote, from one signed mail.
#[test]
fn one_signed_mail_sent_again_under_many_senders_makes_no_notice() {
    const VICTIMS: [&str; 5] =
        ["a@signed.example", "b@signed.example", "c@signed.example", "d@signed.example", "e@x.signed.example"];
    let stage = Stage::start();
    let mail =
        stage.signed("signed.example", SIGNED, "", &text("replayed", "jane@signed.example", &format!("To: {US}\r\n")));
    for sender in VICTIMS {
        let copy = Copy { sender: sender.to_owned(), client: STRANGER, rcpt: format!("<{US}>"), text: mail.clone() };
        assert_ne!(stage.send(&copy), "sent", "{sender}");
    }
    assert!(stage.mta.taken().is_empty());
}

#[test]
fn a_domain_that_asks_to_reject_is_heard_wherever_it_stands_in_from() {
    let stage = Stage::start();
    let rows: &[(&str, &str, &str, bool)] = &[
        ("one that asks nothing", "ceo@lax.example", "", true),
        ("two that ask nothing", "ceo@lax.example, x@pass.example", "", true),
        ("one that asks", "ceo@strict.example", "", false),
        ("second in the field", "x@pass.example, ceo@strict.example", "", false),
        ("first in the field", "ceo@strict.example, x@pass.example", "", false),
        ("the field above", "x@pass.example", "From: ceo@strict.example\r\n", false),
        ("the field below", "ceo@careful.example", "From: x@pass.example\r\n", false),
        ("in the same field, without a comma", "<x@pass.example> <ceo@strict.example>", "", false),
        ("a group", "team: x@pass.example, ceo@strict.example;", "", false),
        ("below a domain", "x@pass.example, ceo@mail.strict.example", "", false),
        (
            "among many",
            &(0..40)
                .map(|n| format!("x@d{n}.example"))
                .chain(["ceo@strict.example".into()])
                .collect::<Vec<_>>()
                .join(", "),
            "",
            false,
        ),
    ];
    let mut wrong = Vec::new();
    for (number, (name, from, above, sent)) in rows.iter().enumerate() {
        let text = format!("{above}{}", text(name, from, &format!("To: {US}\r\n")));
        let copy = Copy { sender: format!("jane{number}@pass.example"), client: SENDER, rcpt: format!("<{US}>"), text };
        let notice = stage.send(&copy);
        let said = if *sent { notice == "sent" } else { notice.starts_with("withheld: dmarc=fail") };
        if !said {
            wrong.push(format!("{name}: {notice}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_record_that_passes_most_of_the_world_proves_nothing() {
    let stage = Stage::start();
    let rows: &[(&str, &str)] = &[
        ("jane@three-quarters.example", "withheld: spf=pass (passes everybody)"),
        ("jane@almost-all.example", "withheld: spf=pass (passes everybody)"),
        ("jane@void-a.example", "withheld: spf=permerror"),
        ("jane@void-exists.example", "withheld: spf=permerror"),
        ("jane@void-mx.example", "withheld: spf=permerror"),
        ("jane@void-mixed.example", "withheld: spf=permerror"),
        ("jane@void-include.example", "withheld: spf=permerror"),
        ("jane@void-two.example", "sent"),
    ];
    let mut wrong = Vec::new();
    for (sender, expected) in rows {
        let text = text(sender, sender, &format!("To: {US}\r\n"));
        let notice = stage.send(&Copy { sender: (*sender).to_owned(), client: SENDER, rcpt: format!("<{US}>"), text });
        if !notice.starts_with(expected) {
            wrong.push(format!("{sender}: {notice}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}
