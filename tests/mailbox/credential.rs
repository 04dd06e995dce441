//! An inbox whose secrets are in an encrypted credential, with the real `systemd-creds`.

use std::process::Command;

use crate::servers::graph::{Graph, MAILBOX, SECRET};
use crate::servers::{Dovecot, PASSWORD, USER};
use crate::site::{address, append, inbox, message};
use crate::support::config::{BASE, SPOOL};
use crate::support::credential_host::{CALLS, Host, said, traced};
use crate::support::needs;
use crate::support::place::MAILHATCH;
use crate::support::process::run;

/// A server with one message, the `[[inbox]]` that reads it with a credential, and what the credential holds.
struct Case {
    name: &'static str,
    inbox: String,
    toml: String,
    secret: &'static str,
    /// Written to `{dir}/ca.pem`.
    certificate: String,
    _server: Box<dyn std::any::Any>,
}

fn by_imap() -> Case {
    let server = Dovecot::start();
    append(&mut server.client(), [message(&address(1), "one")]);
    // By TLS: what is found in a write is plain text on this host.
    let inbox = inbox(server.imaps(), "ca_file = \"{dir}/ca.pem\"\nsince = \"all\"")
        .replace("ssl = false", "ssl = true")
        .replace(&format!("user = \"{USER}\"\n"), "")
        .replace("password_file = \"{dir}/password\"", "credential = \"mail\"");
    Case {
        name: "imap",
        inbox,
        toml: format!("user = \"{USER}\"\npassword = \"{PASSWORD}\"\n"),
        secret: PASSWORD,
        certificate: std::fs::read_to_string(server.path("tls.pem")).unwrap(),
        _server: Box::new(server),
    }
}

fn by_graph() -> Case {
    let server = Graph::start();
    server.add(message(&address(1), "one"));
    let inbox = server
        .inbox("since = \"all\"")
        .replace(&format!("user = \"{MAILBOX}\"\n"), "")
        .replace("client_secret_file = \"{dir}/client-secret\"", "credential = \"mail\"");
    Case {
        name: "graph",
        inbox,
        toml: format!("user = \"{MAILBOX}\"\nclient_secret = \"{SECRET}\"\n"),
        secret: SECRET,
        certificate: server.server.certificate().to_owned(),
        _server: Box::new(server),
    }
}

impl Case {
    fn host(&self) -> Host {
        let host = Host::new(&format!("{BASE}{SPOOL}{}", self.inbox));
        std::fs::write(host.place.path().join("ca.pem"), &self.certificate).unwrap();
        host
    }
}

#[needs(dovecot_imap, root, mounts, systemd_creds)]
#[test]
fn a_mailbox_is_read_with_what_a_credential_holds() {
    for case in [by_imap(), by_graph()] {
        let (name, host) = (case.name, case.host());
        let once = || host.mailhatch(&["fetch", "--once"]);
        let text = said(run(&mut once()), false);
        assert!(text.contains("the credential \"mail\" was not handed over"), "{name}: {text}");
        host.set("mail", &case.toml);
        let text = said(run(&mut once()), true);
        assert!(text.contains("event=connect") && !text.contains(case.secret), "{name}: {text}");
        assert_eq!(host.place.spooled().len(), 1, "{name}: {text}");
        // As the service manager hands it over: decrypted, in a directory; then there is nothing to decrypt.
        let handed = host.place.path().join("handed");
        std::fs::create_dir(&handed).unwrap();
        host.place.write_secret("handed/mailhatch.mail", &case.toml);
        let mut by_service_manager: Command = host.place.command(&["fetch", "--once"]);
        let text = said(run(by_service_manager.env("CREDENTIALS_DIRECTORY", &handed)), true);
        assert!(text.contains("event=connect"), "{name}: {text}");
        host.place.write_secret("handed/mailhatch.mail", &case.toml.replace(case.secret, "wrong"));
        let text = said(run(by_service_manager.env("CREDENTIALS_DIRECTORY", &handed)), false);
        assert!(text.contains("event=auth-failed"), "{name}: {text}");
    }
}

#[needs(dovecot_imap, root, mounts, strace, systemd_creds)]
#[test]
fn the_start_of_fetch_writes_plain_text_to_pipes_alone() {
    for case in [by_imap(), by_graph()] {
        let (name, host) = (case.name, case.host());
        host.set("mail", &case.toml);
        let (trace, config) = (host.place.path().join("trace"), host.place.config());
        let strace = ["strace", "-f", "-y", "-v", "-s", "100000", CALLS, "-o", trace.to_str().unwrap()];
        let fetch = [MAILHATCH, "--config", config.to_str().unwrap(), "fetch", "--once"];
        said(run(&mut host.command(&[&strace[..], &fetch[..]].concat())), true);
        assert_eq!(host.place.spooled().len(), 1, "{name}: it did not log in");
        let lines = traced(&trace, case.secret);
        let is_in_a_pipe = |line: &&String| {
            let descriptor = line.split_once('<').map_or("", |(_, rest)| rest);
            (line.contains("write(") || line.contains("writev(")) && descriptor.starts_with("pipe:")
        };
        let elsewhere: Vec<_> = lines.iter().filter(|line| !is_in_a_pipe(line)).collect();
        assert!(elsewhere.is_empty(), "{name}: {elsewhere:#?}");
        assert!(!lines.is_empty(), "{name}: systemd-creds gave nothing away");
        // A token is as good as a secret for an hour.
        assert_eq!(traced(&trace, "eyJyb2xlcyI6"), Vec::<String>::new(), "{name}");
    }
}
