//! What the tests need, and what `MAILHATCH_REQUIRE` says must be here.

mod readme;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::parts::{REQUIRE, missing, names, required};

#[test]
fn what_is_required_is_here() {
    for part in required() {
        assert_eq!(missing(&part), Ok(None), "{REQUIRE} names {part}");
    }
}

#[test]
fn the_list_of_setup_sh_is_read() {
    for part in ["dovecot", "opendkim", "openssl", "postfix", "prometheus", "python3", "root", "corpus", "mounts"] {
        assert!(names().contains(part) && missing(part).is_ok(), "{part}");
    }
    assert!(missing("opendkim-tools").is_err(), "a package is not a part");
}

#[test]
fn ci_requires_every_part() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run")).unwrap();
    let lines =
        text.lines().filter_map(|line| line.trim().trim_start_matches("export ").strip_prefix("MAILHATCH_REQUIRE"));
    let required: BTreeSet<&str> =
        lines.flat_map(|line| line.trim_start_matches(['+', '=']).split(',')).filter(|name| !name.is_empty()).collect();
    assert_eq!(required, names(), ".ci/run on the left, tests/setup.sh and tests/support/parts.rs on the right");
}

/// What a test must not do itself: such a wait has no end, such a test passes without testing or counts its children.
const NOT_BY_HAND: &[(&str, &str)] = &[
    (
        ".spawn()",
        "start a program with support::process::Process: it is killed with the test, and waits for it have an end",
    ),
    (".output()", "run a program with support::process::run or run_with_input"),
    (".status()", "run a program with support::process::run or run_with_input"),
    (".wait_with_output(", "use support::process::Process::into_output"),
    ("current_exe(", "give the child a program of its own, as tests/ledger/process.rs"),
    ("MAILHATCH_CORPUS\")", "use support::parts::corpus in a test with #[needs(corpus)]"),
];

#[test]
fn no_test_waits_without_an_end_or_looks_by_itself_what_is_here() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !is_the_place_for_it(&path) {
                let text = fs::read_to_string(&path).unwrap();
                for (number, line) in text.lines().enumerate() {
                    let by_hand = NOT_BY_HAND.iter().filter(|(words, _)| line.contains(words));
                    found.extend(
                        by_hand.map(|(words, better)| format!("{}:{}: {words}: {better}", path.display(), number + 1)),
                    );
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn is_the_place_for_it(path: &Path) -> bool {
    ["support/process.rs", "support/parts.rs", "requirements/mod.rs"].iter().any(|place| path.ends_with(place))
}
