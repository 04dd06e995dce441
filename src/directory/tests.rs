use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;

use super::*;

fn open(base: &tempfile::TempDir) -> Directory {
    Directory::open(base.path()).expect("directory")
}

#[test]
fn no_link_is_followed() {
    let (base, elsewhere) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    fs::write(elsewhere.path().join("file"), "elsewhere").expect("file");
    symlink(elsewhere.path().join("file"), base.path().join("link")).expect("link");
    symlink(elsewhere.path(), base.path().join("tree")).expect("link");
    symlink(elsewhere.path().join("new"), base.path().join("dangling")).expect("link");
    let directory = open(&base);
    for name in ["link", "dangling"] {
        for opened in [directory.file(name), directory.file_or_new(name, 0o600), directory.new_file(name, 0o600)] {
            opened.expect_err(name);
        }
    }
    directory.set_mode_of("link", 0o777).expect_err("a mode through a link");
    for opened in [directory.directory("tree"), directory.directory_or_new("tree", 0o700)] {
        opened.expect_err("a directory through a link");
    }
    assert_eq!(directory.find("tree").expect("found").map(|entry| entry.kind), Some(Kind::Other));
    for name in ["tree", "link", "dangling"] {
        directory.remove_tree(name).expect("the link itself");
    }
    assert_eq!(fs::read_dir(elsewhere.path()).expect("list").count(), 1, "what they led to is there");
}

#[test]
fn no_name_leads_out() {
    let base = tempfile::tempdir().expect("directory");
    fs::create_dir(base.path().join("in")).expect("directory");
    fs::write(base.path().join("out"), "").expect("file");
    let directory = open(&base).directory("in").expect("directory");
    for name in ["", ".", "..", "../out", "/etc/passwd", "a/b", "a\0b"] {
        directory.file(name).expect_err(name);
        directory.find(name).expect_err(name);
        directory.remove_tree(name).expect_err(name);
    }
    assert!(base.path().join("out").exists());
}

#[test]
fn a_pipe_is_not_waited_for() {
    let base = tempfile::tempdir().expect("directory");
    nix::unistd::mkfifo(&base.path().join("pipe"), Mode::S_IRWXU).expect("pipe");
    open(&base).file("pipe").expect_err("not a file");
    open(&base).file_or_new("pipe", 0o600).expect_err("not a file");
}

#[test]
fn what_is_temporary_goes_or_gets_its_name() {
    let base = tempfile::tempdir().expect("directory");
    let directory = open(&base);
    for keep in [false, true] {
        let temporary = directory.temporary().expect("temporary");
        temporary.directory().new_file("file", 0o640).expect("file").write_all(b"text").expect("written");
        if keep {
            temporary.persist(&directory, "kept").expect("renamed");
        }
    }
    assert_eq!(directory.names().expect("names"), ["kept"]);
    let kept = directory.directory("kept").expect("directory");
    let mut text = String::new();
    kept.file("file").expect("file").read_to_string(&mut text).expect("read");
    let entry = kept.find("file").expect("found").expect("there");
    assert_eq!((text.as_str(), entry.kind, entry.mode, entry.size, entry.links), ("text", Kind::File, 0o640, 4, 1));
    directory.remove_tree("kept").expect("removed");
    assert!(directory.names().expect("names").is_empty());
}

#[test]
fn a_tree_that_is_not_ours_is_not_followed_down_for_ever() {
    let base = tempfile::tempdir().expect("directory");
    fs::create_dir_all(base.path().join("a/b/c/d/e/f/g/h/i/j")).expect("directories");
    open(&base).remove_tree("a").expect_err("too deep");
    fs::create_dir_all(base.path().join("b/c/d")).expect("directories");
    open(&base).remove_tree("b").expect("removed");
}
