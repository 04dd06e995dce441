//! A process that is killed while it keeps a copy: the next try keeps it, once and whole, and nothing is left over.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::time::SystemTime;

use super::DAY;
use super::bodies::taken;
use crate::support::config::{BASE, SPOOL};
use crate::support::needs;
use crate::support::service::Place;

/// Each moment, and how many bodies there are when it is over.
const POINTS: [&str; 5] = ["copy-counted", "body-written", "copy-written", "copy-named", "copy-held"];

fn pipe(place: &Place, recipient: &str, crash: &str) -> Output {
    let text = "0123456789".repeat(50_000);
    let message = format!("From: jane@example.org\r\nMessage-ID: <1@example.org>\r\n\r\n{text}\r\n");
    let recipient = format!("--recipient={recipient}");
    place.run_with(
        &["pipe", "--sender=jane@example.org", &recipient],
        message.as_bytes(),
        &[("MAILHATCH_CRASH", crash)],
    )
}

#[needs(crash_points)]
#[test]
fn the_next_try_keeps_it_once_and_whole() {
    for point in POINTS {
        let place = Place::new(&format!("{BASE}{SPOOL}[held]\nmax_size = \"2MiB\"\n"));
        // The first recipient's copy, whose body the second one shares or not.
        for (recipient, bodies) in [("one@example.com", 1), ("two@example.com", 1)] {
            let killed = pipe(&place, recipient, point);
            let was_killed = killed.status.signal() == Some(9);
            // A body that is there is not written again.
            assert!(was_killed || (point == "body-written" && recipient.starts_with("two")), "{point}: {killed:?}");
            let again = pipe(&place, recipient, "");
            assert!(again.status.success(), "{point} {recipient}: {again:?}");
            let inodes: std::collections::HashSet<_> = place
                .held()
                .iter()
                .map(|id| fs::metadata(place.path().join("state/held").join(id).join("message.eml")).unwrap().ino())
                .collect();
            assert_eq!(inodes.len(), bodies, "{point} {recipient}");
        }
        let held = place.path().join("state/held");
        assert_eq!(place.held().len(), 2, "{point}");
        for id in place.held() {
            let raw = place.run(&["held", "show", "--raw", &id], b"");
            assert!(raw.stdout.ends_with(b"0123456789\r\n") && raw.stdout.len() > 500_000, "{point} {id}");
        }
        // What was left behind goes when it is old enough that nobody can be at it.
        for entry in fs::read_dir(&held).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with(".tmp-") {
                fs::File::open(entry.path()).unwrap().set_modified(SystemTime::now() - DAY).unwrap();
            }
        }
        let purged = place.run(&["held", "purge"], b"");
        assert!(String::from_utf8_lossy(&purged.stdout).starts_with("removed 0, kept 2"), "{point}: {purged:?}");
        assert!(taken(&held) < 700_000, "{point}: {} octets are left", taken(&held));
    }
}
