//! Somebody stands between us and a real Dovecot and wants the password: STARTTLS is taken out or refused, the greeting says that
//! we are in already, words are written behind the OK. No password is sent, and it is an alarm; when the way is clear, all mail is read.

use crate::servers::{Act, At, Dovecot, Fault, Proxy};
use crate::site::{Site, address, append, inbox, message};
use crate::support::config::{BASE, SPOOL};
use crate::support::needs;
use crate::trial::at_once;

#[needs(dovecot_imap, root)]
#[test]
fn whoever_stands_between_gets_no_password() {
    use Act::{Instead, Replace};
    use At::Response;
    const GREETING: At = Response("", "* OK");
    const BEGIN: At = Response("STARTTLS", " OK ");
    let rows: &[(&str, Fault, &str)] = &[
        ("PREAUTH", Fault(GREETING, Replace("* OK", "* PREAUTH")), "cause=preauth"),
        ("refused", Fault(BEGIN, Instead("{tag} NO not today\r\n")), "cause=starttls"),
        ("unknown, as if it were taken out", Fault(BEGIN, Instead("{tag} BAD unknown command\r\n")), "cause=starttls"),
        (
            "the command does not get there",
            Fault(At::Command("STARTTLS"), Replace("STARTTLS", "NOOP")),
            "cause=certificate",
        ),
        (
            "words behind the OK",
            Fault(BEGIN, Instead("{tag} OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")),
            "cause=injected",
        ),
        (
            "a login behind the OK",
            Fault(BEGIN, Instead("{tag} OK begin\r\n* PREAUTH [CAPABILITY IMAP4rev1] in\r\n")),
            "cause=injected",
        ),
    ];
    at_once(rows, |(name, fault, said)| {
        let server = Dovecot::start();
        append(&mut server.client(), [message(&address(1), "one")]);
        let ca_file = format!("since = \"all\"\nca_file = \"{}\"", server.path("tls.pem").display());
        let configuration = |port| {
            let inbox = inbox(port, &ca_file).replace("ssl = false", "start_tls = true");
            format!("{BASE}{SPOOL}{inbox}")
        };
        let proxy = Proxy::start(server.imap(), &[*fault]);
        let site = Site::with(&configuration(proxy.port()));
        let log = site.once().expect(1).err();
        assert_eq!(proxy.played(), 1, "{name}: {log}");
        assert!(log.contains(said) && log.contains("event=disconnect"), "{name}: {said} is not in {log}");
        let commands = proxy.commands();
        let is_harmless = |line: &String| !["LOGIN", "AUTHENTICATE", "hush"].iter().any(|word| line.contains(word));
        assert!(
            !commands.is_empty() && commands.iter().all(is_harmless) || said == &"cause=preauth",
            "{name}: {commands:?}"
        );
        assert!(commands.iter().all(is_harmless), "{name}: {commands:?}");
        assert!(site.spooled().is_empty(), "{name}");
        site.place.configure(&configuration(server.imap()));
        site.once().expect(0);
        assert_eq!(site.spooled(), ["one"], "{name}");
    });
}
