//! The state directory: links where root works, and files that could be locked.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::site::{OTHER, SERVICE, Site, lossy, shell, walk};
use crate::support::config::REPLY_ADDRESS;
use crate::support::needs;

/// Links in the state directory, each planted by the service's user; `$1` is a file of root's, `ID` a held copy.
const LINKS: &[(&str, &str)] = &[
    ("the mark of the last sweep", "ln -sf $1 held/.swept"),
    ("the totals", "ln -sf $1 held/.totals"),
    ("the clock", "ln -sf $1 clock"),
    ("the in-flight locks", "ln -sf $1 claims"),
    ("the ledger", "rm -f ledger.sqlite*; ln -s $1 ledger.sqlite"),
    ("the ledger's log", "rm -f ledger.sqlite-*; ln -s $1 ledger.sqlite-wal"),
    ("the ledger's shared memory", "rm -f ledger.sqlite-*; ln -s $1 ledger.sqlite-shm"),
    ("the message of a copy", "ln -sf $1 held/ID/message.eml"),
    ("the record of a copy", "ln -sf $1 held/ID/held.json"),
    (
        "a copy",
        "mv held/ID copy; cp -r copy ../spool/away; rm -f copy/message.eml; ln -s $1 copy/message.eml; ln -s ../copy held/ID",
    ),
    ("all copies", "mv held copies; ln -s $(dirname $1) held"),
    ("a body", "rm -rf held/.bodies; ln -s $(dirname $1) held/.bodies"),
    (
        "a link that leads nowhere",
        "rm -f claims; ln -s $(dirname $1)/new claims; rm -f held/.swept; ln -s $(dirname $1)/new held/.swept",
    ),
];

#[needs(root)]
#[test]
fn root_follows_no_link_in_the_state_directory() {
    for (name, script) in LINKS {
        for command in ["release", "show", "list", "purge", "check"] {
            let site = Site::new();
            let id = site.hold_one();
            // A copy that is long past its time, so that a purge has something to do behind the link.
            let file = site.root_has(&format!("{id}/message.eml"));
            site.root_has(&format!("{id}/held.json"));
            site.plants(&script.replace("ID", &id), &file);
            let before = walk(site.of_root.path());
            let arguments: &[&str] = match command {
                "check" => &["check"],
                "release" | "show" => &["held", command, &id],
                _ => &["held", command],
            };
            site.root_runs(&format!("{name}, {command}"), arguments);
            assert_eq!(walk(site.of_root.path()), before, "{name}, {command}: files appeared or went");
        }
    }
}

#[needs(root)]
#[test]
fn what_root_does_here_leaves_nothing_that_the_service_could_not_use() {
    let site = Site::new();
    let id = site.hold_one();
    for arguments in
        [&["held", "list"][..], &["held", "purge"], &["held", "release", &id], &["check"], &["held", "show", &id]]
    {
        site.root_runs(&arguments.join(" "), arguments);
    }
    for path in walk(&site.state()) {
        assert_eq!(path.symlink_metadata().unwrap().uid(), SERVICE, "{}", path.display());
    }
    let output = site.pipe(REPLY_ADDRESS);
    assert!(lossy(&output.stdout).starts_with("2.0.0 delivered"), "{output:?}");
}

/// A read lock on the shared memory of the ledger, or on a byte of the claims, would stop all mail.
#[needs(root)]
#[test]
fn a_member_of_the_group_can_open_nothing_that_could_be_locked() {
    let site = Site::new();
    site.hold_one();
    assert!(site.pipe(REPLY_ADDRESS).status.success());
    for made_by_0_1_0 in [false, true] {
        if made_by_0_1_0 {
            for path in walk(&site.state()).into_iter().filter(|path| !path.ends_with("clock")) {
                let mode = if path.is_dir() { 0o750 } else { 0o640 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            // The next message puts it right.
            site.pipe("nobody@example.com");
            assert!(site.pipe("incoming+another-1-abcdef0123456789abcd-issue@gitlab.example.com").status.success());
        }
        for name in ["claims", "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "clock", "held"] {
            let path = site.state().join(name);
            if !path.exists() {
                continue;
            }
            let output = shell(OTHER, SERVICE, Path::new("/"), "test ! -r \"$1\" && test ! -w \"$1\"", &path);
            assert!(output.status.success(), "{name} can be opened by the group (0.1.0: {made_by_0_1_0})");
        }
    }
    for name in ["claims", "ledger.sqlite", "held"] {
        assert!(site.state().join(name).exists(), "{name} was looked at");
    }
}
