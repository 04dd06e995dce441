//! Who is proven by what.

use mailhatch::auth::AuthResult;

use super::{authenticator, envelope, message, proven, sender_proof};
use crate::support::name_server::{Fault, NameServer, Zone, reverse};
use crate::support::signer::{Key, Tags, sign};

const CLIENT: &str = "203.0.113.7";
const LOW_CLIENT: &str = "5.6.7.8";
const CLIENT6: &str = "2001:db8::7";

fn zone(key: &Key) -> Zone {
    Zone::new()
        .txt("good.org", "v=spf1 ip4:203.0.113.0/24 ip4:5.6.7.8 ip6:2001:db8::7 -all")
        .txt("two-networks.org", "v=spf1 ip4:203.0.113.0/24 ip4:198.51.100.0/24 -all")
        .txt("fail.org", "v=spf1 -all")
        .txt("soft.org", "v=spf1 ~all")
        .txt("neutral.org", "v=spf1 ?all")
        .txt("broken.org", "v=spf1 moo")
        .txt("twice.org", "v=spf1 ip4:203.0.113.7")
        .txt("twice.org", "v=spf1 ip4:203.0.113.8")
        .txt("include-twice.org", "v=spf1 include:twice.org -all")
        .fault("servfail.org", Fault::ServFail)
        .fault("refused.org", Fault::Refused)
        .txt("all.org", "v=spf1 +all")
        .txt("zero.org", "v=spf1 ip4:0.0.0.0/0 ip6:::/0 -all")
        .txt("halves.org", "v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 ip6:::/1 ip6:8000::/1 -all")
        .txt("quarters.org", "v=spf1 ip4:0.0.0.0/2 ip4:64.0.0.0/2 ip4:128.0.0.0/2 ip4:192.0.0.0/2 -all")
        .txt("lower-half.org", "v=spf1 ip4:0.0.0.0/1 -all")
        .txt("upper-half.org", "v=spf1 ip4:128.0.0.0/1 -all")
        .txt("global6.org", "v=spf1 ip6:2000::/3 -all")
        .txt("but-one.org", "v=spf1 -ip4:192.0.2.1 +all")
        .txt("include-all.org", "v=spf1 include:all.org -all")
        .txt("redirect-all.org", "v=spf1 redirect=all.org")
        .txt("wildcard.org", "v=spf1 exists:%{i}._spf.wildcard.org -all")
        .a("*._spf.wildcard.org", "127.0.0.2")
        .txt("listed.org", "v=spf1 exists:%{i}._spf.listed.org -all")
        .a("203.0.113.7._spf.listed.org", "127.0.0.2")
        .txt("any-a.org", "v=spf1 a:wide.org/0 -all")
        .a("wide.org", "198.51.100.1")
        .txt("helo-says.org", "v=spf1 exists:%{h}.allowed.helo-says.org -all")
        .a("helo.example.org.allowed.helo-says.org", "127.0.0.2")
        .txt("reverse.org", "v=spf1 ptr -all")
        .ptr(&reverse(CLIENT), "mail.reverse.org")
        .a("mail.reverse.org", CLIENT)
        .txt("forged-reverse.org", "v=spf1 exists:%{p}.ok.forged-reverse.org -all")
        .a("mail.forged-reverse.org.ok.forged-reverse.org", "127.0.0.2")
        .ptr(&reverse("203.0.113.66"), "mail.forged-reverse.org")
        .txt("half-broken.org", "v=spf1 ip4:203.0.113.7 include:servfail.org -all")
        .txt("long.org", "v=spf1 ip4:203.0.113.7 a a a a a a a a a a a a -all")
        .txt("xn--bcher-kva.example", "v=spf1 ip4:203.0.113.7 -all")
        .txt("helo.example.org", "v=spf1 ip4:203.0.113.7 -all")
        .txt("s._domainkey.signed.org", &key.record())
        .txt("s._domainkey.co.uk", &key.record())
        .txt("_dmarc.reject.org", "v=DMARC1; p=reject")
        .txt("_dmarc.quarantine.org", "v=DMARC1; p=quarantine")
        .txt("_dmarc.lax.org", "v=DMARC1; p=none")
        .txt("_dmarc.signed.org", "v=DMARC1; p=reject")
        .txt("_dmarc.good.org", "v=DMARC1; p=reject; aspf=s")
        .fault("_dmarc.nodmarc.org", Fault::ServFail)
}

#[tokio::test]
async fn an_envelope_sender_is_proven_by_spf_that_does_not_pass_everybody() {
    let server = NameServer::start(zone(&Key::ed25519()));
    let authenticator = authenticator(&server);
    let everybody = "spf=pass (passes everybody), no aligned dkim";
    let rows: &[(&str, &str, &str, &str)] = &[
        ("pass", "jane@good.org", CLIENT, "spf=pass"),
        ("pass, IPv4 below 128", "jane@good.org", LOW_CLIENT, "spf=pass"),
        ("pass, IPv6", "jane@good.org", CLIENT6, "spf=pass"),
        ("pass, IPv4 in IPv6 form", "jane@good.org", "::ffff:203.0.113.7", "spf=pass"),
        ("record with two documentation networks", "jane@two-networks.org", CLIENT, "spf=pass"),
        ("another client", "jane@good.org", "203.0.114.7", "spf=fail, no aligned dkim"),
        ("fail", "jane@fail.org", CLIENT, "spf=fail, no aligned dkim"),
        ("softfail", "jane@soft.org", CLIENT, "spf=softfail, no aligned dkim"),
        ("neutral", "jane@neutral.org", CLIENT, "spf=neutral, no aligned dkim"),
        ("none", "jane@nothing.org", CLIENT, "spf=none, no aligned dkim"),
        ("permerror", "jane@broken.org", CLIENT, "spf=permerror, no aligned dkim"),
        ("two records", "jane@twice.org", CLIENT, "spf=permerror, no aligned dkim"),
        ("two records behind include", "jane@include-twice.org", CLIENT, "spf=permerror, no aligned dkim"),
        ("temperror, SERVFAIL", "jane@servfail.org", CLIENT, "spf=temperror, no aligned dkim"),
        ("temperror, REFUSED", "jane@refused.org", CLIENT, "spf=temperror, no aligned dkim"),
        ("subdomain without a record", "jane@sub.good.org", CLIENT, "spf=none, no aligned dkim"),
        ("+all", "jane@all.org", CLIENT, everybody),
        ("+all, IPv6", "jane@all.org", CLIENT6, everybody),
        ("/0", "jane@zero.org", CLIENT, everybody),
        ("/0, IPv6", "jane@zero.org", CLIENT6, everybody),
        ("two halves", "jane@halves.org", CLIENT, everybody),
        ("two halves, low client", "jane@halves.org", LOW_CLIENT, everybody),
        ("two halves, IPv6", "jane@halves.org", CLIENT6, everybody),
        ("four quarters", "jane@quarters.org", CLIENT, everybody),
        ("lower half", "jane@lower-half.org", LOW_CLIENT, everybody),
        ("upper half", "jane@upper-half.org", CLIENT, everybody),
        ("all global IPv6 addresses", "jane@global6.org", CLIENT6, everybody),
        ("everybody but one", "jane@but-one.org", CLIENT, everybody),
        ("include of +all", "jane@include-all.org", CLIENT, everybody),
        ("redirect to +all", "jane@redirect-all.org", CLIENT, everybody),
        ("wildcard behind exists", "jane@wildcard.org", CLIENT, everybody),
        ("a with /0", "jane@any-a.org", CLIENT, everybody),
        ("what the client says in HELO", "jane@helo-says.org", CLIENT, everybody),
        ("exists for this client", "jane@listed.org", CLIENT, "spf=pass"),
        ("ptr", "jane@reverse.org", CLIENT, "spf=pass"),
        ("forged reverse name", "jane@forged-reverse.org", "203.0.113.66", "spf=fail, no aligned dkim"),
        ("the control meets a fault", "jane@half-broken.org", CLIENT, "spf=pass (control: temperror), no aligned dkim"),
        ("the control is over the limit of look-ups", "jane@long.org", CLIENT, "spf=pass"),
        ("U-label", "jane@bücher.example", CLIENT, "spf=pass"),
        ("case", "jane@GOOD.ORG", CLIENT, "spf=pass"),
        ("loopback client", "jane@all.org", "127.0.0.1", "spf=none, no aligned dkim"),
        ("private client", "jane@all.org", "10.0.0.1", "spf=none, no aligned dkim"),
        ("private client, IPv4 in IPv6 form", "jane@all.org", "::ffff:10.0.0.1", "spf=none, no aligned dkim"),
        ("link-local client", "jane@all.org", "fe80::1", "spf=none, no aligned dkim"),
        ("unique local client", "jane@all.org", "fd00::1", "spf=none, no aligned dkim"),
        ("no client", "jane@good.org", "", "spf=none, no aligned dkim"),
        ("null sender: HELO alone", "<>", CLIENT, "spf=pass, no aligned dkim"),
        ("bare name", "root", CLIENT, "spf=none, no aligned dkim"),
        ("address literal", "jane@[203.0.113.7]", CLIENT, "spf=none, no aligned dkim"),
    ];
    let mail = message("From: x@nowhere.org\r\n\r\n");
    for (name, sender, client, summary) in rows {
        let found = authenticator.examine(&envelope(sender, client), &mail).await;
        assert_eq!(found.summary, *summary, "{name}: {:?}", found.steps);
        let proof = sender_proof(&found);
        assert_eq!(proof.is_some(), *summary == "spf=pass", "{name}");
        assert!(proof.is_none_or(|proof| proof.address().as_str() == *sender), "{name}");
        assert!(found.from.is_none(), "{name}");
    }
}

#[tokio::test]
async fn dkim_proves_what_is_aligned_and_dmarc_is_reported() {
    use AuthResult::{Fail, None as Nothing, Pass, PermError, TempError};
    let key = Key::ed25519();
    let server = NameServer::start(zone(&key));
    let authenticator = authenticator(&server);
    let plain = |from: &str| format!("From: {from}\r\nTo: incoming+k@example.com\r\nSubject: s\r\n\r\nHello.\r\n");
    let tags = |domain| Tags { signed: "from:to:subject".to_owned(), ..Tags::ed25519(domain) };
    let signed = |domain, from: &str| sign(&key, &tags(domain), &plain(from));
    let dkim = "dkim=pass d=signed.org";
    // name, sender, client, message, envelope proof / From proof, DMARC, enforced
    type Row<'a> = (&'a str, &'a str, &'a str, String, String, AuthResult, bool);
    let rows: Vec<Row> = vec![
        (
            "aligned with both",
            "b@signed.org",
            "",
            signed("signed.org", "b@signed.org"),
            format!("{dkim} / {dkim}"),
            Pass,
            true,
        ),
        (
            "aligned below the organizational domain",
            "b@mail.signed.org",
            "",
            signed("signed.org", "b@mail.signed.org"),
            format!("{dkim} / {dkim}"),
            Pass,
            true,
        ),
        (
            "another address of the organizational domain",
            "a@bounce.signed.org",
            "",
            signed("signed.org", "b@mail.signed.org"),
            format!("nobody / {dkim}"),
            Pass,
            true,
        ),
        (
            "another MAIL FROM",
            "a@good.org",
            "",
            signed("signed.org", "b@signed.org"),
            format!("nobody / {dkim}"),
            Pass,
            true,
        ),
        ("another From", "a@signed.org", "", signed("signed.org", "b@lax.org"), "nobody / nobody".into(), Fail, false),
        ("public suffix", "a@x.co.uk", "", signed("co.uk", "b@x.co.uk"), "nobody / nobody".into(), Nothing, false),
        (
            "SPF and another From that asks to reject",
            "a@good.org",
            CLIENT,
            plain("b@reject.org"),
            "spf=pass / nobody".into(),
            Fail,
            true,
        ),
        (
            "SPF and another From that asks to quarantine",
            "a@good.org",
            CLIENT,
            plain("b@x.quarantine.org"),
            "spf=pass / nobody".into(),
            Fail,
            true,
        ),
        (
            "SPF and another From that asks nothing",
            "a@good.org",
            CLIENT,
            plain("b@lax.org"),
            "spf=pass / nobody".into(),
            Fail,
            false,
        ),
        (
            "SPF and From",
            "a@good.org",
            CLIENT,
            plain("b@good.org"),
            "spf=pass / spf=pass for good.org".into(),
            Pass,
            true,
        ),
        (
            "strict alignment asked for",
            "a@good.org",
            CLIENT,
            plain("b@sub.good.org"),
            "spf=pass / spf=pass for good.org".into(),
            Fail,
            true,
        ),
        (
            "SPF that passes everybody",
            "a@all.org",
            CLIENT,
            plain("b@all.org"),
            "nobody / nobody".into(),
            Nothing,
            false,
        ),
        (
            "DMARC record cannot be had",
            "a@good.org",
            CLIENT,
            plain("b@nodmarc.org"),
            "spf=pass / nobody".into(),
            TempError,
            false,
        ),
        ("no From", "a@signed.org", "", "Subject: s\r\n\r\n".into(), "nobody / nobody".into(), PermError, false),
        (
            "two From fields",
            "a@signed.org",
            "",
            format!("From: b@signed.org\r\n{}", signed("signed.org", "b@signed.org")),
            "nobody / nobody".into(),
            Fail,
            true,
        ),
        (
            "two From fields of domains that ask nothing",
            "a@good.org",
            CLIENT,
            format!("From: b@lax.org\r\n{}", plain("b@nothing.org")),
            "spf=pass / nobody".into(),
            PermError,
            false,
        ),
        (
            "two domains, one of which DNS says nothing of",
            "a@good.org",
            CLIENT,
            plain("b@lax.org, b@nodmarc.org"),
            "spf=pass / nobody".into(),
            Fail,
            true,
        ),
        (
            "two From addresses of one domain",
            "b@signed.org",
            "",
            signed("signed.org", "b@signed.org, c@signed.org"),
            "nobody / nobody".into(),
            Pass,
            true,
        ),
        (
            "two addresses in brackets",
            "b@signed.org",
            "",
            signed("signed.org", "<b@signed.org> <c@evil.org>"),
            "nobody / nobody".into(),
            Fail,
            true,
        ),
        (
            "an address as display name",
            "a@good.org",
            "",
            signed("signed.org", "\"b@signed.org\" <c@lax.org>"),
            "nobody / nobody".into(),
            Fail,
            false,
        ),
        ("null sender", "<>", CLIENT, signed("signed.org", "b@signed.org"), format!("nobody / {dkim}"), Pass, true),
        (
            "signature that does not verify",
            "a@signed.org",
            "",
            signed("signed.org", "b@signed.org").replace("Hello", "Hallo"),
            "nobody / nobody".into(),
            Fail,
            true,
        ),
    ];
    for (name, sender, client, text, expected, dmarc, enforced) in rows {
        let found = authenticator.examine(&envelope(sender, client), &message(text)).await;
        assert_eq!(proven(&found), expected, "{name}: {:?}", found.steps);
        assert_eq!((found.dmarc, found.dmarc_enforced), (dmarc, enforced), "{name}");
        assert_eq!(found.is_refused_by_dmarc(), dmarc == Fail && enforced, "{name}");
    }
}

#[tokio::test]
async fn an_unknown_sender_is_not_the_null_sender() {
    let server = NameServer::start(zone(&Key::ed25519()));
    let mut unknown = envelope("a@good.org", CLIENT);
    unknown.sender = mailhatch::mail::Sender::Unknown;
    let found = authenticator(&server).examine(&unknown, &message("From: a@good.org\r\n\r\n")).await;
    assert_eq!((found.spf, proven(&found).as_str()), (AuthResult::None, "nobody / nobody"));
}
