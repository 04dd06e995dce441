//! What has arrived in an application, read from where it keeps it.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row};

use crate::application::{Application, Kind};

/// A mail as the application has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    pub subject: String,
    /// The text, as UTF-8.
    pub text: Vec<u8>,
    pub attachments: Vec<Vec<u8>>,
    /// Where: the project, the queue, or the recipients that Action Mailbox knows.
    pub place: String,
}

impl Application {
    /// Everything that has arrived, in its order. Read while the application may be writing: an error means not yet.
    pub fn arrived(&self) -> Vec<Arrived> {
        match self.kind {
            Kind::ActionMailbox => self.processed(),
            Kind::Redmine => self.issues().unwrap_or_default(),
            Kind::RequestTracker => self.tickets().unwrap_or_default(),
        }
    }

    /// Those with a subject.
    pub fn arrived_as(&self, subject: &str) -> Vec<Arrived> {
        let mut arrived = self.arrived();
        arrived.retain(|mail| mail.subject == subject);
        arrived
    }

    fn processed(&self) -> Vec<Arrived> {
        let lines = fs::read_to_string(self.shared("processed")).unwrap_or_default();
        let read = |line: &str| {
            let mut columns = line.split('\t').map(str::to_owned);
            let (_id, place) = (columns.next(), columns.next().unwrap_or_default());
            Arrived { place, subject: columns.nth(1).unwrap_or_default(), ..Arrived::default() }
        };
        lines.lines().map(read).collect()
    }

    /// How many mails Action Mailbox has stored, and how many of them it has not processed.
    pub fn stored_and_pending(&self) -> (i64, i64) {
        let database = open(&self.shared("database")).unwrap();
        let count = "SELECT count(*), count(nullif(status <> 0, 1)) FROM action_mailbox_inbound_emails";
        database.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    /// The Message-IDs of all that Action Mailbox has stored, processed or not.
    pub fn stored_ids(&self) -> Vec<String> {
        let database = open(&self.shared("database")).unwrap();
        let mut ids = database.prepare("SELECT message_id FROM action_mailbox_inbound_emails").unwrap();
        ids.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    /// Each mail as it was posted to Action Mailbox.
    pub fn posted(&self) -> Vec<Vec<u8>> {
        files(&self.shared("mails"))
    }

    fn issues(&self) -> rusqlite::Result<Vec<Arrived>> {
        let database = open(&self.stored("var/lib/dbconfig-common/sqlite3/redmine/instances/default/redmine_default"))?;
        let query = "SELECT i.id, i.subject, cast(i.description AS BLOB), p.identifier \
                     FROM issues i JOIN projects p ON p.id = i.project_id ORDER BY i.id";
        let mut issues = database.prepare(query)?;
        let read = |row: &Row<'_>| {
            let arrived =
                Arrived { subject: row.get(1)?, text: octets(row.get(2)?), place: row.get(3)?, ..Arrived::default() };
            Ok((row.get::<_, i64>(0)?, arrived))
        };
        let issues = issues.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
        let attachments = |(id, arrived): (i64, Arrived)| {
            let query = "SELECT coalesce(disk_directory, '') || '/' || disk_filename FROM attachments \
                         WHERE container_type = 'Issue' AND container_id = ? ORDER BY id";
            let mut names = database.prepare(query)?;
            let names = names.query_map([id], |row| row.get::<_, String>(0))?;
            let read = |name: rusqlite::Result<String>| {
                let path = self.stored("var/lib/redmine/default/files").join(name?.trim_start_matches('/'));
                Ok(fs::read(path).unwrap_or_default())
            };
            Ok(Arrived { attachments: names.map(read).collect::<rusqlite::Result<_>>()?, ..arrived })
        };
        issues.into_iter().map(attachments).collect()
    }

    fn tickets(&self) -> rusqlite::Result<Vec<Arrived>> {
        let database = open(&self.stored("var/lib/dbconfig-common/sqlite3/request-tracker5/rtdb"))?;
        let query = "SELECT t.id, t.Subject, q.Name FROM Tickets t JOIN Queues q ON q.id = t.Queue ORDER BY t.id";
        let mut tickets = database.prepare(query)?;
        let read = |row: &Row<'_>| {
            let arrived = Arrived { subject: row.get(1)?, place: row.get(2)?, ..Arrived::default() };
            Ok((row.get::<_, i64>(0)?, arrived))
        };
        let tickets = tickets.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
        let parts = |(id, mut arrived): (i64, Arrived)| {
            let query = "SELECT a.ContentType, a.ContentEncoding, cast(a.Content AS BLOB), a.Filename \
                         FROM Attachments a JOIN Transactions t ON t.id = a.TransactionId \
                         WHERE t.ObjectType = 'RT::Ticket' AND t.ObjectId = ? AND t.Type = 'Create' ORDER BY a.id";
            let mut parts = database.prepare(query)?;
            let mut parts = parts.query([id])?;
            while let Some(part) = parts.next()? {
                let content = decoded(part.get(1)?, octets(part.get(2)?));
                let kind: String = part.get(0)?;
                match part.get::<_, Option<String>>(3)?.filter(|name| !name.is_empty()) {
                    Some(_) => arrived.attachments.push(content),
                    None if kind == "text/plain" && arrived.text.is_empty() => arrived.text = content,
                    None => {}
                }
            }
            Ok(arrived)
        };
        tickets.into_iter().map(parts).collect()
    }
}

/// The application's own locks are not seen from outside of its namespace, so none is asked for.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{}?immutable=1", path.display()), flags)
}

fn octets(value: Value) -> Vec<u8> {
    match value {
        Value::Blob(octets) => octets,
        Value::Text(text) => text.into_bytes(),
        _ => Vec::new(),
    }
}

/// As Request Tracker stores a part.
fn decoded(encoding: Option<String>, content: Vec<u8>) -> Vec<u8> {
    match encoding.as_deref() {
        Some("base64") => {
            let text: Vec<u8> = content.into_iter().filter(|octet| !octet.is_ascii_whitespace()).collect();
            STANDARD.decode(text).unwrap_or_default()
        }
        Some("quoted-printable") => quoted_printable(&content),
        _ => content,
    }
}

fn quoted_printable(content: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = content;
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        match (octet, behind) {
            (b'=', [b'\n', ..]) => rest = &behind[1..],
            (b'=', [_, _, ..]) => {
                let digits = std::str::from_utf8(&behind[..2]).ok();
                decoded.extend(digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()));
                rest = &behind[2..];
            }
            _ => decoded.push(octet),
        }
    }
    decoded
}

fn files(directory: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let read = |path: &Path| if path.is_dir() { files(path) } else { vec![fs::read(path).unwrap()] };
    entries.flat_map(|entry| read(&entry.unwrap().path())).collect()
}
