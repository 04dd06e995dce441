//! `docs/several-hosts.md` names a test for what it says may happen, and each of them is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/several-hosts.md")).unwrap()
}

/// The names of tests in a text: lower case, in backquotes, of four words or more.
fn names(text: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        !word.starts_with("mailhatch_")
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && word.split('_').filter(|part| !part.is_empty()).count() >= 4
    };
    text.split('`').skip(1).step_by(2).filter(is_name).collect()
}

/// All tests in a folder: the names of functions that follow `#[test]`, or an attribute behind it.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.extend(tests_of(&path));
        }
    }
}

fn tests_of(path: &PathBuf) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let after_mark = text.split("#[test]").skip(1).chain(text.split("#[tokio::test]").skip(1));
    let name = |rest: &str| Some(rest.split_once("fn ")?.1.split_once('(')?.0.to_owned());
    after_mark.filter_map(name).collect()
}

#[test]
fn each_test_that_the_page_names_is_there() {
    let (page, mut there) = (page(), BTreeSet::new());
    for folder in ["tests/shared", "tests/mailbox", "tests/faults", "src/ledger"] {
        tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut there);
    }
    let named = names(&page);
    assert!(named.len() > 20, "{named:#?}");
    let missing: Vec<_> = named.iter().filter(|name| !there.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/several-hosts.md names tests that are not there: {missing:#?}");
}

#[test]
fn whatever_may_happen_has_a_test() {
    let page = page();
    let (_, section) = page.split_once("### What may happen\n").expect("the section");
    let section = section.split_once("\n### ").map_or(section, |(section, _)| section);
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 5, "{rows:#?}");
    for row in rows {
        assert!(!names(row).is_empty(), "no test shows this: {row}");
    }
}
