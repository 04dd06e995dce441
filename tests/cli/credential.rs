//! `mailhatch credential` with the real `systemd-creds`, on a host of the test's own.

use crate::support::credential_host::{CALLS, Host, SECRET, said, traced};
use crate::support::needs;
use crate::support::place::MAILHATCH;
use crate::support::process::{run, run_with_input};

/// An application whose secret is a credential.
const CONFIG: &str = r#"
hostname = "mx.example.com"
state_dir = "{dir}/state"
[[app]]
name = "tickets"
kind = "webhook"
url = "http://127.0.0.1:9/"
credential = "tickets"
[[mailbox]]
name = "support"
address = "support+%{key}@example.com"
app = "tickets"
"#;

/// The secret of a webhook: it is one only with a credential, which is TOML.
const WEBHOOK_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[needs(root, mounts, systemd_creds)]
#[test]
fn a_credential_is_made_shown_listed_changed_and_removed() {
    let host = Host::new(CONFIG);
    let toml = format!("user = \"incoming@example.com\"\npassword = \"{SECRET}\"\n");
    let text = host.set("gitlab", &toml);
    assert!(text.contains("/etc/credstore.encrypted/mailhatch.gitlab holds user, password"), "{text}");
    assert!(text.contains("systemctl restart mailhatch-fetch.service"), "{text}");
    assert!(!text.contains("mailhatch.service"), "serve needs no password of a mailbox: {text}");
    let drop_in = host.etc("systemd/system/mailhatch-fetch.service.d/credential-gitlab.conf").expect("a drop-in");
    assert!(
        drop_in.contains(
            "[Service]\nLoadCredentialEncrypted=mailhatch.gitlab:/etc/credstore.encrypted/mailhatch.gitlab\n"
        ),
        "{drop_in}"
    );
    assert!(!host.etc("credstore.encrypted/mailhatch.gitlab").expect("a file").contains(SECRET));

    let shown = said(run(&mut host.mailhatch(&["credential", "show", "gitlab"])), true);
    assert_eq!(
        shown,
        "name      gitlab\nuser      incoming@example.com\nfields    user, password\nservices  mailhatch-fetch.service\n"
    );
    said(host.edit("gitlab", "sed -i s/incoming/other/ \"$1\""), true);
    let shown = said(run(&mut host.mailhatch(&["credential", "show", "gitlab"])), true);
    assert!(shown.contains("other@example.com") && shown.contains("user, password"), "{shown}");
    assert!(said(host.edit("gitlab", "true"), true).contains("is as it was"));

    host.set("second", "client_secret = \"x\"");
    assert_eq!(said(run(&mut host.mailhatch(&["credential", "list"])), true), "gitlab\nsecond\n");
    said(run(&mut host.mailhatch(&["credential", "remove", "gitlab"])), true);
    assert_eq!(said(run(&mut host.mailhatch(&["credential", "list"])), true), "second\n");
    assert_eq!(host.etc("systemd/system/mailhatch-fetch.service.d/credential-gitlab.conf"), None);
    for arguments in [["credential", "remove", "gitlab"], ["credential", "show", "gitlab"]] {
        assert!(said(run(&mut host.mailhatch(&arguments)), false).contains("no credential with the name \"gitlab\""));
    }
}

#[needs(root, mounts, systemd_creds)]
#[test]
fn what_cannot_be_a_credential_changes_nothing() {
    let host = Host::new(CONFIG);
    host.set("gitlab", &format!("password = \"{SECRET}\""));
    let before = host.etc("credstore.encrypted/mailhatch.gitlab");
    let edits: &[(&str, &str, &str)] = &[
        ("no TOML", "echo nonsense >>\"$1\"", "line 2 is not valid TOML"),
        ("an unknown field", "echo x=1 >\"$1\"", "line 1"),
        ("empty", ": >\"$1\"", "neither a password"),
        ("the editor fails", "echo >\"$1\"; exit 1", "failed"),
        ("the file is gone", "rm \"$1\"", "the editor's file"),
    ];
    for (name, editor, expected) in edits {
        let text = said(host.edit("gitlab", editor), false);
        assert!(text.contains(expected) && text.contains("nothing was changed"), "{name}: {text}");
        assert_eq!(host.etc("credstore.encrypted/mailhatch.gitlab"), before, "{name}");
    }
    for name in ["../gitlab", "a/b", "a.b", "", "a b", ".."] {
        for action in ["set", "edit", "show", "remove"] {
            let output = run(&mut host.mailhatch(&["credential", action, name]));
            assert_eq!(output.status.code(), Some(2), "{action} {name}");
        }
    }
    assert_eq!(said(run(&mut host.mailhatch(&["credential", "list"])), true), "gitlab\n");
}

#[needs(root, mounts, systemd_creds)]
#[test]
fn no_plain_text_is_written_where_run_is_on_a_disk() {
    let host = Host::new(CONFIG);
    host.set("gitlab", &format!("password = \"{SECRET}\""));
    let script = "mount --bind $host/run /run; exec \"$@\"";
    let config = host.place.config();
    let inner =
        ["sh", "-c", script, "sh", MAILHATCH, "--config", config.to_str().unwrap(), "credential", "edit", "gitlab"];
    let text = said(run(host.command(&inner).env("EDITOR", "touch $host/edited")), false);
    assert!(text.contains("/run is not in memory"), "{text}");
    assert!(!host.disk.path().join("edited").exists(), "the editor was started");
    assert_eq!(std::fs::read_dir(host.disk.path().join("run")).unwrap().count(), 0);
}

#[needs(root, mounts, strace, systemd_creds)]
#[test]
fn plain_text_reaches_memory_and_pipes_alone() {
    let host = Host::new(CONFIG);
    host.set("gitlab", "password = \"first\"");
    let trace = host.place.path().join("trace");
    let config = host.place.config();
    let command = [
        "strace",
        "-f",
        "-y",
        "-v",
        "-s",
        "100000",
        CALLS,
        "-o",
        trace.to_str().unwrap(),
        MAILHATCH,
        "--config",
        config.to_str().unwrap(),
        "credential",
        "edit",
        "gitlab",
    ];
    // The editor writes the secret, and remembers it as editors do.
    let password = format!("s/first/{SECRET}/");
    let (script, sed) = (host.place.path().join("editor"), host.place.path().join("script"));
    std::fs::write(&sed, password).unwrap();
    std::fs::write(&script, format!("#!/bin/sh\nsed -i -f {} \"$1\"\ncp \"$1\" ~/.viminfo\n", sed.display())).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    said(run(host.command(&command).env("EDITOR", &script)), true);
    let lines = traced(&trace, SECRET);
    // The test's own script for sed is read, not written, by what is traced.
    let is_in_memory = |line: &String| {
        let descriptor = line.split_once('<').map_or("", |(_, rest)| rest);
        let calls = ["write(", "pwrite64(", "writev(", "copy_file_range(", "sendto("];
        calls.iter().any(|call| line.contains(call))
            && (descriptor.starts_with("/run/mailhatch-credential-") || descriptor.starts_with("pipe:"))
    };
    let elsewhere: Vec<_> = lines.iter().filter(|line| !is_in_memory(line)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    assert!(
        lines.iter().any(|line| line.contains("</run/mailhatch-credential-")),
        "the editor wrote nothing: {lines:?}"
    );
    assert!(lines.iter().any(|line| line.contains("<pipe:")), "systemd-creds got nothing: {lines:?}");
}

#[needs(root, mounts, systemd_creds)]
#[test]
fn an_application_takes_its_secret_from_a_credential() {
    let host = Host::new(CONFIG);
    let explain = |host: &Host| {
        let message = b"From: jane@example.org\r\nTo: support+key@example.com\r\n\r\nHello\r\n";
        run_with_input(&mut host.mailhatch(&["explain", "--recipient=support+key@example.com", "-"]), message)
    };
    let text = said(explain(&host), false);
    assert!(text.contains("credential \"tickets\" was not handed over") && text.contains("mailhatch.toml:8"), "{text}");

    let text = host.set("tickets", &format!("password = \"{WEBHOOK_SECRET}\""));
    assert!(text.contains("restart mailhatch.service") && text.contains("restart mailhatch-fetch.service"), "{text}");
    // Root opens it itself.
    assert!(said(explain(&host), true).contains("verdict delivered"));

    // The service manager hands it over in a directory, decrypted; then there is no need for root.
    let handed = host.place.path().join("handed");
    std::fs::create_dir(&handed).unwrap();
    let rows: &[(&str, &str, bool)] = &[
        ("mailhatch.tickets", WEBHOOK_SECRET, true),
        ("tickets", WEBHOOK_SECRET, true),
        ("mailhatch.tickets", "not a secret of a webhook", false),
    ];
    for (file, secret, good) in rows {
        let path = handed.join(file);
        std::fs::write(&path, format!("password = \"{secret}\"")).unwrap();
        let message = b"From: jane@example.org\r\n\r\nHello\r\n";
        let arguments = ["explain", "--recipient=support+key@example.com", "-"];
        let output = host.place.run_with(&arguments, message, &[("CREDENTIALS_DIRECTORY", handed.to_str().unwrap())]);
        said(output, *good);
        std::fs::remove_file(&path).unwrap();
    }
}

#[needs(root, mounts, python3, systemd_creds)]
#[test]
fn nothing_that_is_typed_is_shown() {
    let host = Host::new(CONFIG);
    let at_terminal = |lines: &[&str]| {
        let config = host.place.config();
        let terminal = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/terminal.py");
        let mut command = vec!["python3", terminal];
        command.extend(lines);
        command.extend(["--", MAILHATCH, "--config", config.to_str().unwrap(), "credential", "set", "typed"]);
        said(run(&mut host.command(&command)), true)
    };
    let text = at_terminal(&["incoming@example.com", SECRET, "^C"]);
    assert!(text.contains("nothing was changed") && text.contains("status=1 echo=True"), "{text}");
    assert_eq!(host.etc("credstore.encrypted/mailhatch.typed"), None);

    let text = at_terminal(&["incoming@example.com", SECRET, "", ""]);
    assert!(text.contains("incoming@example.com") && text.contains("status=0 echo=True"), "{text}");
    let shown = said(run(&mut host.mailhatch(&["credential", "show", "typed"])), true);
    assert!(shown.contains("fields    user, password\n"), "{shown}");
}
