//! A client of the tests' own, for plain text on loopback: it sends what it is given, and shares no code with mailhatch.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::{LIMIT, PASSWORD, USER};

/// A logged-in connection.
pub struct Imap {
    stream: BufReader<TcpStream>,
    tags: u32,
}

/// One message as a FETCH shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub uid: u32,
    /// In order, without `\Recent`, which every session sees once.
    pub flags: Vec<String>,
    pub octets: Vec<u8>,
}

impl Imap {
    pub fn connect(port: u16) -> Self {
        Self::log_in(port, USER, PASSWORD)
    }

    pub fn log_in(port: u16, user: &str, password: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream: BufReader::new(stream), tags: 0 };
        let greeting = client.line();
        assert!(greeting.starts_with("* OK"), "{greeting}");
        client.command(&format!("LOGIN {user} \"{password}\""));
        client
    }

    /// Sends a command that must succeed; gives all lines that came, the last one included.
    pub fn command(&mut self, command: &str) -> Vec<String> {
        let lines = self.ask(command);
        let last = lines.last().unwrap();
        assert!(last.split(' ').nth(1) == Some("OK"), "{command}: {last}");
        lines
    }

    /// Sends a command; gives all lines that came, the last one included. Literals stand in their lines.
    pub fn ask(&mut self, command: &str) -> Vec<String> {
        self.tags += 1;
        let tag = format!("x{} ", self.tags);
        self.stream.get_mut().write_all(format!("{tag}{command}\r\n").as_bytes()).unwrap();
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let is_last = line.starts_with(&tag);
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    /// Adds a message.
    pub fn append(&mut self, folder: &str, flags: &str, date: Option<&str>, message: &[u8]) {
        self.tags += 1;
        let date = date.map(|date| format!("\"{date}\" ")).unwrap_or_default();
        let size = message.len();
        let head = format!("x{} APPEND \"{folder}\" ({flags}) {date}{{{size}}}\r\n", self.tags);
        self.stream.get_mut().write_all(head.as_bytes()).unwrap();
        let go = self.line();
        assert!(go.starts_with('+'), "{go}");
        self.stream.get_mut().write_all(message).unwrap();
        self.stream.get_mut().write_all(b"\r\n").unwrap();
        loop {
            let line = self.line();
            if line.starts_with(&format!("x{} ", self.tags)) {
                assert!(line.contains(" OK"), "{line}");
                return;
            }
        }
    }

    /// All messages of the folder, by EXAMINE: looking changes nothing.
    pub fn list(&mut self, folder: &str) -> Vec<Listed> {
        self.command(&format!("EXAMINE \"{folder}\""));
        self.tags += 1;
        let tag = format!("x{} ", self.tags);
        let command = format!("{tag}UID FETCH 1:* (UID FLAGS BODY.PEEK[])\r\n");
        self.stream.get_mut().write_all(command.as_bytes()).unwrap();
        let mut listed = Vec::new();
        loop {
            let line = self.raw_line();
            if line.starts_with(&tag) {
                assert!(line.contains(" OK"), "{line}");
                return listed;
            }
            // What others do meanwhile is told in between, without a literal.
            let Some(size) = literal(&line).filter(|_| line.contains(" FETCH (")) else { continue };
            let mut octets = vec![0; size];
            self.stream.read_exact(&mut octets).unwrap();
            let rest = self.raw_line();
            let text = format!("{line}{rest}");
            let uid = after(&text, "UID ").split([' ', ')']).next().unwrap().parse().unwrap();
            let flags = after(&text, "FLAGS (").split(')').next().unwrap().split_whitespace();
            let mut flags: Vec<_> = flags.filter(|flag| *flag != "\\Recent").map(str::to_owned).collect();
            flags.sort();
            listed.push(Listed { uid, flags, octets });
        }
    }

    /// The flags of each message, by UID.
    pub fn flags(&mut self, folder: &str) -> Vec<(u32, String)> {
        self.list(folder).into_iter().map(|message| (message.uid, message.flags.join(" "))).collect()
    }

    /// A number of STATUS, such as UIDNEXT or HIGHESTMODSEQ.
    pub fn status(&mut self, folder: &str, item: &str) -> u64 {
        let lines = self.command(&format!("STATUS \"{folder}\" ({item})"));
        let line = lines.iter().find(|line| line.starts_with("* STATUS")).unwrap();
        after(line, &format!("{item} ")).split([' ', ')']).next().unwrap().parse().unwrap()
    }

    /// One line, with the literals in it.
    fn line(&mut self) -> String {
        let mut line = self.raw_line();
        while let Some(size) = literal(&line) {
            let mut octets = vec![0; size];
            self.stream.read_exact(&mut octets).unwrap();
            line += &String::from_utf8_lossy(&octets);
            line += &self.raw_line();
        }
        line.trim_end().to_owned()
    }

    fn raw_line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        assert!(line.ends_with(b"\n"), "the server hung up");
        String::from_utf8_lossy(&line).into_owned()
    }
}

fn literal(line: &str) -> Option<usize> {
    line.trim_end().strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

fn after<'t>(text: &'t str, mark: &str) -> &'t str {
    text.split_once(mark).unwrap_or_else(|| panic!("{mark} is not in {text}")).1
}
