//! The spool: its readers may write to it, and are believed in nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::site::{MESSAGE, OTHER, SERVICE, Site, lossy, shell};
use crate::support::config::REPLY_ADDRESS;
use crate::support::needs;
use crate::support::process::Process;

/// The group of the spool's readers; the service's user is not one of them.
const READERS: u32 = 65532;

fn spool(site: &Site) -> PathBuf {
    site.place.path().join("spool")
}

/// A site whose spool is for another group, as the packages make it: set-group-id.
fn site_with_readers(mode: u32) -> Site {
    let site = Site::new();
    chown(spool(&site), Some(SERVICE), Some(READERS)).unwrap();
    fs::set_permissions(spool(&site), fs::Permissions::from_mode(mode)).unwrap();
    site
}

fn reader(site: &Site, script: &str, argument: &Path) {
    let output = shell(OTHER, READERS, &spool(site), script, argument);
    assert!(output.status.success(), "{script}: {output:?}");
}

fn id(site: &Site) -> String {
    let output = site.place.run(&["explain", "--json", &format!("--recipient={REPLY_ADDRESS}"), "-"], MESSAGE);
    let text = lossy(&output.stdout);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["recipients"][0]["id"].as_str().unwrap().to_owned()
}

#[needs(root)]
#[test]
fn an_entry_is_for_the_spools_group_alone() {
    let site = site_with_readers(0o2770);
    let output = site.pipe(REPLY_ADDRESS);
    assert!(lossy(&output.stdout).starts_with("2.0.0 delivered"), "{output:?}");
    let entry = spool(&site).join(id(&site));
    for (path, mode) in [(entry.clone(), 0o770), (entry.join("event.json"), 0o660), (entry.join("message.eml"), 0o660)]
    {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let found = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
        assert_eq!(found, (SERVICE, READERS, mode), "{}", path.display());
    }
    let staging = fs::metadata(spool(&site).join(".staging")).unwrap();
    assert_eq!((staging.uid(), staging.mode() & 0o777), (SERVICE, 0o700));
    reader(&site, "rm -r \"$1\"", &entry);
}

#[needs(root)]
#[test]
fn what_cannot_be_given_to_the_spools_group_stays_with_the_mta() {
    let site = site_with_readers(0o770);
    let output = site.pipe(REPLY_ADDRESS);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(lossy(&output.stderr).contains("chmod g+s"), "{output:?}");
    assert!(site.place.spooled().is_empty());
}

/// It is long enough in the writing for a reader to do something meanwhile.
#[needs(root)]
#[test]
fn a_reader_cannot_swap_what_is_being_written() {
    let site = site_with_readers(0o2770);
    let script = "while test ! -e stop; do for t in .tmp-* .staging/.tmp-*; do \
                  if test -d \"$t\" && mv \"$t\" stolen; then ln -s \"$1\" \"$t\"; fi; done; done";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(site.state()).current_dir(spool(&site)).uid(OTHER).gid(READERS);
    let mut swapping = Process::start(command.stderr(Stdio::null()));
    let message =
        [MESSAGE, &b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\r\n".repeat(500_000)].concat();
    let output = site.pipe_message(REPLY_ADDRESS, &message);
    fs::write(spool(&site).join("stop"), "").unwrap();
    swapping.wait();
    assert_eq!(fs::metadata(site.state()).unwrap().mode() & 0o777, 0o750, "its rights were changed: {output:?}");
    assert!(lossy(&output.stdout).starts_with("2.0.0 delivered"), "{output:?}");
    let name = site.place.spooled().into_iter().find(|name| name.len() == 32).expect("an entry");
    assert_eq!(fs::metadata(spool(&site).join(name).join("message.eml")).unwrap().len(), message.len() as u64);
}

#[needs(root)]
#[test]
fn what_a_reader_puts_in_the_place_of_the_staging_directory_gets_nothing() {
    let rows = [
        ("a link", "ln -s \"$1\" .staging", true),
        ("a link that leads nowhere", "ln -s \"$1/none\" .staging", true),
        ("an empty directory", "mkdir -m 777 .staging", true),
        ("a file", "touch .staging", true),
        ("a directory with something in it", "mkdir -m 777 .staging; touch .staging/mine", true),
        ("one that we cannot empty", "mkdir -m 755 .staging; touch .staging/mine", false),
    ];
    for (name, script, is_put_right) in rows {
        let site = site_with_readers(0o2770);
        reader(&site, script, &site.state());
        let before = fs::read_dir(site.state()).unwrap().count();
        let output = site.pipe(REPLY_ADDRESS);
        if is_put_right {
            assert!(lossy(&output.stdout).starts_with("2.0.0 delivered"), "{name}: {output:?}");
            let staging = fs::symlink_metadata(spool(&site).join(".staging")).unwrap();
            assert!(staging.is_dir() && staging.uid() == SERVICE, "{name}");
        } else {
            assert!(lossy(&output.stdout).starts_with("4.3.5 deferred: app"), "{name}: {output:?}");
            assert!(lossy(&output.stderr).contains("remove") && lossy(&output.stderr).contains(".staging"), "{name}");
            assert!(site.place.spooled().is_empty(), "{name}");
        }
        let foreign: Vec<_> = fs::read_dir(site.state())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(".tmp-"))
            .collect();
        assert!(foreign.is_empty() && before == 0, "{name}: {foreign:?}");
    }
}

/// Who could make us believe that an entry is there could have a message thrown away.
#[needs(root)]
#[test]
fn an_entry_that_a_reader_forged_is_not_taken_for_a_delivery() {
    for (name, script) in [
        ("an empty directory", "mkdir ID"),
        ("a directory with the files", "mkdir ID; touch ID/message.eml ID/event.json"),
        ("a link", "ln -s / ID"),
        ("a file", "touch ID"),
    ] {
        let site = site_with_readers(0o2770);
        reader(&site, &script.replace("ID", &id(&site)), Path::new("/"));
        let output = site.pipe(REPLY_ADDRESS);
        assert!(lossy(&output.stdout).starts_with("4.3.5 deferred: app"), "{name}: {output:?}");
        assert!(lossy(&output.stderr).contains("it is not ours"), "{name}: {output:?}");
    }
}
