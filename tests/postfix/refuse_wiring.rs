//! `mailhatch-postfix enable --refuse` and its way back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::needs;
use crate::support::postfix::Postfix;
use crate::support::process::run;
use crate::wiring::{good, snapshot, value};

const ENABLE: &[&str] = &["enable", "--yes", "--refuse", "mail.example.com"];
const OURS: &str = "check_recipient_access texthash:$config_directory/mailhatch/refuse";

#[needs(postfix, root)]
#[test]
fn disable_restores_main_cf_to_the_byte() {
    let plain: &[&str] = &["enable", "--yes", "first.example.com"];
    let rows: &[(&str, &str, &[&[&str]])] = &[
        ("nothing of it was set", "", &[ENABLE]),
        (
            "restrictions over several lines, with comments in them",
            "smtpd_recipient_restrictions =\n    permit_mynetworks,\n  # whom we know\n\tcheck_policy_service { \
             unix:private/greylist,\n      timeout=3s },\n\n    reject_unauth_destination\n# the end\n",
            &[ENABLE],
        ),
        ("blanks and no blanks", "smtpd_recipient_restrictions=permit_mynetworks,reject  \nx_y   =   z\n", &[ENABLE]),
        ("no line end at the end", "smtpd_restriction_classes = greylist\ngreylist = reject", &[ENABLE]),
        (
            "a parameter twice",
            "smtpd_recipient_restrictions = reject\nsmtpd_recipient_restrictions = permit\n",
            &[ENABLE],
        ),
        ("enabled without it at first", "smtpd_recipient_restrictions =\n  permit\n", &[plain, ENABLE]),
        ("enabled with it, then another name", "smtpd_recipient_restrictions =\n  permit\n", &[ENABLE, plain]),
        ("twice", "smtpd_recipient_restrictions =\n  permit\n", &[ENABLE, ENABLE]),
        (
            "taken out alone before",
            "smtpd_recipient_restrictions = permit\n",
            &[plain, ENABLE, &["disable", "--yes", "--refuse"]],
        ),
    ];
    for (name, more, steps) in rows {
        let postfix = Postfix::prepare();
        let main_cf = postfix.path("etc/main.cf");
        let text = fs::read_to_string(&main_cf).unwrap() + more;
        fs::write(&main_cf, text).unwrap();
        fs::set_permissions(&main_cf, fs::Permissions::from_mode(0o640)).unwrap();
        let before = snapshot(&postfix);
        for step in *steps {
            good(&postfix.wire(step));
            assert_ne!(snapshot(&postfix), before, "{name}");
        }
        good(&postfix.wire(&["disable", "--yes"]));
        assert_eq!(snapshot(&postfix), before, "{name}");
        assert_eq!(fs::metadata(&main_cf).unwrap().permissions().mode() & 0o777, 0o640, "{name}");
    }
}

#[needs(postfix, root)]
#[test]
fn the_question_comes_first_and_is_asked_for_the_names_alone() {
    let postfix = Postfix::prepare();
    postfix.set(&["smtpd_recipient_restrictions=permit_mynetworks, reject", "smtpd_restriction_classes=greylist"]);
    let said = good(&postfix.wire(ENABLE));
    assert!(said.contains(&format!("{}/mailhatch/policy.sock", postfix.path("q").display())), "{said}");
    let restrictions = format!("{OURS}, permit_mynetworks, reject");
    assert_eq!(value(&postfix, "smtpd_recipient_restrictions"), restrictions);
    assert_eq!(value(&postfix, "smtpd_restriction_classes"), "mailhatch_refuse, greylist");
    assert_eq!(
        value(&postfix, "mailhatch_refuse"),
        "check_policy_service { unix:mailhatch/policy.sock, timeout=3s, try_limit=1, default_action=DUNNO }"
    );
    // A name that is added later is in both tables, and one that is taken out in neither.
    good(&postfix.wire(&["enable", "--yes", "desk@other.example.com"]));
    let table = || fs::read_to_string(postfix.path("etc/mailhatch/refuse")).unwrap();
    let names =
        |table: String| table.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(table()), ["desk@other.example.com mailhatch_refuse", "mail.example.com mailhatch_refuse"]);
    good(&postfix.wire(&["disable", "--yes", "mail.example.com"]));
    assert_eq!(names(table()), ["desk@other.example.com mailhatch_refuse"]);
    // Moved behind what skips it, it is put first again.
    postfix.set(&[&format!("smtpd_recipient_restrictions=permit_mynetworks, {OURS}, reject")]);
    good(&postfix.wire(&["enable", "--yes", "desk@other.example.com"]));
    assert_eq!(value(&postfix, "smtpd_recipient_restrictions"), restrictions);
}

#[needs(postfix, root)]
#[test]
fn it_can_be_taken_out_alone() {
    let postfix = Postfix::prepare();
    good(&postfix.wire(&["enable", "--yes", "mail.example.com"]));
    let before = snapshot(&postfix);
    good(&postfix.wire(ENABLE));
    assert!(good(&postfix.wire(&["status"])).contains("Unknown addresses are refused"));
    let said = good(&postfix.wire(&["disable", "--yes", "--refuse"]));
    assert!(said.contains("no longer refused"), "{said}");
    assert_eq!(snapshot(&postfix), before);
    assert!(!good(&postfix.wire(&["status"])).contains("refused"));
    let again = postfix.wire(&["disable", "--yes", "--refuse"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
}

#[needs(postfix, root)]
#[test]
fn what_the_administrator_changed_since_is_left() {
    let postfix = Postfix::prepare();
    postfix.set(&["smtpd_recipient_restrictions=permit_mynetworks"]);
    good(&postfix.wire(ENABLE));
    postfix.set(&[
        &format!("smtpd_recipient_restrictions={OURS}, reject_unknown_recipient_domain, permit_mynetworks"),
        "mailhatch_refuse=check_policy_service { unix:elsewhere, default_action=DUNNO }",
        "smtpd_restriction_classes=greylist, mailhatch_refuse",
    ]);
    let said = good(&postfix.wire(&["disable", "--yes"]));
    assert!(
        said.contains("mailhatch_refuse = check_policy_service { unix:elsewhere, default_action=DUNNO } is left"),
        "{said}"
    );
    assert_eq!(value(&postfix, "smtpd_recipient_restrictions"), "reject_unknown_recipient_domain, permit_mynetworks");
    assert_eq!(value(&postfix, "smtpd_restriction_classes"), "greylist");
}

#[needs(postfix, root)]
#[test]
fn what_would_be_a_risk_is_not_done_and_said() {
    let rows: &[(&str, &[&str], &[&str], &str)] = &[
        (
            "relaying hangs on the recipient restrictions",
            &["smtpd_relay_restrictions="],
            &[],
            "smtpd_relay_restrictions is empty",
        ),
        (
            "an old compatibility level",
            &["compatibility_level=0"],
            &["smtpd_relay_restrictions"],
            "smtpd_relay_restrictions is empty",
        ),
        ("pipe", &[], &[], "--refuse is for the variant lmtp"),
    ];
    for (name, set, unset, expected) in rows {
        let postfix = Postfix::prepare();
        postfix.set(set);
        for parameter in *unset {
            postfix.run("postconf", &["-X", parameter]);
        }
        let before = snapshot(&postfix);
        let variant = if *name == "pipe" { "pipe" } else { "lmtp" };
        let output = postfix.wire(&[ENABLE, &["--variant", variant]].concat());
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{name}: {output:?}");
        assert_eq!(snapshot(&postfix), before, "{name}");
    }
}

/// There is no Postfix 2 to be had: a postconf that says it is one.
#[needs(postfix, root)]
#[test]
fn an_old_postfix_is_refused() {
    let postfix = Postfix::prepare();
    let before = snapshot(&postfix);
    let bin = postfix.path("bin");
    fs::create_dir(&bin).unwrap();
    let script = "#!/bin/sh\ncase $* in *mail_version) echo 2.11.3 ;; *) exec /usr/sbin/postconf \"$@\" ;; esac\n";
    fs::write(bin.join("postconf"), script).unwrap();
    fs::set_permissions(bin.join("postconf"), fs::Permissions::from_mode(0o755)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("postfix/mailhatch-postfix");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = run(Command::new(script).env("PATH", path).arg("-c").arg(postfix.config_dir()).args(ENABLE));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--refuse needs Postfix 3.0"), "{output:?}");
    assert_eq!(snapshot(&postfix), before);
}

#[needs(postfix, root)]
#[test]
fn a_service_that_would_not_ask_is_named() {
    let postfix = Postfix::prepare();
    postfix.add_service("submission inet n - n - - smtpd\n  -o smtpd_recipient_restrictions=permit_mynetworks,reject");
    let said = good(&postfix.wire(ENABLE));
    assert!(said.contains("smtpd_recipient_restrictions of its own in master.cf: submission/inet"), "{said}");
}
