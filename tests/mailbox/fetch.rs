//! `mailhatch fetch` with a real Dovecot: what is taken, what is marked, what is left alone.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::servers::{Dovecot, free_ports, wait_for};
use crate::site::{Site, address, append, inbox, key, message};
use crate::support::config::{BASE, SPOOL};
use crate::support::needs;

#[needs(dovecot_imap, root)]
#[test]
fn a_message_is_handed_over_and_marked_and_nothing_else_is_touched() {
    let server = Dovecot::start();
    let mut client = server.client();
    append(&mut client, [message("other@example.net", "other"), message(&address(1), "one")]);
    let site = Site::new(server.imap(), "since = \"all\"");
    site.once().expect(0);
    assert_eq!(site.spooled(), ["one"]);
    assert_eq!(client.flags("INBOX"), [(1, String::new()), (2, "$MailhatchDone".to_owned())]);
    let again = site.once().expect(0);
    assert_eq!(site.spooled(), ["one"], "{}", again.err());
    append(&mut client, [message(&address(2), "two")]);
    site.once().expect(0);
    assert_eq!(site.keys(), [key(1), key(2)]);
}

#[needs(dovecot_imap, root)]
#[test]
fn metrics_tell_of_each_inbox_all_that_the_dashboard_shows() {
    let server = Dovecot::start();
    let [port] = free_ports();
    let fetch = format!("[fetch]\nmetrics = \"127.0.0.1:{port}\"\n");
    let site = Site::with(&format!("{BASE}{SPOOL}{}{fetch}", inbox(server.imap(), "")));
    let running = site.fetch();
    running.wait_log("event=connect");
    append(&mut server.client(), [message(&address(1), "one"), message("joe@example.net", "other")]);
    site.wait_spooled(1);
    running.wait_log("event=left");
    let expected = [
        "mailhatch_inbox_connected{inbox=\"test\"} 1",
        "mailhatch_inbox_left_total{inbox=\"test\"} 1",
        "mailhatch_inbox_settled_total{inbox=\"test\",verdict=\"delivered\"} 1",
    ];
    // A message is counted when it is settled, which is after the application has it.
    let scrape = wait_for("the counts", || {
        let scrape = scrape(port);
        expected.iter().all(|line| scrape.contains(line)).then_some(scrape)
    });
    for file in ["grafana/mailhatch.json", "prometheus/mailhatch.rules.yml"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let names: Vec<_> = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with("mailhatch_inbox_"))
            .collect();
        assert!(!names.is_empty(), "{file}");
        for name in names {
            assert!(scrape.contains(&format!("\n{name}{{")), "{file} uses {name}, which is not in\n{scrape}");
        }
    }
    running.stop();
}

fn scrape(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut scrape = String::new();
    stream.read_to_string(&mut scrape).unwrap();
    scrape
}
