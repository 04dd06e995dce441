//! The syslog socket.
//!
//! The syslog crate formats; the transport is ours, because the crate's own never reconnects, and blocks the mail when the
//! reader stalls.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use syslog::{Facility, LogFormat, Logger, Severity};

use crate::log_line::Level;

/// A line is clipped to this many octets: RFC 3164 promises 1024, rsyslog and journald take 8 KiB.
const LONGEST: usize = 4096;

/// Writes to syslog, facility mail.
pub(super) struct Syslog(Logger<Socket, Header>);

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Syslog").field(&self.0.backend).finish()
    }
}

impl Syslog {
    pub fn new(path: impl AsRef<Path>) -> Self {
        let socket = Socket { path: path.as_ref().to_owned(), connected: None, line: Vec::new() };
        Self(Logger::new(socket, Header { pid: std::process::id() }))
    }

    /// Whether the line was written.
    pub fn send(&mut self, level: Level, text: &str) -> bool {
        self.0.backend.line.clear();
        let formatted = match level {
            Level::Error => self.0.err(text),
            Level::Warning => self.0.warning(text),
            Level::Info => self.0.info(text),
        };
        formatted.is_ok() && self.0.backend.send().is_ok()
    }
}

/// `<PRI>mailhatch[PID]: `, as syslog(3) writes it but for the time: the reader stamps local messages itself, and the crate
/// would stamp UTC without saying so.
#[derive(Debug)]
struct Header {
    pid: u32,
}

impl LogFormat<&str> for Header {
    fn format<W: Write>(&self, w: &mut W, severity: Severity, message: &str) -> syslog::Result<()> {
        let priority = Facility::LOG_MAIL as u8 | severity as u8;
        write!(w, "<{priority}>mailhatch[{}]: {message}", self.pid).map_err(syslog::Error::Write)
    }
}

/// Collects one line and sends it as one datagram.
#[derive(Debug)]
struct Socket {
    path: PathBuf,
    connected: Option<UnixDatagram>,
    line: Vec<u8>,
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LONGEST.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    fn send(&mut self) -> io::Result<()> {
        // After a restart of the syslog daemon the old socket is dead for ever: connect once more, then give up.
        for _ in 0..2 {
            let socket = match self.connected.take() {
                Some(socket) => socket,
                None => self.connect()?,
            };
            match socket.send(&self.line) {
                Ok(_) => {
                    self.connected = Some(socket);
                    return Ok(());
                }
                // The reader stalls: mail must not wait for it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.connected = Some(socket);
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 8192];
        let length = socket.recv(&mut buffer).expect("datagram");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_line_arrives_also_after_the_daemon_was_restarted() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("log");
        let mut syslog = Syslog::new(&path);
        assert!(!syslog.send(Level::Info, "nobody listens"));
        let first = UnixDatagram::bind(&path).expect("bind");
        assert!(syslog.send(Level::Error, "one"));
        assert_eq!(receive(&first), format!("<19>mailhatch[{}]: one", std::process::id()));
        drop(first);
        std::fs::remove_file(&path).expect("remove");
        let second = UnixDatagram::bind(&path).expect("bind again");
        assert!(syslog.send(Level::Info, "two"));
        assert_eq!(receive(&second), format!("<22>mailhatch[{}]: two", std::process::id()));
    }

    #[test]
    fn a_reader_that_stalls_does_not_stop_the_mail() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("log");
        let _reader = UnixDatagram::bind(&path).expect("bind");
        let mut syslog = Syslog::new(&path);
        let written = (0..10_000).filter(|_| syslog.send(Level::Info, "x")).count();
        assert!(written < 10_000, "the socket's queue has an end");
    }
}
