//! What cannot be delivered is refused at RCPT TO; everything else comes in, whatever the policy service does.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use crate::service::{DOMAIN, Site, Variant, message, message_with};
use crate::support::needs;
use crate::support::postfix::{USER, chown};
use crate::support::process::run;
use crate::support::submission::{REMOTE, Refused, Session, Submission};
use crate::support::wait::wait_for;

pub const GITLAB: &str = r#"
[[mailbox]]
name = "incoming"
address = "incoming+%{key}@mail.example.com"
actions = "gitlab"
app = "spool"
"#;

pub const KNOWN: &str = "incoming+59d8df8370b7e95c5a49fbf86aeb2c93@mail.example.com";
pub const UNKNOWN: &str = "incoming+nota@mail.example.com";
const JANE: &str = "jane@example.org";

/// A site whose Postfix asks; the service is configured and not running yet.
pub fn wired(refuse: &str) -> Site {
    let site = Site::prepare(Variant::Lmtp);
    let directory = site.postfix.path("q/mailhatch");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&directory, USER);
    let output = site.postfix.wire(&["enable", "--yes", "--refuse", DOMAIN]);
    assert!(output.status.success(), "{output:?}");
    configure(&site, refuse, GITLAB);
    site
}

/// The policy socket, as Postfix sees it from its queue directory.
pub fn socket(site: &Site) -> PathBuf {
    site.postfix.path("q/mailhatch/policy.sock")
}

/// Writes the configuration with `[listen] policy` and `[refuse]`.
pub fn configure(site: &Site, refuse: &str, mailboxes: &str) {
    site.configure(&format!("{mailboxes}\n[refuse]\n{refuse}\n"));
    let text = fs::read_to_string(site.config()).unwrap();
    let policy = format!("[listen]\npolicy = [\"unix:{}\"]", socket(site).display());
    site.write_configuration(&text.replacen("[listen]", &policy, 1));
}

/// The same, and it runs.
pub fn start(refuse: &str) -> Site {
    let site = wired(refuse);
    site.start_service();
    site
}

/// What RCPT TO is answered.
fn rcpt(site: &Site, submission: &Submission) -> String {
    let refused = site.postfix.submit(submission).unwrap_err();
    assert!(refused.command.starts_with("RCPT"), "{refused:?}");
    refused.reply.trim_end().to_owned()
}

fn to(recipient: &str, name: &str) -> Submission {
    Submission::new(JANE, &[recipient], message(name))
}

#[needs(postfix, root)]
#[test]
fn each_row_of_the_contract() {
    let site = start("closed = [\"mail.example.com\"]\naccept = [\"Landing@mail.example.com\"]");
    site.postfix.set(&[
        "virtual_alias_domains=alias.example.com",
        &format!(
            "virtual_alias_maps=inline:{{{{landing@mail.example.com={KNOWN}}},{{desk@alias.example.com={KNOWN}}}}}"
        ),
        "message_size_limit=0",
    ]);
    let quoted = "\"incoming+not a key\"@mail.example.com";
    let refused: &[(&str, Submission, &str)] = &[
        (
            "an unknown key",
            to(UNKNOWN, "x"),
            "550 5.1.1 <incoming+nota@mail.example.com>: Recipient address rejected: The address is not known here.",
        ),
        ("a closed domain", to("jane@mail.example.com", "x"), "550 5.1.1 <jane@mail.example.com>: "),
        ("the null sender", Submission::new("", &[UNKNOWN], message("x")), "550 5.1.1 <incoming+nota@"),
        ("quotes", to(quoted, "x"), "550 5.1.1 <incoming+not a key@mail.example.com>: "),
        ("upper case", to("INCOMING+NOTA@MAIL.EXAMPLE.COM", "x"), "550 5.1.1 <INCOMING+NOTA@MAIL.EXAMPLE.COM>: "),
        (
            "SMTPUTF8",
            to("incoming+schlüssel@mail.example.com", "x").mail_parameters("SMTPUTF8"),
            "550 5.1.1 <incoming+schlüssel@",
        ),
        (
            "too large",
            to(KNOWN, "x").mail_parameters("SIZE=52428801"),
            "552 5.3.4 <incoming+59d8df8370b7e95c5a49fbf86aeb2c93@mail.example.com>: Recipient address rejected: The message is too large: the limit is 50 MiB.",
        ),
    ];
    for (name, submission, wanted) in refused {
        let reply = rcpt(&site, submission);
        assert!(reply.starts_with(wanted), "{name}: {reply}");
    }
    assert!(site.delivered().is_empty() && !site.held().contains("unknown-address"), "{}", site.held());
    let passed: &[(&str, Submission)] = &[
        ("a known key", to(KNOWN, "known")),
        ("upper case around it", to(&KNOWN.replace("incoming", "INCOMING"), "upper")),
        ("quotes without need", to(&KNOWN.replace("incoming", "\"incoming").replace("@mail", "\"@mail"), "quoted")),
        (
            "SMTPUTF8 from somebody",
            Submission::new("jürgen@exämple.org", &[KNOWN], message("utf8")).mail_parameters("SMTPUTF8"),
        ),
        ("a declared size that is right", to(KNOWN, "size").mail_parameters("SIZE=300")),
        ("an alias to a key, accepted", to("landing@mail.example.com", "landing")),
        ("an alias to a key in another domain", to("desk@alias.example.com", "desk")),
    ];
    for (name, submission) in passed {
        let lines = site.send(submission);
        assert!(lines[0].contains("delivered: "), "{name}: {lines:?}");
    }
    assert_eq!(site.delivered().len(), passed.len());
    site.postfix.assert_nobody_was_written_to();
}

#[needs(postfix, root)]
#[test]
fn of_two_recipients_one_is_refused_and_the_other_delivered() {
    let site = start("");
    let mut session = Session::open(site.postfix.port());
    session.introduce(&REMOTE).unwrap();
    session.command("MAIL FROM:<jane@example.org>").unwrap();
    let Refused { reply, .. } = session.command(&format!("RCPT TO:<{UNKNOWN}>")).unwrap_err();
    assert!(reply.starts_with("550 5.1.1 "), "{reply}");
    session.command(&format!("RCPT TO:<{KNOWN}>")).unwrap();
    session.command("DATA").unwrap();
    let reply = session.data(message("two").as_bytes()).unwrap();
    site.postfix.wait_done(reply.rsplit("queued as ").next().unwrap().trim());
    let delivered = site.delivered();
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].text("/envelope/recipient"), Some(KNOWN));
    let log = site.service_log();
    let line = "event=refused-at-rcpt reason=unknown-address to=incoming+…@mail.example.com sender=jane@example.org \
                client=203.0.113.7 instance=";
    assert_eq!(log.matches(line).count(), 1, "{log}");
    site.postfix.assert_nobody_was_written_to();
}

#[needs(postfix, root)]
#[test]
fn forwarded_mail_comes_in_where_the_domain_is_not_closed() {
    let forwarded = |name| {
        let fields = format!("To: {KNOWN}\r\n");
        Submission::new(JANE, &["gitlab-inbox@mail.example.com"], message_with(name, &fields))
    };
    let site = start("");
    let delivered = site.send_one(&forwarded("open"));
    assert_eq!(delivered.text("/matched/source"), Some("to"));
    configure(&site, "closed = [\"mail.example.com\"]", GITLAB);
    site.reload();
    assert!(rcpt(&site, &forwarded("closed")).starts_with("550 5.1.1 "));
    site.postfix.assert_nobody_was_written_to();
}

#[needs(postfix, root)]
#[test]
fn in_mode_log_mail_comes_in() {
    let site = start("mode = \"log\"");
    let lines = site.send(&to(UNKNOWN, "log"));
    assert!(lines[0].contains("rejected: unknown-address"), "{lines:?}");
    assert!(site.service_log().contains(" mode=log\n"), "{}", site.service_log());
}

/// Debian's smtpd runs in the queue directory as its root; `check` knows what it sees there.
#[needs(postfix, root)]
#[test]
fn a_chrooted_smtpd_asks_too() {
    let mut site = start("");
    let service = format!("127.0.0.1:{}/inet/chroot=y", site.postfix.port());
    site.postfix.change_master(&service);
    assert!(rcpt(&site, &to(UNKNOWN, "chroot")).starts_with("550 5.1.1 "));
    site.send_one(&to(KNOWN, "chroot"));
    assert!(check(&site).contains("ok postfix refuse Postfix asks unix:"), "{}", check(&site));
    // An absolute path means another place there; mail comes in, and only check says it.
    let absolute = format!(
        "mailhatch_refuse=check_policy_service {{ unix:{}, timeout=3s, try_limit=1, default_action=DUNNO }}",
        socket(&site).display()
    );
    site.postfix.set(&[&absolute]);
    wait_for("the new class", || site.postfix.submit(&to(UNKNOWN, "absolute")).ok());
    let said = check(&site);
    assert!(
        said.contains("failed postfix refuse 127.0.0.1:") && said.contains("is chrooted (master.cf), so it looks for"),
        "{said}"
    );
}

/// What was printed of a run about refusing, for people to read.
fn transcript(name: &str, said: &str) {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("check-refuse-output.txt");
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let about =
        |line: &&str| ["postfix refuse", "policy socket", "postfix aliases"].iter().any(|part| line.contains(part));
    writeln!(file, "## {name}").unwrap();
    said.lines().filter(about).for_each(|line| writeln!(file, "{line}").unwrap());
}

/// `mailhatch check`, blanks between its columns as one.
pub fn check(site: &Site) -> String {
    let mut command = site.mailhatch(&["check", "--postfix-config"]);
    let Output { stdout, stderr, .. } = run(command.arg(site.postfix.config_dir()));
    let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[needs(postfix, root)]
#[test]
fn check_says_what_postfix_would_be_answered() {
    let site = start("closed = [\"mail.example.com\"]");
    let socket = format!("unix:{}", socket(&site).display());
    let said = check(&site);
    transcript("healthy", &said);
    for line in [
        format!("ok postfix refuse Postfix asks {socket} at RCPT TO, and takes mail when nobody answers"),
        format!("ok policy socket {socket} answers: incoming 550"),
    ] {
        assert!(said.contains(&line), "{line} is not in\n{said}");
    }
    type Damage<'d> = &'d dyn Fn(&Site);
    let rows: &[(&str, Damage<'_>, &str)] = &[
        (
            "aliases that would be refused",
            &|site| {
                fs::write(site.postfix.path("etc/aliases"), "Support@mail.example.com x@y\nfree@other.example x@y\n")
                    .unwrap();
                let table = site.postfix.path("etc/aliases");
                site.postfix.set(&[&format!("virtual_alias_maps=texthash:{}", table.display())]);
            },
            "failed postfix aliases virtual_alias_maps has support@mail.example.com: ",
        ),
        (
            "an alias for the address before its key",
            &|site| {
                configure(site, "", GITLAB);
                site.reload();
                site.postfix.set(&["virtual_alias_maps=inline:{incoming@mail.example.com=x@y}"]);
            },
            "failed postfix aliases virtual_alias_maps has incoming@mail.example.com: ",
        ),
        (
            "an alias that is accepted",
            &|site| {
                configure(site, "accept = [\"incoming@mail.example.com\"]", GITLAB);
                site.reload();
            },
            "ok postfix aliases no alias of virtual_alias_maps would be refused",
        ),
        ("a service that was not reloaded", &|site| configure(site, "", GITLAB), "warning policy socket unix:"),
        (
            "something that permits before",
            &|site| {
                site.reload();
                let ours = "check_recipient_access texthash:$config_directory/mailhatch/refuse";
                site.postfix.set(&[&format!("smtpd_recipient_restrictions=permit_mynetworks, {ours}")]);
            },
            "warning postfix refuse permit_mynetworks stands before the question",
        ),
        (
            "a service that holds mail up",
            &|site| {
                let ours = "check_policy_service { unix:mailhatch/policy.sock, timeout=100s }";
                site.postfix.set(&[&format!("smtpd_recipient_restrictions={ours}")]);
            },
            "failed postfix refuse while nobody answers at unix:mailhatch/policy.sock, Postfix says 451 to every recipient",
        ),
        ("and hangs", &|_| (), "warning postfix refuse a service that hangs holds up each recipient for 100s"),
        (
            "another socket",
            &|site| {
                let other = "check_policy_service { unix:elsewhere, timeout=3s, default_action=DUNNO }";
                site.postfix.set(&[&format!("smtpd_recipient_restrictions={other}")]);
            },
            "failed policy socket unix:",
        ),
        (
            "Postfix does not ask",
            &|site| site.postfix.set(&["smtpd_recipient_restrictions="]),
            "warning postfix refuse Postfix does not ask about the recipients of incoming: run mailhatch-postfix enable --refuse",
        ),
        ("nobody listens", &|site| assert!(site.kill_service()), "failed policy socket unix:"),
        (
            "pipe",
            &|site| {
                assert!(site.postfix.wire(&["disable", "--yes"]).status.success());
                let enable =
                    ["enable", "--yes", "--variant", "pipe", "--program", "/usr/bin/mailhatch", "--user", USER, DOMAIN];
                assert!(site.postfix.wire(&enable).status.success());
            },
            "warning postfix refuse mail goes by pipe, where no service runs that could answer",
        ),
    ];
    for (name, damage, wanted) in rows {
        damage(&site);
        let said = check(&site);
        transcript(name, &said);
        assert!(said.contains(wanted), "{name}: {wanted} is not in\n{said}");
    }
}

#[needs(postfix, root)]
#[test]
fn a_canary_comes_through_a_postfix_that_refuses() {
    let custom = "[[mailbox]]\nname = \"orders\"\naddress = \"order-%{key}@mail.example.com\"\napp = \"spool\"\n\
                  [[mailbox.action]]\nname = \"order\"\npattern = \"[0-9]{9}\"\n";
    let site = start("closed = [\"mail.example.com\"]");
    configure(&site, "closed = [\"mail.example.com\"]", &format!("{GITLAB}{custom}"));
    site.reload();
    let mut command = site.mailhatch(&["check", "--send", "--postfix-config"]);
    let output = run(command.arg(site.postfix.config_dir()));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("incoming+0000…@mail.example.com: through Postfix to its verdict"),
        "{said}\n{}",
        site.postfix.log()
    );
    assert!(said.contains("canary orders"), "{said}");
    assert!(said.contains("not sent: no key that this check knows has a form of its actions"), "{said}");
    site.postfix.assert_nobody_was_written_to();
}

#[needs(postfix, root)]
#[test]
fn a_reload_under_load_refuses_and_takes_nothing_wrongly() {
    let site = start("");
    site.postfix.set(&["smtpd_error_sleep_time=0", "smtpd_hard_error_limit=100000"]);
    let ends = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let (mut session, mut asked) = (Session::open(site.postfix.port()), 0);
                    session.introduce(&REMOTE).unwrap();
                    while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                        session.command("MAIL FROM:<jane@example.org>").unwrap();
                        let refused = session.command(&format!("RCPT TO:<{UNKNOWN}>")).unwrap_err();
                        assert!(refused.reply.starts_with("550 5.1.1 "), "{refused:?}");
                        session.command(&format!("RCPT TO:<{KNOWN}>")).unwrap();
                        session.command("RSET").unwrap();
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        for round in 0..10 {
            let refuse = if round % 2 == 0 { "closed = [\"mail.example.com\"]" } else { "" };
            configure(&site, refuse, GITLAB);
            site.reload();
            let answer = site.postfix.submit(&to("jane@mail.example.com", &format!("r{round}")));
            assert_eq!(answer.is_err(), round % 2 == 0, "{answer:?}");
        }
        ends.store(true, std::sync::atomic::Ordering::Relaxed);
        let asked: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert!(asked > 0);
    });
    assert!(!site.postfix.log().contains("mailhatch/policy.sock"), "no warning of Postfix: {}", site.postfix.log());
}
