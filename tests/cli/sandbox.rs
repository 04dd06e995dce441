//! What a process that handles mail may not do, seen from outside.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::config::{BASE, REPLY_ADDRESS, SPOOL};
use crate::support::needs;
use crate::support::process::Process;
use crate::support::service::{Place, Service};
use crate::support::wait::{wait_for_or, wait_until};

const MESSAGE: &[u8] = b"From: jane@example.org\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n";
const SENDER: &str = "jane@example.org";

fn place() -> Place {
    Place::new(&format!("{BASE}{SPOOL}"))
}

/// Its own temporary directory is within the sandbox: not that of the test.
fn environment(place: &Place) -> [(&'static str, String); 1] {
    [("TMPDIR", place.path().display().to_string())]
}

fn serve(place: Place) -> Service {
    let environment = environment(&place);
    Service::start_in(place, &environment.each_ref().map(|(name, value)| (*name, value.as_str())))
}

/// Waits until the log holds a line, and gives it.
fn logged(service: &Service, text: &str) -> String {
    let look = || service.log().lines().find(|line| line.contains(text)).map(str::to_owned);
    wait_for_or(&format!("{text:?} in the log"), look, || service.log())
}

/// A field of /proc/PID/status of each thread.
fn of_each_thread(process: u32, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let status = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap_or_default());
    let value = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    status.filter_map(value).collect()
}

fn swap_for_a_link(spool: &Path, elsewhere: &TempDir) {
    fs::rename(spool, spool.with_extension("away")).unwrap();
    symlink(elsewhere.path(), spool).unwrap();
}

fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn serve_writes_nowhere_but_in_its_places() {
    let service = serve(place());
    let line = logged(&service, "sandbox: ");
    assert!(line.contains("sandbox: writes only below "), "this needs a kernel with Landlock: {line}");
    let spool = service.place.path().join("spool");
    let elsewhere = tempfile::tempdir().unwrap();
    swap_for_a_link(&spool, &elsewhere);
    let reply = service.lmtp().send(SENDER, &[REPLY_ADDRESS], MESSAGE).remove(0);
    assert!(reply.starts_with("451 4.3.5 deferred: app (the message cannot be stored"), "{reply}");
    assert_eq!(entries(elsewhere.path()), 0);
    // A spool that was removed and made again is still the spool.
    fs::remove_file(&spool).unwrap();
    fs::create_dir(&spool).unwrap();
    let reply = service.lmtp().send(SENDER, &[REPLY_ADDRESS], MESSAGE).remove(0);
    assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
}

#[test]
fn pipe_writes_nowhere_but_in_its_places() {
    let place = place();
    let mut command = place.command(&["pipe", &format!("--sender={SENDER}"), &format!("--recipient={REPLY_ADDRESS}")]);
    command.envs(environment(&place)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process::start(&mut command);
    // The sandbox stands before the message is read. 2: filtered.
    wait_until("a filter of system calls", || {
        let modes = of_each_thread(process.id(), "Seccomp");
        !modes.is_empty() && modes.iter().all(|mode| mode == "2")
    });
    let elsewhere = tempfile::tempdir().unwrap();
    swap_for_a_link(&place.path().join("spool"), &elsewhere);
    process.stdin().write_all(MESSAGE).unwrap();
    let output = process.into_output();
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(75), "{line}");
    assert!(line.starts_with("4.3.5 deferred: app (the message cannot be stored"), "{line}");
    assert_eq!(entries(elsewhere.path()), 0);
}

#[test]
fn no_thread_of_serve_gains_rights_or_starts_programs() {
    let service = serve(place());
    logged(&service, "is ready");
    for (field, want) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
        let values = of_each_thread(service.id(), field);
        assert!(values.len() > 1 && values.iter().all(|value| value == want), "{field}: {values:?}");
    }
}

#[test]
fn a_new_configuration_cannot_leave_the_sandbox() {
    let service = serve(place());
    logged(&service, "is ready");
    let elsewhere = tempfile::tempdir().unwrap();
    let outside = elsewhere.path().join("in/spool");
    fs::create_dir_all(&outside).unwrap();
    let text = format!("{BASE}{SPOOL}").replace("{dir}/spool", outside.to_str().unwrap());
    service.place.configure(&text);
    service.signal("HUP");
    let line = logged(&service, "the old configuration stays in force");
    assert!(line.contains("lies outside of what this process may write to since it started: restart"), "{line}");
    let reply = service.lmtp().send(SENDER, &[REPLY_ADDRESS], MESSAGE).remove(0);
    assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
    assert_eq!((service.place.spooled().len(), entries(&outside)), (1, 0));
}

#[needs(root)]
#[test]
fn serve_that_began_as_root_becomes_the_owner_of_its_state() {
    const NOBODY: u32 = 65534;
    let place = place();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(place.path().join("state")).unwrap();
    for name in ["state", "spool"] {
        chown(place.path().join(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let service = serve(place);
    let line = logged(&service, "began as root");
    assert!(line.contains("goes on as nobody"), "{line}");
    logged(&service, "is ready");
    let reply = service.lmtp().send(SENDER, &[REPLY_ADDRESS], MESSAGE).remove(0);
    assert!(reply.starts_with("250 2.0.0 delivered"), "{reply}");
    for field in ["Uid", "Gid"] {
        let values = of_each_thread(service.id(), field);
        assert!(values.len() > 1 && values.iter().all(|ids| ids == "65534 65534 65534 65534"), "{field}: {values:?}");
    }
    let id = &service.place.spooled()[0];
    for written in ["state/ledger.sqlite".to_owned(), format!("spool/{id}/message.eml")] {
        assert_eq!(fs::metadata(service.place.path().join(&written)).unwrap().uid(), NOBODY, "{written}");
    }
}
