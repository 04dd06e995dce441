//! Where GitLab would find another key than ours, or none, one `To` field is put in; else not a byte is changed.
//!
//! The rows name what GitLab's receiver and the Ruby mail gem do (`lib/gitlab/email/receiver.rb`, mail 2.7.1 and 2.8.1).

use std::sync::Arc;

use mailhatch::app::{Answer, App};
use proptest::prelude::*;

use super::{GITLAB_SECRET, KEY, Setup};
use crate::support::http_server::{HttpServer, Reply};

const OTHER: &str = "00000000000000000000000000000000";

struct Gitlab {
    server: HttpServer,
    setup: Setup,
    app: Arc<dyn App>,
}

impl Gitlab {
    fn new(address: &str) -> Self {
        let server = HttpServer::tcp(|_| Reply::json(200, r#"{"success":true}"#));
        let settings = format!("kind = \"gitlab\"\nurl = \"{}\"\nSECRET", server.url());
        let setup = Setup::with_address(address, &settings, GITLAB_SECRET);
        let app = setup.app();
        Self { server, setup, app }
    }

    /// What GitLab gets of a message.
    async fn gets(&self, message: &[u8]) -> Vec<u8> {
        let event = self.setup.event(KEY, message.to_vec());
        self.app.hand_over(&event).await.expect("delivered");
        self.server.last_request().body
    }
}

fn filled(text: &str) -> String {
    text.replace("KEY", KEY).replace("OTHER", OTHER).replace("HOST", "gitlab.example.com")
}

#[tokio::test]
async fn one_to_field_is_put_in_only_where_gitlab_would_go_wrong() {
    const SAME: bool = true;
    const PUT: bool = false;
    let rows: &[(&str, &str, bool)] = &[
        // 1: To
        ("To", "To: incoming+KEY@HOST", SAME),
        ("To with a display name", "To: \"A, B\" <incoming+KEY@HOST>", SAME),
        ("second address of To", "To: a@b.example, incoming+KEY@HOST", SAME),
        ("group in To", "To: team: a@b.example, incoming+KEY@HOST;", SAME),
        ("comment in To", "To: incoming+KEY@HOST (the bot)", SAME),
        ("semicolons in To", "To: a@b.example; incoming+KEY@HOST", SAME),
        ("encoded display name", "To: =?utf-8?q?J=C3=BCrgen?= <incoming+KEY@HOST>", SAME),
        ("encoded address", "To: =?utf-8?q?incoming+KEY=40HOST?=", SAME),
        ("raw UTF-8 in To", "To: Jürgen <incoming+KEY@HOST>", SAME),
        ("folded To", "To: a@b.example,\r\n incoming+KEY@HOST", SAME),
        ("lower-case name, blank before the colon", "to : incoming+KEY@HOST", SAME),
        ("of two To only the last is read", "To: a@b.example\r\nTo: incoming+KEY@HOST", SAME),
        ("the key in the first of two To", "To: incoming+KEY@HOST\r\nTo: a@b.example", PUT),
        ("another key first in To", "To: incoming+OTHER@HOST, incoming+KEY@HOST", PUT),
        ("another key in To, ours in the envelope", "To: incoming+OTHER@HOST", PUT),
        ("domain in another case", "To: incoming+KEY@GITLAB.example.com", PUT),
        ("local part in another case", "To: Incoming+KEY@HOST", PUT),
        ("key in another case", "To: incoming+59D8DF8370B7E95C5A49FBF86AEB2C93@HOST", PUT),
        ("quoted local part", "To: \"incoming+KEY\"@HOST", PUT),
        ("domain with a dot at its end", "To: incoming+KEY@HOST.", PUT),
        ("mailto:", "To: mailto:incoming+KEY@HOST", PUT),
        ("source route", "To: <@relay.example:incoming+KEY@HOST>", PUT),
        ("words before a bare address", "To: the bot incoming+KEY@HOST", PUT),
        ("one address that nobody can read", "To: incoming+KEY@HOST, <oops", PUT),
        ("longer local part", "To: xincoming+KEY@HOST", PUT),
        ("longer domain", "To: incoming+KEY@HOST.example.org", PUT),
        ("nothing", "X: y", PUT),
        ("Bcc is not looked at", "Bcc: incoming+KEY@HOST", PUT),
        (
            "undisclosed recipients, later source",
            "To: undisclosed-recipients:;\r\nDelivered-To: incoming+KEY@HOST",
            SAME,
        ),
        ("empty To, later source", "To:\r\nDelivered-To: incoming+KEY@HOST", SAME),
        ("To that nobody can read but that cannot hold a key", "To: <oops\r\nDelivered-To: incoming+KEY@HOST", SAME),
        // 2: References, before the other fields
        ("References of two ids", "References: <reply-KEY@HOST> <x@y>", SAME),
        ("References with a comma (Exchange)", "References: <x@y>,<reply-KEY@HOST>", SAME),
        ("References without a blank", "References: <x@y><reply-KEY@HOST>", SAME),
        ("one id is never matched", "References: <reply-KEY@HOST>", PUT),
        ("ids without brackets", "References: reply-KEY@HOST x@y", PUT),
        ("other host", "References: <reply-KEY@HOST.example> <x@y>", PUT),
        ("host in another case", "References: <reply-KEY@Gitlab.example.com> <x@y>", PUT),
        (
            "other key in References beats Delivered-To",
            "References: <reply-OTHER@HOST> <x@y>\r\nDelivered-To: incoming+KEY@HOST",
            PUT,
        ),
        ("To beats another key in References", "To: incoming+KEY@HOST\r\nReferences: <reply-OTHER@HOST> <x@y>", SAME),
        // 3 to 6, 8 and 9: raw values
        ("Delivered-To", "Delivered-To: incoming+KEY@HOST", SAME),
        ("Delivered-To in brackets", "Delivered-To: <incoming+KEY@HOST>", SAME),
        ("half a bracket", "Delivered-To: <incoming+KEY@HOST", SAME),
        ("second Delivered-To", "Delivered-To: x@y\r\nDelivered-To: incoming+KEY@HOST", SAME),
        ("display name in Delivered-To", "Delivered-To: Bot <incoming+KEY@HOST>", PUT),
        ("list in Envelope-To", "Envelope-To: x@y, incoming+KEY@HOST", PUT),
        ("comment in Delivered-To", "Delivered-To: incoming+KEY@HOST (bot)", PUT),
        ("X-Delivered-To", "X-Delivered-To: incoming+KEY@HOST", SAME),
        ("Envelope-To", "Envelope-To: incoming+KEY@HOST", SAME),
        ("X-Envelope-To", "X-Envelope-To: incoming+KEY@HOST", SAME),
        ("X-Original-To", "X-Original-To: incoming+KEY@HOST", SAME),
        ("X-Forwarded-To", "X-Forwarded-To: incoming+KEY@HOST", SAME),
        ("X-Rcpt-To is not looked at", "X-Rcpt-To: incoming+KEY@HOST", PUT),
        (
            "Delivered-To beats X-Original-To",
            "X-Original-To: incoming+KEY@HOST\r\nDelivered-To: incoming+OTHER@HOST",
            PUT,
        ),
        // 7: Received
        ("Received", "Received: from a by b for <incoming+KEY@HOST>; Mon, 1 Jan 2024 00:00:00 +0000", SAME),
        ("Received, folded between", "Received: from a by b for\r\n\t<incoming+KEY@HOST>; rubbish", SAME),
        ("older Received", "Received: by b; x\r\nReceived: by c for <incoming+KEY@HOST>; x", SAME),
        ("no word boundary", "Received: xfor <incoming+KEY@HOST>", SAME),
        ("no brackets (Exim)", "Received: by b for incoming+KEY@HOST; x", PUT),
        ("FOR", "Received: by b FOR <incoming+KEY@HOST>; x", PUT),
        ("no blank", "Received: by b for<incoming+KEY@HOST>; x", PUT),
        ("greedy up to the last bracket", "Received: by b for <incoming+KEY@HOST> (a>b); x", PUT),
        ("only the first of a field", "Received: for <x@y> for <incoming+KEY@HOST>; x", PUT),
        ("newest first", "Received: for <incoming+OTHER@HOST>; x\r\nReceived: for <incoming+KEY@HOST>; x", PUT),
        // 10: Cc
        ("Cc", "To: a@b.example\r\nCc: incoming+KEY@HOST", SAME),
        ("another key in Cc", "Cc: incoming+OTHER@HOST, incoming+KEY@HOST", PUT),
    ];
    let gitlab = Gitlab::new("incoming+%{key}@gitlab.example.com");
    for (name, header, same) in rows {
        let before = filled(&format!("From: jane@example.org\r\n{header}\r\n\r\nText\r\n"));
        let after = if *same {
            before.clone()
        } else {
            filled(&format!("From: jane@example.org\r\n{header}\r\nTo: incoming+KEY@HOST\r\n\r\nText\r\n"))
        };
        let got = gitlab.gets(before.as_bytes()).await;
        assert_eq!(String::from_utf8_lossy(&got), after, "{name}");
    }
}

/// The mail gem takes dots anywhere in a local part; what needs quotes it would give to GitLab with them, or take for two addresses.
#[tokio::test]
async fn a_key_of_any_form_is_found_by_gitlab_or_handed_over_to_nobody() {
    let gitlab = Gitlab::new("incoming+%{key}@gitlab.example.com");
    let rows: &[(&str, bool)] = &[
        ("a..b", true),
        ("a.", true),
        ("a...", true),
        (".a", true),
        ("\"a b\"", false),
        ("\"a\"", false),
        ("\"x\"@other.example, \"incoming+b\"", false),
        ("x@other.example, incoming+b", false),
        ("a,b", false),
        ("a>,<incoming+b", false),
        ("a (b)", false),
    ];
    for (key, found) in rows {
        let before = gitlab.server.requests().len();
        let message = format!("From: jane@example.org\r\nTo: incoming+{key}@gitlab.example.com\r\n\r\nText\r\n");
        let event = gitlab.setup.event(key, message.clone().into_bytes());
        let answer = gitlab.app.hand_over(&event).await.expect(key);
        let asked = gitlab.server.requests().len() - before;
        if *found {
            assert!(matches!(answer, Answer::Delivered { .. }), "{key}: {answer:?}");
            assert_eq!(gitlab.server.last_request().body, message.as_bytes(), "{key}: not a byte is changed");
        } else {
            assert!(matches!(answer, Answer::Rejected(_)) && asked == 0, "{key}: {answer:?}, asked {asked} times");
        }
    }
}

#[tokio::test]
async fn without_a_placeholder_there_is_no_address_to_put_in() {
    let gitlab = Gitlab::new("incoming@gitlab.example.com");
    let message = filled("References: <reply-KEY@HOST>\r\n\r\nText\r\n").into_bytes();
    assert_eq!(gitlab.gets(&message).await, message);
}

#[tokio::test]
async fn a_customers_own_service_desk_address_keeps_its_meaning() {
    // GitLab looks `support+verify@…` and `support+REPLYKEY@…` up in its database, and only in To.
    let gitlab = Gitlab::new("incoming+%{key}@gitlab.example.com");
    let got = gitlab.gets(b"To: <support+verify@customer.example>, b@c.example\r\n\r\n").await;
    let want = filled(
        "To: <support+verify@customer.example>, b@c.example\r\n\
         To: support+verify@customer.example,\r\n incoming+KEY@HOST\r\n\r\n",
    );
    assert_eq!(String::from_utf8_lossy(&got), want);
}

#[tokio::test]
async fn the_field_stands_where_it_is_read() {
    let to = filled("To: incoming+KEY@HOST");
    let rows: &[(&str, &str, String)] = &[
        ("LF", "A: 1\n\nbody", format!("A: 1\n{to}\n\nbody")),
        ("CR", "A: 1\r\rbody", format!("A: 1\r{to}\r\rbody")),
        ("blank lines first", "\r\n\r\nA: 1\r\n\r\nbody", format!("\r\n\r\nA: 1\r\n{to}\r\n\r\nbody")),
        ("mbox line first", "From a\r\nA: 1\r\n\r\nbody", format!("From a\r\nA: 1\r\n{to}\r\n\r\nbody")),
        ("folded last field", "A: 1\r\n 2\r\n\r\nbody", format!("A: 1\r\n 2\r\n{to}\r\n\r\nbody")),
        ("garbage last", "A: 1\r\ngarbage\r\n\r\nbody", format!("A: 1\r\ngarbage\r\n{to}\r\n\r\nbody")),
        ("no end of the header", "A: 1\r\n", format!("A: 1\r\n{to}\r\n")),
        ("no line end", "A: 1", format!("A: 1\r\n{to}\r\n")),
        ("no header", "\r\nbody", format!("{to}\r\n\r\nbody")),
        ("no header, blank lines", "\r\n\r\nbody", format!("{to}\r\n\r\n\r\nbody")),
        ("nothing at all", "", format!("{to}\r\n")),
    ];
    let gitlab = Gitlab::new("incoming+%{key}@gitlab.example.com");
    for (name, before, after) in rows {
        assert_eq!(String::from_utf8_lossy(&gitlab.gets(before.as_bytes()).await), *after, "{name}");
    }
}

#[tokio::test]
async fn the_field_is_among_the_first_thousand() {
    let gitlab = Gitlab::new("incoming+%{key}@gitlab.example.com");
    for count in [998, 999, 1000, 1500] {
        let message = format!("{}\r\nbody", "X: y\r\n z\r\n".repeat(count));
        let got = String::from_utf8(gitlab.gets(message.as_bytes()).await).unwrap();
        let fields: Vec<_> = got.split("\r\n").filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(fields.iter().position(|line| line.starts_with("To:")), Some(count.min(999)), "{count}");
        assert_eq!(got.len(), message.len() + filled("To: incoming+KEY@HOST\r\n").len(), "{count}");
    }
    // A key behind the thousandth field is not read.
    let message = filled(&format!("{}To: incoming+KEY@HOST\r\n\r\n", "X: y\r\n".repeat(1000)));
    assert_eq!(gitlab.gets(message.as_bytes()).await.len(), message.len() + filled("To: incoming+KEY@HOST\r\n").len());
}

#[test]
fn whatever_comes_the_rest_of_the_message_is_not_changed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gitlab = Gitlab::new("incoming+%{key}@gitlab.example.com");
    let line = prop_oneof![
        Just(filled("To: incoming+KEY@HOST")),
        Just(filled("Cc: <incoming+OTHER@HOST>")),
        Just(filled("Received: for <incoming+KEY@HOST>")),
        Just("\u{feff}".to_owned()),
        "[ -~]{0,12}",
        "[\r\n :<>,;\"()]{0,6}",
    ];
    let message = proptest::collection::vec((line, prop_oneof!["\r\n", "\n", "\r"]), 0..8);
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) }, |(lines in message)| {
        let before: String = lines.iter().map(|(line, end)| format!("{line}{end}")).collect();
        let after = String::from_utf8(runtime.block_on(gitlab.gets(before.as_bytes()))).unwrap();
        let to = filled("To: incoming+KEY@HOST");
        if after != before {
            let at = (0..=before.len()).rev().find(|&at| before.is_char_boundary(at) && after.starts_with(&before[..at]) );
            let found = (0..=at.unwrap()).any(|at| {
                before.is_char_boundary(at) && after.ends_with(&before[at..]) && after.starts_with(&before[..at]) && {
                    let put = &after[at..after.len() - (before.len() - at)];
                    put.trim() == to
                }
            });
            prop_assert!(found, "{before:?} became {after:?}");
        }
    });
}
