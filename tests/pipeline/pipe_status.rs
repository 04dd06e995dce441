//! `pipe` ends in 0 or 75 and says an enhanced status code first, whatever happens: every other status makes Postfix bounce.

use std::process::{Command, Stdio};

use super::*;
use crate::support::needs;
use crate::support::process::{Process, run};
use crate::support::service::MAILHATCH;
use crate::support::wait::wait_for;

fn first_line(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn every_fault_of_our_own_defers() {
    let recipient = format!("--recipient={REPLY_ADDRESS}");
    let mail = message("", "hello");
    let broken = "[limits]\ndeadline = 5\n";
    let rows: &[(&str, &str, &[&str], &[u8], &str)] = &[
        ("a configuration that does not parse", broken, &["pipe", &recipient], &mail, "4.3.5 "),
        ("no recipient", "", &["pipe"], &mail, "4.3.5 "),
        ("an option that does not exist", "", &["pipe", "--sendr=x", &recipient], &mail, "4.3.5 "),
        ("an option without its value", "", &["pipe", &recipient, "--sender"], &mail, "4.3.5 "),
        ("an argument too many", "", &["pipe", &recipient, "extra"], &mail, "4.3.5 "),
        ("help in master.cf", "", &["pipe", "--help"], &mail, "4.3.5 "),
        ("an option that does not exist before the command", "", &["--confg=x", "pipe", &recipient], &mail, "4.3.5 "),
        ("empty standard input", "", &["pipe", &recipient], b"", "4.3.0 "),
    ];
    for (name, config, arguments, input, expected) in rows {
        let place = Place::new(&format!("{config}{}", spool_config()));
        let output = place.run(arguments, input);
        assert_eq!(output.status.code(), Some(75), "{name}");
        assert!(first_line(&output).starts_with(expected), "{name}: {}", first_line(&output));
        assert!(place.spooled().is_empty(), "{name}");
    }
}

#[test]
fn a_missing_configuration_defers() {
    let place = Place::new("");
    std::fs::remove_file(place.config()).unwrap();
    let output = place.run(&["pipe", "--recipient=x@example.com"], b"A: 1\n\nx\n");
    assert_eq!(output.status.code(), Some(75));
    assert!(first_line(&output).starts_with("4.3.5 "), "{}", first_line(&output));
}

#[test]
fn the_configuration_is_not_shown_to_a_stranger() {
    let place = Place::new("[limits]\ndeadline = \"hush\"\n");
    let output = place.run(&["pipe", "--recipient=x@example.com"], b"A: 1\n\nx\n");
    let all = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&all).contains("hush"));
}

#[needs(crash_points)]
#[test]
fn a_panic_defers() {
    let place = Place::new(&spool_config());
    let recipient = format!("--recipient={REPLY_ADDRESS}");
    for point in ["message-read", "before-app", "app-acknowledged", "before-answer"] {
        let environment = [("MAILHATCH_CRASH", &*format!("panic:{point}"))];
        let output = place.run_with(&["pipe", &recipient], &message("", "hello"), &environment);
        assert_eq!(output.status.code(), Some(75), "{point}");
        assert!(first_line(&output).starts_with("4.3.0 "), "{point}: {}", first_line(&output));
    }
}

#[test]
fn a_closed_standard_output_changes_nothing() {
    let place = Place::new(&spool_config());
    let run = |input: &str| {
        let script = format!(
            "printf '{input}' | {MAILHATCH} --config {} pipe --recipient={REPLY_ADDRESS} >&- 2>&-",
            place.config().display()
        );
        run(Command::new("sh").args(["-c", &script])).status.code()
    };
    assert_eq!(run("A: 1\\n\\nx\\n"), Some(0));
    assert_eq!(place.spooled().len(), 1);
    assert_eq!(run(""), Some(75));
}

#[test]
fn a_standard_input_that_does_not_end_is_given_up() {
    let place = Place::new(&format!("{}[limits]\ndeadline = \"1s\"\n", spool_config()));
    let mut command = place.command(&["pipe", "--recipient=x@example.com"]);
    let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()));
    // Held open and never written to.
    let input = process.stdin();
    let output = process.into_output();
    drop(input);
    assert_eq!(output.status.code(), Some(75));
    assert!(first_line(&output).starts_with("4.4.7 "), "{}", first_line(&output));
}

/// pipe(8) that is killed while it writes, as by `postfix stop`, leaves an end of file like any other.
#[test]
fn half_a_message_of_a_writer_that_was_killed_defers() {
    let place = Place::new(&spool_config());
    // More than a pipe holds: when all is written, mailhatch reads. The shell is its parent, and holds the pipe open.
    let script = "mkfifo in && { $1 --config $2 pipe --recipient=$3 <in >out & } && exec 3>in &&
        { printf 'Subject: half\\r\\n\\r\\n'; head -c 200000 /dev/zero | tr '\\0' x; } >&3; kill -9 $$";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", MAILHATCH, place.config().to_str().unwrap(), REPLY_ADDRESS]);
    let status = Process::start(command.current_dir(place.path()).stdin(Stdio::null())).wait();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    let line = wait_for("the answer of pipe", || {
        let line = std::fs::read_to_string(place.path().join("out")).unwrap();
        line.ends_with('\n').then_some(line)
    });
    assert!(line.starts_with("4.3.0 deferred: the message did not come in whole"), "{line}");
    assert!(place.spooled().is_empty());
}

#[test]
fn an_answer_for_several_recipients_names_the_deferred_one_first() {
    let two = format!("{}{}", BASE, SPOOL.replace("/spool\"", "/missing\"")) + SPOOL_TWO;
    let place = Place::new(&two);
    let arguments = ["pipe", "--recipient=two+key@example.com", &format!("--recipient={REPLY_ADDRESS}")];
    let output = place.run(&arguments, &message("", "hello"));
    assert_eq!(output.status.code(), Some(75));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let starts: Vec<_> = lines.lines().map(|line| &line[..1]).collect();
    assert_eq!(starts, ["4", "2"], "{lines}");
    // The second try: the delivered one is known.
    let output = place.run(&arguments, &message("", "hello"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("2.0.0 duplicate"));
    assert_eq!(place.spooled().len(), 1);
}

const SPOOL_TWO: &str = r#"
[[mailbox]]
name = "two"
address = "two+%{key}@example.com"
app = "two"
[[app]]
name = "two"
kind = "spool"
path = "{dir}/spool"
"#;
