//! A key is a credential: wherever a stranger, an application or a mail system puts one, no log line and no reply shows it.

use proptest::prelude::*;

use super::*;
use crate::support::http_server::{HttpServer, Reply};

const KEY: &str = REPLY_KEY;

/// Whether so much of a key can be read in the text that it could be guessed: six characters in a row, in whatever case. The four
/// that may be shown are fewer.
fn shows(text: &str, key: &str) -> bool {
    let (text, key) = (text.to_lowercase(), key.to_lowercase().into_bytes());
    key.windows(6).any(|window| text.as_bytes().windows(6).any(|six| six == window))
}

/// What an application says: the words that the Subject of the message asks for, with the key in them.
fn parrot() -> HttpServer {
    HttpServer::tcp(|request| {
        let event: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let (key, subject) = (&event["data"]["key"], event["data"]["message"]["subject"].as_str().unwrap_or_default());
        let key = key.as_str().unwrap_or_default();
        let words = match subject {
            "in capitals" => format!("KEY {} IS UNKNOWN", key.to_uppercase()),
            "its address" => format!("no such address: incoming+{key}@gitlab.example.com, sorry"),
            "in a URL" => format!("see https://gitlab.example.com/k/{key}?to=incoming%2B{key}%40gitlab.example.com"),
            "another key" => "no such address: incoming+0123456789abcdef0123456789abcdef@gitlab.example.com".to_owned(),
            "an id" => format!("<reply-{key}@gitlab.example.com> is locked"),
            "long" => format!("{} {key} {key}", "x".repeat(990)),
            _ => key.to_string(),
        };
        let refusal = |result: &str| serde_json::json!({ "result": result, "reason": words }).to_string();
        match event["data"]["message"]["from"][0]["name"].as_str().unwrap_or_default() {
            "reject" => Reply::json(200, &refusal("reject")),
            "drop" => Reply::json(200, &refusal("drop")),
            "422" => Reply::new(422, "text/plain", &words),
            "500" => Reply::new(500, "text/html", &format!("<h1>{words}</h1>")),
            "redirect" => Reply::new(302, "text/plain", "").with_header("Location", &words.replace(' ', "")),
            _ => Reply::json(200, "{}"),
        }
    })
}

struct Stage {
    service: Service,
    _app: HttpServer,
}

/// One message as it is sent.
#[derive(Clone, Debug)]
struct Mail {
    sender: String,
    rcpt: String,
    header: String,
}

impl Stage {
    fn start() -> Self {
        let app = parrot();
        let place = Place::new("");
        std::fs::write(place.path().join("secret"), "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz").unwrap();
        std::fs::set_permissions(place.path().join("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let mailboxes = "[[mailbox]]\nname = \"incoming_email\"\naddress = \"incoming+%{key}@gitlab.example.com\"\n\
             actions = \"any\"\napp = \"hook\"\n[[mailbox]]\nname = \"all\"\naddress = \"%{key}@all.example.net\"\nactions = \"any\"\n\
             app = \"hook\"\n[[mailbox]]\nname = \"around\"\naddress = \"sd-%{key}-in@desk.example.com\"\nactions = \"any\"\napp = \"hook\"\n";
        let app_section = format!(
            "[[app]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{}\"\nsecret_file = \"{{dir}}/secret\"\nparts = []\n",
            app.url()
        );
        place.configure(&format!("{BASE}{mailboxes}{app_section}"));
        Self { service: Service::start_in(place, &[]), _app: app }
    }

    /// The reply, and the log line.
    fn send(&self, mail: &Mail) -> String {
        let before = self.service.log().len();
        let mut lmtp = self.service.lmtp();
        lmtp.command(&format!("MAIL FROM:<{}>", mail.sender), "250");
        lmtp.command(&format!("RCPT TO:{}", mail.rcpt), "250");
        lmtp.command("DATA", "354");
        lmtp.write(crate::support::service::stuffed(format!("{}\r\nhello\r\n", mail.header).as_bytes()));
        let reply = lmtp.reply();
        let log = self.service.log();
        assert!(log[before..].contains(" verdict="), "{log}");
        format!("{reply}\n{}", &log[before..])
    }
}

/// Forms of a recipient, right and mistyped, of which each could have been read off a letter.
const RECIPIENTS: [&str; 29] = [
    "incoming+KEY@gitlab.example.com",
    "INCOMING+KEY@GITLAB.EXAMPLE.COM",
    "\"incoming+KEY\"@gitlab.example.com",
    "incoming+KEY@gitlab.example.com.",
    "incoming+KEY@sub.gitlab.example.com",
    "incoming+KEY@example.com",
    "incoming+KEY@gitlab.exmaple.com",
    "incoming+KEY@gitlab.example.org",
    "incoming+KEY@localhost",
    "incoming+KEY",
    "incomming+KEY@gitlab.example.com",
    "icoming+KEY@gitlab.example.com",
    "incoimng+KEY@gitlab.example.com",
    "xincoming+KEY@gitlab.example.com",
    "incoming-KEY@gitlab.example.com",
    "incoming=KEY@gitlab.example.com",
    "incomingKEY@gitlab.example.com",
    "incomngKEY@gitlab.example.com",
    "incoming++KEY@gitlab.example.com",
    "incoming%2BKEY@gitlab.example.com",
    "incoming=2bKEY@gitlab.example.com",
    "incoming+KEY@gitlab.example.com@relay.example",
    "group/incoming+KEY@gitlab.example.com",
    "KEY@all.example.net",
    "KEY@al.example.net",
    "sd-KEY-in@desk.example.com",
    "sd-KEY@desk.example.com",
    "sd_KEY-in@desk.example.co",
    "KEY@gitlab.example.com",
];

const SENDERS: [&str; 9] = [
    "jane@example.org",
    "incoming+KEY@gitlab.example.com",
    "prvs=9876543210=incoming+KEY@gitlab.example.com",
    "btv1==9876==incoming+KEY@gitlab.example.com",
    "SRS0=HHH=TT=gitlab.example.com=incoming+KEY@forwarder.example",
    "SRS1=HHH=first.example==HHH=TT=gitlab.example.com=incoming+KEY@second.example",
    "SRS0=HHH=TT=all.example.net=KEY@forwarder.example",
    "list-bounces+incoming+KEY=gitlab.example.com@lists.example",
    "bounce-KEY=all.example.net@lists.example",
];

const HEADERS: [&str; 12] = [
    "Subject: hello\r\n",
    "Message-ID: <reply-KEY@gitlab.example.com>\r\n",
    "Message-ID: <reply-KEY@somewhere.example>\r\n",
    "Message-ID: incoming+KEY@gitlab.example.com\r\n",
    "In-Reply-To: <reply-KEY@gitlab.example.com>\r\nReferences: <a@b> <reply-KEY@gitlab.example.com>\r\n",
    "X-Failed-Recipients: incoming+KEY@gitlab.example.com\r\nX-Failed-Recipients: KEY@all.example.net\r\n",
    "Auto-Submitted: auto-replied; to=incoming+KEY@gitlab.example.com\r\n",
    "X-Autoreply: KEY\r\nTo: incoming+KEY@gitlab.example.com\r\n",
    "Precedence: auto_reply KEY\r\nX-Auto-Response-Suppress: incoming+KEY@gitlab.example.com\r\n",
    "Content-Type: multipart/report; report-type=KEY; x=\"incoming+KEY@gitlab.example.com\"\r\n",
    "Feedback-ID: incoming+KEY@gitlab.example.com\r\nX-Loop: incoming+KEY@gitlab.example.com\r\n",
    "Delivered-To: incoming+KEY@gitlab.example.com\r\nX-Original-To: KEY@all.example.net\r\n",
];

const ANSWERS: [&str; 6] = ["yes", "reject", "drop", "422", "500", "redirect"];
const WORDS: [&str; 7] = ["plain", "in capitals", "its address", "in a URL", "another key", "an id", "long"];

fn mail(
    key: &str,
    recipient: &str,
    original: Option<&str>,
    sender: &str,
    header: &str,
    answer: &str,
    words: &str,
) -> Mail {
    let original = original.map(|o| format!(" ORCPT=rfc822;{}", o.replace('+', "+2B"))).unwrap_or_default();
    let header = format!("From: {answer} <x@example.org>\r\n{header}Subject: {words}\r\n");
    Mail {
        sender: sender.replace("KEY", key),
        rcpt: format!("<{recipient}>{original}").replace("KEY", key),
        header: header.replace("KEY", key),
    }
}

#[test]
fn a_key_is_cut_wherever_it_could_stand() {
    let stage = Stage::start();
    let mut wrong = Vec::new();
    let mut check = |name: &str, mail: &Mail| {
        let said = stage.send(mail);
        if shows(&said, KEY) || shows(&said, "0123456789abcdef0123456789abcdef") {
            wrong.push(format!("{name}: {said}"));
        }
    };
    for recipient in RECIPIENTS {
        check(recipient, &mail(KEY, recipient, None, SENDERS[0], HEADERS[0], "yes", "plain"));
        check(recipient, &mail(KEY, "all@gitlab.example.com", Some(recipient), SENDERS[0], HEADERS[0], "yes", "plain"));
    }
    for sender in SENDERS {
        check(sender, &mail(KEY, RECIPIENTS[0], None, sender, HEADERS[0], "yes", "plain"));
    }
    for header in HEADERS {
        check(header, &mail(KEY, RECIPIENTS[0], None, SENDERS[0], header, "yes", "plain"));
        check(header, &mail(KEY, "nobody@gitlab.example.com", None, SENDERS[0], header, "yes", "plain"));
    }
    for answer in ANSWERS {
        for words in WORDS {
            check(&format!("{answer}, {words}"), &mail(KEY, RECIPIENTS[0], None, SENDERS[0], "", answer, words));
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_not_a_key_is_said() {
    let stage = Stage::start();
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "jane+lists@example.org",
            "nobody@gitlab.example.com",
            &["sender=jane+lists@example.org", "to=nobody@gitlab.example.com"],
        ),
        (
            "jane@example.org",
            "incoming+59d8df8370b7e95c5a49fbf86aeb2c93@gitlab.example.com",
            &["to=incoming+59d8…@gitlab.example.com", "key=59d8…"],
        ),
        (
            "no-reply@example.org",
            "incoming+a@gitlab.example.com",
            &["to=incoming+…@gitlab.example.com", "sender=no-reply@example.org"],
        ),
        (
            "bounce-1-x=other.example@lists.example",
            "x@other.example",
            &["sender=\"bounce-1-x=other.example@lists.example\"", "to=x@other.example"],
        ),
    ];
    for (sender, recipient, expected) in rows {
        let said = stage.send(&mail("", recipient, None, sender, "Message-ID: <a.b+c@d.example>\r\n", "yes", "plain"));
        for part in expected.iter().chain(&["message_id=a.b+c@d.example"]) {
            assert!(said.contains(part), "no {part} in {said}");
        }
    }
}

/// `sd-` begins the keys of another mailbox.
#[test]
fn a_key_that_holds_the_form_of_another_mailbox_is_cut_whole() {
    let stage = Stage::start();
    for (key, recipient, sender) in [
        ("aAa-SD-+0Aa", RECIPIENTS[0], SENDERS[0]),
        ("abcdef-sd-ghijkl", RECIPIENTS[0], SENDERS[0]),
        ("sd-ghijkl", "KEY@all.example.net", SENDERS[0]),
        ("sd-ghijkl", "\"KEY\"@all.example.net", SENDERS[0]),
        ("0aa+Sd-aa00", "incomming+KEY@gitlab.example.com", SENDERS[0]),
        ("0aa+Sd-aa00", "nobody@gitlab.example.com", "SRS0=HHH=TT=gitlab.example.com=incomming+KEY@forwarder.example"),
        ("0aa+Sd-aa00", "nobody@gitlab.example.com", "bounce-KEY=all.example.net@lists.example"),
    ] {
        let said = stage.send(&mail(key, recipient, None, sender, "", ANSWERS[0], WORDS[0]));
        assert!(!shows(&said, key), "{key}, {recipient}, {sender}: {said}");
    }
}

/// What an application answers is put on one line before the key is looked for in it.
#[test]
fn a_key_with_blanks_or_what_could_be_read_as_encoded_is_cut() {
    let stage = Stage::start();
    for (name, key, recipient, original) in [
        ("double blank", "abcdef  ghijkl", RECIPIENTS[2], None),
        ("no xtext", "0Aa+0BAAA+++G0a", RECIPIENTS[4], Some(RECIPIENTS[0])),
        ("begins as an escape ends", "2b0_+_a0aaa", RECIPIENTS[0], Some(RECIPIENTS[15])),
        ("begins with no letter", "__-+abcdef", RECIPIENTS[0], Some(RECIPIENTS[14])),
    ] {
        let said = stage.send(&mail(key, recipient, original, SENDERS[0], "", "reject", "plain"));
        assert!(said.contains("app-reject"), "{name}: {said}");
        assert!(!key.split_whitespace().any(|piece| shows(&said, piece)), "{name}: {said}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_key_anywhere_is_cut(
        key in "[A-Za-z0-9]{3}[A-Za-z0-9/_+-]{5,30}[A-Za-z0-9]{3}",
        recipient in 0..RECIPIENTS.len() - 1,
        original in proptest::option::of(0..RECIPIENTS.len() - 1),
        sender in 0..SENDERS.len(),
        headers in proptest::collection::vec(0..HEADERS.len(), 0..3),
        answer in 0..ANSWERS.len(),
        words in 0..WORDS.len(),
    ) {
        thread_local!(static STAGE: Stage = Stage::start());
        let header: String = headers.iter().map(|&place| HEADERS[place]).collect();
        let original = original.map(|place| RECIPIENTS[place]);
        let mail = mail(&key, RECIPIENTS[recipient], original, SENDERS[sender], &header, ANSWERS[answer], WORDS[words]);
        let said = STAGE.with(|stage| stage.send(&mail));
        prop_assert!(!shows(&said, &key), "{key}\n{mail:?}\n{said}");
    }
}
