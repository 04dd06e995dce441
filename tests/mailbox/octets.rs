//! The connection ends at an octet of what the server says to a FETCH: the message is fetched again, whole, and handed over
//! once. By default at some octets, with MAILHATCH_EACH_OCTET at every one.

use std::sync::Mutex;

use crate::servers::{Act, At, Dovecot, Fault, Proxy};
use crate::site::{Site, address, message};
use crate::support::needs;
use crate::trial::at_once;

const ANSWER: At = At::Response("UID FETCH", "BODY[]");
const END: At = At::Response("BODY.PEEK[]", " OK ");

#[needs(dovecot_imap, root)]
#[test]
fn a_fetch_that_is_cut_anywhere_is_done_again() {
    let server = Dovecot::start();
    let mut client = server.client();
    let (ours, other) = (message(&address(1), "one"), message("joe@example.net", "other"));
    client.append("INBOX", "", None, &ours);
    client.command("SELECT INBOX");
    let answer = client.command("UID FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.1048576>)");
    let octets = answer[0].len() + 2;
    assert!(octets > ours.len() && answer.len() == 2, "{answer:?}");
    let step = if std::env::var_os("MAILHATCH_EACH_OCTET").is_some() { 1 } else { 13 };
    let cuts = (0..octets).step_by(step).map(|cut| (ANSWER, cut));
    let cuts = cuts.chain((0..answer[1].len()).step_by(step).map(|cut| (END, cut)));
    // All folders are made before anybody reads: Dovecot may call one that it is making already existing otherwise.
    let cuts: Vec<_> = cuts.enumerate().map(|(index, (at, cut))| (format!("cut{index}"), at, cut)).collect();
    for (folder, ..) in &cuts {
        client.command(&format!("CREATE {folder}"));
        client.append(folder, "", None, &ours);
        client.append(folder, "\\Seen", None, &other);
    }
    println!("{} cuts in an answer of {octets} octets and its end", cuts.len());
    let client = Mutex::new(client);
    at_once(&cuts, |(folder, at, cut)| {
        let (at, cut) = (*at, *cut);
        let proxy = Proxy::start(server.imap(), &[Fault(at, Act::Cut(cut))]);
        let site = Site::new(proxy.port(), &format!("since = \"all\"\nfolder = \"{folder}\""));
        let log = site.once().expect(0).err();
        assert!(proxy.played() == 1 && log.contains("cause=closed"), "{folder}: {log}");
        let spooled = site.place.spooled();
        assert_eq!(spooled.len(), 1, "{folder}: {log}");
        let octets = std::fs::read(site.place.path().join("spool").join(&spooled[0]).join("message.eml")).unwrap();
        assert_eq!(octets, ours, "{folder}");
        let listed = client.lock().unwrap().list(folder);
        let expected = [(1, "$MailhatchDone", &ours), (2, "\\Seen", &other)];
        let listed: Vec<_> = listed.iter().map(|found| (found.uid, found.flags.join(" "), &found.octets)).collect();
        assert_eq!(listed, expected.map(|(uid, flags, octets)| (uid, flags.to_owned(), octets)), "{folder}");
    });
}
