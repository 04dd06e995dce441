//! Two machines that could answer each other for ever: at most one notice comes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::notices::configure;
use crate::service::{INCOMING, Site, Variant};
use crate::support::name_server::{NameServer, Zone};
use crate::support::needs;
use crate::support::postfix::{USER, chown};
use crate::support::submission::Submission;

/// Sets nothing aside, so that all depends on the notice's own policy.
const DELIVER: &str = "[screen]\nauto_replies = \"deliver\"\nbounces = \"deliver\"\nreports = \"deliver\"\n";

fn zone() -> Zone {
    let pass = "v=spf1 ip4:203.0.113.7 -all";
    Zone::new().txt("mail.example.com", pass).txt("desk.example.net", pass).txt("vac.example.net", pass)
}

fn text(name: &str, from: &str, to: &str) -> String {
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@id.example>\r\n\
         Subject: {name}\r\n\r\nhello\r\n"
    )
}

fn notices(site: &Site) -> usize {
    site.service_log().matches(" notice=sent").count()
}

/// Waits until nothing is on its way any more.
fn settle(sites: &[&Site]) {
    // What leaves one queue may enter the other: quiet means that both are empty twice in a row.
    for _ in 0..2 {
        for site in sites {
            site.postfix.wait_for("an empty queue", || site.postfix.queue().is_empty().then_some(()));
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// mailhatch for one domain, whose Postfix sends all other mail to `neighbour`, and tells it the first client (XFORWARD):
/// else loopback would prove nothing, and nothing could loop.
fn desk(domain: &str, host: &str, names: &NameServer, screen: &str) -> Site {
    let site = Site::prepare(Variant::Lmtp);
    let socket = format!("unix:{}", site.postfix.path("run/lmtp.sock").display());
    if domain != crate::service::DOMAIN {
        for arguments in [
            &["enable", "--yes", "--variant", "lmtp", "--socket", &socket, domain][..],
            &["disable", "--yes", "--variant", "lmtp", "--socket", &socket, crate::service::DOMAIN],
        ] {
            let output = site.postfix.wire(arguments);
            assert!(output.status.success(), "{output:?}");
        }
    }
    site.postfix.set(&[
        &format!("myhostname={host}"),
        "smtp_send_xforward_command=yes",
        "smtpd_authorized_xforward_hosts=127.0.0.0/8",
    ]);
    let mailbox = INCOMING.replace(crate::service::DOMAIN, domain);
    configure(&site, names.address(), host, "", &format!("{screen}{mailbox}"));
    site.start_service();
    site
}

#[needs(postfix, root)]
#[test]
fn two_mailboxes_that_write_to_each_other_make_one_notice() {
    for screen in ["", DELIVER] {
        let names = NameServer::start(zone());
        let one = desk("mail.example.com", "mx.example.com", &names, screen);
        let two = desk("desk.example.net", "mx.desk.example.net", &names, screen);
        for (site, neighbour) in [(&one, &two), (&two, &one)] {
            site.postfix.set(&[&format!("default_transport=smtp:[127.0.0.1]:{}", neighbour.postfix.port())]);
        }
        // From an address of the one to an unknown address of the other, known and unknown ones, and several times.
        for round in 0..2 {
            for sender in ["incoming+Key1@desk.example.net", "someone@desk.example.net"] {
                let name = format!("{round}-{}", sender.split('@').next().unwrap());
                let message = text(&name, sender, "someone@mail.example.com");
                one.send(&Submission::new(sender, &["someone@mail.example.com"], message));
            }
            settle(&[&one, &two]);
        }
        let (first, second) = (notices(&one), notices(&two));
        // `incoming` and `someone` are two senders: one notice each, and none in answer.
        assert_eq!((first, second), (2, 0), "{}\n{}", one.service_log(), two.service_log());
        let arrived = two.service_log();
        assert_eq!(arrived.matches("verdict=").count(), 2, "both notices came to the other side: {arrived}");
        assert!(!one.postfix.bounced() && !two.postfix.bounced(), "{}\n{}", one.postfix.log(), two.postfix.log());
    }
}

/// Dovecot's LDA with Pigeonhole's vacation, as the mailbox jane@vac.example.net behind the same Postfix.
fn install_vacation(site: &Site, more: &str) {
    let home = site.postfix.path("vacation");
    fs::create_dir(&home).unwrap();
    let dir = home.display();
    let write = |name: &str, content: String| fs::write(home.join(name), content).unwrap();
    write(
        "vacation.sieve",
        "require [\"vacation\"];\nvacation :days 1 :addresses [\"jane@vac.example.net\"] \"I am away.\";\n".to_owned(),
    );
    write(
        "dovecot.conf",
        format!(
            "base_dir = {dir}/run\nstate_dir = {dir}/run\nmail_location = maildir:{dir}/Maildir\n\
             postmaster_address = postmaster@vac.example.net\nhostname = vac.example.net\n\
             submission_host = 127.0.0.1:{}\nlog_path = {dir}/log\nssl = no\nauth_socket_path = {dir}/none\n\
             protocol lda {{\n  mail_plugins = sieve\n}}\nplugin {{\n  sieve = file:{dir}/vacation.sieve\n{more}}}\n",
            site.postfix.port()
        ),
    );
    write(
        "deliver.sh",
        format!(
            "HOME={dir} USER=jane exec /usr/lib/dovecot/dovecot-lda -c {dir}/dovecot.conf -e -f \"$1\" -a \"$2\"\n"
        ),
    );
    chown(&home, USER);
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    site.postfix.add_service(&format!(
        "vacation unix - n n - - pipe flags=q user={USER} null_sender= argv=/bin/sh {dir}/deliver.sh ${{sender}} ${{recipient}}"
    ));
    site.postfix.route("vac.example.net", "vacation:");
    site.postfix.set(&["relay_domains=vac.example.net"]);
}

#[needs(dovecot, postfix, root)]
#[test]
fn a_vacation_responder_and_mailhatch_make_one_notice() {
    // The answer's envelope sender is null by default; some sites make it the person, against RFC 3834.
    let as_person = "  sieve_vacation_send_from_recipient = yes\n";
    for (screen, vacation) in [("", ""), ("", as_person), (DELIVER, as_person)] {
        let names = NameServer::start(zone());
        let site = Site::prepare(Variant::Lmtp);
        configure(&site, names.address(), "mx.example.com", "", &format!("{screen}{INCOMING}"));
        site.start_service();
        install_vacation(&site, vacation);
        let log = || fs::read_to_string(site.postfix.path("vacation/log")).unwrap_or_default();

        // The application, or somebody in its name, writes to the person: the responder answers to where that came from.
        let unknown = "someone@mail.example.com";
        let from_us = text("from-us", unknown, "jane@vac.example.net");
        site.send(&Submission::new(unknown, &["jane@vac.example.net"], from_us));
        settle(&[&site]);
        assert!(log().contains("sent vacation response to <someone@mail.example.com>"), "it works: {}", log());
        let seen = site.service_log();
        assert_eq!(seen.matches("verdict=").count(), 1, "its answer came in: {seen}");
        assert_eq!(notices(&site), 0, "and is not answered: {seen}");
        let why = match (screen, vacation) {
            ("", _) => " reason=auto-submitted",
            _ => " notice=\"withheld: machine-made (Auto-Submitted)\"",
        };
        assert!(seen.contains(why), "{seen}");

        // The person writes to an address that nobody has, again and again.
        for round in 0..3 {
            let message = text(&format!("round-{round}"), "jane@vac.example.net", unknown);
            site.send(&Submission::new("jane@vac.example.net", &[unknown], message));
            settle(&[&site]);
        }
        assert_eq!(notices(&site), 1, "{}", site.service_log());
        assert_eq!(log().matches("sent vacation response").count(), 1, "no answer to the notice: {}", log());
        assert!(site.postfix.outgoing().is_empty() && !site.postfix.bounced(), "{}", site.postfix.log());
    }
}
