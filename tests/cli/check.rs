//! `mailhatch check` on a healthy site, and on one broken in every way.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

use super::site::Site;
use crate::support::http_server::Fault as AppFault;
use crate::support::name_server::{Fault, Zone};
use crate::support::needs;
use crate::support::parts::missing;

/// What is broken, and what must be said of it.
struct Row {
    name: &'static str,
    damage: fn(&mut Site),
    /// The beginning of the line, and a part of its text.
    line: (&'static str, &'static str),
    status: i32,
}

fn row(name: &'static str, damage: fn(&mut Site), level_and_part: &'static str, text: &'static str) -> Row {
    let status = i32::from(level_and_part.starts_with("failed"));
    Row { name, damage, line: (level_and_part, text), status }
}

/// Blanks between the columns count as one.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every output of a run, for people to read.
fn transcript(name: &str, output: &str) {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("check-output.txt");
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    write!(file, "## {name}\n{output}\n").unwrap();
}

#[test]
fn a_healthy_site_has_nothing_to_say() {
    let site = Site::healthy();
    let (status, output) = site.check();
    transcript("healthy", &output);
    assert_eq!(status, 0, "{output}");
    assert!(!output.contains("\nwarning") && !output.contains("\nfailed"), "{output}");
    let parts =
        ["user", "configuration", "secret gitlab", "application gitlab", "dns ", "ledger", "held", "lmtp socket"];
    for part in parts.into_iter().chain(["metrics socket"]) {
        assert!(output.lines().any(|line| line.starts_with(&format!("ok       {part}"))), "{part}: {output}");
    }
    if missing("postfix") == Ok(None) {
        for part in ["postfix incoming_email", "postfix mailhatch-lmtp", "postfix size", "postfix queue lifetime"] {
            assert!(output.lines().any(|line| line.starts_with(&format!("ok       {part}"))), "{part}: {output}");
        }
    } else {
        assert!(output.contains("skipped: Postfix is not installed here"), "{output}");
    }
    let requests = site.gitlab.requests();
    assert!(requests.iter().all(|request| request.body.is_empty()), "nothing is handed over");
    assert_eq!(requests.len(), 1);
    assert!(output.contains(" 0 copies, "), "nothing is kept: {output}");
}

#[test]
fn what_is_broken_is_named_with_what_to_do() {
    assert_named(rooms());
}

#[needs(postfix)]
#[test]
fn what_is_broken_in_postfix_is_named_with_what_to_do() {
    assert_named(postfix());
}

fn assert_named(rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for row in rows {
        let mut site = Site::healthy();
        (row.damage)(&mut site);
        let (status, output) = site.check();
        transcript(row.name, &output);
        let (start, text) = row.line;
        let found = output.lines().map(squeezed).any(|line| line.starts_with(start) && line.contains(text));
        if !found || status != row.status {
            wrong.push(format!("{}: status {status}, and is \"{start} … {text}\" in\n{output}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_configuration_that_cannot_be_read_ends_in_2() {
    let site = Site::healthy();
    for (name, from, to) in [
        ("an unknown key", "hostname =", "hostnam ="),
        ("an app that is not there", "app = \"gitlab\"", "app = \"gitlub\""),
        ("a key behind the domain", "incoming+%{key}@mail.example.com", "incoming@%{key}.example.com"),
    ] {
        let before = fs::read_to_string(site.path("mailhatch.toml")).unwrap();
        site.edit("mailhatch.toml", from, to);
        let (status, output) = site.check();
        transcript(name, &output);
        assert_eq!(status, 2, "{name}: {output}");
        assert!(output.contains("mailhatch.toml:"), "{name}: the line is shown: {output}");
        fs::write(site.path("mailhatch.toml"), before).unwrap();
    }
}

fn rooms() -> Vec<Row> {
    vec![
        row(
            "a secret open to others",
            |site| {
                let mode = fs::Permissions::from_mode(0o644);
                fs::set_permissions(site.path("gitlab.secret"), mode).unwrap();
            },
            "failed secret gitlab",
            "run chmod o=",
        ),
        row(
            "no secret",
            |site| fs::remove_file(site.path("gitlab.secret")).unwrap(),
            "failed secret gitlab",
            "No such file",
        ),
        row(
            "a secret that GitLab does not take",
            |site| fs::write(site.path("gitlab.secret"), "hush").unwrap(),
            "failed applications",
            "secret",
        ),
        row(
            "GitLab refuses the token",
            |site| site.gitlab.fault(Some(AppFault::Status(401))),
            "failed application gitlab",
            "incoming e-mail is not enabled",
        ),
        row(
            "GitLab is away",
            |site| site.gitlab.fault(Some(AppFault::Status(502))),
            "failed application gitlab",
            "502",
        ),
        row(
            "a login page in GitLab's place",
            |site| site.gitlab.fault(Some(AppFault::LoginPage)),
            "failed application gitlab",
            "",
        ),
        row(
            "GitLab's clock is a minute behind",
            |site| site.gitlab_clock.store(-60, Ordering::Relaxed),
            "failed application gitlab",
            "60 s ahead of GitLab's",
        ),
        row(
            "GitLab's clock is ten minutes ahead",
            |site| site.gitlab_clock.store(600, Ordering::Relaxed),
            "failed application gitlab",
            "behind GitLab's",
        ),
        row(
            "a name server that refuses",
            |site| site.dns.set_zone(Zone::new().fault("mx.example.com", Fault::Refused)),
            "failed dns",
            "without DNS no sender is proven",
        ),
        row(
            "a name server that is silent",
            |site| {
                let silent = Box::leak(Box::new(UdpSocket::bind("127.0.0.1:0").unwrap()));
                let (live, dead) = (site.dns.address().to_string(), silent.local_addr().unwrap().to_string());
                site.edit("mailhatch.toml", &live, &dead);
            },
            "failed dns",
            "gives no answer",
        ),
        row(
            "no state directory",
            |site| site.edit("mailhatch.toml", "/state\"", "/nowhere\""),
            "failed user",
            "install -d -o mailhatch",
        ),
        row(
            "a ledger that is none",
            |site| {
                fs::create_dir(site.path("other")).unwrap();
                fs::write(site.path("other/ledger.sqlite"), "this is no database, however long it may be ".repeat(100))
                    .unwrap();
                site.edit("mailhatch.toml", "/state\"", "/other\"");
            },
            "failed ledger",
            "ledger.sqlite",
        ),
        row("the service does not run", Site::stop, "failed lmtp socket", "systemctl enable --now"),
        row(
            "an SMTP server in the service's place",
            |site| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                std::thread::spawn(move || {
                    for mut stream in listener.incoming().map_while(Result::ok) {
                        let _ = stream.write_all(b"220 smtp.example.com ESMTP\r\n500 what is LHLO?\r\n");
                        let _ = std::io::copy(&mut stream, &mut std::io::sink());
                    }
                });
                let socket = format!("unix:{}", site.path("lmtp.sock").display());
                site.edit("mailhatch.toml", &socket, &address.to_string());
            },
            "failed lmtp socket",
            "it says \"500 what is LHLO?\" where 250 was expected",
        ),
        row(
            "metrics for the whole network",
            |site| site.edit("mailhatch.toml", "metrics = \"127.0.0.1:", "metrics = \"0.0.0.0:"),
            "warning configuration",
            "faces the network",
        ),
        row(
            "holding all mail",
            |site| {
                site.edit("mailhatch.toml", "[auth]", "[auth]\nmethod = \"off\"");
                site.edit("mailhatch.toml", "app = \"gitlab\"", "app = \"gitlab\"\nunproven = \"hold\"");
            },
            "failed configuration",
            "holds every message",
        ),
        row(
            "a spool that is not there",
            |site| {
                site.edit("mailhatch.toml", "kind = \"gitlab\"", "kind = \"spool\"\npath = \"/nonexistent/spool\"");
                let text = fs::read_to_string(site.path("mailhatch.toml")).unwrap();
                let kept = text.lines().filter(|line| !line.starts_with("url") && !line.starts_with("secret_file"));
                fs::write(site.path("mailhatch.toml"), kept.map(|line| format!("{line}\n")).collect::<String>())
                    .unwrap();
            },
            "failed application gitlab",
            "create /nonexistent/spool",
        ),
    ]
}

fn postfix() -> Vec<Row> {
    vec![
        row(
            "Postfix knows nothing of the domain",
            |site| site.edit("postfix/transport", "mail.example.com", "other.example.com"),
            "failed postfix incoming_email",
            "not to mailhatch",
        ),
        row(
            "strangers' mail is not taken",
            |site| site.edit("postfix/main.cf", "virtual_mailbox_domains", "#virtual_mailbox_domains"),
            "failed postfix incoming_email",
            "does not take mail for mail.example.com",
        ),
        row(
            "a chrooted transport",
            |site| {
                site.edit(
                    "postfix/master.cf",
                    "mailhatch-lmtp unix  -       -       n",
                    "mailhatch-lmtp unix  -       -       y",
                );
            },
            "failed postfix incoming_email",
            "chroot=n",
        ),
        row(
            "another socket",
            |site| site.edit("postfix/transport", "lmtp.sock", "lmpt.sock"),
            "failed postfix incoming_email",
            "not in listen.lmtp",
        ),
        row(
            "no recipient delimiter",
            |site| {
                site.edit("postfix/main.cf", "recipient_delimiter = +", "recipient_delimiter =");
                site.append("postfix/main.cf", "virtual_mailbox_maps = inline:{incoming@mail.example.com=x}\n");
            },
            "failed postfix incoming_email",
            "set recipient_delimiter = +",
        ),
        row(
            "people at the same domain",
            |site| site.edit("postfix/main.cf", "mydestination = localhost", "mydestination = mail.example.com"),
            "warning postfix incoming_email",
            "sign up elsewhere",
        )
        .ends_in(1),
        row(
            "no client address",
            |site| site.edit("postfix/master.cf", "  -o lmtp_send_xforward_command=yes\n", ""),
            "warning postfix mailhatch-lmtp",
            "lmtp_send_xforward_command=yes",
        ),
        row(
            "folded lines",
            |site| site.edit("postfix/master.cf", "  -o lmtp_line_length_limit=0\n", ""),
            "warning postfix mailhatch-lmtp",
            "breaks DKIM",
        ),
        row(
            "an impatient Postfix",
            |site| site.edit("postfix/master.cf", "lmtp_data_done_timeout=300s", "lmtp_data_done_timeout=30s"),
            "failed postfix mailhatch-lmtp",
            "limits.deadline",
        ),
        row(
            "larger mail than mailhatch takes",
            |site| site.edit("postfix/main.cf", "message_size_limit = 20971520", "message_size_limit = 0"),
            "warning postfix size",
            "set message_size_limit = 52428800",
        ),
        row(
            "a short queue lifetime",
            |site| site.append("postfix/main.cf", "maximal_queue_lifetime = 4h\n"),
            "failed postfix queue lifetime",
            "would bounce",
        ),
        row(
            "trust without a milter",
            |site| {
                site.edit("mailhatch.toml", "[auth]", "[auth]\nmethod = \"trust\"\nauthserv_ids = [\"mx.example.com\"]")
            },
            "failed postfix milters",
            "no milter",
        ),
        row(
            "trust in somebody else",
            |site| {
                site.edit(
                    "mailhatch.toml",
                    "[auth]",
                    "[auth]\nmethod = \"trust\"\nauthserv_ids = [\"mx.example.net\"]",
                );
                site.append("postfix/main.cf", "smtpd_milters = inet:127.0.0.1:8891\n");
            },
            "warning postfix milters",
            "is none of those",
        ),
        row(
            "pipe without null_sender",
            |site| {
                pipe(site);
                site.edit("postfix/master.cf", "  null_sender=\n", "");
            },
            "failed postfix mailhatch",
            "MAILER-DAEMON",
        ),
        row(
            "pipe with the wrong flags",
            |site| {
                pipe(site);
                site.edit("postfix/master.cf", "  flags=q\n", "  flags=DRhu\n");
            },
            "failed postfix mailhatch",
            "changes the case of a key",
        ),
        row(
            "pipe that is killed too soon",
            |site| {
                pipe(site);
                site.edit("postfix/main.cf", "mailhatch_time_limit = 300s", "mailhatch_time_limit = 10s");
            },
            "failed postfix mailhatch",
            "kills the process",
        ),
        row(
            "pipe with reports of success",
            |site| {
                pipe(site);
                site.edit("postfix/main.cf", "smtpd_discard_ehlo_keywords = dsn\n", "");
            },
            "warning postfix status reports",
            "set smtpd_discard_ehlo_keywords = dsn",
        ),
        row(
            "pipe with all recipients in one process",
            |site| {
                pipe(site);
                site.edit("postfix/main.cf", "mailhatch_destination_recipient_limit = 1\n", "");
            },
            "warning postfix mailhatch",
            "mailhatch_destination_recipient_limit = 1",
        ),
        row(
            "a Postfix without a configuration",
            |site| fs::remove_file(site.path("postfix/main.cf")).unwrap(),
            "failed postfix",
            "cannot be read",
        ),
    ]
}

impl Row {
    fn ends_in(mut self, status: i32) -> Self {
        self.status = status;
        self
    }
}

/// Hands over by pipe instead, with no service.
fn pipe(site: &mut Site) {
    let transport = format!("mailhatch-lmtp:unix:{}", site.path("lmtp.sock").display());
    site.edit("postfix/transport", &transport, "mailhatch:");
    site.stop();
}
