//! Whose trace fields are believed: Gmail's, Exchange Online's, our own server's, and never a sender's that look like them.

use std::path::Path;
use std::sync::Arc;

use mailhatch::auth::{Authenticator, Trace};
use mailhatch::config::Config;
use mailhatch::mail::{Client, Content, Envelope, InMailbox, Item, Message, Origin, Provider, Sender};

const CONFIG: &str = "hostname = \"mx.example.com\"\n[auth]\nmethod = \"trust\"\nauthserv_ids = [\"mx.example.com\"]\n\
                      [[mailbox]]\nname = \"m\"\naddress = \"in+%{key}@example.com\"\napp = \"a\"\n\
                      [[app]]\nname = \"a\"\nkind = \"spool\"\npath = \"/x\"\n";

/// What is found of a message: the From that is proven, the sender, the recipients.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    proven: bool,
    sender: Option<String>,
    recipients: Vec<String>,
}

async fn look(provider: &Provider, header: &str) -> Found {
    let config = Config::parse(Path::new("m.toml"), CONFIG).unwrap();
    let mailbox = InMailbox {
        inbox: "i".to_owned(),
        item: Item::Uid { validity: 1, uid: 1 },
        provider: provider.clone(),
        came_in: None,
        first_run: false,
        notices: false,
    };
    let header = header.trim_start().replace("\n", "\r\n");
    let message = Message::parse(Content::whole(format!("{header}From: Jane <jane@example.org>\r\n\r\nbody\r\n")));
    let trace = Trace::read(&mailbox, &config.hostname, &message);
    let envelope = Envelope {
        sender: trace.sender.clone().unwrap_or(Sender::Unknown),
        recipients: Vec::new(),
        client: Client::default(),
        queue_id: None,
        origin: Origin::Mailbox(Arc::new(mailbox)),
    };
    let found = Authenticator::new(&config).unwrap().examine(&envelope, &message).await;
    Found {
        proven: found.from.is_some(),
        sender: trace.sender.as_ref().and_then(Sender::as_text).map(str::to_owned),
        recipients: trace.recipients,
    }
}

/// The top of a mail at Gmail, as real ones have it.
const GMAIL_TOP: &str = "
Delivered-To: in+k@example.com
Received: by 2002:a05:6a10:9a86:b0:5a1:7f3c:1d2e with SMTP id fe6csp1;
        Sun, 22 Nov 2026 02:00:00 -0800 (PST)
X-Received: by 2002:a17:902:b70b:b0:1f0:4c3a with SMTP id d11-1; Sun, 22 Nov 2026 02:00:00 -0800 (PST)
ARC-Seal: i=1; a=rsa-sha256; d=google.com; s=arc; b=x
ARC-Authentication-Results: i=1; mx.google.com; dkim=pass header.i=@evil.example
Return-Path: <jane@example.org>
Received: from mail.example.org (mail.example.org. [203.0.113.7])
        by mx.google.com with ESMTPS id a1-1.2026.11.22.02.00.00
        for <in+k@example.com>; Sun, 22 Nov 2026 02:00:00 -0800 (PST)
Received-SPF: pass (google.com: domain of jane@example.org designates 203.0.113.7 as permitted sender)
";

const GMAIL_PASS: &str = "Authentication-Results: mx.google.com;
       dkim=pass header.i=@example.org header.s=s header.b=abc;
       spf=pass (google.com: domain of jane@example.org designates 203.0.113.7) smtp.mailfrom=jane@example.org;
       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=example.org
";

const GMAIL_NOTHING: &str = "Authentication-Results: mx.google.com;
       spf=softfail (google.com: x) smtp.mailfrom=jane@example.org
";

#[tokio::test]
async fn gmails_fields_are_believed_and_no_others() {
    let forged = GMAIL_PASS;
    let whole = format!("{GMAIL_TOP}{GMAIL_PASS}");
    let believed = |proven| Found {
        proven,
        sender: Some("jane@example.org".to_owned()),
        recipients: vec!["in+k@example.com".to_owned()],
    };
    let nothing = || Found { proven: false, sender: None, recipients: Vec::new() };
    let rows: Vec<(&str, String, Found)> = vec![
        ("as it is", whole.clone(), believed(true)),
        ("Gmail found nothing", format!("{GMAIL_TOP}{GMAIL_NOTHING}"), believed(false)),
        ("Gmail says nothing", GMAIL_TOP.to_owned(), believed(false)),
        ("a forged field below Gmail's", format!("{GMAIL_TOP}{GMAIL_NOTHING}{forged}"), believed(false)),
        (
            "a forged field below Gmail's, of a method of which Gmail does not speak",
            format!("{GMAIL_TOP}{GMAIL_NOTHING}Authentication-Results: mx.google.com; dkim=pass header.d=example.org\n"),
            believed(false),
        ),
        ("a field below Gmail's that contradicts it", format!("{whole}{GMAIL_NOTHING}Authentication-Results: mx.google.com; dkim=fail header.d=example.org; dmarc=fail header.from=example.org; spf=fail smtp.mailfrom=jane@example.org\n"), believed(false)),
        ("a forged field where Gmail wrote none, behind another field", format!("{GMAIL_TOP}X-A: b\n{forged}"), believed(false)),
        ("a forged field behind the next hop", format!("{GMAIL_TOP}Received: from a by b; x\n{forged}"), believed(false)),
        ("a forged field above the border", whole.replace("Return-Path:", &format!("{forged}Return-Path:")).replace(&format!("Received-SPF: pass (google.com: domain of jane@example.org designates 203.0.113.7 as permitted sender)\n{GMAIL_PASS}"), ""), believed(false)),
        ("a look-alike id", whole.replace("Authentication-Results: mx.google.com;", "Authentication-Results: mx.google.com.evil.example;"), believed(false)),
        ("a comment in the id", whole.replace("Authentication-Results: mx.google.com;", "Authentication-Results: mx.google.com(.evil.example);"), believed(false)),
        ("another border", whole.replace("by mx.google.com", "by mx.google.com.evil.example"), nothing()),
        ("a border without from", whole.replace("Received: from mail.example.org (mail.example.org. [203.0.113.7])\n       ", "Received:"), nothing()),
        ("a hop with from", whole.replace("Received: by 2002:", "Received: from x by 2002:"), nothing()),
        ("a hop that only looks like an address", whole.replace("Received: by 2002:a05:6a10:9a86:b0:5a1:7f3c:1d2e", "Received: by 2002:a05.evil.example"), nothing()),
        ("a hop of another network", whole.replace("Received: by 2002:", "Received: by 2001:"), nothing()),
        ("a foreign hop on top", format!("Received: from a by mail.example.net; x\n{}", whole.trim_start()), nothing()),
        ("no hop at all", "Subject: x\n".to_owned() + forged, nothing()),
        ("the null sender", whole.replace("<jane@example.org>\nReceived", "<>\nReceived"), Found { sender: Some(String::new()), ..believed(true) }),
        ("DMARC of another domain", whole.replace("header.from=example.org", "header.from=example.net").replace("header.i=@example.org", "header.i=@example.net").replace("spf=pass", "spf=fail"), believed(false)),
        ("recipients below the border", whole.replace("Delivered-To: in+k@example.com\n", "") + "Delivered-To: in+forged@example.com\n", Found { recipients: Vec::new(), ..believed(true) }),
    ];
    for (name, header, expected) in &rows {
        assert_eq!(look(&Provider::Gmail, header).await, *expected, "{name}:\n{header}");
    }
    assert_eq!(look(&Provider::None, &whole).await, nothing());
    assert!(!look(&Provider::ExchangeOnline, &whole).await.proven);
}

/// The top of a mail at Exchange Online.
const EXCHANGE: &str = "
Received: from AM0PR04MB1.eurprd04.prod.outlook.com (2603:10a6:208::1) by
 AS8PR04MB2.eurprd04.prod.outlook.com with HTTPS; Sun, 22 Nov 2026 10:00:02 +0000
Received: from DB7PR05CA0.eurprd05.prod.outlook.com (2603:10a6:10::1) by
 AM0PR04MB1.eurprd04.prod.outlook.com (2603:10a6:208::1) with Microsoft SMTP Server
 (version=TLS1_2, cipher=TLS) id 15.20.1.1; Sun, 22 Nov 2026 10:00:01 +0000
Authentication-Results: spf=pass (sender IP is 203.0.113.7)
 smtp.mailfrom=example.org; dkim=pass (signature was verified)
 header.d=example.org;dmarc=pass action=none
 header.from=example.org;compauth=pass reason=100
Received-SPF: Pass (protection.outlook.com: domain of example.org designates
 203.0.113.7 as permitted sender)
Received: from mail.example.org (203.0.113.7) by
 DB5EUR01FT1.mail.protection.outlook.com (10.152.4.1) with Microsoft SMTP
 Server id 15.20.1.1 via Frontend Transport; Sun, 22 Nov 2026 10:00:00 +0000
";

const EXCHANGE_RESULTS: &str = "Authentication-Results: spf=pass (sender IP is 203.0.113.7)
 smtp.mailfrom=example.org; dkim=pass (signature was verified)
 header.d=example.org;dmarc=pass action=none
 header.from=example.org;compauth=pass reason=100
";

#[tokio::test]
async fn exchange_onlines_fields_are_believed_and_no_others() {
    let without = EXCHANGE.replace(EXCHANGE_RESULTS, "");
    let old = EXCHANGE.replace(
        EXCHANGE_RESULTS,
        "Authentication-Results: spf=pass (sender IP is 203.0.113.7)\n smtp.mailfrom=example.org; example.com; dkim=pass \
         (signature was verified)\n header.d=example.org;example.com; dmarc=pass action=none\n header.from=example.org;\n",
    );
    let rows: Vec<(&str, String, bool)> = vec![
        ("as it is", EXCHANGE.to_owned(), true),
        ("an older form, with bare domains", old, true),
        ("no results", without.clone(), false),
        ("failed", EXCHANGE.replace("=pass", "=fail"), false),
        ("results below the border", format!("{without}{EXCHANGE_RESULTS}"), false),
        ("results with an authserv-id", EXCHANGE.replace("Authentication-Results: spf", "Authentication-Results: example.com; spf"), false),
        ("a contradiction above the border", EXCHANGE.replace("Received-SPF", "Authentication-Results: spf=fail smtp.mailfrom=example.org; dkim=fail header.d=example.org; dmarc=fail action=none header.from=example.org\nReceived-SPF"), false),
        ("a hop that looks like one", EXCHANGE.replace("AM0PR04MB1.eurprd04.prod.outlook.com with", "x.outlook.com.evil.example with").replace("by\n AS8PR04MB2.eurprd04.prod.outlook.com with", "by\n x.outlook.com.evil.example with"), false),
        ("a host whose name only ends so", EXCHANGE.replace("AS8PR04MB2.eurprd04.prod.outlook.com with", "eviloutlook.com with"), false),
        ("a border that looks like one", EXCHANGE.replace("DB5EUR01FT1.mail.protection.outlook.com", "mail.protection.outlook.com.evil.example"), false),
        ("no border", EXCHANGE.split("Received: from mail.example.org").next().unwrap().to_owned(), false),
        ("a foreign hop on top", format!("Received: from a by mail.example.net; x\n{}", EXCHANGE.trim_start()), false),
        ("signed by another domain, DMARC failed", EXCHANGE.replace("header.d=example.org", "header.d=example.net").replace("dmarc=pass", "dmarc=fail").replace("spf=pass", "spf=none"), false),
    ];
    for (name, header, proven) in &rows {
        assert_eq!(look(&Provider::ExchangeOnline, header).await.proven, *proven, "{name}:\n{header}");
    }
    assert!(!look(&Provider::Gmail, EXCHANGE).await.proven);
    assert!(!look(&Provider::None, EXCHANGE).await.proven);
}

#[tokio::test]
async fn our_own_server_is_believed_as_with_trust() {
    let own = Provider::Own { authserv_ids: vec!["mx.example.com".to_owned()] };
    let header = "Return-Path: <jane@example.org>\nX-Original-To: in+k@example.com\nDelivered-To: joe@example.com\n\
                  Received: from mail.example.org (x [203.0.113.7]) by mx.example.com (Postfix); x\n\
                  Authentication-Results: mx.example.com; dkim=pass header.d=example.org\n\
                  X-Original-To: in+forged@example.com\n";
    let found = look(&own, header).await;
    assert!(found.proven);
    assert_eq!(found.sender.as_deref(), Some("jane@example.org"));
    assert_eq!(found.recipients, ["in+k@example.com", "joe@example.com"]);
    let nobody = Provider::Own { authserv_ids: Vec::new() };
    let found = look(&nobody, header).await;
    assert!(!found.proven, "no id, no results");
    assert_eq!(found.recipients.len(), 2, "but the top is still written by whoever keeps the mailbox");
}
