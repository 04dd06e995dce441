//! What strangers write drives no terminal: nothing that a command prints holds a control character of theirs, in whatever way it
//! comes in, and no JSON holds one that is not escaped.

use std::fs::File;
use std::process::Stdio;

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};

use crate::support::config::{BASE, REPLY_ADDRESS, SPOOL};
use crate::support::place::Place;
use crate::support::process::Process;

/// ESC, BEL, CSI as C1, DEL, and what turns the direction of writing: as a stranger would write them.
const EVIL: &str = "\x1b]0;x\x07\x1b[2J\u{9b}31m\u{85}\u{7f}\u{202e}\u{2066}\u{61c}";

/// What no output may have; line ends and tabs are ours.
fn drives(text: &str) -> Vec<char> {
    let bidirectional =
        |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|&c| bidirectional(c) || c.is_control() && !matches!(c, '\n' | '\t')).collect()
}

fn message() -> Vec<u8> {
    let header = format!(
        "From: {EVIL} <x{EVIL}@example.org>\r\nTo: {EVIL}\r\nMessage-ID: <a{EVIL}@b>\r\nSubject: {EVIL}\r\n\
         X-Auto-Response-Suppress: {EVIL}\r\nAuto-Submitted: auto-{EVIL}replied\r\nAuthentication-Results: mx.example.com; {EVIL}\r\n"
    );
    format!("{header}\r\nhello {EVIL}\r\n").into_bytes()
}

/// A place with one held copy, and its id.
fn held() -> (Place, String) {
    let place = Place::new(
        &format!("{BASE}{SPOOL}")
            .replace("method = \"off\"", "method = \"trust\"\nauthserv_ids = [\"mx.example.com\"]"),
    );
    let options = options();
    let output = place.run(&[&["pipe"], &options.each_ref().map(String::as_str)[..]].concat(), &message());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let id = place.held().remove(0);
    // What is read from held.json is no more ours than the message.
    let file = place.path().join("state/held").join(&id).join("held.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for name in ["verdict", "rule", "detail"] {
        json[name] = format!("{name}{EVIL}").into();
    }
    std::fs::write(&file, json.to_string()).unwrap();
    (place, id)
}

fn options() -> [String; 5] {
    [
        format!("--sender=s{EVIL}@example.org"),
        format!("--recipient=nobody{EVIL}@gitlab.example.com"),
        format!("--original-recipient=o{EVIL}@gitlab.example.com"),
        format!("--client-helo=h{EVIL}"),
        format!("--queue-id=q{EVIL}"),
    ]
}

#[test]
fn nothing_that_a_command_prints_drives_a_terminal() {
    let (place, id) = held();
    let options = options();
    let explain = |more: &[&'static str]| {
        let options = options.each_ref().map(String::as_str);
        place.run(&[&["explain"], more, &options[..], &["-"]].concat(), &message())
    };
    let rows = [
        ("held list", place.run(&["held", "list"], b"")),
        ("held show", place.run(&["held", "show", &id], b"")),
        ("held show of another id", place.run(&["held", "show", EVIL], b"")),
        ("held release", place.run(&["held", "release", &id], b"")),
        ("explain", explain(&[])),
        ("explain --json", explain(&["--json"])),
        ("explain a file that is not there", place.run(&["explain", EVIL], b"")),
    ];
    for (name, output) in rows {
        let said =
            format!("{}{}", String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(said.len() > 20, "{name}: {said:?}");
        assert!(drives(&said).is_empty(), "{name}: {:?} in {said:?}", drives(&said));
    }
    let json: serde_json::Value = serde_json::from_slice(&explain(&["--json"]).stdout).unwrap();
    assert_eq!(json["recipients"][0]["recipient"], format!("nobody{EVIL}@gitlab.example.com"), "the same, escaped");
}

#[test]
fn no_json_for_others_holds_what_drives_a_terminal() {
    let log = format!("{BASE}{SPOOL}").replace("to = \"stderr\"", "to = \"stderr\"\nformat = \"json\"");
    let place = Place::new(&log);
    let text = message();
    let text = String::from_utf8(text).unwrap().replace("Auto-Submitted", "X-Nothing").into_bytes();
    let sender = format!("--sender=s{EVIL}@example.org");
    let output = place.run(&["pipe", &sender, &format!("--recipient={REPLY_ADDRESS}")], &text);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let event = place.path().join("spool").join(&place.spooled()[0]).join("event.json");
    let event = std::fs::read_to_string(event).unwrap();
    for (name, json) in [("the event", event), ("the log", String::from_utf8(output.stderr).unwrap())] {
        assert!(drives(&json).is_empty(), "{name}: {:?} in {json:?}", drives(&json));
        let read: serde_json::Value =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}: {json}"));
        assert!(read.to_string().contains('\u{9b}'), "{name}: the same, escaped: {json}");
    }
}

#[test]
fn a_message_as_it_came_goes_to_a_file_and_to_no_terminal() {
    let (place, id) = held();
    let raw = place.run(&["held", "show", "--raw", &id], b"");
    assert_eq!((raw.status.code(), raw.stdout), (Some(0), message()));

    let terminal = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let other_end = File::options().read(true).write(true).open(ptsname_r(&terminal).unwrap()).unwrap();
    let mut command = place.command(&["held", "show", "--raw", &id]);
    command.stdin(Stdio::null()).stdout(other_end).stderr(Stdio::piped());
    let output = Process::start(&mut command).into_output();
    let why = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains("redirect it to a file"), "{why}");
}
