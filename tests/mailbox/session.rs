//! The IMAP session without I/O: dialogs, each also octet by octet, and broken ones.

use std::collections::BTreeSet;

use mailhatch::config::Secret;
use mailhatch::intake::mailbox::failure::Cause;
use mailhatch::intake::mailbox::imap::{
    Access, Answer, Credential, Flags, Folder, Mark, Octets, Plan, Proof, Request, Search, Security, Session, Step, Uid,
};
use proptest::prelude::*;

/// What a dialog is run with.
struct Setting {
    security: Security,
    proof: fn(Secret) -> Proof,
    access: Access,
}

const TLS: Setting = Setting { security: Security::Tls, proof: Proof::Password, access: Access::ReadWrite };
const STARTTLS: Setting = Setting { security: Security::StartTls, ..TLS };
const TOKEN: Setting = Setting { proof: Proof::Token, ..TLS };

fn session(setting: &Setting) -> Session {
    let proof = (setting.proof)(Secret::new(b"hush".to_vec()));
    Session::new(Plan {
        security: setting.security,
        endpoint: ("imap.example.com".to_owned(), 993),
        credential: Credential { user: "joe".to_owned(), proof },
        folder: Folder::named("INBOX").unwrap(),
        folder_name: "INBOX".to_owned(),
        access: setting.access,
        max_response_size: 4096,
        tag_prefix: "t".to_owned(),
    })
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn set(numbers: &[u32]) -> BTreeSet<Uid> {
    numbers.iter().map(|&number| uid(number)).collect()
}

/// What a line of a dialog that begins with `?` asks.
fn request(text: &str) -> Request {
    let search = Search { from: uid(5), without_done: false, unseen: false, since: None };
    match text {
        "search" => Request::Search(search),
        "fetch" => Request::Fetch { uid: uid(7), offset: 0, octets: 1024 },
        "mark" => Request::Mark(set(&[7, 8]), Mark::Done),
        "flags" => Request::Flags(set(&[7, 8]).into_iter().collect()),
        "move" => Request::Move(set(&[7, 8]), Folder::named("Done").unwrap()),
        "copy" => Request::Copy(set(&[7, 8]), Folder::named("Done").unwrap()),
        "expunge" => Request::Expunge(set(&[7])),
        "nothing" => Request::Expunge(BTreeSet::new()),
        "trash" => Request::FindTrash,
        other => panic!("{other}"),
    }
}

fn shown(step: &Step) -> String {
    let uids = |uids: &BTreeSet<Uid>| uids.iter().map(|uid| uid.to_string()).collect::<Vec<_>>().join(",");
    match step {
        Step::Failed(failure) => format!("failed {}", failure.cause.name()),
        Step::Answered(Ok(Answer::Found(found))) => format!("found {}", uids(&found.iter().collect())),
        Step::Answered(Ok(Answer::Part(part))) => {
            let octets = match &part.octets {
                Octets::Some(octets) => format!("{:?}", String::from_utf8_lossy(octets)),
                other => format!("{other:?}"),
            };
            format!("part {octets} seen={:?} size={:?}", part.flags.map(|flags| flags.seen), part.size_hint)
        }
        Step::Answered(Ok(Answer::Flags(flags))) => {
            let of = |(uid, flags): &(Uid, Flags)| {
                let Flags { seen, deleted, done } = *flags;
                format!("{uid}:{}{}{}", u8::from(seen), u8::from(deleted), u8::from(done))
            };
            format!("flags {}", flags.iter().map(of).collect::<Vec<_>>().join(" "))
        }
        Step::Answered(Ok(Answer::Moved { uids: moved })) => format!("moved {:?}", moved.as_ref().map(uids)),
        Step::Answered(Ok(Answer::Trash(folder))) => format!("trash {}", folder.is_some()),
        Step::Answered(Ok(Answer::Done)) => "done".to_owned(),
        Step::Answered(Err(refusal)) => {
            let failure = refusal.failure.as_ref().map(|failure| failure.cause.name());
            format!("refused missing={} {failure:?}", refusal.folder_missing)
        }
        other => format!("{other:?}").to_ascii_lowercase(),
    }
}

/// Runs a dialog with the server's octets in pieces. Each line is
///
/// * `S octets`: the server says them (`\r\n` is added; `\` at the end of a line leaves it out; `<LF>` is a line feed, `<>` is nothing),
/// * `C octets`: the client must have said them,
/// * `= step`: the session must say so,
/// * `? request`, `? idle`, `? end`, `? logout`, `? tls`: the caller asks.
fn run(name: &str, setting: &Setting, dialog: &str, piece: usize) -> Session {
    let mut session = session(setting);
    let (mut said, mut waiting): (Vec<u8>, Vec<u8>) = Default::default();
    let mut steps: Vec<String> = Vec::new();
    for line in dialog.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        let (kind, text) = line.split_at(2);
        let text = &text.replace("<>", "").replace("<LF>", "\n")[..];
        match kind {
            "S " => {
                let (text, end) = text.strip_suffix('\\').map_or((text, "\r\n"), |text| (text, ""));
                waiting.extend_from_slice(format!("{text}{end}").as_bytes());
                continue;
            }
            "? " => match text {
                "idle" => assert!(session.idle(), "{name}: {line}"),
                "end" => session.end_idle(),
                "logout" => session.log_out(),
                "again" => assert!(session.open_again(), "{name}: {line}"),
                "tls" => session.tls_started(),
                text => assert!(session.ask(&request(text)), "{name}: {line}"),
            },
            "C " | "= " => {
                let is_there = |said: &[u8], steps: &[String]| match kind {
                    "C " => said.starts_with(format!("{text}\r\n").as_bytes()),
                    _ => !steps.is_empty(),
                };
                while !is_there(&said, &steps) {
                    match session.step() {
                        Step::Write(octets) => said.extend_from_slice(&octets),
                        Step::Read if waiting.is_empty() => {
                            let said = String::from_utf8_lossy(&said);
                            panic!("{name}, by {piece}: waits for ever at \"{line}\", said {said:?}")
                        }
                        Step::Read => {
                            let octets: Vec<_> = waiting.drain(..piece.min(waiting.len())).collect();
                            session.input(&octets);
                        }
                        step => steps.push(shown(&step)),
                    }
                    assert!(steps.len() < 2, "{name}: {steps:?}");
                }
                match kind {
                    "C " => drop(said.drain(..text.len() + 2)),
                    _ => assert_eq!(steps.remove(0), text, "{name}, by {piece}"),
                }
            }
            _ => panic!("{name}: {line}"),
        }
    }
    // Nothing that the dialog does not say; no password behind a failure.
    while let Step::Write(octets) = session.step() {
        said.extend_from_slice(&octets);
    }
    assert_eq!(String::from_utf8_lossy(&said), "", "{name}, by {piece}: said too much");
    session
}

/// Runs it in one piece, octet by octet, and by seven.
fn check(name: &str, setting: &Setting, dialog: &str) {
    for piece in [usize::MAX, 1, 7] {
        run(name, setting, dialog, piece);
    }
}

/// A session with an open folder, as most dialogs begin.
const OPEN: &str = "
    S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello
    C t1 AUTHENTICATE PLAIN AGpvZQBodXNo
    S t1 OK [CAPABILITY IMAP4rev1 IDLE MOVE UIDPLUS] in
    C t2 SELECT INBOX
    S * FLAGS (\\Answered \\Seen \\Deleted)
    S * OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] limited
    S * 3 EXISTS
    S * 0 RECENT
    S * OK [UIDVALIDITY 77] valid
    S * OK [UIDNEXT 9] next
    S t2 OK [READ-WRITE] open
    = ready
";

fn check_open(name: &str, dialog: &str) {
    check(name, &TLS, &format!("{OPEN}{dialog}"));
}

#[test]
fn the_way_in_goes_as_the_server_allows() {
    let select = "C t3 SELECT INBOX\nS * OK [UIDVALIDITY 1] v\nS t3 OK open\n= ready";
    let rows: &[(&str, &Setting, String)] = &[
        (
            "LOGIN, capabilities asked for twice",
            &TLS,
            "S * OK hello
             C t1 CAPABILITY
             S * CAPABILITY IMAP4rev1
             S t1 OK done
             C t2 LOGIN joe hush
             S t2 OK in
             C t3 CAPABILITY
             S * CAPABILITY IMAP4rev1 IDLE
             S t3 OK done
             C t4 SELECT INBOX
             S * OK [UIDVALIDITY 1] valid
             S t4 OK open
             = ready"
                .to_owned(),
        ),
        (
            "PLAIN without SASL-IR",
            &TLS,
            "S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN LOGINDISABLED] hello
             C t1 AUTHENTICATE PLAIN
             S + <>
             C AGpvZQBodXNo
             S * CAPABILITY IMAP4rev1
             S t1 OK in
             C t2 CAPABILITY
             S * CAPABILITY IMAP4rev1
             S t2 OK done
             "
            .to_owned()
                + select,
        ),
        (
            "XOAUTH2",
            &TOKEN,
            "S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN] hello
             C t1 AUTHENTICATE XOAUTH2 dXNlcj1qb2UBYXV0aD1CZWFyZXIgaHVzaAEB
             S t1 OK [CAPABILITY IMAP4rev1] in
             C t2 SELECT INBOX
             S * OK [UIDVALIDITY 1] v
             S t2 OK open
             = ready"
                .to_owned(),
        ),
        (
            "XOAUTH2 refused: an empty answer, then the end",
            &TOKEN,
            "S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello
             C t1 AUTHENTICATE XOAUTH2 dXNlcj1qb2UBYXV0aD1CZWFyZXIgaHVzaAEB
             S + eyJzdGF0dXMiOiI0MDAifQ==
             C <>
             S t1 NO [AUTHENTICATIONFAILED] no
             = failed oauth"
                .to_owned(),
        ),
        (
            "OAUTHBEARER refused: an octet of one, then the end",
            &TOKEN,
            "S * OK [CAPABILITY IMAP4rev1 AUTH=OAUTHBEARER] hello
             C t1 AUTHENTICATE OAUTHBEARER
             S + <>
             C bixhPWpvZSwBaG9zdD1pbWFwLmV4YW1wbGUuY29tAXBvcnQ9OTkzAWF1dGg9QmVhcmVyIGh1c2gBAQ==
             S + eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=
             C AQ==
             S t1 NO failed
             = failed oauth"
                .to_owned(),
        ),
        (
            "STARTTLS: what was said before it is forgotten",
            &STARTTLS,
            "S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN STARTTLS] hello
             C t1 STARTTLS
             S * CAPABILITY IMAP4rev1 AUTH=PLAIN
             S t1 OK begin
             = starttls
             ? tls
             C t2 CAPABILITY
             S * CAPABILITY IMAP4rev1
             S t2 OK done
             C t3 LOGIN joe hush
             S t3 OK [CAPABILITY IMAP4rev1] in
             C t4 SELECT INBOX
             S * OK [UIDVALIDITY 1] v
             S t4 OK open
             = ready"
                .to_owned(),
        ),
        (
            "PREAUTH within TLS",
            &TLS,
            "S * PREAUTH [CAPABILITY IMAP4rev1] hello\nC t1 SELECT INBOX\nS * OK [UIDVALIDITY 1] v\nS t1 OK o\n= ready"
                .to_owned(),
        ),
        (
            "EXAMINE where nothing may change",
            &Setting { access: Access::ReadOnly, ..TLS },
            "S * PREAUTH [CAPABILITY IMAP4rev1] hello\nC t1 EXAMINE INBOX\nS * OK [UIDVALIDITY 1] v\nS t1 OK o\n= ready"
                .to_owned(),
        ),
    ];
    for (name, setting, dialog) in rows {
        check(name, setting, dialog);
    }
}

#[test]
fn what_refuses_the_way_in_has_its_cause_and_gets_no_password() {
    let hello = "S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello\nC t1 AUTHENTICATE PLAIN AGpvZQBodXNo\n";
    let open = format!("{hello}S t1 OK [CAPABILITY IMAP4rev1] in\nC t2 SELECT INBOX\n");
    let plain = |text: &str| text.to_owned();
    let rows: Vec<(&str, &Setting, String)> = vec![
        ("BYE", &TLS, plain("S * BYE go away\n= failed bye")),
        ("BYE, later", &TLS, plain("S * BYE [UNAVAILABLE] later\n= failed throttled")),
        ("not IMAP", &TLS, plain("S HTTP/1.1 400 Bad Request\n= failed malformed")),
        ("SMTP", &TLS, plain("S 220 mx.example.com ESMTP\n= failed malformed")),
        ("bare LF", &TLS, plain("S * OK hello<LF>\\\n= failed malformed")),
        ("PREAUTH before TLS", &STARTTLS, plain("S * PREAUTH hello\n= failed preauth")),
        (
            "STARTTLS refused",
            &STARTTLS,
            plain("S * OK [CAPABILITY IMAP4rev1 STARTTLS] hi\nC t1 STARTTLS\nS t1 NO no\n= failed starttls"),
        ),
        ("STARTTLS stripped", &STARTTLS, plain("S * OK hi\nC t1 STARTTLS\nS t1 BAD unknown\n= failed starttls")),
        ("LOGINDISABLED", &TLS, plain("S * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\n= failed login-disabled")),
        ("no way for a token", &TOKEN, plain("S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\n= failed login-disabled")),
        ("wrong password", &TLS, format!("{hello}S t1 NO [AUTHENTICATIONFAILED] no\n= failed authentication")),
        ("wrong password, no code", &TLS, format!("{hello}S t1 NO no\n= failed authentication")),
        ("expired", &TLS, format!("{hello}S t1 NO [EXPIRED] no\n= failed expired")),
        ("not now", &TLS, format!("{hello}S t1 NO [UNAVAILABLE] no\n= failed throttled")),
        ("in, then out", &TLS, format!("{open}S * BYE internal error\n= failed bye")),
        (
            "Exchange without a permission",
            &TLS,
            format!("{open}S t2 BAD User is authenticated but not connected.\n= failed not-connected"),
        ),
        ("no folder", &TLS, format!("{open}S t2 NO [NONEXISTENT] none\n= failed folder")),
        ("no UIDVALIDITY", &TLS, format!("{open}S t2 OK open\n= failed folder")),
        ("an answer that nobody asked for", &TLS, format!("{open}S t9 OK open\n= failed malformed")),
    ];
    for (name, setting, dialog) in rows {
        check(name, setting, &dialog);
    }
}

/// Part of a line is enough: a client that looks only for whole lines would leave it to the TLS session.
#[test]
fn what_stands_behind_the_ok_to_starttls_is_seen_to_the_octet() {
    for behind in ["*", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", "t2 OK [CAPABILITY IMAP4rev1] in\r\n"] {
        let mut session = session(&STARTTLS);
        session.input(b"* OK hi\r\n");
        while let Step::Write(_) = session.step() {}
        session.input(format!("t1 OK begin\r\n{behind}").as_bytes());
        let Step::Failed(failure) = session.step() else { panic!("it must fail") };
        assert_eq!(failure.cause, Cause::Injected, "{behind}");
    }
}

#[test]
fn commands_get_what_is_theirs() {
    let rows: &[(&str, &str)] = &[
        (
            "search",
            "? search
             C t3 UID SEARCH UID 5:* UNDELETED
             S * SEARCH 7 5 9
             S t3 OK done
             = found 5,7,9",
        ),
        ("nothing found", "? search\nC t3 UID SEARCH UID 5:* UNDELETED\nS * SEARCH\nS t3 OK done\n= found "),
        (
            "fetch, with what others do in between",
            "? fetch
             C t3 UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.1024>)
             S * 4 EXISTS
             S * 1 FETCH (UID 5 FLAGS (\\Seen) BODY[]<0> \"other\")
             S * FLAGS (\\Seen $MailhatchDone)
             S * 2 EXPUNGE
             S * 2 FETCH (FLAGS (\\Seen))
             S * 2 FETCH (UID 7 FLAGS () INTERNALDATE \"22-Nov-2026 10:00:00 +0000\" RFC822.SIZE 9 BODY[]<0> {6}
             S a
             S b
             S )
             S t3 OK done
             = part \"a\\r\\nb\\r\\n\" seen=Some(false) size=Some(9)",
        ),
        (
            "removed by another",
            "? fetch
             C t3 UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.1024>)
             S * 2 FETCH (UID 7 BODY[]<0> NIL)
             S t3 OK [EXPUNGEISSUED] done
             = part Nil seen=None size=None",
        ),
        (
            "never there",
            "? fetch
             C t3 UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.1024>)
             S t3 OK done
             = part Absent seen=None size=None",
        ),
        (
            "refused for itself",
            "? fetch
             C t3 UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.1024>)
             S t3 NO [SERVERBUG] cannot be read
             = refused missing=false None",
        ),
        (
            "refused for all",
            "? fetch
             C t3 UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.1024>)
             S t3 NO [OVERQUOTA] Account exceeded bandwidth limits
             = refused missing=false Some(\"throttled\")",
        ),
        (
            "mark",
            "? mark
             C t3 UID STORE 7:8 +FLAGS ($MailhatchDone)
             S * FLAGS (\\Seen $MailhatchDone)
             S * 2 FETCH (UID 7 FLAGS (\\Seen $mailhatchdone))
             S * 9 FETCH (UID 99 FLAGS ($MailhatchDone))
             S t3 OK done
             = flags 7:101",
        ),
        (
            "move",
            "? move\nC t3 UID MOVE 7:8 Done\nS * OK [COPYUID 5 7:8 1:2] m\nS * 2 EXPUNGE\nS t3 OK m\n= moved Some(\"7,8\")",
        ),
        ("copy", "? copy\nC t3 UID COPY 7:8 Done\nS t3 OK [COPYUID 5 8 1] m\n= moved Some(\"8\")"),
        ("copy that tells nothing", "? copy\nC t3 UID COPY 7:8 Done\nS t3 OK m\n= moved None"),
        ("no such folder", "? copy\nC t3 UID COPY 7:8 Done\nS t3 NO [TRYCREATE] none\n= refused missing=true None"),
        ("expunge", "? expunge\nC t3 UID EXPUNGE 7\nS * 2 EXPUNGE\nS t3 OK done\n= done"),
        ("an empty set is no command", "? nothing\n= done"),
        (
            "trash",
            "? trash
             C t3 LIST \"\" *
             S * LIST (\\HasNoChildren) \"/\" INBOX
             S * LIST (\\HasNoChildren \\Trash) \"/\" \"[Gmail]/Trash\"
             S t3 OK done
             = trash true",
        ),
        (
            "responses of other extensions are passed over",
            "? search
             C t3 UID SEARCH UID 5:* UNDELETED
             S * ID (\"name\" \"x\")
             S * NAMESPACE ((\"\" \"/\")) NIL NIL
             S * VANISHED 41,43:116
             S * OK Grüße
             S * SEARCH 5
             S t3 OK done
             = found 5",
        ),
        ("BYE in a command", "? search\nC t3 UID SEARCH UID 5:* UNDELETED\nS * BYE shutting down\n= failed bye"),
        ("logout", "? logout\nC t3 LOGOUT\nS * BYE bye\nS t3 OK done\n= loggedout"),
    ];
    for (name, dialog) in rows {
        check_open(name, dialog);
    }
}

#[test]
fn idling_hears_what_comes_whenever_it_comes() {
    let rows: &[(&str, &str)] = &[
        (
            "while idling",
            "? idle
             C t3 IDLE
             S + idling
             = idling
             S * OK Still here
             S * 4 EXISTS
             = news
             ? end
             C DONE
             S t3 OK done
             = done",
        ),
        (
            "before the server agrees",
            "? idle\nC t3 IDLE\nS * 4 EXISTS\nS + idling\n= news\n? end\nC DONE\nS t3 OK d\n= done",
        ),
        ("nothing comes", "? idle\nC t3 IDLE\nS + idling\n= idling\n? end\nC DONE\nS t3 OK d\n= done"),
        ("refused", "? idle\nC t3 IDLE\nS t3 BAD unknown\n= refused missing=false None"),
        ("BYE", "? idle\nC t3 IDLE\nS + idling\n= idling\nS * BYE timeout\n= failed bye"),
        ("the server ends it", "? idle\nC t3 IDLE\nS + idling\n= idling\nS t3 OK enough\n= done"),
    ];
    for (name, dialog) in rows {
        check_open(name, dialog);
    }
}

#[test]
fn what_the_folder_is_like_is_known() {
    let session = run("open", &TLS, OPEN, usize::MAX);
    let selected = session.selected();
    assert_eq!((selected.uid_validity, selected.uid_next, selected.exists), (Some(77), Some(uid(9)), 3));
    assert!(!selected.read_only && !selected.has_done);
    let permanent = selected.permanent.unwrap();
    assert!(permanent.seen && permanent.deleted && permanent.done);
    let server = session.capabilities();
    assert!(server.idle && server.moves && server.uidplus && !server.auth_plain);
}

/// Where a literal's length is wrong, the rest of a mail stands where the server's words should: the session must end, and
/// must not take a line of the mail for an answer.
#[test]
fn a_broken_literal_ends_the_session() {
    let fetch = "? fetch\nC t3 UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.1024>)\n";
    let rows: &[(&str, &str)] = &[
        ("too short", "S * 2 FETCH (UID 7 BODY[]<0> {3}\nS abcdef\nS t3 OK forged\n= failed malformed"),
        (
            "a line of the mail that looks like an answer",
            "S * 2 FETCH (UID 7 BODY[]<0> {3}\nS abc x\nS t3 OK forged\n= failed malformed",
        ),
        ("longer than 32 bits", "S * 2 FETCH (UID 7 BODY[]<0> {4294967296}\nS abc)\n= failed malformed"),
        ("no number", "S * 2 FETCH (UID 7 BODY[]<0> {x}\nS abc)\n= failed malformed"),
        ("never closed", "S * 2 FETCH (UID 7 BODY[]<0> {3}\nS abc\n= failed malformed"),
    ];
    for (name, dialog) in rows {
        check_open(name, &format!("{fetch}{dialog}"));
    }
}

/// The response is skipped, whatever stands in it; the session goes on.
#[test]
fn a_response_that_is_too_long_is_skipped() {
    let long = "S * 2 FETCH (UID 7 BODY[]<0> {5000}\nS ".to_owned() + &"t3 OK x ".repeat(625) + ")";
    let dialog = format!(
        "? fetch
         C t3 UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.1024>)
         {long}
         S t3 OK done
         = part TooLong seen=None size=None
         ? search
         C t4 UID SEARCH UID 5:* UNDELETED
         S * SEARCH 5
         S t4 OK done
         = found 5"
    );
    check_open("too long", &dialog);
    // What was found is not known then, which is not the same as nothing.
    let found =
        format!("? search\nC t3 UID SEARCH UID 5:* UNDELETED\nS * SEARCH{}\n= failed malformed", " 100000".repeat(600));
    check_open("too many", &found);
}

proptest! {
    /// Whatever a server sends, at whatever point: no panic, no endless loop, and the session is over or waits.
    #[test]
    fn any_octets_are_taken(
        stage in 0..5_usize,
        octets in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "(\\* |t[0-9] |OK |NO |BYE |\\[|\\]|FETCH |UID 7 |BODY\\[\\] |\\{[0-9]{1,3}\\}|\\(|\\)|\r\n|SEARCH 5 |EXISTS|\\+ |a){0,40}"
                .prop_map(String::into_bytes),
        ],
        piece in 1..50_usize,
    ) {
        let setting = if stage == 0 { &STARTTLS } else { &TLS };
        let mut session = session(setting);
        if stage > 1 {
            session = run("open", &TLS, OPEN, usize::MAX);
            match stage {
                2 => prop_assert!(session.ask(&request("fetch"))),
                3 => prop_assert!(session.ask(&request("mark"))),
                _ => prop_assert!(session.idle()),
            }
        }
        for piece in octets.chunks(piece) {
            session.input(piece);
            for turn in 0.. {
                prop_assert!(turn < 1000, "an endless loop");
                match session.step() {
                    Step::Read | Step::Failed(_) | Step::LoggedOut | Step::StartTls => break,
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a_folder_that_is_opened_again_says_whether_it_is_the_same() {
    let again = "S * 1 EXPUNGE\nS * OK gone\nS t3 OK done\n= done\n? again\nC t4 SELECT INBOX\n";
    let rows: &[(&str, &str, Option<(u32, u32)>)] = &[
        ("the same", "S * 2 EXISTS\nS * OK [UIDVALIDITY 77] v\nS t4 OK [READ-WRITE] open\n= ready", Some((77, 2))),
        ("another", "S * 1 EXISTS\nS * OK [UIDVALIDITY 78] v\nS t4 OK [READ-WRITE] open\n= ready", Some((78, 1))),
        ("gone", "S t4 NO Mailbox does not exist\n= failed folder", None),
        ("it says nothing of its numbers any more", "S * 2 EXISTS\nS t4 OK open\n= failed folder", None),
    ];
    for (name, end, expected) in rows {
        check_open(name, &format!("? expunge\nC t3 UID EXPUNGE 7\n{again}{end}"));
        let session = run(name, &TLS, &format!("{OPEN}? expunge\nC t3 UID EXPUNGE 7\n{again}{end}"), usize::MAX);
        if let Some((validity, exists)) = expected {
            let selected = session.selected();
            assert_eq!((selected.uid_validity, selected.exists), (Some(*validity), *exists), "{name}");
            assert_eq!(selected.expunged, 0, "{name}");
        }
    }
}
