//! Servers that can do less than Dovecot, or do not do all that they are asked: what they say is rewritten on the way, each time.
//! Ours is read and marked with what there is; what is other people's stays as it is.

use crate::servers::client::Listed;
use crate::servers::{At, Dovecot, Proxy, Rewrite};
use crate::site::{Site, address, append, message};
use crate::support::needs;
use crate::trial::at_once;

use At::{Command, Response};

/// Ours, a stranger's between them, and one that somebody has deleted and not expunged.
fn fill(server: &Dovecot) -> Vec<Listed> {
    let mut client = server.client();
    client.command("CREATE Done");
    append(&mut client, [message(&address(1), "one"), message("joe@example.net", "other")]);
    client.append("INBOX", "\\Deleted", None, &message("ann@example.net", "deleted"));
    append(&mut client, [message(&address(2), "two")]);
    client.list("INBOX")
}

struct Row {
    name: &'static str,
    rewrites: &'static [Rewrite],
    more: &'static str,
    /// The flags of ours afterwards; `None`: they are not there any more.
    flags: Option<&'static str>,
    /// How many are in the folder `Done`.
    moved: usize,
    /// A line of `check`.
    check: &'static str,
    /// No command has this in it.
    never: &'static str,
}

const NO_UIDPLUS: Rewrite = Rewrite(Response("", "CAPABILITY"), " UIDPLUS", " XPLUS");
const NO_MOVE: Rewrite = Rewrite(Response("", "CAPABILITY"), " MOVE", " XMOVE");
const NO_COPYUID: Rewrite = Rewrite(Response("UID COPY", "COPYUID"), "COPYUID", "XCOPYUID");
const NO_KEYWORDS: Rewrite = Rewrite(Response("SELECT", "PERMANENTFLAGS"), " \\*)", ")");

const ROWS: &[Row] = &[
    Row {
        name: "no UIDPLUS: what is deleted stays",
        rewrites: &[NO_UIDPLUS],
        more: "delete_after_delivery = true\nexpunge_deleted = true",
        flags: Some("\\Deleted \\Seen"),
        moved: 0,
        check: "the server has no UIDPLUS",
        never: "EXPUNGE",
    },
    Row {
        name: "no MOVE (Courier)",
        rewrites: &[NO_MOVE],
        more: "move_to = \"Done\"",
        flags: None,
        moved: 2,
        check: "the server has no MOVE",
        never: "UID MOVE",
    },
    Row {
        name: "no MOVE and no UIDPLUS: nothing would say that a copy was made",
        rewrites: &[NO_MOVE, NO_UIDPLUS],
        more: "move_to = \"Done\"",
        flags: Some("$MailhatchDone"),
        moved: 0,
        check: "the server has neither MOVE nor UIDPLUS",
        never: "COPY",
    },
    Row {
        name: "no MOVE, and no word of what was copied: it is copied once",
        rewrites: &[NO_MOVE, NO_COPYUID],
        more: "move_to = \"Done\"",
        flags: Some("$MailhatchDone"),
        moved: 2,
        check: "the server has no MOVE",
        never: "EXPUNGE",
    },
    Row {
        name: "no keywords (Exchange Online)",
        rewrites: &[NO_KEYWORDS],
        more: "",
        flags: Some("\\Seen"),
        moved: 0,
        check: "the folder keeps no keywords",
        never: "KEYWORD",
    },
    Row {
        name: "no PLAIN and no SASL-IR",
        rewrites: &[
            Rewrite(Response("", "CAPABILITY"), " AUTH=PLAIN", ""),
            Rewrite(Response("", "CAPABILITY"), " SASL-IR", ""),
        ],
        more: "",
        flags: Some("$MailhatchDone"),
        moved: 0,
        check: "logged in",
        never: "AUTHENTICATE",
    },
    Row {
        name: "no UIDNEXT (Courier)",
        rewrites: &[Rewrite(Response("SELECT", "UIDNEXT"), "[UIDNEXT", "[XNEXT")],
        more: "",
        flags: Some("$MailhatchDone"),
        moved: 0,
        check: "INBOX is open",
        never: "EXPUNGE",
    },
];

#[needs(dovecot_imap, root)]
#[test]
fn mail_is_read_and_marked_with_what_the_server_can_do() {
    at_once(ROWS, |row| {
        let name = row.name;
        let server = Dovecot::start();
        let (_, others): (Vec<_>, Vec<_>) = fill(&server).into_iter().partition(|found| matches!(found.uid, 1 | 4));
        let proxy = Proxy::rewriting(server.imap(), row.rewrites);
        let site = Site::new(proxy.port(), &format!("since = \"all\"\n{}", row.more));
        let log = site.once().expect(0).err();
        assert_eq!(site.spooled(), ["one", "two"], "{name}: {log}");
        let look = || -> (Vec<_>, Vec<_>) {
            let listed = server.client().list("INBOX").into_iter();
            listed.partition(|found| matches!(found.uid, 1 | 4))
        };
        let expected = row.flags.map(|flags| vec![flags.to_owned(); 2]).unwrap_or_default();
        let (ours, after) = look();
        let flags: Vec<_> = ours.iter().map(|found| found.flags.join(" ")).collect();
        assert_eq!((flags, after), (expected, others.clone()), "{name}: {log}");
        assert_eq!(server.client().list("Done").len(), row.moved, "{name}: {log}");
        let commands = proxy.commands().concat();
        assert!(!commands.contains(row.never), "{name}: {commands}");
        let again = site.once().err();
        assert!(!again.contains("verdict="), "{name}: nothing is read again: {again}");
        assert_eq!((site.spooled().len(), look().1), (2, others), "{name}: {again}");
        assert_eq!(server.client().list("Done").len(), row.moved, "{name}: nothing goes there again: {again}");
        let check = site.run(&["check"]).out();
        assert!(check.contains(row.check), "{name}: {} is not in {check}", row.check);
    });
}

#[needs(dovecot_imap, root)]
#[test]
fn new_mail_is_looked_for_where_the_server_has_no_idle() {
    let server = Dovecot::start();
    let proxy = Proxy::rewriting(server.imap(), &[Rewrite(Response("", "CAPABILITY"), " IDLE", " XIDLE")]);
    let site = Site::new(proxy.port(), "poll_interval = \"1s\"");
    let running = site.fetch();
    running.wait_log("event=connect");
    for number in 1..=2 {
        append(&mut server.client(), [message(&address(number), "new")]);
        site.wait_spooled(number as usize);
    }
    assert!(!proxy.commands().concat().contains("IDLE"));
    running.stop();
}

/// One message that cannot be had, or that nothing can be done with: it waits alone.
#[needs(dovecot_imap, root)]
#[test]
fn fifty_messages_behind_one_that_cannot_be_had_are_handed_over() {
    const FIRST: &str = "UID FETCH 1 ";
    let rows: &[(&str, Rewrite, &str)] = &[
        ("the server refuses it", Rewrite(Response(FIRST, " OK "), " OK ", " NO "), "refused"),
        ("the server gives none of it", Rewrite(Response(FIRST, "BODY[]"), "BODY[]<0>", "BODY[1]<0>"), "no-data"),
        ("the connection ends with it", Rewrite(Command(FIRST), FIRST, "LOGOUT\r\nx "), "bye"),
    ];
    at_once(rows, |(name, rewrite, cause)| {
        let server = Dovecot::start();
        server.fill((0..51).map(|number| message(&address(number), &format!("mail {number}"))));
        let proxy = Proxy::rewriting(server.imap(), &[*rewrite]);
        let site = Site::new(proxy.port(), "since = \"all\"");
        let log = site.once().expect(1).err();
        let spooled = site.spooled();
        assert!(spooled.len() == 50 && !spooled.contains(&"mail 0".to_owned()), "{name}: {spooled:?} {log}");
        let shown = site.run(&["inbox", "show", "test"]).expect(0).out();
        assert!(shown.contains("1 (0 new, 0 begun, 1 waiting)") && shown.contains(cause), "{name}: {shown}");
        // The server is well again.
        site.place.configure(
            &std::fs::read_to_string(site.place.config())
                .unwrap()
                .replace(&format!("port = {}", proxy.port()), &format!("port = {}", server.imap())),
        );
        site.run(&["inbox", "retry", "test"]).expect(0);
        site.once().expect(0);
        assert_eq!(site.spooled().len(), 51, "{name}");
    });
}
