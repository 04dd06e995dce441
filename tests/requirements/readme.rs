//! The front page says what is so: its commands run, its output is what they print, its figures stand in the page that it
//! names, and the names in its picture are those of the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use crate::support::needs;
use crate::support::process::succeed;
use crate::support::service::MAILHATCH;

const README: &str = include_str!("../../README.md");

/// What stands behind the commands that are not run here: the test, or the target of make, that runs them.
const RUN_ELSEWHERE: &[(&str, &str)] = &[
    ("make demo", "cli::demo"),
    ("make try-postfix", "cli::try_postfix"),
    ("make test", ".ci/run"),
    ("make deb", "make test-packaging"),
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The blocks between these fences.
fn fenced(kind: &str) -> Vec<&'static str> {
    let begin = format!("```{kind}\n");
    README.split(&begin).skip(1).map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// The commands: indented by four, a backslash at the end continues one, a comment is for the reader.
fn commands() -> Vec<String> {
    let unfenced: String = README.split("```").step_by(2).collect();
    let lines = unfenced.lines().filter_map(|line| line.strip_prefix("    "));
    let whole = lines.fold(String::new(), |text, line| match line.strip_suffix('\\') {
        Some(begun) => text + begun,
        None => text + line + "\n",
    });
    let bare = |line: &str| line.split("  #").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    whole.lines().map(bare).collect()
}

#[test]
fn each_command_is_run_by_a_test() {
    let page = read("docs/set-up-postfix-lmtp.md");
    let makefiles = read("Makefile") + &read("packaging/packaging.mk");
    let mut run_here = 0;
    for command in commands() {
        if let Some((target, _)) = RUN_ELSEWHERE.iter().find(|(target, _)| *target == command) {
            let rule = format!("\n{}:", target.strip_prefix("make ").unwrap());
            assert!(makefiles.contains(&rule), "{command}: no such target");
        } else if command.starts_with("target/debug/mailhatch ") {
            run_here += 1;
        } else {
            // What installs it is what `make test-packaging` does, line by line, in fresh systems.
            let installed = command.replace("./target/packaging/", "./");
            let is_there =
                page.lines().any(|line| line == installed) || page.contains(installed.trim_start_matches("systemctl "));
            assert!(is_there, "no test runs {command}: docs/set-up-postfix-lmtp.md has not got it");
        }
    }
    assert_eq!(run_here, 1, "the one whose output follows");
}

#[test]
fn explain_prints_what_stands_there() {
    let command = commands().into_iter().find(|command| command.contains(" explain ")).unwrap();
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    let output = succeed(Command::new(MAILHATCH).args(arguments).current_dir(top()));
    let printed = String::from_utf8(output.stdout).unwrap();
    let shown = fenced("text").into_iter().find(|block| block.starts_with("message ")).unwrap();
    let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(shown).trim_end(), trimmed(&printed).trim_end());
}

#[needs(postfix, root)]
#[test]
fn try_postfix_prints_what_stands_there() {
    let output = succeed(Command::new(top().join("examples/try-postfix")).arg(MAILHATCH));
    let printed = String::from_utf8(output.stdout).unwrap();
    let shown = fenced("text").into_iter().find(|block| block.contains("postfix/lmtp: ")).unwrap();
    assert!(normal(&printed).contains(&normal(shown)), "{}\nis not in\n{}", normal(shown), normal(&printed));
}

/// Without what differs from run to run: queue ids, the temporary directory, times, and the folds of long lines.
fn normal(text: &str) -> String {
    let mut text: String = text.split_whitespace().collect();
    for (pattern, mark) in [
        ("/tmp/mht[A-Za-z0-9]{6}", "DIRECTORY"),
        ("postfix/lmtp:[0-9A-F]+:to=", "postfix/lmtp:QUEUE-ID:to="),
        ("queue_id=[0-9A-F]+message_id=", "queue_id=QUEUE-IDmessage_id="),
        ("delay(s?)=[0-9./]+", "delay$1=TIME"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, mark).into_owned();
    }
    text
}

#[test]
fn each_figure_stands_in_the_page_that_the_row_names() {
    let section = README.split("## Three promises").nth(1).unwrap().split("\n    ").next().unwrap();
    let (figure, link) = (Regex::new(r"\d+( of \d+)?").unwrap(), Regex::new(r"\]\((docs/[a-z-]+\.md)\)").unwrap());
    let mut figures = 0;
    for row in section.lines().filter(|line| line.starts_with('|')).skip(2) {
        let columns: Vec<&str> = row.split('|').collect();
        let Some(page) = link.captures(columns[3]).map(|found| read(&found[1])) else { continue };
        for found in figure.find_iter(columns[2]) {
            let page = page.replace(',', "");
            let stands = Regex::new(&format!(r"\b{}\b", found.as_str())).unwrap();
            assert!(stands.is_match(&page), "{} is not in the page of: {row}", found.as_str());
            figures += 1;
        }
    }
    assert!(figures > 10, "{figures} figures found");
}

#[test]
fn the_picture_has_the_names_of_the_source() {
    let picture = fenced("mermaid")[0];
    let inside = picture.split("subgraph mailhatch\n").nth(1).unwrap().split("    end\n").next().unwrap();
    let word = Regex::new(r#""[^"]*"|\b([a-z]+)\b"#).unwrap();
    let modules: BTreeSet<&str> =
        word.captures_iter(inside).filter_map(|found| found.get(1)).map(|name| name.as_str()).collect();
    for module in &modules {
        assert!(top().join("src").join(module).is_dir(), "{module} is not a module");
    }
    assert_eq!(modules.len(), 8, "{modules:?}");
    let verdicts = Regex::new(r#"Self::[A-Z][a-z]+[^=\n]*=> "([a-z]+)""#).unwrap();
    let source = read("src/verdict.rs");
    let verdicts: BTreeSet<&str> =
        verdicts.captures_iter(&source).map(|found| found.get(1).unwrap().as_str()).collect();
    assert_eq!(verdicts.len(), 6, "{verdicts:?}");
    for verdict in verdicts {
        let node = Regex::new(&format!(r"(--> {verdict}\n|\[{verdict}\]\n)")).unwrap();
        assert!(node.is_match(picture), "the verdict {verdict} is not in the picture");
    }
    let ways = Regex::new(r#": ([a-z]+)" --> intake"#).unwrap();
    let ways: Vec<&str> = ways.captures_iter(picture).map(|found| found.get(1).unwrap().as_str()).collect();
    assert_eq!(ways, ["serve", "pipe", "fetch"]);
    let help = String::from_utf8(succeed(Command::new(MAILHATCH).arg("--help")).stdout).unwrap();
    for command in ways {
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command}: {help}");
    }
}

#[test]
fn each_kind_of_application_has_its_row() {
    let rows = Regex::new(r"(?m)^\| .* \| `([a-z-]+)` \| ").unwrap();
    let shown: BTreeSet<String> = rows.captures_iter(README).map(|found| found[1].to_owned()).collect();
    let named = Regex::new(r#"Kind::new\("([a-z-]+)""#).unwrap();
    let mut kinds = BTreeSet::new();
    for file in fs::read_dir(top().join("src/app")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        kinds.extend(named.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    assert_eq!(shown, kinds, "the front page on the left, src/app on the right");
}

#[test]
fn its_links_lead_somewhere_and_its_lines_are_short() {
    let link = Regex::new(r"\]\(([^)#:]+)\)").unwrap();
    for found in link.captures_iter(README) {
        assert!(top().join(&found[1]).is_file(), "{} is not there", &found[1]);
    }
    for line in README.lines().filter(|line| !line.starts_with('|') && !line.contains("](https://")) {
        assert!(line.chars().count() <= 100, "over 100 columns: {line}");
    }
}

/// `make test-packaging` runs each such page in a fresh system, which has nothing of mailhatch.
#[test]
fn each_page_whose_commands_are_run_begins_with_the_package() {
    let mut pages = 0;
    for page in fs::read_dir(top().join("docs")).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(&page).unwrap_or_default();
        let Some((before, commands)) = text.split_once("```sh\n") else { continue };
        assert!(!before.contains("```text\n"), "{}: the output of no command", page.display());
        assert!(commands.starts_with("apt-get install --yes ./mailhatch_*.deb"), "{}", page.display());
        pages += 1;
    }
    assert!(pages > 10, "{pages} pages found");
}
