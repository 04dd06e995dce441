//! What tests need beside the Rust toolchain, and whether it is here: the words of `#[needs(…)]` and `MAILHATCH_REQUIRE`.
//!
//! A part is a word in the third column of the list in `tests/setup.sh` (all its programs must be there), or one of
//! [`OTHERS`]. Read when the tests are compiled, by `tests/needs`, and again when they run: std only.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Comma-separated parts that must be here: a test that needs one of them fails instead of being ignored.
pub const REQUIRE: &str = "MAILHATCH_REQUIRE";

/// The folder of other projects' mail.
pub const CORPUS: &str = "MAILHATCH_CORPUS";

/// What a change of makes another answer possible (USER: root).
pub const VARIABLES: &[&str] = &[REQUIRE, CORPUS, "USER"];

/// The feature of that name: known to the compiler only.
pub const CRASH_POINTS: &str = "crash_points";

/// Gives the reason why a part is missing.
type Look = fn() -> Option<String>;

/// Parts that are not programs.
const OTHERS: &[(&str, Look)] = &[
    (CRASH_POINTS, || None),
    ("corpus", || {
        let is_there = std::env::var_os(CORPUS).is_some_and(|folder| Path::new(&folder).is_dir());
        (!is_there).then(|| format!("{CORPUS} does not name a directory"))
    }),
    ("root", || (!is_root()).then(|| "this user is not root".to_owned())),
    ("mounts", || {
        let mut command = Command::new("unshare");
        command.args([namespace(), "mount", "-t", "tmpfs", "none", "/mnt"]).stdout(Stdio::null()).stderr(Stdio::null());
        let may = command.status().is_ok_and(|status| status.success());
        (!may).then(|| "no file system can be mounted here, not even in a namespace (unshare)".to_owned())
    }),
    ("network_namespaces", || {
        // One name is enough: who comes second finds it there, which shows the same.
        let ip = |command: &str| {
            let mut ip = Command::new("ip");
            ip.args(["netns", command, "mailhatch-probe"]).stdout(Stdio::null()).stderr(Stdio::piped());
            ip.output().map_err(|error| format!("ip: {error} (package iproute2)"))
        };
        let said = |output: std::process::Output| String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match ip("add") {
            Ok(added) if added.status.success() => ip("del").err(),
            Ok(refused) => Some(said(refused)).filter(|said| !said.contains("File exists")),
            Err(missing) => Some(missing),
        }
    }),
    ("interface", || {
        // Nothing is sent to find the machine's own address out.
        let socket = std::net::UdpSocket::bind("0.0.0.0:0");
        let is_there = socket.is_ok_and(|socket| socket.connect("192.0.2.1:9").is_ok());
        (!is_there).then(|| "this machine has no address but loopback".to_owned())
    }),
];

/// Why a part is missing; `None` if it is here.
///
/// # Errors
/// No part has this name.
pub fn missing(part: &str) -> Result<Option<String>, String> {
    if let Some((_, missing)) = OTHERS.iter().find(|(name, _)| *name == part) {
        return Ok(missing());
    }
    let programs: Vec<&str> = programs().filter(|(_, owner)| *owner == part).map(|(program, _)| program).collect();
    if programs.is_empty() {
        return Err(format!("{part} is not the name of a part: tests/setup.sh and tests/support/parts.rs have them"));
    }
    let absent: Vec<&str> = programs.into_iter().filter(|program| find(program).is_none()).collect();
    Ok((!absent.is_empty()).then(|| format!("{} not found (tests/setup.sh installs it)", absent.join(", "))))
}

/// All parts, each once.
pub fn names() -> BTreeSet<&'static str> {
    programs().map(|(_, part)| part).chain(OTHERS.iter().map(|(name, _)| *name)).collect()
}

/// Whether `MAILHATCH_REQUIRE` names it.
pub fn is_required(part: &str) -> bool {
    required().iter().any(|name| name == part)
}

/// What `MAILHATCH_REQUIRE` names.
pub fn required() -> Vec<String> {
    let text = std::env::var(REQUIRE).unwrap_or_default();
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Fails where a part is missing: each `#[needs]` test begins with it.
#[track_caller]
pub fn require(part: &str) {
    match missing(part) {
        Ok(None) => {}
        Ok(Some(missing)) => panic!("this test needs {part}: {missing}"),
        Err(error) => panic!("{error}"),
    }
}

/// The folder of other projects' mail, for a test with `#[needs(corpus)]`.
pub fn corpus() -> PathBuf {
    std::env::var_os(CORPUS).map(PathBuf::from).unwrap_or_default()
}

/// Whether this is root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The option of unshare(1) for a mount namespace: all but root become root in a user namespace too.
pub fn namespace() -> &'static str {
    if is_root() { "-m" } else { "-rm" }
}

/// The program's path; the directories that an administrator's PATH has are looked into too.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut candidates = path.split(':').map(|directory| Path::new(directory).join(program));
    candidates.find(|candidate| candidate.is_file())
}

/// The list in `tests/setup.sh`: a program, and the part that it belongs to.
fn programs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let text = include_str!("../setup.sh");
    let list = text.split_once("<<'PROGRAMS'\n").and_then(|(_, rest)| rest.split_once("\nPROGRAMS\n"));
    list.map_or("", |(list, _)| list).lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.nth(1)?))
    })
}
