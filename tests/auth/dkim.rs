//! DKIM signatures, good and bad, as a message carries them.

use mailhatch::auth::{AuthResult, Authenticator};
use mailhatch::mail::{Content, Message, Overflow};
use proptest::prelude::*;

use super::{PATIENT, authenticator, config, envelope, message, proven, sender_proof};
use crate::support::name_server::{NameServer, Zone};
use crate::support::needs;
use crate::support::signer::{Key, Tags, sign};

const MAIL: &str =
    "From: Jane <jane@example.org>\r\nTo: x@example.com\r\nSubject:  Some   thing\r\n\r\nHello there.\r\n";

#[needs(openssl)]
#[tokio::test]
async fn signatures_are_verified() {
    let (ed25519, rsa, small, tiny) = (Key::ed25519(), Key::rsa(2048), Key::rsa(1024), Key::rsa(768));
    let zone = Zone::new()
        .txt("s._domainkey.example.org", &ed25519.record())
        .txt("s._domainkey.rsa.example.org", &rsa.record())
        .txt("s._domainkey.small.example.org", &small.record())
        .txt("s._domainkey.tiny.example.org", &tiny.record())
        .txt("s._domainkey.revoked.example.org", "v=DKIM1; k=ed25519; p=")
        .txt("s._domainkey.strict.example.org", &format!("{}; t=s", ed25519.record()))
        .txt("s._domainkey.other.example.org", &Key::ed25519().record());
    let ed = Tags::ed25519("example.org");
    let rs = Tags::rsa("rsa.example.org");
    let signed = |key: &Key, tags: &Tags| sign(key, tags, MAIL);
    let more = |tags: &Tags, more: &str| Tags { more: more.to_owned(), ..tags.clone() };
    let style = |tags: &Tags, canonicalization| Tags { canonicalization, ..tags.clone() };
    let many = format!("from:{}", vec!["x"; 101].join(":"));
    let spaced = MAIL.replace("Hello there.\r\n", "Hello  \t there. \r\n \r\n\r\n");
    let relaxed_body = Tags { body: Some("Hello there.\r\n"), ..ed.clone() };
    use AuthResult::{Fail, Neutral, Pass, PermError, Policy};
    let rows: Vec<(&str, String, AuthResult)> = vec![
        ("ed25519", signed(&ed25519, &ed), Pass),
        ("rsa", signed(&rsa, &rs), Pass),
        ("simple/simple", signed(&ed25519, &style(&ed, "simple/simple")), Pass),
        ("simple/relaxed", signed(&ed25519, &style(&ed, "simple/relaxed")), Pass),
        ("relaxed/simple", signed(&rsa, &style(&rs, "relaxed/simple")), Pass),
        ("blank lines with white space at the end", sign(&ed25519, &relaxed_body, &spaced), Pass),
        ("line ends of LF alone, relaxed", signed(&ed25519, &ed).replace("\r\n", "\n"), Pass),
        ("line ends of LF alone, simple", signed(&ed25519, &style(&ed, "simple/simple")).replace("\r\n", "\n"), Pass),
        ("not expired", signed(&ed25519, &more(&ed, " t=1; x=99999999999;")), Pass),
        ("1024 bits", signed(&small, &Tags::rsa("small.example.org")), Pass),
        ("identity below the domain", signed(&ed25519, &more(&ed, " i=j@mail.example.org;")), Pass),
        ("768 bits", signed(&tiny, &Tags::rsa("tiny.example.org")), Fail),
        ("rsa-sha1", signed(&rsa, &Tags { algorithm: "rsa-sha1", ..rs.clone() }), Policy),
        ("expired", signed(&ed25519, &more(&ed, " t=1; x=2;")), Fail),
        ("other body", signed(&ed25519, &ed).replace("Hello", "Hallo"), Fail),
        ("other header", signed(&ed25519, &ed).replace("thing", "thought"), Fail),
        ("other From", signed(&ed25519, &ed).replace("Jane", "June"), Fail),
        ("other key", signed(&ed25519, &Tags::ed25519("other.example.org")), Fail),
        ("key revoked", signed(&ed25519, &Tags::ed25519("revoked.example.org")), PermError),
        ("no key", signed(&ed25519, &Tags::ed25519("nokey.example.org")), PermError),
        ("key of another kind", signed(&rsa, &Tags::rsa("example.org")), Fail),
        ("l= of the whole body", signed(&ed25519, &more(&ed, " l=14;")), Policy),
        ("l=0", signed(&ed25519, &more(&ed, " l=0;")), Policy),
        ("l= with blanks", signed(&ed25519, &more(&ed, " l =\t5;")), Policy),
        ("From is not signed", signed(&ed25519, &Tags { signed: "subject".to_owned(), ..ed.clone() }), PermError),
        ("over 100 names", signed(&ed25519, &Tags { signed: many, ..ed.clone() }), Policy),
        ("identity of another domain", signed(&ed25519, &more(&ed, " i=j@example.net;")), Fail),
        (
            "identity below a strict domain",
            signed(&ed25519, &more(&Tags::ed25519("strict.example.org"), " i=j@a.strict.example.org;")),
            Fail,
        ),
        ("unreadable", format!("DKIM-Signature: v=1; d=example.org\r\n{MAIL}"), Neutral),
        ("domain that is none", signed(&ed25519, &ed).replace("d=example.org", "d=a..example.org"), Neutral),
        ("other version", signed(&ed25519, &ed).replace("v=1;", "v=2;"), Neutral),
        ("second From above", format!("From: x@example.net\r\n{}", signed(&ed25519, &ed)), Pass),
        (
            "second From above what is signed twice",
            format!(
                "From: x@example.net\r\n{}",
                signed(&ed25519, &Tags { signed: "from:from".to_owned(), ..ed.clone() })
            ),
            Fail,
        ),
        ("header of 501 fields", format!("{}{}", "X: y\r\n".repeat(497), signed(&ed25519, &ed)), Policy),
        ("header of over 256 KiB", format!("X: {}\r\n{}", "y".repeat(256 * 1024), signed(&ed25519, &ed)), Policy),
    ];
    let server = NameServer::start(zone);
    let authenticator = authenticator(&server);
    for (name, text, expected) in rows {
        let found = authenticator.examine(&envelope("jane@example.org", ""), &message(text)).await;
        let results: Vec<_> = found.dkim.iter().map(|signature| signature.result).collect();
        assert_eq!(results, [expected], "{name}: {:?}", found.steps);
        assert!(found.dkim[0].domain.ends_with("example.org"), "{name}");
        assert_eq!(
            found.from.is_some(),
            expected == Pass && !name.starts_with("second From"),
            "{name}: {}",
            found.summary
        );
    }
}

#[tokio::test]
async fn only_the_first_eight_signatures_are_looked_at_and_each_has_its_result() {
    let key = Key::ed25519();
    let server = NameServer::start(Zone::new().txt("s._domainkey.example.org", &key.record()));
    let authenticator = authenticator(&server);
    let good = sign(&key, &Tags::ed25519("example.org"), MAIL);
    let field = good.strip_suffix(MAIL).unwrap();
    let bad = field.replace("d=example.org", "d=example.net");
    let unreadable = "DKIM-Signature: d=broken.example\r\n";

    let mixed = message(format!("{bad}{unreadable}{field}{MAIL}"));
    let found = authenticator.examine(&envelope("jane@example.org", ""), &mixed).await;
    let shown: Vec<_> = found.dkim.iter().map(|s| format!("{}={}", s.domain, s.result)).collect();
    assert_eq!(shown, ["example.net=permerror", "broken.example=neutral", "example.org=pass"]);
    assert_eq!(proven(&found), "nobody / dkim=pass d=example.org");

    let crowd = message(format!("{}{field}{MAIL}", bad.repeat(8)));
    let found = authenticator.examine(&envelope("jane@example.org", ""), &crowd).await;
    assert_eq!(found.dkim.len(), 8);
    assert!(sender_proof(&found).is_none() && found.from.is_none());
}

#[tokio::test]
async fn a_message_whose_body_is_not_in_memory_is_not_verified() {
    let key = Key::ed25519();
    let server = NameServer::start(Zone::new().txt("s._domainkey.example.org", &key.record()));
    let text = sign(&key, &Tags::ed25519("example.org"), MAIL);
    let mut overflow = Overflow::new(std::env::temp_dir());
    overflow.push(b"x").unwrap();
    let content = Content::with_overflow(text, overflow);
    let found = authenticator(&server).examine(&envelope("jane@example.org", ""), &Message::parse(content)).await;
    assert_eq!((found.dkim[0].result, proven(&found).as_str()), (AuthResult::Policy, "nobody / nobody"));
}

proptest! {
    /// No signature field that anybody can write makes a panic, or proves anything.
    #[test]
    fn any_signature_is_examined(
        fields in proptest::collection::vec(
            "( ?(v=1|a=(rsa-sha256|rsa-sha1|ed25519-sha256|x)|c=(simple|relaxed)(/simple|/relaxed|/)?|d=(example\\.org|\\.|\u{7f})\
             |s=[s.]{1,3}|h=(from|subject|:){0,4}|l ?=[0-9]{0,3}|x=[0-9]{0,30}|t=-?[0-9]{0,3}|i=@?[a-z.]{0,5}|b[h]?=[A-Za-z0-9=+/ ]{0,44}|[ -~]{0,9});){0,12}",
            0..4,
        ),
        body in "[ -~\r\n\t]{0,40}",
    ) {
        let server = NameServer::start(Zone::new().txt("s._domainkey.example.org", "v=DKIM1; k=ed25519; p=AAAA"));
        let authenticator = Authenticator::with_limits(&config(&format!("nameservers = [\"{}\"]", server.address())), PATIENT);
        let fields: String = fields.iter().map(|field| format!("DKIM-Signature:{field}\r\n")).collect();
        let text = format!("{fields}From: jane@example.org\r\nSubject: s\r\n\r\n{body}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(authenticator.examine(&envelope("jane@example.org", ""), &message(text)));
        prop_assert_eq!(proven(&found), "nobody / nobody");
    }
}
