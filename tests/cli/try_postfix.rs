//! `make try-postfix`: mailhatch behind a private Postfix, for somebody who looks.

use std::path::Path;
use std::process::Command;

use crate::support::needs;
use crate::support::parts::namespace;
use crate::support::process::{run, succeed};
use crate::support::service::MAILHATCH;

fn script() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/try-postfix")
}

#[needs(postfix, root)]
#[test]
fn the_log_line_of_postfix_stands_beside_ours() {
    let output = succeed(Command::new(script()).arg(MAILHATCH));
    // Long lines are folded.
    let text = String::from_utf8(output.stdout).unwrap().replace("\n      ", " ");
    let mails: Vec<&str> = text.split("\n\n").filter(|part| part.contains("postfix/lmtp: ")).collect();
    let verdicts = ["delivered", "ignored", "rejected", "deferred", "delivered"];
    assert_eq!(mails.len(), verdicts.len(), "{text}");
    for (mail, verdict) in mails.into_iter().zip(verdicts) {
        let lines: Vec<&str> = mail.lines().skip(1).collect();
        let (_, theirs) = lines[0].split_once("postfix/lmtp: ").unwrap();
        let (queue_id, theirs) = theirs.split_once(": to=<").unwrap();
        if verdict == "deferred" {
            // mailhatch was stopped: Postfix alone knows of it.
            assert!(theirs.contains("status=deferred (connect to ") && lines.len() == 1, "{mail}");
            continue;
        }
        assert!(theirs.contains(&format!("status=sent (250 2.0.0 {verdict}: ")), "{mail}");
        let ours = lines[1].strip_prefix("  mailhatch: ").unwrap();
        assert!(
            ours.contains(&format!("queue_id={queue_id} ")) && ours.contains(&format!("verdict={verdict} ")),
            "{mail}"
        );
    }
    assert!(text.contains("The queue of Postfix: Mail queue is empty."), "{text}");
    assert_eq!(text.matches("/event.json").count(), 2, "{text}");
    // The script says where it worked; nothing of it is left.
    let (_, place) = text.split_once("Changes in ").unwrap();
    let place = Path::new(place.split_once("/etc:").unwrap().0);
    assert!(place.starts_with("/tmp") && !place.exists(), "{place:?}");
}

#[needs(mounts)]
#[test]
fn without_postfix_it_says_in_one_line_what_to_install() {
    let hide = "mount -t tmpfs none /usr/sbin && exec \"$0\" \"$1\"";
    let output = run(Command::new("unshare")
        .args([namespace(), "sh", "-c", hide])
        .arg(script())
        .arg(MAILHATCH)
        .env("PATH", "/usr/bin"));
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().count() == 1 && said.contains("apt-get install --no-install-recommends postfix"), "{said}");
}
