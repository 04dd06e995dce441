//! What can go wrong between `mailhatch fetch` and a real Dovecot, played by a proxy. Whatever it is, each message is handed
//! over once, all of them are, and nothing of other people's mail changes: neither its octets nor its flags.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;

use crate::servers::{Act, At, Dovecot, Fault, Proxy, wait_for};
use crate::support::needs;
use crate::trial::{DELETE, DONE, KEEP, MOVE, OURS, Trial, as_filled, at_once, fill};

/// Plays faults, and reads until all is done.
fn trial(name: &str, more: &str, faults: &[Fault], said: &str) {
    let server = Dovecot::start();
    let mut client = server.client();
    fill(&mut client);
    let before = client.list("INBOX");
    let proxy = Proxy::start(server.imap(), faults);
    let trial = Trial::new(proxy.port(), more, || ());
    let log = trial.read_on();
    assert_eq!(proxy.played(), faults.len(), "{name}: a fault was not played: {log}");
    assert!(log.contains(said), "{name}: {said} is not in {log}");
    trial.check(name, more, &before, &mut client, &log);
}

/// Name, what becomes of mail that is done, where, what, and what must be logged.
type Row = (&'static str, &'static str, At, Act, &'static str);

fn play(rows: &[Row]) {
    at_once(rows, |(name, more, at, act, said)| trial(name, more, &[Fault(*at, *act)], said));
}

use Act::{Before, Cut, Instead, InsteadAndCut, Literal, Replace, Silence};
use At::{Command, Response};

const GREETING: At = Response("", "* OK");
const LOGGED_IN: At = Response("AUTHENTICATE", " OK ");
const LOGIN: At = Command("AUTHENTICATE");
const FETCHED: At = Response("UID FETCH", "BODY[]");
const FETCH: At = Command("BODY.PEEK[]");
const FETCH_ENDS: At = Response("BODY.PEEK[]", " OK ");
/// What the search did not find is asked for before any message is fetched.
const FLAGS_END: At = Response("(UID FLAGS)", " OK ");
const STORE_ENDS: At = Response("UID STORE", " OK ");

#[needs(dovecot_imap, root)]
#[test]
fn on_the_way_in_nothing_that_breaks_costs_a_message() {
    play(&[
        ("cut before the greeting", KEEP, GREETING, Cut(0), "cause=closed"),
        ("cut in the greeting", KEEP, GREETING, Cut(7), "cause=closed"),
        ("BYE instead of a greeting", KEEP, GREETING, InsteadAndCut("* BYE go away\r\n"), "cause=bye"),
        ("not IMAP", KEEP, GREETING, Instead("HTTP/1.1 400 Bad Request\r\n\r\n"), "cause=malformed"),
        ("octets that are no text", KEEP, GREETING, Instead("\0\u{1}\u{2}\r\n"), "cause=malformed"),
        ("the login does not get there", KEEP, LOGIN, Cut(0), "cause=closed"),
        ("cut in the answer to the login", KEEP, LOGGED_IN, Cut(5), "cause=closed"),
        ("OK to the login, then BYE", KEEP, LOGGED_IN, InsteadAndCut("{tag} OK in\r\n* BYE no\r\n"), "cause=bye"),
        ("NO [UNAVAILABLE] to the login", KEEP, LOGGED_IN, Instead("{tag} NO [UNAVAILABLE] later\r\n"), "throttled"),
        ("NO [INUSE] to the login", KEEP, LOGGED_IN, Instead("{tag} NO [INUSE] busy\r\n"), "throttled"),
        (
            "too many connections",
            KEEP,
            LOGGED_IN,
            Instead("{tag} NO Too many simultaneous connections\r\n"),
            "throttled",
        ),
        (
            "Exchange asks for patience",
            KEEP,
            LOGGED_IN,
            Instead("{tag} BAD Request is throttled. Suggested Backoff Time: 2000 milliseconds\r\n"),
            "throttled",
        ),
        (
            "logged in, not connected",
            KEEP,
            Response("SELECT", " OK "),
            Instead("{tag} BAD User is authenticated but not connected.\r\n"),
            "cause=not-connected",
        ),
        ("cut when the folder opens", KEEP, Response("SELECT", "EXISTS"), Cut(3), "cause=closed"),
        ("BYE when the folder opens", KEEP, Response("SELECT", "EXISTS"), InsteadAndCut("* BYE x\r\n"), "cause=bye"),
        (
            "the folder is not there",
            KEEP,
            Response("SELECT", " OK "),
            Instead("{tag} NO [NONEXISTENT] x\r\n"),
            "folder",
        ),
        ("an answer to nobody", KEEP, Response("SELECT", " OK "), Instead("zzz9 OK x\r\n"), "cause=malformed"),
        ("cut in the search", KEEP, Response("UID SEARCH", "* SEARCH"), Cut(12), "cause=closed"),
        ("the search is refused", KEEP, Response("UID SEARCH", " OK "), Instead("{tag} NO x\r\n"), "cause=refused"),
        (
            "the search is not understood",
            KEEP,
            Response("UID SEARCH", " OK "),
            Instead("{tag} BAD x\r\n"),
            "cause=refused",
        ),
        (
            "what was found is not legible",
            KEEP,
            Response("UID SEARCH", "* SEARCH"),
            Instead("* SEARCH 1 x\r\n"),
            "malformed",
        ),
    ]);
}

#[needs(dovecot_imap, root)]
#[test]
fn in_a_fetch_nothing_that_breaks_costs_a_message_or_gives_half_of_one() {
    play(&[
        ("what was not found is not told of", KEEP, FLAGS_END, Cut(0), "cause=closed"),
        ("NO to what was not found", DELETE, FLAGS_END, Instead("{tag} NO x\r\n"), ""),
        ("BAD to what was not found", MOVE, FLAGS_END, Instead("{tag} BAD x\r\n"), ""),
        (
            "NO [UNAVAILABLE] to what was not found",
            KEEP,
            FLAGS_END,
            Instead("{tag} NO [UNAVAILABLE] x\r\n"),
            "cause=throttled",
        ),
        ("the command does not get there", KEEP, FETCH, Cut(0), "cause=closed"),
        ("half of the command gets there", KEEP, FETCH, Cut(15), "cause=closed"),
        ("cut before the literal", KEEP, FETCHED, Cut(0), "cause=closed"),
        ("cut in the literal", DELETE, FETCHED, Cut(150), "cause=closed"),
        ("cut behind the literal", MOVE, FETCH_ENDS, Cut(0), "cause=closed"),
        ("BYE", KEEP, FETCHED, InsteadAndCut("* BYE shutting down\r\n"), "cause=bye"),
        ("BYE behind the message", DELETE, FETCH_ENDS, InsteadAndCut("* BYE shutting down\r\n"), "cause=bye"),
        ("NO", KEEP, FETCH_ENDS, Instead("{tag} NO [SERVERBUG] cannot be read\r\n"), "refused"),
        ("BAD", KEEP, FETCH_ENDS, Instead("{tag} BAD what\r\n"), "refused"),
        ("NO [OVERQUOTA]", KEEP, FETCH_ENDS, Instead("{tag} NO [OVERQUOTA] bandwidth\r\n"), "cause=throttled"),
        ("NO [UNAVAILABLE]", KEEP, FETCH_ENDS, Instead("{tag} NO [UNAVAILABLE] later\r\n"), "cause=throttled"),
        ("OK [THROTTLED]", KEEP, FETCH_ENDS, Instead("{tag} OK Success [THROTTLED]\r\n"), "verdict=delivered"),
        ("another's EXPUNGE in it", DELETE, FETCHED, Before("* 2 EXPUNGE\r\n"), "verdict=delivered"),
        (
            "another's message in it",
            DELETE,
            FETCHED,
            Before("* 2 FETCH (UID 2 FLAGS (\\Deleted $MailhatchDone) BODY[]<0> {4}\r\nno\r\n)\r\n"),
            "verdict=delivered",
        ),
        (
            "new mail in it",
            KEEP,
            FETCHED,
            Before("* 9 EXISTS\r\n* 1 RECENT\r\n* OK Still here\r\n"),
            "verdict=delivered",
        ),
        ("no data, though it is there", KEEP, FETCHED, Instead(""), "no-data"),
        ("the literal is announced too short", KEEP, FETCHED, Literal(-40), "cause=malformed"),
        (
            "the literal is announced too short, with another's words behind",
            DELETE,
            FETCHED,
            Literal(-1),
            "cause=malformed",
        ),
        ("the literal swallows its end", KEEP, FETCHED, Literal(3), "cause=malformed"),
        ("a literal of 2^32 octets", KEEP, FETCHED, Literal(1 << 32), "cause=malformed"),
        ("a literal without a number", KEEP, FETCHED, Instead("* 1 FETCH (UID 1 BODY[]<0> {x}\r\n"), "cause=malformed"),
        ("garbage", KEEP, FETCHED, Instead("\0\u{7f}SSH-2.0-OpenSSH_9.2\r\n"), "cause=malformed"),
        ("a stranger's tag", KEEP, FETCH_ENDS, Instead("a1 OK done\r\n"), "cause=malformed"),
        ("the server knows no pieces", KEEP, FETCH, Replace("<0.1048576>", ""), "verdict=delivered"),
    ]);
}

#[needs(dovecot_imap, root)]
#[test]
fn what_breaks_while_marks_are_set_repeats_nothing_and_touches_nobody_elses() {
    let rows: &[Row] = &[
        ("the mark does not get there", KEEP, Command("UID STORE"), Cut(0), "cause=closed"),
        ("the mark gets there, its answer does not", KEEP, Response("UID STORE", ""), Cut(0), "cause=closed"),
        ("cut in the answer to the mark", KEEP, Response("UID STORE", "FETCH"), Cut(9), "cause=closed"),
        ("BYE behind the mark", KEEP, STORE_ENDS, InsteadAndCut("* BYE x\r\n"), "cause=bye"),
        ("OK, and no flag is shown", KEEP, Response("UID STORE", "FETCH"), Instead(""), ""),
        ("NO to the mark", KEEP, STORE_ENDS, Instead("{tag} NO x\r\n"), ""),
        ("BAD to the mark", KEEP, STORE_ENDS, Instead("{tag} BAD x\r\n"), ""),
        ("garbage for an answer", KEEP, STORE_ENDS, Instead("* SEARCH x x\r\n"), "cause=malformed"),
        ("deleting: the flag does not get there", DELETE, Command("UID STORE"), Cut(0), "cause=closed"),
        ("deleting: the flag is there, its answer is not", DELETE, Response("UID STORE", ""), Cut(0), "cause=closed"),
        ("deleting: the expunge does not get there", DELETE, Command("UID EXPUNGE"), Cut(0), "cause=closed"),
        ("deleting: it is done, and not said", DELETE, Response("UID EXPUNGE", ""), Cut(0), "cause=closed"),
        ("deleting: NO", DELETE, Response("UID EXPUNGE", " OK "), Instead("{tag} NO [INUSE] x\r\n"), ""),
        ("moving: it does not get there", MOVE, Command("UID MOVE"), Cut(0), "cause=closed"),
        ("moving: it is done, and not said", MOVE, Response("UID MOVE", ""), Cut(0), "cause=closed"),
        ("moving: cut behind COPYUID", MOVE, Response("UID MOVE", "EXPUNGE"), Cut(0), "cause=closed"),
        ("moving: NO", MOVE, Response("UID MOVE", " OK "), Instead("{tag} NO x\r\n"), ""),
        ("the goodbye is cut", KEEP, Command("LOGOUT"), Cut(0), ""),
    ];
    play(rows);
}

/// The connection is gone while the application has the message: it is asked once, and its answer counts.
#[needs(dovecot_imap, root)]
#[test]
fn a_connection_that_ends_while_the_application_has_the_message_repeats_nothing() {
    for more in [KEEP, DELETE, MOVE] {
        let server = Dovecot::start();
        let mut client = server.client();
        fill(&mut client);
        let before = client.list("INBOX");
        let proxy = Proxy::start(server.imap(), &[]);
        let (scissors, was_cut) = (proxy.scissors(), Arc::new(AtomicBool::new(false)));
        let cut = was_cut.clone();
        let trial = Trial::new(proxy.port(), more, move || {
            if !cut.swap(true, Ordering::SeqCst) {
                scissors();
            }
        });
        let log = trial.read_on();
        assert!(was_cut.load(Ordering::SeqCst) && log.contains("event=disconnect"), "{log}");
        trial.check("the application has it", more, &before, &mut client, &log);
    }
}

/// The folder has other numbers than before; or is not there.
const NEW_NUMBERS: Fault = Fault(Response("SELECT", "UIDVALIDITY"), Instead("* OK [UIDVALIDITY 7] UIDs valid\r\n"));
const GONE: Fault = Fault(Response("SELECT", " OK "), Instead("{tag} NO Mailbox does not exist\r\n"));
const ANOTHERS_EXPUNGE: Act = Before("* 2 EXPUNGE\r\n");

/// Two faults, one after the other.
#[needs(dovecot_imap, root)]
#[test]
fn what_breaks_twice_costs_no_message_either() {
    let nothing_found = |text| Fault(Response("UID SEARCH", "* SEARCH"), Instead(text));
    let cut = |at| Fault(at, Cut(0));
    type Rows<'r> = &'r [(&'r str, &'r str, &'r [Fault], &'r str)];
    let rows: Rows<'_> = &[
        ("cut in the first fetch, and in the next", KEEP, &[cut(FETCHED), cut(FETCHED)], "cause=closed"),
        ("cut, then a BYE", DELETE, &[cut(FETCHED), Fault(GREETING, InsteadAndCut("* BYE x\r\n"))], "cause=bye"),
        ("the mark is lost twice", KEEP, &[cut(Response("UID STORE", "")), cut(Command("UID STORE"))], "cause=closed"),
        ("new numbers after a cut in the fetch", KEEP, &[cut(FETCHED), NEW_NUMBERS], "event=epoch"),
        ("new numbers before the marks are set", KEEP, &[cut(Command("UID STORE")), NEW_NUMBERS], "event=epoch"),
        ("new numbers before the marks are known", KEEP, &[cut(Response("UID STORE", "")), NEW_NUMBERS], "event=epoch"),
        ("new numbers before messages go", MOVE, &[cut(Command("UID MOVE")), NEW_NUMBERS], "event=epoch"),
        ("new numbers for one connection", DELETE, &[NEW_NUMBERS, cut(FETCHED)], "event=epoch"),
        ("made anew between two messages", KEEP, &[Fault(FETCHED, ANOTHERS_EXPUNGE), NEW_NUMBERS], "cause=renumbered"),
        ("made anew before removing", DELETE, &[Fault(STORE_ENDS, ANOTHERS_EXPUNGE), NEW_NUMBERS], "cause=renumbered"),
        ("gone before messages go", MOVE, &[Fault(FETCHED, ANOTHERS_EXPUNGE), GONE], "cause=folder"),
        ("nothing is found for once", KEEP, &[nothing_found("* SEARCH\r\n")], ""),
        ("nothing is said to be found for once", KEEP, &[nothing_found("")], ""),
        ("the first search leaves messages out", KEEP, &[nothing_found("* SEARCH 7\r\n")], ""),
        ("the first search leaves out what is in between", MOVE, &[nothing_found("* SEARCH 1 7\r\n")], ""),
        ("what waits is not found for once", KEEP, &[cut(FETCHED), nothing_found("* SEARCH\r\n")], ""),
        ("what waits is found in part", DELETE, &[cut(FETCHED), nothing_found("* SEARCH 4 7\r\n")], ""),
    ];
    at_once(rows, |(name, more, faults, said)| trial(name, more, faults, said));
}

/// A server that is there and says nothing. Each costs a minute of waiting, which they share.
#[needs(dovecot_imap, root)]
#[test]
fn a_server_that_falls_silent_is_left_and_found_again() {
    play(&[
        ("no greeting", KEEP, GREETING, Silence, "cause=timeout"),
        ("no answer to the login", KEEP, LOGGED_IN, Silence, "cause=timeout"),
        ("no answer to the search", KEEP, Response("UID SEARCH", ""), Silence, "cause=timeout"),
        ("no message", KEEP, FETCHED, Silence, "cause=timeout"),
        ("a message without an end", DELETE, FETCHED, Literal(5000), "cause=timeout"),
        (
            "a message of 4 GiB",
            KEEP,
            FETCHED,
            Instead("* 1 FETCH (UID 1 FLAGS () BODY[]<0> {4294967295}\r\nFrom: x\r\n"),
            "cause=timeout",
        ),
        ("no answer to the mark", KEEP, Response("UID STORE", ""), Silence, "cause=timeout"),
        ("the answer to the mark is not complete", DELETE, STORE_ENDS, Silence, "cause=timeout"),
    ]);
}

/// The process that serves us is stopped in the middle: the connection lives, and nothing comes.
#[needs(dovecot_imap, root)]
#[test]
fn a_half_open_connection_is_left() {
    let server = Dovecot::start();
    let mut client = server.client();
    let trial = Trial::new(server.imap(), "idle_timeout = \"5s\"", || ());
    let own = server.sessions();
    let running = trial.site.fetch();
    running.wait_log("event=connect");
    let session = *server.sessions().iter().find(|session| !own.contains(session)).unwrap();
    let stop = |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(session), signal).unwrap();
    stop(Signal::SIGSTOP);
    fill(&mut client);
    running.wait_log("cause=timeout");
    wait_for("all messages", || (trial.app.requests().len() == OURS).then_some(()));
    wait_for("the marks", || {
        (client.flags("INBOX").iter().filter(|(_, flags)| flags == DONE).count() == OURS).then_some(())
    });
    stop(Signal::SIGCONT);
    let log = running.log();
    running.stop();
    trial.check("stopped", KEEP, &as_filled(&server), &mut client, &log);
}

/// A folder that was made anew under an open connection, and nobody says a word: it is opened again with each renewal of IDLE.
#[needs(dovecot_imap, root)]
#[test]
fn a_folder_that_is_made_anew_in_silence_is_noticed() {
    let server = Dovecot::start();
    let mut client = server.client();
    let idles = Fault(Response("IDLE", "+ "), Before("* OK Still here\r\n"));
    let proxy = Proxy::start(server.imap(), &[idles, NEW_NUMBERS]);
    let trial = Trial::new(proxy.port(), "idle_timeout = \"5s\"", || ());
    let running = trial.site.fetch();
    running.wait_log("cause=renumbered");
    fill(&mut client);
    wait_for("all messages", || (trial.app.requests().len() >= OURS).then_some(()));
    let log = running.log();
    running.stop();
    trial.read_on();
    trial.check("made anew", KEEP, &as_filled(&server), &mut client, &log);
}

#[needs(dovecot_imap, root)]
#[test]
fn idling_may_break_in_every_way() {
    let idles = Response("IDLE", "EXISTS");
    let rows: &[Row] = &[
        ("BYE", KEEP, idles, InsteadAndCut("* BYE Disconnected for inactivity\r\n"), "cause=bye"),
        ("BYE, and the connection stays", DELETE, idles, Instead("* BYE Disconnected\r\n"), "cause=bye"),
        ("cut", KEEP, idles, Cut(0), "cause=closed"),
        ("cut in the news", MOVE, idles, Cut(5), "cause=closed"),
        ("garbage", KEEP, idles, Instead("\0\u{1}x\r\n"), "cause=malformed"),
        ("nothing is told", KEEP, idles, Instead(""), "event=connect"),
        ("nothing is told any more", KEEP, idles, Silence, "cause=timeout"),
        ("news before it is accepted", DELETE, Response("IDLE", "+ "), Before("* 1 EXISTS\r\n"), "event=connect"),
        ("not known", KEEP, Command("IDLE"), Replace("IDLE", "XIDLE"), "event=connect"),
        ("its end is not answered", KEEP, Response("DONE", " OK "), Silence, "cause=timeout"),
        ("its end is cut", DELETE, Response("DONE", " OK "), Cut(0), "cause=closed"),
    ];
    at_once(rows, |(name, more, at, act, said)| {
        let server = Dovecot::start();
        let mut client = server.client();
        let proxy = Proxy::start(server.imap(), &[Fault(*at, *act)]);
        // Where the news itself is broken, nothing else may find the messages first: each renewal looks for them.
        let is_told = matches!(said, &"cause=bye" | &"cause=closed" | &"cause=malformed");
        let idle_timeout = if is_told { "60s" } else { "5s" };
        let patience = format!("idle_timeout = \"{idle_timeout}\"\npoll_interval = \"1s\"");
        let trial = Trial::new(proxy.port(), &format!("{patience}\n{more}"), || ());
        let running = trial.site.fetch();
        running.wait_log("event=connect");
        fill(&mut client);
        wait_for(&format!("{name}: all messages"), || (trial.app.requests().len() >= OURS).then_some(()));
        running.wait_log(said);
        wait_for(&format!("{name}: the fault"), || (proxy.played() == 1).then_some(()));
        let log = running.log();
        running.stop();
        // What was being told when it stopped.
        trial.read_on();
        trial.check(name, more, &as_filled(&server), &mut client, &log);
    });
}
