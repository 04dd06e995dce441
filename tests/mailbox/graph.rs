//! `mailhatch fetch` with a mailbox of Microsoft Graph: a strict server after its documentation.

use crate::servers::graph::{CLIENT, Graph, MAILBOX, SECRET, TENANT, refused};
use crate::servers::wait_for;
use crate::site::{Site, address, key, message};
use crate::support::config::{BASE, GITLAB_SECRET, SPOOL};
use crate::support::http_server::{HttpServer, Reply};
use crate::support::needs;

fn site(server: &Graph, more: &str) -> Site {
    server.site(&format!("{BASE}{SPOOL}{}", server.inbox(more)))
}

fn fill(server: &Graph, numbers: std::ops::RangeInclusive<u64>) -> Vec<String> {
    numbers.map(|number| server.add(message(&address(number), &format!("m{number:05}")))).collect()
}

fn keys(numbers: std::ops::RangeInclusive<u64>) -> Vec<String> {
    numbers.map(key).collect()
}

#[test]
fn every_message_of_every_page_is_handed_over_once_and_marked() {
    let server = Graph::start();
    fill(&server, 1..=120);
    let other = server.add(message("other@example.net", "other"));
    server.state().messages[3].is_draft = true;
    let site = site(&server, "since = \"all\"");
    let done = site.once().expect(0);
    let expected: Vec<_> = keys(1..=120).into_iter().filter(|found| *found != key(4)).collect();
    assert_eq!(site.keys(), expected, "{}", done.err());
    assert!(done.err().contains("item=\"AAkALg00000000=\""), "{}", done.err());
    assert!(done.err().contains(&format!("event=left inbox=test item=\"{other}\"")), "{}", done.err());
    let unread: Vec<_> =
        server.state().messages.iter().filter(|kept| !kept.is_read).map(|kept| kept.id.clone()).collect();
    assert_eq!(unread, ["AAkALg00000003=".to_owned(), other], "the draft, and what is not ours");
    fill(&server, 121..=121);
    site.once().expect(0);
    assert_eq!(site.keys().len(), 120);
    assert_eq!(server.asked("/$value"), 121, "nothing is fetched twice, nor the draft");
    server.check();
}

#[test]
fn since_says_what_the_first_run_takes() {
    for (since, expected) in
        [("now", vec![3]), ("unseen", vec![2, 3]), ("all", vec![1, 2, 3]), ("2026-11-22", vec![1, 2, 3])]
    {
        let server = Graph::start();
        fill(&server, 1..=2);
        server.state().messages[0].is_read = true;
        let site = site(&server, &format!("since = \"{since}\""));
        let first = site.once().expect(0);
        if since == "now" {
            assert!(first.err().contains("2 messages that are there stay as they are"), "{}", first.err());
            assert_eq!(server.asked("/$value") + server.asked("PATCH"), 0, "the first round is only counted");
        }
        fill(&server, 3..=3);
        site.once().expect(0);
        assert_eq!(site.keys(), expected.into_iter().map(key).collect::<Vec<_>>(), "{since}");
        server.check();
    }
}

#[test]
fn what_is_done_is_deleted_or_moved_as_is_wanted() {
    type Row<'r> = (&'r str, &'r str, bool, &'r str, usize);
    let rows: &[Row<'_>] = &[
        ("deleted", "delete_after_delivery = true", false, "deleteditems", 0),
        ("for ever", "delete_after_delivery = true\nexpunge_deleted = true", false, "purges", 3),
        ("a national cloud", "delete_after_delivery = true\nexpunge_deleted = true", true, "deleteditems", 0),
        ("moved", "move_to = \"Done\"", false, "done", 0),
    ];
    for (name, more, national, folder, for_ever) in rows {
        let server = Graph::start();
        server.state().knows_no_permanent_delete = *national;
        let ids = fill(&server, 1..=3);
        let site = site(&server, &format!("since = \"all\"\n{more}"));
        let done = site.once().expect(0);
        assert_eq!(server.ids(folder), ids, "{name}: {}", done.err());
        assert_eq!(server.state().removed_for_ever.len(), *for_ever, "{name}");
        assert_eq!(done.err().contains("does not know permanentDelete"), *national, "{name}: {}", done.err());
        assert_eq!(site.keys(), keys(1..=3), "{name}");
        server.check();
    }
    let server = Graph::start();
    let text = site(&server, "move_to = \"Nowhere\"").once().expect(1).err();
    assert!(text.contains("cause=folder") && text.contains("Nowhere"), "{text}");
}

#[test]
fn a_token_that_is_refused_is_renewed_once() {
    let server = Graph::start();
    fill(&server, 1..=2);
    server.once("/$value", refused(401, "InvalidAuthenticationToken", "expired"));
    let site = site(&server, "since = \"all\"");
    site.once().expect(0);
    assert_eq!((site.keys(), server.state().tokens), (keys(1..=2), 2));
    for _ in 0..2 {
        server.once("/delta", refused(401, "InvalidAuthenticationToken", "expired"));
    }
    let text = site.once().expect(1).err();
    assert!(text.contains("event=auth-failed") && text.contains("cause=oauth"), "{text}");
    server.check();
}

/// Two a connection, since each refused token is renewed once; between the connections the waits of a wrong password.
#[needs(crash_points)]
#[test]
fn ten_wrong_tokens_are_no_storm_of_requests() {
    let server = Graph::start();
    fill(&server, 1..=2);
    server.state().gives_wrong_tokens = true;
    let site = site(&server, "since = \"all\"");
    let fetch = site.fetch_with(&[("MAILHATCH_SECOND", "1")]);
    wait_for("ten tokens", || (server.state().tokens >= 10).then_some(()));
    fetch.wait_told("auth-failed", 5);
    assert_eq!(fetch.waits("auth-failed"), ["0.3s", "0.6s", "1.2s", "2.4s", "3.6s"], "75 minutes, then an hour each");
    assert_eq!((server.state().tokens, server.asked("/v1.0/")), (10, 10), "one request for each token");
    server.state().gives_wrong_tokens = false;
    site.wait_spooled(2);
    fetch.stop();
    server.check();
}

#[test]
fn what_a_person_must_do_is_said_and_nothing_is_lost() {
    type Row<'r> = (&'r str, &'static str, Reply, &'r str, &'r str);
    let denied = || refused(403, "ErrorAccessDenied", "Access to OData is disabled.");
    let rows: Vec<Row<'_>> = vec![
        ("no access", "/delta", denied(), "cause=authorization", "New-ApplicationAccessPolicy"),
        ("no access to one", "/$value", denied(), "cause=authorization", "Access to OData is disabled"),
        ("no folder", "/delta", refused(404, "ErrorItemNotFound", "x"), "cause=folder", "look at user and folder"),
        (
            "too long a wait",
            "/delta",
            Reply::json(429, "{}").with_header("Retry-After", "600"),
            "cause=throttled",
            "429",
        ),
        (
            "another host",
            "/delta",
            Reply::json(200, r#"{"value":[],"@odata.nextLink":"https://evil.example/x"}"#),
            "cause=malformed",
            "evil.example",
        ),
        ("no list", "/delta", Reply::new(200, "text/html", "<html>"), "cause=malformed", "a list that cannot be read"),
        ("no end", "/delta", Reply::json(200, r#"{"value":[]}"#), "cause=malformed", "neither nextLink nor deltaLink"),
    ];
    for (name, what, reply, cause, words) in rows {
        let server = Graph::start();
        fill(&server, 1..=2);
        // A connection that is broken may be made again by the same run.
        for _ in 0..8 {
            server.once(what, reply.clone());
        }
        let site = site(&server, "since = \"all\"");
        let text = site.once().expect(1).err();
        assert!(text.contains(cause) && text.contains(words), "{name}: {text}");
        assert!(server.server.requests().iter().all(|request| !request.path.contains("evil")), "{name}");
        server.state().next.clear();
        site.once().expect(0);
        assert_eq!(site.keys(), keys(1..=2), "{name}");
        server.check();
    }
}

#[test]
fn the_service_is_given_the_time_that_it_asks_for() {
    let rows: Vec<(&str, &'static str, Reply)> = vec![
        ("with Retry-After", "/$value", Reply::json(429, "{}").with_header("Retry-After", "1")),
        ("without", "/$value", Reply::json(429, "{}")),
        ("overloaded list", "/delta", Reply::json(503, "")),
        ("gateway", "/$value", Reply::json(504, "")),
        ("bandwidth", "PATCH", Reply::json(509, "")),
    ];
    for (name, what, reply) in rows {
        let server = Graph::start();
        fill(&server, 1..=3);
        server.once(what, reply);
        let site = site(&server, "since = \"all\"");
        let done = site.once().expect(0);
        assert!(done.err().contains("event=throttled"), "{name}: {}", done.err());
        assert_eq!(site.keys(), keys(1..=3), "{name}");
        assert!(server.state().messages.iter().all(|kept| kept.is_read), "{name}");
        server.check();
    }
}

#[test]
fn a_list_that_was_forgotten_is_read_again_and_repeats_nothing() {
    let server = Graph::start();
    fill(&server, 1..=60);
    let site = site(&server, "since = \"all\"");
    site.once().expect(0);
    server.state().forgets_links = true;
    fill(&server, 61..=61);
    let done = site.once().expect(0);
    assert!(done.err().contains("event=resync"), "{}", done.err());
    assert_eq!(site.keys(), keys(1..=61));
    assert_eq!(server.asked("/$value"), 61);
    assert_eq!(server.asked("$filter=receivedDateTime"), 1, "from a day before the newest on");
    server.check();
}

#[test]
fn a_link_that_leads_back_is_not_followed_for_ever() {
    let server = Graph::start();
    fill(&server, 1..=1);
    let link = format!("{}/v1.0/users/{MAILBOX}/mailFolders/inbox/messages/delta?$skiptoken=0-0", server.server.url());
    for _ in 0..100 {
        server.once("/delta", Reply::json(200, &format!(r#"{{"value":[],"@odata.nextLink":"{link}"}}"#)));
    }
    let text = site(&server, "since = \"all\"").once().expect(1).err();
    assert!(text.contains("leads back"), "{text}");
    assert!(server.asked("/delta") < 20);
}

#[test]
fn half_a_message_is_no_message() {
    let server = Graph::start();
    fill(&server, 1..=3);
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nFrom: half@example.org\r\n".to_vec();
    server.once("AAkALg00000001=/$value", Reply::Raw(half.clone()));
    let site = site(&server, "since = \"all\"");
    site.once();
    site.once().expect(0);
    assert_eq!(site.keys(), keys(1..=3));
    assert!(site.place.held().is_empty(), "half a message was held");
    server.check();
}

#[test]
fn a_message_that_is_gone_or_cannot_be_had_keeps_nobody_waiting() {
    let server = Graph::start();
    let ids = fill(&server, 1..=4);
    server.state().messages[0].folder = "deleteditems";
    server.once("AAkALg00000001=/$value", refused(404, "ErrorItemNotFound", "gone"));
    for _ in 0..4 {
        server.once("AAkALg00000002=/$value", refused(500, "ErrorInternalServerError", "no"));
    }
    let site = site(&server, "since = \"all\"");
    let text = site.once().expect(1).err();
    assert!(text.contains(&format!("event=message-waits inbox=test item=\"{}\"", ids[2])), "{text}");
    assert!(text.contains("ErrorInternalServerError") && !text.contains("uid="), "{text}");
    assert_eq!(site.keys(), [key(4)]);
    server.state().next.clear();
    let shown = site.run(&["inbox", "show", "test"]).expect(0).out();
    assert!(shown.contains(&format!("item {}  waiting  attempts=1", ids[2])) && !shown.contains("uid "), "{shown}");
    let unknown = site.run(&["inbox", "retry", "test", "AAkALg99999999="]).expect(1).err();
    assert!(unknown.contains("AAkALg99999999= neither waits"), "{unknown}");
    site.run(&["inbox", "retry", "test", &ids[2]]).expect(0);
    site.once().expect(0);
    assert_eq!(site.keys(), [key(3), key(4)], "{ids:?}");
    server.check();
}

#[test]
fn an_empty_message_is_held() {
    let server = Graph::start();
    server.add(Vec::new());
    let site = site(&server, "since = \"all\"");
    let text = site.once().expect(0).err();
    assert!(text.contains("verdict=held") && text.contains("empty"), "{text}");
    assert_eq!(site.place.held().len(), 1);
}

#[test]
fn a_mark_that_is_not_shown_is_no_mark() {
    let server = Graph::start();
    fill(&server, 1..=2);
    server.state().ignores_marks = true;
    let site = site(&server, "since = \"all\"");
    let text = site.once().expect(1).err();
    assert!(text.contains("does not show them"), "{text}");
    server.state().ignores_marks = false;
    site.once().expect(0);
    assert!(server.state().messages.iter().all(|kept| kept.is_read));
    assert_eq!((site.keys(), server.asked("/$value")), (keys(1..=2), 2), "marked, not fetched again");
    server.check();
}

#[test]
fn a_mailbox_of_mail_room_passes_check_and_is_read() {
    let server = Graph::start();
    fill(&server, 1..=2);
    let gitlab = HttpServer::tcp(|_| Reply::json(200, r#"{"success":true}"#));
    let site = server.site("");
    let place = site.place.path().to_str().unwrap().to_owned();
    let graph = server.server.url();
    let mail_room = format!(
        ":mailboxes:\n  -\n    :address: \"incoming+%{{key}}@gitlab.example.com\"\n    :email: \"{MAILBOX}\"\n    :name: \"inbox\"\n    \
         :inbox_method: microsoft_graph\n    :inbox_options:\n      :tenant_id: {TENANT}\n      :client_id: {CLIENT}\n      \
         :client_secret: {SECRET}\n      :poll_interval: 1\n      :azure_ad_endpoint: {graph}\n      :graph_endpoint: {graph}\n    \
         :delete_after_delivery: true\n    :delivery_method: postback\n    :delivery_options:\n      \
         :delivery_url: \"{}/api/v4/internal/mail_room/incoming_email\"\n      :jwt_secret_path: {place}/gitlab-secret\n",
        gitlab.url()
    );
    std::fs::write(site.place.path().join("mail_room.yml"), mail_room).unwrap();
    let imported = site.run(&["import", &format!("{place}/mail_room.yml")]).expect(0).out();
    assert!(!imported.contains(SECRET), "{imported}");
    // What the steps of its head say; and this server's certificate is nobody's.
    site.place.write_secret("gitlab-secret", GITLAB_SECRET);
    site.place.write_secret("incoming_email.client-secret", SECRET);
    let config = imported.replace("/etc/mailhatch/", "{dir}/");
    let config = config.replace("kind = \"graph\"", "kind = \"graph\"\nca_file = \"{dir}/ca.pem\"");
    site.place.configure(&format!("{BASE}{config}"));
    std::fs::create_dir(site.place.path().join("state")).unwrap();
    let checked = site.run(&["check"]).expect(0).out();
    assert!(checked.contains("the token is good (it has Mail.ReadWrite)"), "{checked}");
    assert!(checked.contains("the newest message (item AAkALg00000001=)"), "{checked}");
    site.once().expect(0);
    assert_eq!(server.ids("deleteditems").len(), 2, "delete_after_delivery");
    server.check();
}

#[test]
fn looking_changes_nothing() {
    let server = Graph::start();
    let ids = fill(&server, 1..=60);
    let site = site(&server, "since = \"all\"");
    let dry = site.run(&["fetch", "--dry-run"]).expect(0).out();
    assert!(dry.contains("60 messages that are not done") && dry.contains("delivered"), "{dry}");
    let explained = site.run(&["explain", "--inbox=test", &format!("--id={}", ids[7])]).expect(0).out();
    assert!(explained.contains("verdict delivered") && explained.contains(&ids[7]), "{explained}");
    let checked = site.run(&["check"]).out();
    assert!(checked.contains("the token is good (it has Mail.ReadWrite)"), "{checked}");
    assert!(checked.contains("60 messages are not done"), "{checked}");
    assert!(server.state().messages.iter().all(|kept| !kept.is_read && kept.folder == "inbox"));
    assert!(site.place.spooled().is_empty());
    let wrong = site.run(&["explain", "--inbox=test", "--uid=1"]).expect(1).err();
    assert!(wrong.contains("use --id"), "{wrong}");
    site.once().expect(0);
    assert_eq!(site.keys(), keys(1..=60));
    server.check();
}

#[test]
fn the_service_hears_of_new_mail_and_ends_in_good_order() {
    let server = Graph::start();
    let site = site(&server, "since = \"all\"");
    let fetch = site.fetch();
    fetch.wait_log("event=connect");
    fill(&server, 1..=5);
    site.wait_spooled(5);
    wait_for("the marks", || server.state().messages.iter().all(|kept| kept.is_read).then_some(()));
    fetch.stop();
    server.check();
}

#[test]
fn a_reader_that_is_killed_again_and_again_hands_over_each_message_once() {
    const MESSAGES: u64 = 300;
    let server = Graph::start();
    fill(&server, 1..=MESSAGES);
    let site = site(&server, "since = \"all\"");
    let mut step = 0;
    while site.place.spooled().len() < MESSAGES as usize {
        let (before, fetch) = (site.place.spooled().len(), site.fetch());
        step += 1;
        let wanted = (before + 7 + step % 13).min(MESSAGES as usize);
        wait_for("more events", || (site.place.spooled().len() >= wanted).then_some(()));
        fetch.kill();
        // What was under way waits a minute after it was killed twice; a person would not be so quick.
        site.run(&["inbox", "retry", "test"]).expect(0);
    }
    site.once().expect(0);
    assert_eq!(site.keys(), keys(1..=MESSAGES), "each once by its id");
    assert!(server.state().messages.iter().all(|kept| kept.is_read));
    assert!(step > 5, "it was killed {step} times");
    server.check();
}
