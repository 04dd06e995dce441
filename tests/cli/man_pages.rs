//! The man pages have every command and every option that the programs say they have, and no other.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::support::process::run;
use crate::support::service::MAILHATCH;

const MAILHATCH_8: &str = include_str!("../../packaging/man/mailhatch.8");
const MAILHATCH_POSTFIX_8: &str = include_str!("../../packaging/man/mailhatch-postfix.8");

/// What needs no word in a man page.
const HELP: [&str; 2] = ["help", "version"];

/// The commands, with those below them (`held list`), and all options.
#[derive(Default)]
struct Said {
    commands: BTreeSet<String>,
    options: BTreeSet<String>,
}

impl Said {
    /// Reads `--help` of a command, and of those below it.
    fn read(&mut self, command: &[&str]) {
        let help = run(Command::new(MAILHATCH).args(command).arg("--help"));
        let help = String::from_utf8(help.stdout).unwrap();
        self.options.extend(options(&help));
        let below = help.split("Commands:\n").nth(1).unwrap_or_default();
        for line in below.lines().take_while(|line| !line.is_empty()) {
            // A description that goes on stands further in.
            let Some(name) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) else { continue };
            let name = name.split(' ').next().unwrap();
            if !HELP.contains(&name) {
                self.commands.insert(name.to_owned());
                self.read(&[command, &[name]].concat());
            }
        }
    }
}

fn options(help: &str) -> BTreeSet<String> {
    let option = Regex::new(r"(?m)^ +(?:-\w, )?--([a-z-]+)").unwrap();
    let found = option.captures_iter(help).map(|found| found[1].to_owned());
    found.filter(|name| !HELP.contains(&name.as_str())).collect()
}

fn words(page: &str, pattern: &str) -> BTreeSet<String> {
    Regex::new(pattern).unwrap().captures_iter(page).map(|found| found[1].to_owned()).collect()
}

#[test]
fn mailhatch_8_has_each_command_and_option() {
    let mut said = Said::default();
    said.read(&[]);
    assert!(said.commands.contains("serve") && said.commands.contains("restart"), "{:?}", said.commands);
    for command in &said.commands {
        let named = Regex::new(&format!(r"(?m)^\.(It )?Cm .*\b{command}\b|\bCm {command}\b")).unwrap();
        assert!(named.is_match(MAILHATCH_8), "mailhatch.8 lacks the command {command}");
    }
    assert_eq!(words(MAILHATCH_8, r"Fl -([a-z-]+)"), said.options, "mailhatch.8 on the left, --help on the right");
}

#[test]
fn mailhatch_postfix_8_has_each_option() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("postfix/mailhatch-postfix");
    let help = String::from_utf8(run(Command::new(script).arg("--help")).stdout).unwrap();
    assert_eq!(
        words(MAILHATCH_POSTFIX_8, r"Fl -([a-z-]+)"),
        options(&help),
        "the page on the left, --help on the right"
    );
    for command in ["enable", "disable", "status"] {
        assert!(help.contains(command) && MAILHATCH_POSTFIX_8.contains(&format!("Cm {command}")), "{command}");
    }
}
