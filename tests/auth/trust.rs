//! Authentication-Results: whose are believed, and what they prove.

use mailhatch::auth::{AuthResult, Authenticator};
use proptest::prelude::*;

use super::{config, envelope, message, proven, sender_proof};

/// Our MTA's own trace field for a message from outside.
const OURS: &str = "Received: from mail.good.org (mail.good.org [203.0.113.7])\r\n\tby mx.example.com (Postfix) with ESMTP id 4X\r\n\
                    \tfor <k@example.com>; Sun, 22 Nov 2026 10:00:00 +0000 (UTC)\r\n";
/// A second pass through our MTA, behind a content filter.
const INSIDE: &str = "Received: from localhost (localhost [127.0.0.1]) by mx.example.com (Postfix) id 4Y; x\r\n";
/// Another host's.
const THEIRS: &str = "Received: from a (a [198.51.100.1]) by mail.good.org; x\r\n";
/// What a sender may write below: our name as the server's.
const FORGED: &str = "Received: from a (a [127.0.0.1]) by mx.example.com (Postfix) id 4Z; x\r\n";

const PASS: &str = "Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=good.org\r\n";

fn authenticator() -> Authenticator {
    Authenticator::new(&config("method = \"trust\"\nauthserv_ids = [\"mx.example.com\", \"auth.example.com\"]"))
        .unwrap()
}

#[tokio::test]
async fn only_what_our_own_servers_wrote_is_believed() {
    let rows: &[(&str, &[&str], bool)] = &[
        ("above our Received", &[PASS, OURS, THEIRS], true),
        ("right below our Received", &[OURS, PASS, THEIRS], true),
        ("before a content filter", &[INSIDE, OURS, PASS, THEIRS], true),
        ("made on this host", &["Received: by mx.example.com (Postfix, from userid 0) id 4X; x\r\n", PASS], true),
        ("no Received of another host", &[OURS, PASS], true),
        ("other case", &[OURS, &PASS.replace("mx.example.com", "MX.Example.COM")], true),
        ("second id of ours", &[OURS, &PASS.replace("mx.example.com", "auth.example.com")], true),
        (
            "folded behind the id, with comments",
            &[OURS, &PASS.replace("com; spf", "com (x;y)\r\n\t1\r\n ;\r\n\tspf")],
            true,
        ),
        ("a tab before the id", &[OURS, &PASS.replace(": mx", ":\tmx")], true),
        ("nothing before the id", &[OURS, &PASS.replace(": mx", ":mx")], true),
        ("quoted id", &[OURS, &PASS.replace("mx.example.com", "\"mx.example.com\"")], false),
        ("a comment before the id", &[OURS, &PASS.replace(": mx", ": (x) mx")], false),
        ("folded before the id", &[OURS, &PASS.replace(": mx", ":\r\n mx")], false),
        ("a blank before the colon", &[OURS, &PASS.replace("Results:", "Results :")], false),
        ("below another host's Received", &[OURS, THEIRS, PASS], false),
        ("below a forged Received", &[OURS, FORGED, PASS], false),
        ("below a forged Received behind a content filter", &[INSIDE, OURS, FORGED, PASS], false),
        ("below a Received that cannot be read", &[OURS, "Received: (by mx.example.com\r\n", PASS], false),
        ("below a Received of nobody", &[OURS, "Received: x\r\n", PASS], false),
        ("longer id", &[OURS, &PASS.replace("mx.example.com", "mx.example.com.evil.org")], false),
        ("shorter id", &[OURS, &PASS.replace("mx.example.com", "example.com")], false),
        (
            "id before a comment that does not end",
            &[OURS, &PASS.replace("mx.example.com", "mx.example.com(.evil")],
            false,
        ),
        ("id in a comment", &[OURS, &PASS.replace("mx.example.com", "evil (mx.example.com)")], false),
        ("id behind another", &[OURS, &PASS.replace("mx.example.com", "evil mx.example.com")], false),
        ("id and a trailing dot", &[OURS, &PASS.replace("mx.example.com", "mx.example.com.")], false),
        ("nul in the id", &[OURS, &PASS.replace("mx.example.com", "mx.example.com\0")], false),
        ("nul behind", &[OURS, &PASS.replace("good.org", "good.org\0")], false),
        ("another name of the field", &[OURS, &PASS.replace("Results", "Result")], false),
        ("the ARC one", &[OURS, &PASS.replace("Auth", "ARC-Auth")], false),
        ("in the body", &[OURS, "\r\n", PASS], false),
        ("inside of another field", &[OURS, "X: y\r\n ", PASS], false),
    ];
    let authenticator = authenticator();
    for (name, fields, believed) in rows {
        let text = format!("{}From: a@other.org\r\nSubject: s\r\n\r\nHello.\r\n", fields.concat());
        let found = authenticator.examine(&envelope("jane@good.org", ""), &message(text)).await;
        assert_eq!(sender_proof(&found).is_some(), *believed, "{name}: {found:?}");
        assert_eq!(found.summary, if *believed { "spf=pass" } else { "spf=none, no aligned dkim" }, "{name}");
    }
}

#[tokio::test]
async fn results_prove_what_they_name() {
    // name, what the fields say (one each), proof of jane@good.org / of From jane@good.org, DMARC refuses
    let rows: &[(&str, &[&str], &str, bool)] = &[
        ("nothing", &[], "nobody / nobody", false),
        ("none", &["none"], "nobody / nobody", false),
        ("SPF, domain", &["spf=pass smtp.mailfrom=good.org"], "spf=pass / spf=pass for good.org", false),
        ("SPF, address", &["spf=pass smtp.mailfrom=jane@good.org"], "spf=pass / spf=pass for good.org", false),
        ("SPF, domain with at sign", &["spf=pass smtp.mailfrom=@good.org"], "spf=pass / spf=pass for good.org", false),
        ("SPF, other address", &["spf=pass smtp.mailfrom=joe@good.org"], "nobody / nobody", false),
        ("SPF, other domain", &["spf=pass smtp.mailfrom=evil.org"], "nobody / nobody", false),
        ("SPF, domain below", &["spf=pass smtp.mailfrom=x.good.org"], "nobody / nobody", false),
        ("SPF of HELO", &["spf=pass smtp.helo=good.org"], "nobody / nobody", false),
        ("SPF of nothing", &["spf=pass"], "nobody / nobody", false),
        ("SPF of two", &["spf=pass smtp.mailfrom=good.org smtp.mailfrom=good.org"], "nobody / nobody", false),
        ("SPF, name in a comment", &["spf=pass (smtp.mailfrom=good.org)"], "nobody / nobody", false),
        ("SPF, name as reason", &["spf=pass reason=\"smtp.mailfrom=good.org\""], "nobody / nobody", false),
        ("SPF, unknown word", &["spf=passed smtp.mailfrom=good.org"], "nobody / nobody", false),
        ("SPF fails", &["spf=fail smtp.mailfrom=good.org"], "nobody / nobody", false),
        (
            "SPF passes HELO and fails MAIL FROM",
            &["spf=pass smtp.helo=good.org; spf=fail smtp.mailfrom=good.org"],
            "nobody / nobody",
            false,
        ),
        (
            "two fields disagree",
            &["spf=pass smtp.mailfrom=good.org", "spf=fail smtp.mailfrom=good.org"],
            "nobody / nobody",
            false,
        ),
        (
            "two fields disagree, the other order",
            &["spf=none smtp.mailfrom=good.org", "spf=pass smtp.mailfrom=good.org"],
            "nobody / nobody",
            false,
        ),
        (
            "two fields agree",
            &["spf=pass smtp.mailfrom=good.org", "spf=pass smtp.mailfrom=jane@good.org"],
            "spf=pass / spf=pass for good.org",
            false,
        ),
        ("DKIM d", &["dkim=pass header.d=good.org header.s=s"], "nobody / dkim=pass d=good.org", false),
        ("DKIM i", &["dkim=pass header.i=@mail.good.org"], "nobody / dkim=pass d=mail.good.org", false),
        (
            "DKIM i and d",
            &["dkim=pass header.i=j@x.good.org header.d=good.org"],
            "nobody / dkim=pass d=good.org",
            false,
        ),
        ("DKIM i and d of others", &["dkim=pass header.i=@good.org header.d=evil.org"], "nobody / nobody", false),
        ("DKIM of another domain", &["dkim=pass header.d=evil.org"], "nobody / nobody", false),
        ("DKIM fails", &["dkim=fail header.d=good.org"], "nobody / nobody", false),
        ("DKIM of nothing", &["dkim=pass"], "nobody / nobody", false),
        (
            "DKIM, one of two signatures",
            &["dkim=fail header.d=good.org; dkim=pass header.d=good.org"],
            "nobody / dkim=pass d=good.org",
            false,
        ),
        (
            "DKIM, two fields disagree",
            &["dkim=pass header.d=evil.org", "dkim=pass header.d=good.org"],
            "nobody / nobody",
            false,
        ),
        (
            "DKIM, the second field denies",
            &["dkim=pass header.d=good.org", "dkim=fail header.d=good.org"],
            "nobody / nobody",
            false,
        ),
        ("DKIM, the second field says none", &["dkim=pass header.d=good.org", "dkim=none"], "nobody / nobody", false),
        ("DMARC", &["dmarc=pass header.from=good.org"], "nobody / dmarc=pass", false),
        ("DMARC of another", &["dmarc=pass header.from=evil.org"], "nobody / nobody", false),
        (
            "DMARC fails",
            &["spf=pass smtp.mailfrom=good.org; dmarc=fail header.from=good.org"],
            "spf=pass / spf=pass for good.org",
            true,
        ),
        (
            "DMARC fails, nothing is asked",
            &["spf=pass smtp.mailfrom=good.org; dmarc=fail policy.dmarc=none header.from=good.org"],
            "spf=pass / spf=pass for good.org",
            false,
        ),
        (
            "DMARC, two fields disagree",
            &["dmarc=pass header.from=good.org", "dmarc=fail header.from=good.org"],
            "nobody / nobody",
            true,
        ),
    ];
    let authenticator = authenticator();
    for (name, fields, expected, refused) in rows {
        let fields: String =
            fields.iter().map(|f| format!("Authentication-Results: mx.example.com; {f}\r\n")).collect();
        let text = format!("{OURS}{fields}{THEIRS}From: Jane <jane@good.org>\r\n\r\nHello.\r\n");
        let found = authenticator.examine(&envelope("jane@good.org", ""), &message(text)).await;
        assert_eq!(proven(&found), *expected, "{name}: {:?}", found.steps);
        assert_eq!(found.is_refused_by_dmarc(), *refused, "{name}");
    }
}

#[tokio::test]
async fn two_from_fields_and_a_null_sender_are_not_proven() {
    let results =
        "Authentication-Results: mx.example.com; dkim=pass header.d=good.org; dmarc=pass header.from=good.org\r\n";
    let text = format!("{OURS}{results}From: jane@good.org\r\nFrom: jane@good.org\r\n\r\n");
    let found = authenticator().examine(&envelope("<>", ""), &message(text)).await;
    assert_eq!(proven(&found), "nobody / nobody");
    assert_eq!(
        (found.dmarc, found.is_refused_by_dmarc()),
        (AuthResult::Fail, true),
        "nobody can tell whose wish counts"
    );
}

/// A result tells that a signature verifies, and not what it covers: that is read from the signatures themselves.
#[tokio::test]
async fn a_signature_proves_the_sender_only_with_the_recipient_in_what_it_covers() {
    let us = "To: incoming+k@example.com\r\n";
    let signature = |tags: &str| format!("DKIM-Signature: v=1; a=rsa-sha256; {tags}; bh=x; b=ab c\r\n\td\r\n");
    let all = "d=good.org; s=s; h=from:to";
    let good = signature(all);
    let proof = "dkim=pass d=good.org";
    let pass = "dkim=pass header.d=good.org header.s=s";
    let old = signature("d=good.org; s=old; h=from:to; t=1000000000");
    let rows: &[(&str, &str, String, &str)] = &[
        ("to us", pass, good.clone(), proof),
        ("by the beginning of the signature", "dkim=pass header.d=good.org header.b=abcd", good.clone(), proof),
        ("no signature", pass, String::new(), "nobody"),
        ("another domain's", pass, good.replace("good.org", "evil.org"), "nobody"),
        ("another selector's", pass, good.replace("s=s", "s=t"), "nobody"),
        ("another signature", "dkim=pass header.d=good.org header.b=abce", good.clone(), "nobody"),
        ("To is not signed", pass, good.replace(":to", ""), "nobody"),
        ("From is not signed", pass, good.replace("from:", ""), "nobody"),
        ("old", pass, good.replace("s=s;", "s=s; t=1000000000;"), "nobody"),
        ("one of two, of another selector", pass, format!("{old}{good}"), proof),
        ("one of two, and nobody says which", "dkim=pass header.d=good.org", format!("{old}{good}"), "nobody"),
        ("two alike", "dkim=pass header.d=good.org", format!("{good}{good}"), proof),
        ("tags that cannot be read", pass, format!("DKIM-Signature: d=good.org; d=good.org\r\n{good}"), "nobody"),
        ("very many", pass, good.repeat(51), "nobody"),
    ];
    for (name, result, signatures, expected) in rows {
        let text = format!(
            "{OURS}Authentication-Results: mx.example.com; {result}\r\n{signatures}{us}From: jane@good.org\r\n\r\nHello.\r\n"
        );
        let found = authenticator().examine(&envelope("jane@good.org", ""), &message(text)).await;
        assert_eq!(proven(&found), format!("{expected} / {proof}"), "{name}: {}", found.summary);
    }
}

proptest! {
    /// Whatever the sender writes below our Received: with our MTA's own word on it, nothing more is proven.
    #[test]
    fn a_sender_cannot_overrule_our_own_mta(
        written in proptest::collection::vec(
            "(Authentication-Results: mx\\.example\\.com[ (;]{0,2}(spf|dkim|dmarc)=pass (smtp\\.mailfrom|header\\.d|header\\.from)=good\\.org\
             |Received: (from [a-z]{1,3} \\([a-z]* ?\\[127\\.0\\.0\\.1\\]\\) )?by mx\\.example\\.com; x|[A-Z][a-z]: [ -~]{0,20})\r\n",
            0..6,
        ),
    ) {
        let real = "Authentication-Results: mx.example.com; spf=fail smtp.mailfrom=good.org; dkim=none; dmarc=fail header.from=good.org\r\n";
        let text = format!("{OURS}{real}{}From: jane@good.org\r\n\r\n", written.concat());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            authenticator().examine(&envelope("jane@good.org", ""), &message(text)).await
        });
        prop_assert_eq!(proven(&found), "nobody / nobody");
    }
}
