//! `mailhatch fetch` with Courier and Cyrus, each as Debian's package configures it: what all the other tests here show with
//! Dovecot. `make test-imap-servers` makes the Debians in which they run, and runs these.

use std::collections::BTreeMap;

use crate::servers::client::Listed;
use crate::servers::debian::{Debian, Kind};
use crate::servers::{Imap, wait_for};
use crate::site::{Fetch, Site, address, append, inbox, key, message};
use crate::support::config::{BASE, SPOOL};
use crate::support::events;
use crate::trial::{DELETE, DONE, KEEP, at_once};

/// Both call folders below the INBOX so.
const MOVE: &str = "move_to = \"INBOX.Done\"";

/// How many messages there are, and how many of them are ours.
const ALL: u64 = 200;
const OURS: usize = 140;

/// Whose the message of this number is: three in ten are other people's.
fn is_ours(number: u64) -> bool {
    number % 10 < 7
}

/// A message of this number: eight kinds, and some of them large, around the piece that is fetched at once.
fn letter(number: u64, to: &str) -> Vec<u8> {
    let more = match number % 8 {
        0 => "\r\nA few words.\r\n".to_owned(),
        1 => format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee the attachment.\r\n--b\r\n\
             Content-Type: application/pdf; name=x.pdf\r\nContent-Disposition: attachment; filename=x.pdf\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}--b--\r\n",
            "JVBERi0xLjQKJcOkw7zDtsOfCjIgMCBvYmoKPDwvTGVuZ3RoIDMgMCBSL0ZpbHRlci9G\r\n".repeat(400)
        ),
        2 => "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße, мир, 世界\r\n"
            .to_owned(),
        3 => "X-Raw: Grüße ohne Kodierung\r\n\r\nEight bits in the header.\r\n".to_owned(),
        4 => "X-Long: one\r\n two\r\n\tthree\r\n\r\n.\r\n..\r\nFrom here\r\n+FLAGS (\\Deleted)\r\na1 OK done\r\n)\r\n"
            .to_owned(),
        5 => format!("\r\n{}\r\n", "long ".repeat(2000)),
        6 => "Content-Type: message/rfc822\r\n\r\nFrom: a@example.org\r\nSubject: inside\r\n\r\nBody.\r\n".to_owned(),
        _ => "\r\nWithout an end of line".to_owned(),
    };
    let mut letter = format!(
        "From: Jane <jane@example.org>\r\nTo: <{to}>\r\nSubject: mail {number}\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <mail-{number}@example.org>\r\n{more}"
    )
    .into_bytes();
    const PIECE: usize = 1024 * 1024;
    let size = match number {
        50 => PIECE - 1,
        70 => PIECE,
        110 => PIECE + 1,
        130 => 2 * PIECE,
        150 => 3 * PIECE + 512,
        _ => return letter,
    };
    let line = b"0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
    while letter.len() < size {
        letter.extend_from_slice(&line[..line.len().min(size - letter.len())]);
    }
    letter
}

/// Ours and other people's: unread, read and flagged, and deleted but not expunged; and folders that nobody reads.
fn fill(client: &mut Imap) {
    client.command("CREATE INBOX.Done");
    client.command("CREATE INBOX.Other");
    for number in 0..ALL {
        let (to, flags) = match number % 10 {
            7 => ("joe@example.net".to_owned(), ""),
            8 => ("ann@example.net".to_owned(), "\\Seen \\Flagged"),
            9 => ("bob@example.net".to_owned(), "\\Deleted"),
            _ => (address(number), ""),
        };
        client.append("INBOX", flags, None, &letter(number, &to));
    }
    client.append("INBOX.Other", "", None, &letter(1000, &address(1000)));
}

/// What is in the spool: the octets of each message, by key.
fn spooled(site: &Site) -> BTreeMap<String, Vec<u8>> {
    let entries = site.place.spooled().into_iter().map(|id| {
        let entry = site.place.path().join("spool").join(id);
        let event = events::read(&entry);
        (event["data"]["key"].as_str().unwrap().to_owned(), std::fs::read(entry.join("message.eml")).unwrap())
    });
    entries.collect()
}

fn keys(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    numbers.map(key).collect()
}

/// Which server, what becomes of mail that is done, and whether readers are killed in the middle.
type Row = (Kind, &'static str, bool);

#[test]
#[ignore = "needs Courier and Cyrus: make test-imap-servers"]
fn all_kinds_of_mail_come_once_and_other_peoples_stays_as_it_is() {
    let rows: Vec<Row> = [Kind::Courier, Kind::Cyrus]
        .into_iter()
        .flat_map(|kind| [(kind, KEEP, false), (kind, DELETE, true), (kind, MOVE, true)])
        .collect();
    at_once(&rows, |row| read_all(*row));
}

fn read_all((kind, more, kills): Row) {
    let name = format!("{kind:?}, {more:?}");
    let server = Debian::start(kind);
    let mut client = server.client();
    fill(&mut client);
    let (before, elsewhere) = (client.list("INBOX"), client.list("INBOX.Other"));
    let (ours, mut others): (Vec<_>, Vec<_>) = before.into_iter().partition(|found| is_ours(u64::from(found.uid) - 1));
    assert_eq!(ours.len(), OURS, "{name}");
    let site = Site::new(server.imap(), &format!("since = \"all\"\n{more}"));
    if kills {
        for spooled in [20, 60, 100] {
            let running = site.fetch();
            wait_for("messages", || (site.place.spooled().len() >= spooled).then_some(()));
            running.kill();
        }
    } else {
        // Somebody expunges in the middle: the numbers of messages shift, their UIDs do not.
        let running = site.fetch();
        wait_for("messages", || (site.place.spooled().len() >= 20).then_some(()));
        client.command("SELECT INBOX");
        client.command("EXPUNGE");
        others.retain(|message| !message.flags.contains(&"\\Deleted".to_owned()));
        site.wait_spooled(OURS);
        running.stop();
    }
    let mut log = String::new();
    for _ in 0..4 {
        site.run(&["inbox", "retry", "test"]);
        log += &site.once().err();
    }
    let (spooled, octets): (Vec<_>, Vec<_>) = spooled(&site).into_iter().unzip();
    assert_eq!(spooled, keys((0..ALL).filter(|number| is_ours(*number))), "{name}: {log}");
    assert!(octets.iter().zip(&ours).all(|(spooled, found)| *spooled == found.octets), "{name}: other octets");
    let (ours_after, others_after): (Vec<_>, Vec<_>) =
        client.list("INBOX").into_iter().partition(|found| is_ours(u64::from(found.uid) - 1));
    assert_eq!(others_after, others, "{name}: {log}");
    assert_eq!(client.list("INBOX.Other"), elsewhere, "{name}");
    let done = client.list("INBOX.Done").len();
    if more == KEEP {
        let marked = ours.into_iter().map(|message| Listed { flags: vec![DONE.to_owned()], ..message });
        assert_eq!((ours_after, done), (marked.collect(), 0), "{name}: {log}");
        assert!(!log.contains("verdict="), "{name}: nothing is read again: {log}");
    } else {
        let expected = if more == MOVE { OURS } else { 0 };
        assert_eq!((ours_after.len(), done), (0, expected), "{name}: {log}");
    }
}

#[test]
#[ignore = "needs Courier and Cyrus: make test-imap-servers"]
fn each_lets_us_in_by_tls_and_by_starttls() {
    at_once(&[Kind::Courier, Kind::Cyrus], |kind| {
        let server = Debian::start(*kind);
        let more = format!("since = \"all\"\nca_file = \"{}\"", server.certificate().display());
        for (number, port, way) in [(1, server.imaps(), "ssl = true"), (2, server.imap(), "start_tls = true")] {
            append(&mut server.client(), [message(&address(number), way)]);
            let site = Site::with(&format!("{BASE}{SPOOL}{}", inbox(port, &more).replace("ssl = false", way)));
            let log = site.once().expect(0).err();
            assert_eq!(site.spooled(), [way], "{kind:?}: {log}");
        }
    });
}

/// Waits until all that is there has its mark, and stops.
fn stop_when_marked(running: Fetch, client: &mut Imap, folder: &str) {
    wait_for("the marks", || client.flags(folder).iter().all(|(_, flags)| flags == DONE).then_some(()));
    running.stop();
}

#[test]
#[ignore = "needs Courier and Cyrus: make test-imap-servers"]
fn a_running_reader_hears_of_mail_and_outlives_its_server() {
    at_once(&[Kind::Courier, Kind::Cyrus], |kind| {
        let mut server = Debian::start(*kind);
        let site = Site::new(server.imap(), "idle_timeout = \"5s\"");
        let running = site.fetch();
        running.wait_log("event=connect");
        append(&mut server.client(), [message(&address(1), "one")]);
        site.wait_spooled(1);
        server.stop();
        append_while_away(&mut server, &running);
        site.wait_spooled(2);
        append(&mut server.client(), [message(&address(3), "three")]);
        site.wait_spooled(3);
        stop_when_marked(running, &mut server.client(), "INBOX");
    });
}

/// The server is found again, with mail that came in before the reader was there.
fn append_while_away(server: &mut Debian, running: &Fetch) {
    running.wait_log("event=disconnect");
    server.begin();
    append(&mut server.client(), [message(&address(2), "two")]);
}

/// The folder is deleted and made again under the reader, whose numbers mean nothing from then on. Courier goes on in the new folder
/// without a word, Cyrus stays in the old one.
#[test]
#[ignore = "needs Courier and Cyrus: make test-imap-servers"]
fn a_folder_that_is_made_anew_is_noticed_in_an_open_connection() {
    const FOLDER: &str = "INBOX.hatch";
    at_once(&[Kind::Courier, Kind::Cyrus], |kind| {
        let server = Debian::start(*kind);
        let mut client = server.client();
        client.command(&format!("CREATE {FOLDER}"));
        let mut put = |number: u64| {
            server.client().append(FOLDER, "", None, &message(&address(number), &format!("mail {number}")));
        };
        (1..=3).for_each(&mut put);
        let site = Site::new(server.imap(), &format!("since = \"all\"\nfolder = \"{FOLDER}\"\nidle_timeout = \"5s\""));
        let running = site.fetch();
        site.wait_spooled(3);
        wait_for("the marks", || client.flags(FOLDER).iter().all(|(_, flags)| flags == DONE).then_some(()));
        client.command("SELECT INBOX");
        client.command(&format!("DELETE {FOLDER}"));
        client.command(&format!("CREATE {FOLDER}"));
        // One that was there, and one that was not, with numbers that the others had.
        put(2);
        put(4);
        running.wait_log("event=epoch");
        site.wait_spooled(4);
        running.wait_log("verdict=duplicate");
        assert_eq!(site.keys(), keys(1..=4), "{kind:?}");
        stop_when_marked(running, &mut client, FOLDER);
    });
}
